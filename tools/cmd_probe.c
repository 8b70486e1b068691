/* SPDX-License-Identifier: MIT */
/* cmd_probe.c - verb probe: what this kernel lets this process do. */
#include "commands.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "options.h"
#include "out.h"
#include "out_words.h"

enum { FEATURE, STATE, CODE, MEANING, COLUMNS };

static const struct out_column columns[COLUMNS + 1] = {
	[FEATURE] = { "FEATURE", "feature", CELL_WORD, COLUMN_SHOWN, 0, "its name" },
	[STATE] = { "STATE", "state", CELL_WORD, COLUMN_SHOWN, 0, "yes, no, disabled; a value" },
	[CODE] = { "ANSWER", "answer", CELL_WORD, COLUMN_SHOWN, 0, "of the kernel, when no" },
	[MEANING] = { "WITHOUT-IT", "without_it", CELL_TEXT, COLUMN_SHOWN, 0,
		      "what is lost without it" },
};

static const char *const meanings[MMAPFS_FEATURE_COUNT] = {
	[MMAPFS_FEATURE_CACHESTAT] = "no dirty, writeback, evicted; counting is slow (Linux 6.5)",
	[MMAPFS_FEATURE_MLOCK_ONFAULT] = "no lock (Linux 4.4)",
	[MMAPFS_FEATURE_POPULATE] = "warm reads through a buffer (Linux 5.14)",
	[MMAPFS_FEATURE_PAGEOUT] = "no advice cold, pageout (Linux 5.4)",
	[MMAPFS_FEATURE_PAGE_FLAGS] = "evict infers why pages stayed (needs root)",
	[MMAPFS_FEATURE_PROCESS_VM] = "copies out of maps are slower",
};

static int put(struct out *out, const char *feature, const char *state, const char *code,
	       const char *meaning)
{
	struct cell cells[COLUMNS] = { 0 };

	cells[FEATURE] = cell_text(feature);
	cells[STATE] = cell_text(state);
	cells[CODE] = cell_text(code);
	cells[MEANING] = cell_text(meaning);
	return out_row(out, cells);
}

static int put_feature(struct out *out, uint32_t feature, int answer)
{
	const char *state = answer > 0 ? "yes" : answer == 0 ? "disabled" : "no";

	return put(out, mmapfs_feature_name((enum mmapfs_feature)feature), state,
		   answer < 0 ? mmapfs_errno_name(answer) : NULL, meanings[feature]);
}

static int put_values(struct out *out, const struct mmapfs_probe *probe)
{
	char text[MMAPFS_WORD_MAX];
	int r;

	snprintf(text, sizeof(text), "%" PRIu32, probe->page_size);
	r = put(out, "page-size", text, NULL, NULL);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, probe->memlock_limit);
	return put(out, "memlock-limit", probe->memlock_limit == UINT64_MAX ? "none" : text,
		   NULL, "bytes that lock may keep in RAM (ulimit -l)");
}

static int put_tracing(struct out *out)
{
	static const char *const events[] = {
		"/sys/kernel/tracing/events/filemap/mm_filemap_add_to_page_cache/enable",
		"/sys/kernel/debug/tracing/events/filemap/mm_filemap_add_to_page_cache/enable",
	};
	bool there = false;

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		there |= access(events[i], W_OK) == 0;
	return put(out, "filemap-events", there ? "yes" : "no", NULL,
		   "watch --events cannot say who (needs root and a mounted tracefs)");
}

static int put_all(struct out *out, const struct mmapfs_probe *probe)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < MMAPFS_FEATURE_COUNT; i++)
		r = put_feature(out, i, probe->feature[i]);
	if (r == 0)
		r = put_tracing(out);
	return r < 0 ? r : put_values(out, probe);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct mmapfs_probe probe = { .size = sizeof(probe) };
	struct options options;
	struct out *out;
	int code, r;

	code = options_parse(command, argc, argv, &options, NULL);
	if (code == OPTIONS_GO_ON && options.operand_count > 0) {
		say("probe takes no PATH; see mmapctl probe --help");
		code = CODE_USAGE;
	}
	if (code == OPTIONS_GO_ON &&
	    out_begin(&options.out, columns, "mmapfs.probe/1", stdout, &out) < 0)
		code = CODE_USAGE;
	if (code == OPTIONS_GO_ON) {
		(void)mmapfs_probe(&probe);
		r = put_all(out, &probe);
		r = out_end(out, false) ?: r;
		code = r < 0 ? CODE_SOME_FAILED : CODE_DONE;
	}
	options_done(&options);
	return code;
}

const struct command cmd_probe = {
	.name = "probe",
	.summary = "what this kernel lets this process do",
	.synopsis = "[OPTION]...",
	.about = "Ask the kernel for what mmapctl can use, and say what is lost without it.\n"
		 "MMAPFS_DISABLE=NAME,... in the environment does as if a feature were missing.\n",
	.example = "Example: MMAPFS_DISABLE=cachestat mmapctl probe\n",
	.groups = GROUP_OUTPUT,
	.columns = columns,
	.run = run,
};
