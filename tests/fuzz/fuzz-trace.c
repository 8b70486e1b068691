/* SPDX-License-Identifier: MIT */
/* fuzz-trace.c - a line of trace_pipe, whose command name may be anything. */
#include "fuzz.h"

#include <stdbool.h>

#include "trace.h"

#define PAGE 4096

void fuzz_begin(void)
{
}

enum verdict fuzz_input(const char *data, size_t length)
{
	struct trace_event event = { .length = 42 };
	char *line = fuzz_text(data, length);
	bool is_event = trace_parse(line, PAGE, &event);
	uint64_t lost = trace_parse_lost(line);

	if (is_event) {
		check(strnlen(event.comm, sizeof(event.comm)) < sizeof(event.comm));
		check(event.action == TRACE_ADD || event.action == TRACE_DELETE);
		check(event.length >= PAGE && (event.length & (event.length - 1)) == 0);
		check(event.pid >= 0);
	} else {
		check(event.length == 42);
	}
	free(line);
	return is_event || lost ? ACCEPTED : REJECTED;
}
