/* SPDX-License-Identifier: MIT */
/* cmd_ranges.c - verb ranges: which parts of each file are in RAM, or are not. */
#include "commands.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/macro.h"
#include "jobs.h"
#include "options.h"
#include "out.h"
#include "progress.h"

enum { OFFSET, LENGTH, PATH, RANGE, PAGES, SIZE, RESIDENT, REASON, LIST, COLUMNS };

/* Table and raw: a row for each run. JSON: one for each file, with a list. */
static const struct out_column columns[COLUMNS + 1] = {
	[OFFSET] = { "OFFSET", "offset", CELL_BYTES, COLUMN_SHOWN, 8, "of the run" },
	[LENGTH] = { "LENGTH", "length", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 8,
		     "of the run" },
	[PATH] = { "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "name of the file" },
	[RANGE] = { "RANGE", "range", CELL_TEXT, 0, 0,
		    "OFFSET+LENGTH in bytes, as --range takes it" },
	[PAGES] = { "PAGES", "run_pages", CELL_COUNT, COLUMN_SUM, 0, "pages of the run" },
	[SIZE] = { "SIZE", "size", CELL_BYTES, 0, 0, "of the file" },
	[RESIDENT] = { "", "listed_bytes", CELL_BYTES, COLUMN_JSON_ONLY, 0, NULL },
	[REASON] = { "REASON", "reason", CELL_WORD, 0, 0, "why nothing is known" },
	[LIST] = { "", "ranges", CELL_JSON, COLUMN_JSON_ONLY, 0, NULL },
};

struct own {
	bool missing;
	bool ready;
	unsigned int limit;
};

static const struct option_row rows[] = {
	{ "missing", 'm', NULL, "the parts that are not in RAM", option_set_true,
	  offsetof(struct own, missing), 0, 0 },
	{ "ready", 0, NULL, "pages still being read do not count", option_set_true,
	  offsetof(struct own, ready), 0, 0 },
	{ "limit", 0, "N", "of runs in a list of --json (16384); what is left\nout is said",
	  option_set_count, offsetof(struct own, limit), 0, 0 },
	{ 0 },
};

struct ranges_verb {
	struct own own;
	const struct options *options;
	struct out *out;
	struct tally tally;
	uint64_t page;
	/* of the file in hand */
	struct target *target;
	uint64_t size;
	uint64_t at; /* --missing: all before is told */
	uint64_t sum, runs;
	uint64_t next; /* of a list that was cut; 0: it was not */
	json_t *list;
	int failed; /* of out_row() */
};

static int add_to_list(struct ranges_verb *verb, uint64_t offset, uint64_t length)
{
	uint64_t end = align_up(offset + length, verb->page);
	json_t *pair;

	if (json_array_size(verb->list) >= verb->own.limit) {
		if (verb->next == 0)
			verb->next = offset;
		return 0;
	}
	pair = json_pack("[II]", (json_int_t)(offset / verb->page),
			 (json_int_t)(end / verb->page));
	return json_array_append_new(verb->list, pair) < 0 ? -ENOMEM : 0;
}

static int print_run(struct ranges_verb *verb, uint64_t offset, uint64_t length)
{
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX];

	snprintf(word, sizeof(word), "%llu+%llu", (unsigned long long)offset,
		 (unsigned long long)length);
	cells[OFFSET] = cell_number(offset);
	cells[LENGTH] = cell_number(length);
	cells[PATH] = cell_text(verb->target->path);
	cells[RANGE] = cell_text(word);
	cells[PAGES] = cell_number(align_up(length, verb->page) / verb->page);
	cells[SIZE] = cell_number(verb->size);
	cells[REASON] = cell_none();
	return out_row(verb->out, cells);
}

static int put(struct ranges_verb *verb, uint64_t offset, uint64_t length)
{
	verb->sum += length;
	verb->runs++;
	if (verb->list)
		verb->failed = add_to_list(verb, offset, length);
	else
		verb->failed = print_run(verb, offset, length);
	return verb->failed < 0 || interrupted();
}

static int on_run(void *ctx, uint64_t offset, uint64_t length)
{
	struct ranges_verb *verb = ctx;
	uint64_t before = verb->at;

	if (!verb->own.missing)
		return put(verb, offset, length);
	verb->at = align_up(offset + length, verb->page);
	return offset > before ? put(verb, before, offset - before) : 0;
}

/* What is behind the last run is missing too. */
static int put_rest(struct ranges_verb *verb, struct mmapfs_range range)
{
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : UINT64_MAX;

	end = u64_min(end, verb->size);
	if (!verb->own.missing || verb->at >= end)
		return 0;
	return put(verb, verb->at, end - verb->at);
}

static int print_list(struct ranges_verb *verb, struct mmapfs_range range, const char *reason)
{
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX];
	bool cut = verb->next > 0;

	cells[PATH] = cell_text(verb->target->path);
	cells[RANGE] = cell_text(verb->options->ranges_given
					 ? mmapfs_range_format(word, range)
					 : NULL);
	cells[SIZE] = cell_number(verb->size);
	cells[REASON] = cell_text(reason);
	cells[OFFSET] = cells[LENGTH] = cells[PAGES] = cell_none();
	cells[RESIDENT] = cells[LIST] = cell_unknown(reason);
	if (!reason) {
		cells[RESIDENT] = cell_number(verb->sum);
		cells[LIST] = cell_number(0);
		cells[LIST].json = json_pack(
			"{s:s, s:s, s:I, s:O, s:b, s:o}", "unit", "page", "of",
			verb->own.missing ? "missing" : "resident", "runs",
			(json_int_t)verb->runs, "list", verb->list, "truncated", cut, "next",
			cut ? json_integer((json_int_t)verb->next) : json_null());
	}
	return out_row(verb->out, cells);
}

/* Nothing is known of the file: say it, with the reason. */
static int tell_unknown(struct ranges_verb *verb, struct mmapfs_range range)
{
	struct observation seen;
	struct cell cells[COLUMNS] = { 0 };
	const char *reason = "unknown";

	if (target_observe(verb->target, range, 0, &seen) == 0)
		reason = mmapfs_reason_name(seen.residency.reason);
	out_count_file(verb->out, true);
	verb->tally.unknown++;
	if (verb->list)
		return print_list(verb, range, reason);
	cells[OFFSET] = cells[LENGTH] = cells[RANGE] = cells[PAGES] = cell_unknown(reason);
	cells[PATH] = cell_text(verb->target->path);
	cells[SIZE] = cell_number(verb->size);
	cells[REASON] = cell_text(reason);
	return out_row(verb->out, cells);
}

static int list_file(struct ranges_verb *verb, struct mmapfs_range range)
{
	uint32_t flags = verb->own.ready ? MMAPFS_OBSERVE_READY : 0;
	int r;

	r = target_size(verb->target, &verb->size);
	if (r == 0)
		r = target_ranges(verb->target, range, flags, on_run, verb);
	if (r == 0)
		r = put_rest(verb, range);
	if (r == -ENODATA)
		return tell_unknown(verb, range);
	if (verb->failed < 0)
		return verb->failed;
	if (r < 0) {
		out_error(verb->out, "measure", verb->target->path, r, NULL);
		verb->tally.failed++;
		return 0;
	}
	out_count_file(verb->out, false);
	return verb->list ? print_list(verb, range, NULL) : 0;
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	struct ranges_verb *verb = ctx;
	int r;

	(void)error;
	(void)result;
	verb->target = target;
	verb->at = range.offset;
	verb->sum = verb->runs = verb->next = 0;
	verb->list = out_is_json(verb->out) ? json_array() : NULL;
	r = list_file(verb, range);
	json_decref(verb->list);
	return r;
}

static int run_on(struct ranges_verb *verb)
{
	static const struct jobs_ops ops = { .deliver = deliver };
	int r, ended;

	interrupt_catch();
	r = jobs_run(verb->options, &ops, verb, verb->out, &verb->tally);
	ended = out_end(verb->out, verb->tally.interrupted);
	return r < 0 || ended < 0 ? CODE_SOME_FAILED : tally_exit_code(&verb->tally);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct ranges_verb verb = { .own.limit = 16384 };
	struct mmapfs_probe probe = { .size = sizeof(probe) };
	struct options options;
	int code;

	(void)mmapfs_probe(&probe);
	verb.page = probe.page_size;
	code = options_parse(command, argc, argv, &options, &verb.own);
	if (code == OPTIONS_GO_ON)
		code = options_need_operands(command, &options);
	verb.options = &options;
	if (code == OPTIONS_GO_ON)
		code = out_begin(&options.out, columns, "mmapfs.ranges/1", stdout,
				 &verb.out) < 0
			       ? CODE_USAGE
			       : run_on(&verb);
	options_done(&options);
	return code;
}

const struct command cmd_ranges = {
	.name = "ranges",
	.summary = "which parts of each file are in RAM, or are not",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"List the runs of pages that are in the page cache, or with --missing those that\n"
		"are not, up to the end of the file. Memory use does not grow with the file, and\n"
		"holes of sparse files cost nothing. In JSON a run is [first page, page behind].\n",
	.example = "Example: mmapctl ranges --missing --raw -n -o RANGE model.gguf\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT,
	.rows = rows,
	.columns = columns,
	.run = run,
};
