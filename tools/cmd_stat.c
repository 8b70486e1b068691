/* SPDX-License-Identifier: MIT */
/* cmd_stat.c - verb stat: how much of each file is in RAM. */
#include "commands.h"

#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "cells.h"
#include "jobs.h"
#include "options.h"
#include "out.h"
#include "progress.h"

enum {
	RESIDENT, PERCENT, SIZE, DIRTY, EVICTED, PATH, RANGE, RES_PAGES, PAGES, OCCUPIED, READY,
	DIRTY_PAGES, WRITEBACK, EVICTED_PAGES, RECENT, LOCKED, METHOD, CONFIDENCE, REASON,
	CHANGED, FS, TYPE, DEV, INO, ADVICE, DATA_PATH, COLUMNS,
};

#define SUMMED (COLUMN_SHOWN | COLUMN_SUM)

static const struct out_column columns[COLUMNS + 1] = {
	[RESIDENT] = { "RESIDENT", "resident_bytes", CELL_BYTES, SUMMED, 8,
		       "bytes in the page cache, whole pages" },
	[PERCENT] = { "PERCENT", "percent", CELL_PERCENT, COLUMN_SHOWN, 7,
		      "of the pages that are resident", "resident", "pages" },
	[SIZE] = { "SIZE", "size", CELL_BYTES, SUMMED, 6, "of the file" },
	[DIRTY] = { "DIRTY", "dirty_bytes", CELL_BYTES, SUMMED, 6,
		    "bytes not yet written to the disk" },
	[EVICTED] = { "EVICTED", "evicted_bytes", CELL_BYTES, SUMMED, 7,
		      "bytes that the kernel pushed out for want of memory" },
	[PATH] = { "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "name of the file" },
	[RANGE] = { "RANGE", "range", CELL_TEXT, 0, 0, "of --range" },
	[RES_PAGES] = { "RES-PAGES", "resident", CELL_COUNT, COLUMN_SUM, 0,
			"resident pages" },
	[PAGES] = { "PAGES", "pages", CELL_COUNT, COLUMN_SUM, 0, "pages of the file or range" },
	[OCCUPIED] = { "OCCUPIED", "occupied", CELL_COUNT, COLUMN_SUM, 0,
		       "pages in the page cache, also while being read" },
	[READY] = { "READY", "ready", CELL_COUNT, COLUMN_SUM, 0,
		    "pages that are there and read; needs --ready" },
	[DIRTY_PAGES] = { "DIRTY-PAGES", "dirty", CELL_COUNT, COLUMN_SUM, 0, "dirty pages" },
	[WRITEBACK] = { "WRITEBACK", "writeback", CELL_COUNT, COLUMN_SUM, 0,
			"pages being written right now" },
	[EVICTED_PAGES] = { "EVICTED-PAGES", "evicted", CELL_COUNT, COLUMN_SUM, 0,
			    "pages pushed out by the kernel" },
	[RECENT] = { "RECENT", "recently_evicted", CELL_COUNT, COLUMN_SUM, 0,
		     "of those, the ones gone so recently that it hurts" },
	[LOCKED] = { "LOCKED", "locked", CELL_COUNT, COLUMN_SUM, 0,
		     "pages that the mount keeps locked" },
	[METHOD] = { "METHOD", "method", CELL_WORD, 0, 0, "how it was measured" },
	[CONFIDENCE] = { "CONFIDENCE", "confidence", CELL_WORD, 0, 0,
			 "exact, upper-bound or unknown" },
	[REASON] = { "REASON", "reason", CELL_WORD, 0, 0, "why a figure is unknown" },
	[CHANGED] = { "CHANGED", "changed", CELL_BOOL, 0, 0,
		      "the size changed while it was measured" },
	[FS] = { "FS", "fs", CELL_WORD, 0, 0, "filesystem type" },
	[TYPE] = { "TYPE", "type", CELL_WORD, 0, 0, "regular or block" },
	[DEV] = { "DEV", "dev", CELL_WORD, 0, 0, "device, MAJOR:MINOR" },
	[INO] = { "INO", "ino", CELL_COUNT, 0, 0, "inode number" },
	[ADVICE] = { "ADVICE", "advice", CELL_WORD, 0, 0, "in force on a mounted mmapfs" },
	[DATA_PATH] = { "DATA-PATH", "data_path", CELL_WORD, 0, 0,
			"passthrough or mapped, on a mounted mmapfs" },
};

static const struct option_row rows[] = {
	{ "ready", 0, NULL, "do not count pages that are still being read;\n"
	  "exact, but takes longer", option_set_true, 0, 0, 0 },
	{ 0 },
};

struct stat_verb {
	bool ready;
	const struct options *options;
	struct out *out;
	struct tally tally;
	struct cell cells[COLUMNS]; /* of the row: each row sets the same of them */
};

static int look(void *ctx, struct target *target, struct mmapfs_range range, void *result)
{
	const struct stat_verb *verb = ctx;

	return target_observe(target, range, verb->ready ? MMAPFS_OBSERVE_READY : 0, result);
}

static struct cell ready_cell(const struct mmapfs_residency *residency)
{
	if (residency->valid & MMAPFS_RESIDENT &&
	    residency->confidence == MMAPFS_CONFIDENCE_EXACT)
		return cell_number(residency->resident);
	if (residency->valid & MMAPFS_RESIDENT)
		return cell_unknown("not-asked");
	return cell_unknown(figure_reason(residency, MMAPFS_RESIDENT));
}

static struct cell locked_cell(const struct observation *seen)
{
	return seen->locked_known ? cell_number(seen->locked) : cell_unknown("not-measured");
}

/* Text of a row, for as long as it is handed over. */
struct texts {
	char range[MMAPFS_WORD_MAX];
	char dev[32];
};

static const struct {
	int column;
	uint32_t figure;
} figures[] = {
	{ RESIDENT, MMAPFS_RESIDENT },	 { DIRTY, MMAPFS_DIRTY },
	{ EVICTED, MMAPFS_EVICTED },	 { RES_PAGES, MMAPFS_RESIDENT },
	{ OCCUPIED, MMAPFS_OCCUPIED },	 { DIRTY_PAGES, MMAPFS_DIRTY },
	{ WRITEBACK, MMAPFS_WRITEBACK }, { EVICTED_PAGES, MMAPFS_EVICTED },
	{ RECENT, MMAPFS_RECENTLY_EVICTED },
};

/* What nobody wants to see is not even made: in a tree of small files that would show. */
static void fill_figures(const struct out *out, const struct observation *seen,
			 struct cell *cells)
{
	const struct mmapfs_residency *found = &seen->residency;

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		int at = figures[i].column;
		bool bytes = columns[at].type == CELL_BYTES;

		if (out_wants(out, at))
			cell_set_figure(&cells[at], found, figures[i].figure,
					bytes ? found->page_size : 1);
	}
	cells[SIZE] = cell_number(found->file_size);
	cells[PAGES] = cell_number(found->pages);
	if (out_wants(out, PERCENT))
		cells[PERCENT] = cell_figure_percent(found, MMAPFS_RESIDENT);
	if (out_wants(out, READY))
		cells[READY] = ready_cell(found);
	if (out_wants(out, LOCKED))
		cells[LOCKED] = locked_cell(seen);
}

static void fill_words(const struct observation *seen, struct cell *cells)
{
	const struct mmapfs_residency *found = &seen->residency;
	const char *reason = found->reason ? mmapfs_reason_name(found->reason) : NULL;

	cells[METHOD] = cell_text(mmapfs_method_name(found->method));
	cells[CONFIDENCE] = cell_text(mmapfs_confidence_name(found->confidence));
	cells[REASON] = cell_text(reason);
	cells[CHANGED] = cell_bool(found->changed);
	cells[ADVICE] = cell_text(seen->advice[0] ? seen->advice : NULL);
	cells[DATA_PATH] = cell_text(seen->data_path[0] ? seen->data_path : NULL);
}

static void fill_file(const struct stat_verb *verb, const struct target *target,
		      struct mmapfs_range range, struct texts *texts, struct cell *cells)
{
	texts->dev[0] = 0;
	if (out_wants(verb->out, DEV))
		snprintf(texts->dev, sizeof(texts->dev), "%u:%u", major(target->st.st_dev),
			 minor(target->st.st_dev));
	cells[PATH] = cell_text(target->path);
	cells[RANGE] = cell_text(verb->options->ranges_given
					 ? mmapfs_range_format(texts->range, range)
					 : NULL);
	cells[FS] = cell_text(target_fs_name(target));
	cells[TYPE] = cell_text(S_ISBLK(target->st.st_mode) ? "block" : "regular");
	cells[DEV] = cell_text(texts->dev);
	cells[INO] = cell_number(target->st.st_ino);
}

static bool is_first(const struct stat_verb *verb, struct mmapfs_range range)
{
	return range.offset == verb->options->ranges[0].offset;
}

static bool is_unknown(const struct observation *seen)
{
	return !(seen->residency.valid & MMAPFS_RESIDENT);
}

static int tell(void *ctx, struct target *target, struct mmapfs_range range, int error,
		void *result)
{
	const struct observation *seen = result;
	struct stat_verb *verb = ctx;
	struct texts texts;

	(void)error; /* told by jobs_run() */
	if (is_first(verb, range)) {
		out_count_file(verb->out, is_unknown(seen));
		verb->tally.unknown += is_unknown(seen);
	}
	fill_figures(verb->out, seen, verb->cells);
	fill_words(seen, verb->cells);
	fill_file(verb, target, range, &texts, verb->cells);
	return out_row(verb->out, verb->cells);
}

/* ---- nothing but totals ---- */

/* Without cells, which nobody would see: in a tree of small files they would show. */
static void add_figures(const struct out *out, const struct mmapfs_residency *found,
			struct out_sums *sums)
{
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		size_t at = figures[i].column;
		uint32_t figure = figures[i].figure;
		uint64_t unit = columns[at].type == CELL_BYTES ? found->page_size : 1;

		if (!out_wants(out, at))
			continue;
		if (found->valid & figure)
			out_add_number(sums, at, figure_pages(found, figure) * unit,
				       figure_is_bound(found, figure));
		else
			out_add_unknown(sums, at);
	}
	out_add_number(sums, SIZE, found->file_size, false);
	out_add_number(sums, PAGES, found->pages, false);
}

static void add(void *ctx, struct mmapfs_range range, const void *result, void *to)
{
	const struct stat_verb *verb = ctx;
	const struct observation *seen = result;
	struct out_sums *sums = to;

	if (is_first(verb, range))
		out_add_file(sums, is_unknown(seen));
	sums->rows++;
	add_figures(verb->out, &seen->residency, sums);
	if (out_wants(verb->out, READY))
		out_add_cell(sums, READY, ready_cell(&seen->residency));
	if (out_wants(verb->out, LOCKED))
		out_add_cell(sums, LOCKED, locked_cell(seen));
}

static int tell_sum(void *ctx, const void *result)
{
	const struct out_sums *sums = result;
	struct stat_verb *verb = ctx;

	verb->tally.unknown += sums->unknown_files;
	out_add_sums(verb->out, sums);
	return 0;
}

static int run_on(struct stat_verb *verb)
{
	static const struct jobs_ops rows_ops = {
		.result_size = sizeof(struct observation),
		.work = look,
		.deliver = tell,
		.verb = "measure",
		.quick = true,
	};
	static const struct jobs_ops totals_ops = {
		.result_size = sizeof(struct observation),
		.work = look,
		.add = add,
		.deliver_sum = tell_sum,
		.sum_size = sizeof(struct out_sums),
		.verb = "measure",
		.quick = true,
	};
	int r, ended;

	interrupt_catch();
	r = jobs_run(verb->options, verb->options->out.summarize ? &totals_ops : &rows_ops,
		     verb, verb->out, &verb->tally);
	ended = out_end(verb->out, verb->tally.interrupted);
	if (r < 0 && ended == 0)
		say("cannot go on: %s", strerror(-r));
	return r < 0 || ended < 0 ? CODE_SOME_FAILED : tally_exit_code(&verb->tally);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct stat_verb verb = { 0 };
	struct options options;
	int code;

	code = options_parse(command, argc, argv, &options, &verb.ready);
	if (code == OPTIONS_GO_ON)
		code = options_need_operands(command, &options);
	verb.options = &options;
	if (code == OPTIONS_GO_ON)
		code = out_begin(&options.out, columns, "mmapfs.residency/1", stdout,
				 &verb.out) < 0
			       ? CODE_USAGE
			       : run_on(&verb);
	options_done(&options);
	return code;
}

const struct command cmd_stat = {
	.name = "stat",
	.summary = "how much of each file is in RAM (the default verb)",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Count the pages of files that are in the page cache: resident, dirty, evicted.\n"
		"Directories are entered. Nothing is read in or touched by looking. What cannot\n"
		"be known is printed as ? and never guessed: most often the figures of files\n"
		"that you neither own nor may write.\n",
	.example = "Example: mmapctl stat --sort RESIDENT --top 10 /usr/lib\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_JOBS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
