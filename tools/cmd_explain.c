/* SPDX-License-Identifier: MIT */
/* cmd_explain.c - verb explain: one screen on one file. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "cells.h"
#include "explain.h"
#include "jobs.h"
#include "options.h"
#include "out.h"
#include "progress.h"

/* JSON: one row for each file. */
enum {
	PATH, RANGE, TYPE, FS, DEV, INO, SIZE, ALLOCATED, PAGES, RESIDENT, RES_BYTES, PERCENT,
	RUNS, OCCUPIED, DIRTY, WRITEBACK, EVICTED, RECENT, FOLIOS, EXAMINED, LOCKED, ADVICE,
	DATA_PATH, METHOD, CONFIDENCE, REASON, MAPPED_BY, UNREADABLE, EVICT_MOST, STRADDLING,
	WHOLE, WARM_MOST, AVAILABLE, COLUMNS,
};

static const struct out_column columns[COLUMNS + 1] = {
	[PATH] = { "PATH", "path", CELL_PATH, 0, 0, "name of the file" },
	[RANGE] = { "RANGE", "range", CELL_TEXT, 0, 0, "of --range" },
	[TYPE] = { "TYPE", "type", CELL_WORD, 0, 0, "regular or block" },
	[FS] = { "FS", "fs", CELL_WORD, 0, 0, "filesystem type" },
	[DEV] = { "DEV", "dev", CELL_WORD, 0, 0, "device, MAJOR:MINOR" },
	[INO] = { "INO", "ino", CELL_COUNT, 0, 0, "inode number" },
	[SIZE] = { "SIZE", "size", CELL_BYTES, 0, 0, "bytes" },
	[ALLOCATED] = { "ALLOCATED", "allocated", CELL_BYTES, 0, 0, "bytes on the disk" },
	[PAGES] = { "PAGES", "pages", CELL_COUNT, 0, 0, "pages" },
	[RESIDENT] = { "RES-PAGES", "resident", CELL_COUNT, 0, 0, "pages in RAM and read" },
	[RES_BYTES] = { "RESIDENT", "resident_bytes", CELL_BYTES, 0, 0, "bytes of them" },
	[PERCENT] = { "PERCENT", "percent", CELL_PERCENT, 0, 0, "of the pages" },
	[RUNS] = { "RUNS", "runs", CELL_COUNT, 0, 0, "runs of resident pages" },
	[OCCUPIED] = { "OCCUPIED", "occupied", CELL_COUNT, 0, 0, "pages, also being read" },
	[DIRTY] = { "DIRTY", "dirty", CELL_COUNT, 0, 0, "pages to be written" },
	[WRITEBACK] = { "WRITEBACK", "writeback", CELL_COUNT, 0, 0, "pages being written" },
	[EVICTED] = { "EVICTED", "evicted", CELL_COUNT, 0, 0, "pages the kernel pushed out" },
	[RECENT] = { "RECENT", "recently_evicted", CELL_COUNT, 0, 0, "of those, lately" },
	[FOLIOS] = { "FOLIOS", "folios", CELL_JSON, 0, 0, "by size; needs root" },
	[EXAMINED] = { "EXAMINED", "folios_examined_bytes", CELL_BYTES, 0, 0,
		       "bytes whose folios were looked at" },
	[LOCKED] = { "LOCKED", "locked_bytes", CELL_BYTES, 0, 0, "bytes, by processes we see" },
	[ADVICE] = { "ADVICE", "advice", CELL_WORD, 0, 0, "on a mounted mmapfs" },
	[DATA_PATH] = { "DATA-PATH", "data_path", CELL_WORD, 0, 0, "on a mounted mmapfs" },
	[METHOD] = { "METHOD", "method", CELL_WORD, 0, 0, "how it was measured" },
	[CONFIDENCE] = { "CONFIDENCE", "confidence", CELL_WORD, 0, 0, "how sure" },
	[REASON] = { "REASON", "reason", CELL_WORD, 0, 0, "why a figure is unknown" },
	[MAPPED_BY] = { "MAPPED-BY", "mapped_by", CELL_JSON, 0, 0, "processes" },
	[UNREADABLE] = { "UNREADABLE", "unreadable_processes", CELL_COUNT, 0, 0,
			 "that could not be looked at" },
	[EVICT_MOST] = { "EVICT", "evict.at_most_bytes", CELL_BYTES, 0, 0,
			 "an evict would free at most" },
	[STRADDLING] = { "STRADDLING", "evict.straddling_bytes", CELL_BYTES, 0, 0,
			 "that stay, their folios reaching out of the range" },
	[WHOLE] = { "WHOLE", "evict.whole_folios", CELL_TEXT, 0, 0,
		    "the range to evict that takes those too" },
	[WARM_MOST] = { "WARM", "warm.at_most_bytes", CELL_BYTES, 0, 0,
			"a warm would read at most" },
	[AVAILABLE] = { "AVAILABLE", "warm.available_bytes", CELL_BYTES, 0, 0,
			"memory that is available" },
};

/* Table and raw: a row for each line of the screen. */
static const struct out_column screen_columns[] = {
	{ "WHAT", "what", CELL_TEXT, COLUMN_SHOWN, 10, "what is told" },
	{ "VALUE", "value", CELL_TEXT, COLUMN_SHOWN, 0, "what it is" },
	{ 0 },
};

struct explain_verb {
	const struct options *options;
	struct out *out;
	struct tally tally;
};

static json_t *mappers_json(const struct mappers *mappers)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < mappers->count; i++) {
		const struct mapper *mapper = &mappers->list[i];

		(void)json_array_append_new(
			list, json_pack("{s:i, s:s?, s:I, s:I, s:I}", "pid", (int)mapper->pid,
					"name", mapper->name, "mapped",
					(json_int_t)mapper->mapped, "rss",
					(json_int_t)mapper->rss, "locked",
					(json_int_t)mapper->locked));
	}
	return list;
}

static json_t *folios_json(const struct mmapfs_folios *folios)
{
	json_t *list = json_array();

	for (unsigned int i = MMAPFS_FOLIO_ORDERS; list && i-- > 0;)
		if (folios->folios[i] > 0)
			(void)json_array_append_new(
				list,
				json_pack("{s:I, s:I, s:I}", "bytes",
					  (json_int_t)(folios->page_size << i), "folios",
					  (json_int_t)folios->folios[i], "resident",
					  (json_int_t)folios->pages[i]));
	return list;
}

/* Text of a row, for as long as it is handed over. */
struct texts {
	char dev[32];
	char range[MMAPFS_WORD_MAX];
	char whole[MMAPFS_WORD_MAX];
};

static void fill_folios(const struct explained *file, struct texts *texts,
			struct cell *cells)
{
	const char *unknown = file->folios_unknown ?: "too-many";
	struct mmapfs_range whole;
	uint64_t stays;

	cells[FOLIOS] = cells[EXAMINED] = cells[STRADDLING] = cells[WHOLE] =
		cell_unknown(unknown);
	if (!file->folios_unknown) {
		cells[FOLIOS] = cell_number(0);
		cells[FOLIOS].json = folios_json(&file->folios);
		cells[EXAMINED] = cell_number(file->folios.examined);
	}
	if (!explain_straddling(file, &stays, &whole))
		return;
	cells[STRADDLING] = cell_number(stays);
	cells[WHOLE] = cell_text(stays ? mmapfs_range_format(texts->whole, whole) : NULL);
}

static void fill_file(const struct explain_verb *verb, const struct explained *file,
		      struct texts *texts, struct cell *cells)
{
	const struct stat *st = &file->target->st;

	snprintf(texts->dev, sizeof(texts->dev), "%u:%u", major(st->st_dev),
		 minor(st->st_dev));
	cells[PATH] = cell_text(file->target->path);
	cells[RANGE] = cell_text(verb->options->ranges_given
					 ? mmapfs_range_format(texts->range, file->range)
					 : NULL);
	cells[TYPE] = cell_text(S_ISBLK(st->st_mode) ? "block" : "regular");
	cells[FS] = cell_text(target_fs_name(file->target));
	cells[DEV] = cell_text(texts->dev);
	cells[INO] = cell_number(st->st_ino);
	cells[SIZE] = cell_number(file->seen.residency.file_size);
	cells[ALLOCATED] = S_ISREG(st->st_mode) ? cell_number((uint64_t)st->st_blocks * 512)
						: cell_none();
	cells[PAGES] = cell_number(file->seen.residency.pages);
}

static void fill_figures(const struct explained *file, struct cell *cells)
{
	const struct observation *seen = &file->seen;
	const struct mmapfs_residency *found = &seen->residency;

	cells[RESIDENT] = cell_figure(found, MMAPFS_RESIDENT);
	cells[RES_BYTES] = cell_figure_bytes(found, MMAPFS_RESIDENT);
	cells[PERCENT] = cell_figure_percent(found, MMAPFS_RESIDENT);
	cells[RUNS] = file->runs_known ? cell_number(file->runs)
				       : cell_unknown(figure_reason(found, MMAPFS_RESIDENT));
	cells[OCCUPIED] = cell_figure(found, MMAPFS_OCCUPIED);
	cells[DIRTY] = cell_figure(found, MMAPFS_DIRTY);
	cells[WRITEBACK] = cell_figure(found, MMAPFS_WRITEBACK);
	cells[EVICTED] = cell_figure(found, MMAPFS_EVICTED);
	cells[RECENT] = cell_figure(found, MMAPFS_RECENTLY_EVICTED);
	cells[ADVICE] = cell_text(seen->advice[0] ? seen->advice : NULL);
	cells[DATA_PATH] = cell_text(seen->data_path[0] ? seen->data_path : NULL);
	cells[METHOD] = cell_text(mmapfs_method_name(found->method));
	cells[CONFIDENCE] = cell_text(mmapfs_confidence_name(found->confidence));
	cells[REASON] = cell_text(found->reason ? mmapfs_reason_name(found->reason) : NULL);
}

static int put_json(struct explain_verb *verb, const struct explained *file)
{
	const char *unmeasured = figure_reason(&file->seen.residency, MMAPFS_RESIDENT);
	struct cell cells[COLUMNS] = { 0 };
	struct texts texts;
	uint64_t most;

	fill_file(verb, file, &texts, cells);
	fill_figures(file, cells);
	fill_folios(file, &texts, cells);
	cells[LOCKED] = file->mappers_known && file->mappers.unreadable == 0
				? cell_number(explain_locked(file))
				: cell_unknown("unreadable-processes");
	cells[MAPPED_BY] = file->mappers_known ? cell_number(0) : cell_unknown("not-measured");
	if (file->mappers_known)
		cells[MAPPED_BY].json = mappers_json(&file->mappers);
	cells[UNREADABLE] = file->mappers_known ? cell_number(file->mappers.unreadable)
						: cell_unknown("not-measured");
	cells[EVICT_MOST] = explain_evict(file, &most) ? cell_number(most)
						       : cell_unknown(unmeasured);
	cells[WARM_MOST] = explain_warm(file, &most) ? cell_number(most)
						     : cell_unknown(unmeasured);
	cells[AVAILABLE] = file->available ? cell_number(file->available) : cell_unknown(NULL);
	return out_row(verb->out, cells);
}

static int put_line(void *ctx, const char *what, const char *value)
{
	const struct cell cells[] = { cell_text(what), cell_text(value) };
	struct explain_verb *verb = ctx;

	return out_row(verb->out, cells);
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	struct explain_verb *verb = ctx;
	struct explained file;
	bool unknown;
	int r;

	(void)error;
	(void)result;
	r = explain_look(target, range, &file);
	if (r < 0) {
		out_error(verb->out, "measure", target->path, r, NULL);
		verb->tally.failed++;
		return 0;
	}
	unknown = !(file.seen.residency.valid & MMAPFS_RESIDENT);
	if (range.offset == verb->options->ranges[0].offset) {
		verb->tally.unknown += unknown;
		out_count_file(verb->out, unknown);
	}
	r = out_is_json(verb->out) ? put_json(verb, &file)
				   : explain_lines(&file, put_line, verb);
	explain_done(&file);
	return r;
}

static int run_on(struct explain_verb *verb)
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
	struct explain_verb verb = { 0 };
	struct options options;
	bool json;
	int code;

	code = options_parse(command, argc, argv, &options, NULL);
	if (code == OPTIONS_GO_ON)
		code = options_need_operands(command, &options);
	verb.options = &options;
	json = options.out.format == OUT_JSON || options.out.format == OUT_JSONL;
	if (!json)
		options.out.no_headings = true;
	if (code == OPTIONS_GO_ON)
		code = out_begin(&options.out, json ? columns : screen_columns,
				 "mmapfs.explain/1", stdout, &verb.out) < 0
			       ? CODE_USAGE
			       : run_on(&verb);
	options_done(&options);
	return code;
}

const struct command cmd_explain = {
	.name = "explain",
	.summary = "one screen on one file: what is in RAM, who keeps it there",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Tell all that can be measured of a file: size, resident, dirty, pushed out by\n"
		"the kernel, which processes have it mapped and locked, and what an evict or a\n"
		"warm could do at most. Processes of others cannot be looked at without root;\n"
		"how many is said. As root also the folios: the kernel keeps pages in pieces\n"
		"that only go as a whole, so an evict of --range leaves those that reach out of\n"
		"it, and explain says how far they do.\n",
	.example = "Example: mmapctl explain /usr/lib/x86_64-linux-gnu/libc.so.6\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT,
	.columns = screen_columns,
	.run = run,
};
