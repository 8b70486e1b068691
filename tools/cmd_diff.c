/* SPDX-License-Identifier: MIT */
/* cmd_diff.c - mmapctl diff: compare two snapshots, or combine them into a third. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "act.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "progress.h"
#include "snapshot_name.h"

#define SCHEMA "mmapfs.diff/1"

struct comparing {
	bool all;
	bool ranges;
	const char *union_path, *intersect_path, *subtract_path;
	struct out *out;
	struct mmapfs_snapshot *a, *b;
};

enum column { PATH = 0, RANGE, ONLY_A, ONLY_B, BOTH, CHANGED, STATUS, COLUMNS };

static const struct out_column columns[] = {
	{ "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "name of the file" },
	{ "RANGE", "range", CELL_TEXT, 0, 0, "with --ranges: the bytes, OFFSET+LENGTH" },
	{ "ONLY-A", "only_a_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes that only the first snapshot has" },
	{ "ONLY-B", "only_b_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes that only the second snapshot has" },
	{ "BOTH", "both_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes that both have" },
	{ "CHANGED", "changed", CELL_WORD, COLUMN_SHOWN, 0,
	  "what of the file changed in between: size, mtime, inode" },
	{ "STATUS", "status", CELL_WORD, COLUMN_SHOWN, 0,
	  "same; differs; only-a, only-b: in one snapshot; unknown:\n"
	  "skipped in one of them" },
	{ 0 },
};

static const struct option_row rows[] = {
	{ "all", 'a', NULL, "also files that do not differ", option_set_true,
	  offsetof(struct comparing, all) },
	{ "ranges", 0, NULL, "a row for each range that only one has",
	  option_set_true, offsetof(struct comparing, ranges) },
	{ "union", 0, "FILE", "write what either has to the snapshot FILE",
	  option_set_text, offsetof(struct comparing, union_path) },
	{ "intersect", 0, "FILE", "write what both have to the snapshot FILE",
	  option_set_text, offsetof(struct comparing, intersect_path) },
	{ "subtract", 0, "FILE", "write what A has and B has not to FILE",
	  option_set_text, offsetof(struct comparing, subtract_path) },
	{ 0 },
};

/* ---- compare ---- */

static const char *status_of(const struct mmapfs_snapshot_delta *delta)
{
	if (!delta->valid)
		return "unknown";
	if (!delta->a || !delta->b)
		return delta->a ? "only-a" : "only-b";
	if (delta->only_a > 0 || delta->only_b > 0)
		return "differs";
	return "same";
}

static int put_file(void *ctx, const struct mmapfs_snapshot_delta *delta)
{
	struct comparing *comparing = ctx;
	struct cell cells[COLUMNS] = { 0 };
	const char *status = status_of(delta);
	bool differs = strcmp(status, "same") != 0 || delta->changed != 0;

	if (interrupted())
		return 1;
	if (comparing->ranges || (!differs && !comparing->all))
		return 0;
	cells[PATH] = cell_text(delta->name);
	cells[RANGE] = cell_none();
	if (delta->valid) {
		cells[ONLY_A] = cell_number(delta->only_a);
		cells[ONLY_B] = cell_number(delta->only_b);
		cells[BOTH] = cell_number(delta->both);
	} else {
		act_cells_unknown(cells, ONLY_A, BOTH,
				  delta->a && delta->a->skipped ? delta->a->skipped
								: delta->b->skipped);
	}
	cells[CHANGED] = delta->a && delta->b ?
				 cell_text(snapshot_change_name(delta->changed)) :
				 cell_none();
	if (!delta->valid)
		cells[CHANGED] = cell_unknown("skipped");
	cells[STATUS] = cell_text(status);
	out_count_file(comparing->out, !delta->valid);
	return out_row(comparing->out, cells);
}

static int put_range(void *ctx, const char *name, uint32_t which, uint64_t offset,
		     uint64_t length)
{
	struct comparing *comparing = ctx;
	struct cell cells[COLUMNS] = { 0 };
	char text[MMAPFS_WORD_MAX];

	if (interrupted())
		return 1;
	(void)snprintf(text, sizeof(text), "%" PRIu64 "+%" PRIu64, offset, length);
	cells[PATH] = cell_text(name);
	cells[RANGE] = cell_text(text);
	cells[ONLY_A] = cell_number(which == 1 ? length : 0);
	cells[ONLY_B] = cell_number(which == 2 ? length : 0);
	cells[BOTH] = cell_number(0);
	cells[CHANGED] = cell_none();
	cells[STATUS] = cell_text(which == 1 ? "only-a" : "only-b");
	return out_row(comparing->out, cells);
}

/* The columns with RANGE shown. */
static const struct out_column *range_columns(void)
{
	static struct out_column shown[COLUMNS + 1];

	memcpy(shown, columns, sizeof(columns));
	shown[RANGE].flags |= COLUMN_SHOWN;
	return shown;
}

static int compare(struct comparing *comparing, const struct options *options)
{
	const struct out_column *all = comparing->ranges ? range_columns() : columns;
	int r, error;

	r = out_begin(&options->out, all, SCHEMA, stdout, &comparing->out);
	if (r == -EINVAL)
		return CODE_USAGE;
	if (r < 0) {
		say("%s", strerror(-r));
		return CODE_SOME_FAILED;
	}
	interrupt_catch();
	r = mmapfs_snapshot_diff(comparing->a, comparing->b, put_file,
				 comparing->ranges ? put_range : NULL, comparing);
	if (r < 0)
		out_error(comparing->out, "compare", options->operands[0], r, NULL);
	error = out_end(comparing->out, r > 0);
	if (r > 0)
		return CODE_INTERRUPTED;
	return r < 0 || error < 0 ? CODE_SOME_FAILED : CODE_DONE;
}

/* ---- combine ---- */

static int write_combined(struct comparing *comparing, enum mmapfs_snapshot_op op,
			  const char *path)
{
	struct mmapfs_snapshot_writer *writer = NULL;
	int r;

	r = mmapfs_snapshot_create(AT_FDCWD, path, &writer);
	if (r == 0)
		r = mmapfs_snapshot_combine(comparing->a, comparing->b, op, writer);
	if (r == 0)
		r = mmapfs_snapshot_commit(steal_ptr(writer));
	(void)mmapfs_snapshot_abort(writer);
	if (r < 0)
		say_cannot("write", path, r,
			   r == -EXDEV ? "the snapshots have different page sizes" : NULL);
	return r;
}

/* As many of the three as were asked for. */
static int combine(struct comparing *comparing)
{
	const struct {
		enum mmapfs_snapshot_op op;
		const char *path;
	} wanted[] = {
		{ MMAPFS_SNAPSHOT_UNION, comparing->union_path },
		{ MMAPFS_SNAPSHOT_INTERSECT, comparing->intersect_path },
		{ MMAPFS_SNAPSHOT_SUBTRACT, comparing->subtract_path },
	};
	int code = CODE_DONE;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		if (wanted[i].path &&
		    write_combined(comparing, wanted[i].op, wanted[i].path) < 0)
			code = CODE_SOME_FAILED;
	return code;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct comparing comparing = { .all = false };
	struct options options;
	int r;

	r = options_parse(command, argc, argv, &options, &comparing);
	if (r == OPTIONS_GO_ON && options.operand_count != 2) {
		say("diff: needs two snapshots (try: mmapctl diff --help)");
		r = CODE_USAGE;
	}
	if (r == OPTIONS_GO_ON && (snapshot_load(options.operands[0], &comparing.a) < 0 ||
				   snapshot_load(options.operands[1], &comparing.b) < 0))
		r = CODE_SOME_FAILED;
	if (r == OPTIONS_GO_ON)
		r = comparing.union_path || comparing.intersect_path ||
				    comparing.subtract_path ?
			    combine(&comparing) :
			    compare(&comparing, &options);
	(void)mmapfs_snapshot_close(comparing.a);
	(void)mmapfs_snapshot_close(comparing.b);
	options_done(&options);
	return r;
}

const struct command cmd_diff = {
	.name = "diff",
	.summary = "compare two snapshots, or combine them into a third",
	.synopsis = "[OPTION]... SNAPSHOT-A SNAPSHOT-B",
	.about = "Prints of each file how many bytes were resident only in the first snapshot,\n"
		 "only in the second, and in both. With --union, --intersect or --subtract it\n"
		 "prints nothing and writes snapshots instead, each file as it was last.\n",
	.example = "Example: what got lost over night, and only that back into memory\n"
		   "  mmapctl diff --subtract lost.snap evening.snap morning.snap\n"
		   "  mmapctl restore lost.snap\n",
	.groups = GROUP_OUTPUT,
	.rows = rows,
	.columns = columns,
	.run = run,
};
