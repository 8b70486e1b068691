/* SPDX-License-Identifier: MIT */
/* cmd_sync.c - mmapctl sync: write dirty pages back, and say how many are dirty now. */
#include "commands.h"

#include <errno.h>

#include "act.h"
#include "cells.h"

struct sync {
	struct act act; /* first, for the callbacks */
	bool async, invalidate;
	enum mmapfs_sync_level level;
};

struct synced {
	struct mmapfs_residency before, after;
};

enum column {
	BEFORE,
	AFTER,
	WRITEBACK,
	HEAD,
	LEVEL = HEAD + ACT_HEAD,
	TAIL,
	COLUMNS = TAIL + ACT_TAIL,
};

static const struct out_column columns[] = {
	{ "BEFORE", "action.before", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "dirty pages before" },
	{ "DIRTY", "action.after", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "dirty pages now" },
	{ "WRITEBACK", "action.writeback", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "pages being written now" },
	ACT_HEAD_COLUMNS,
	{ "LEVEL", "action.level", CELL_WORD, 0, 0, "sync, async or invalidate" },
	ACT_TAIL_COLUMNS,
};

static const struct option_row rows[] = {
	{ "async", 'a', NULL, "only start writing, do not wait", option_set_true,
	  offsetof(struct sync, async) },
	{ "invalidate", 'i', NULL, "msync(MS_INVALIDATE): fails on locked pages",
	  option_set_true, offsetof(struct sync, invalidate) },
	{ 0 },
};

static const char *const levels[] = {
	[MMAPFS_SYNC] = "sync",
	[MMAPFS_SYNC_ASYNC] = "async",
	[MMAPFS_SYNC_INVALIDATE] = "invalidate",
};

static struct mmapfs_residency observe(struct target *target, struct mmapfs_range range)
{
	struct observation seen = { 0 };

	/* What cannot be observed can be synced all the same. */
	if (target_observe(target, range, 0, &seen) < 0)
		seen = (struct observation){ 0 };
	return seen.residency;
}

static int work(void *ctx, struct target *target, struct mmapfs_range range, void *result)
{
	const struct sync *sync = ctx;
	struct synced *synced = result;
	int r;

	synced->before = observe(target, range);
	r = target_sync(target, range, sync->level);
	synced->after = observe(target, range);
	return r;
}

static const char *way_out(int error)
{
	switch (error) {
	case -EBUSY:
		return "pages of it are locked";
	case -EIO:
	case -ENOSPC:
	case -EDQUOT:
		return "what was to be written may be lost: write it again";
	default:
		return NULL;
	}
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	const struct synced *synced = result;
	struct sync *sync = ctx;
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX];

	act_head(cells + HEAD, target, range, "sync", word);
	act_tail(cells + TAIL, error);
	cells[LEVEL] = cell_text(levels[sync->level]);
	cells[BEFORE] = cell_figure(&synced->before, MMAPFS_DIRTY);
	cells[AFTER] = cell_figure(&synced->after, MMAPFS_DIRTY);
	cells[WRITEBACK] = cell_figure(&synced->after, MMAPFS_WRITEBACK);
	if (error < 0)
		act_failed(&sync->act, "sync", target, error, way_out(error));
	act_count(&sync->act, range, false);
	return act_row(&sync->act, cells);
}

static int prepare(struct act *act, struct options *options)
{
	struct sync *sync = (struct sync *)act;

	(void)options;
	if (sync->async && sync->invalidate) {
		say("--async and --invalidate exclude each other");
		return CODE_USAGE;
	}
	if (sync->async)
		sync->level = MMAPFS_SYNC_ASYNC;
	if (sync->invalidate)
		sync->level = MMAPFS_SYNC_INVALIDATE;
	return OPTIONS_GO_ON;
}

static int run(const struct command *command, int argc, char **argv)
{
	static const struct jobs_ops ops = { sizeof(struct synced), work, deliver };
	struct sync sync = { .level = MMAPFS_SYNC };

	return act_main(command, argc, argv, &sync.act, &ops, prepare);
}

const struct command cmd_sync = {
	.name = "sync",
	.summary = "write dirty pages back, and say how many are dirty now",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Writes the dirty pages of the files back and waits until they are on the disk.\n"
		"A file whose data could not be written is named with the error, exit code 2.\n"
		"The kernel reports such an error only once: take it seriously.\n",
	.example = "Example: is everything of this database on the disk?\n"
		   "  mmapctl sync /var/lib/db && echo yes\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_JOBS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
