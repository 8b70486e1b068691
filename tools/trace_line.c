/* SPDX-License-Identifier: MIT */
/*
 * trace_line.c - take apart a line of trace_pipe:
 *
 *	   dd-27083   [000] .....  3152.966430: mm_filemap_add_to_page_cache:
 *	dev 254:0 ino 3c5c9 pfn=0x108e07 ofs=0 order=0		(all in one line)
 *
 * The command name comes first and may hold anything, "[001]" and ": " included; so the
 * line is read from its end.
 */
#include "trace.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

static const struct {
	const char *text;
	enum trace_action action;
} events[] = {
	{ ": mm_filemap_add_to_page_cache: ", TRACE_ADD },
	{ ": mm_filemap_delete_from_page_cache: ", TRACE_DELETE },
};

static const char *last_of(const char *text, const char *what)
{
	const char *found = NULL;

	for (const char *at = text; (at = strstr(at, what)); at++)
		found = at;
	return found;
}

/* The event's own part, and where it begins. */
static const char *find_event(const char *line, enum trace_action *ret)
{
	const char *at;

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		at = last_of(line, events[i].text);
		if (at) {
			*ret = events[i].action;
			return at;
		}
	}
	return NULL;
}

static bool number_after(const char *text, const char *key, uint64_t *ret)
{
	const char *at = strstr(text, key);
	char *end;

	if (!at)
		return false;
	at += strlen(key);
	*ret = strtoull(at, &end, 10);
	return end != at;
}

static bool parse_fields(const char *text, uint64_t page_size, struct trace_event *ret)
{
	uint64_t order = 0;
	const char *at = strstr(text, ": dev ");

	if (!at || sscanf(at, ": dev %u:%u ino %" SCNx64, &ret->dev_major,
			  &ret->dev_minor, &ret->ino) != 3)
		return false;
	if (!number_after(at, " ofs=", &ret->offset))
		return false;
	/* Kernels before 5.16 have no order: one page each. */
	if (number_after(at, " order=", &order) && order > 40)
		return false;
	ret->length = page_size << order;
	return true;
}

/* Of "   COMM-PID   [000] flags time", which ends at @end. */
static bool parse_task(const char *line, const char *end, struct trace_event *ret)
{
	const char *cpu = end, *pid, *comm = line;
	long number;

	while (cpu > line && *cpu != '[')
		cpu--;
	while (cpu > line && cpu[-1] == ' ')
		cpu--;
	for (pid = cpu; pid > line && pid[-1] >= '0' && pid[-1] <= '9'; pid--)
		;
	if (pid == cpu || pid == line || pid[-1] != '-')
		return false;
	number = strtol(pid, NULL, 10);
	if (number > INT_MAX)
		return false;
	ret->pid = (pid_t)number;
	while (*comm == ' ' && comm < pid - 1)
		comm++;
	(void)snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)(pid - 1 - comm), comm);
	return true;
}

bool trace_parse(const char *line, uint64_t page_size, struct trace_event *ret)
{
	struct trace_event event = { 0 };
	const char *at = find_event(line, &event.action);

	if (!at || !parse_fields(at + 1, page_size, &event) ||
	    !parse_task(line, at, &event))
		return false;
	*ret = event;
	return true;
}

uint64_t trace_parse_lost(const char *line)
{
	uint64_t lost;
	unsigned int cpu;

	return sscanf(line, " CPU:%u [LOST %" SCNu64 " EVENTS]", &cpu, &lost) == 2 ? lost
										   : 0;
}
