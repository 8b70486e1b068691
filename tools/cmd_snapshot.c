/* SPDX-License-Identifier: MIT */
/* cmd_snapshot.c - mmapctl snapshot: record which pages of files are resident. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "act.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "progress.h"
#include "snapshot_name.h"

struct taking {
	struct act act; /* first, for the callbacks */
	bool relative;
	const char *path; /* of the snapshot */
	char *cwd;	  /* NULL: names are stored as they were given */
	struct mmapfs_snapshot_writer *writer;
};

enum column { RANGES = ACT_HEAD, BYTES, PERCENT, STATUS, REASON, TAIL,
	      COLUMNS = TAIL + ACT_TAIL };

static const struct out_column columns[] = {
	ACT_HEAD_COLUMNS,
	{ "RANGES", "action.ranges", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "runs of resident pages that were recorded" },
	{ "RECORDED", "action.recorded_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 8,
	  "bytes that were recorded as resident" },
	{ "PERCENT", "action.percent", CELL_PERCENT, COLUMN_SHOWN, 7,
	  "share of the file that was resident", "action.recorded_bytes", "size" },
	{ "STATUS", "action.status", CELL_WORD, COLUMN_SHOWN, 0,
	  "recorded; skipped: residency cannot be known; failed" },
	{ "REASON", "action.reason", CELL_WORD, 0, 0, "why it was skipped" },
	ACT_TAIL_COLUMNS,
};

static const struct option_row rows[] = {
	{ "relative", 0, NULL,
	  "store the names as they were given, to be found\n"
	  "again below the --root of restore",
	  option_set_true, offsetof(struct taking, relative) },
	{ 0 },
};

/* What is known when a file has been recorded. */
struct recorded {
	uint64_t ranges;
	uint64_t bytes;
	const char *skipped; /* word, or NULL */
};

/* ---- one file ---- */

static int record_plain(struct taking *taking, struct target *target, const char *name,
			struct recorded *ret)
{
	struct mmapfs_snapshot_info before = MMAPFS_INIT(struct mmapfs_snapshot_info);
	struct mmapfs_snapshot_info after = MMAPFS_INIT(struct mmapfs_snapshot_info);
	struct mmapfs_map *map;
	int r;

	r = target_map(target, &map);
	if (r == 0)
		r = mmapfs_snapshot_written(taking->writer, &before);
	if (r == 0)
		r = mmapfs_snapshot_add(taking->writer, name, map);
	if (r == 1)
		ret->skipped = act_reason(target);
	if (r < 0)
		return r;
	r = mmapfs_snapshot_written(taking->writer, &after);
	ret->ranges = after.ranges - before.ranges;
	ret->bytes = after.bytes - before.bytes;
	return r;
}

static int add_skip(struct taking *taking, const char *name, const char *why)
{
	const struct mmapfs_snapshot_entry entry = {
		.size = sizeof(entry),
		.name = name,
		.skipped = why,
	};

	return mmapfs_snapshot_add_entry(taking->writer, &entry);
}

struct adding {
	struct mmapfs_snapshot_writer *writer;
	struct recorded *recorded;
};

static int add_range(void *ctx, uint64_t offset, uint64_t length)
{
	struct adding *adding = ctx;

	adding->recorded->ranges++;
	adding->recorded->bytes += length;
	return mmapfs_snapshot_add_range(adding->writer,
					 (struct mmapfs_range){ offset, length });
}

/* Of a file on a mount the daemon tells the ranges, not the kernel. */
static int record_on_mount(struct taking *taking, struct target *target, const char *name,
			   struct recorded *ret)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct adding adding = { taking->writer, ret };
	struct mmapfs_snapshot_entry entry = snapshot_identity(&target->st);
	int r;

	entry.name = name;
	r = mmapfs_snapshot_add_entry(taking->writer, &entry);
	if (r < 0)
		return r;
	r = target_ranges(target, whole, MMAPFS_OBSERVE_READY, add_range, &adding);
	if (r == 0)
		return 0;
	(void)mmapfs_snapshot_drop_entry(taking->writer);
	*ret = (struct recorded){ 0 };
	if (r != -ENODATA)
		return r;
	ret->skipped = act_reason(target);
	return add_skip(taking, name, ret->skipped);
}

static int record(struct taking *taking, struct target *target, struct recorded *ret)
{
	_cleanup_free_ char *name = snapshot_name(taking->cwd, target->path);
	int r;

	if (!name)
		return -ENOMEM;
	r = target->on_mount ? record_on_mount(taking, target, name, ret)
			     : record_plain(taking, target, name, ret);
	/* That there was such a file is worth knowing; if it cannot be written either, the
	 * end will tell. */
	if (r < 0)
		(void)add_skip(taking, name, mmapfs_errno_name(r));
	return r;
}

/* ---- what came of it ---- */

static void put_row(struct taking *taking, struct target *target, int error,
		    const struct recorded *recorded)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct cell cells[COLUMNS] = { 0 };
	bool known = error == 0 && !recorded->skipped;
	char word[MMAPFS_WORD_MAX];

	act_head(cells, target, whole, "snapshot", word);
	act_tail(cells + TAIL, error);
	if (known) {
		cells[RANGES] = cell_number(recorded->ranges);
		cells[BYTES] = cell_number(recorded->bytes);
		cells[PERCENT] = cell_percent_of(recorded->bytes,
						 (uint64_t)target->st.st_size);
	} else {
		act_cells_unknown(cells, RANGES, PERCENT, recorded->skipped);
	}
	cells[STATUS] = cell_text(error < 0 ? "failed" : known ? "recorded" : "skipped");
	cells[REASON] = cell_text(recorded->skipped);
	(void)out_row(taking->act.out, cells);
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	struct taking *taking = ctx;
	struct recorded recorded = { 0 };

	(void)result;
	if (snapshot_is_temporary(target->path))
		return 0;
	if (error == 0)
		error = record(taking, target, &recorded);
	if (error < 0)
		act_failed(&taking->act, "record", target, error, NULL);
	act_count(&taking->act, range, error == 0 && recorded.skipped);
	put_row(taking, target, error, &recorded);
	return 0;
}

/* ---- the verb ---- */

static int commit(struct taking *taking)
{
	int r;

	if (taking->act.tally.interrupted) {
		taking->writer = mmapfs_snapshot_abort(taking->writer);
		say_notice("interrupted: the snapshot was not written");
		return 0;
	}
	r = mmapfs_snapshot_commit(steal_ptr(taking->writer));
	if (r < 0)
		out_error(taking->act.out, "write", taking->path, r, NULL);
	return r;
}

static int take(struct taking *taking, const struct command *command,
		struct options *options)
{
	static const struct jobs_ops ops = { .deliver = deliver };
	int r, error;

	r = mmapfs_snapshot_create(AT_FDCWD, taking->path, &taking->writer);
	if (r < 0) {
		say_cannot("write", taking->path, r, NULL);
		return CODE_SOME_FAILED;
	}
	r = act_begin(&taking->act, command, options);
	if (r != OPTIONS_GO_ON)
		return r;
	interrupt_catch();
	progress_begin(options, command->name);
	r = act_run(&taking->act, &ops);
	error = r < 0 ? r : commit(taking);
	progress_end();
	return act_end(&taking->act, error);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct taking taking = { .path = NULL };
	struct options options;
	int r;

	r = options_parse(command, argc, argv, &options, &taking);
	if (r == OPTIONS_GO_ON && options.operand_count == 0) {
		say("snapshot: which file is to be written? (try: mmapctl snapshot --help)");
		r = CODE_USAGE;
	}
	if (r == OPTIONS_GO_ON) {
		taking.path = options.operands[0];
		options.operands++;
		options.operand_count--;
		r = options_need_operands(command, &options);
	}
	if (r == OPTIONS_GO_ON && !taking.relative) {
		taking.cwd = getcwd(NULL, 0);
		if (!taking.cwd)
			say_cannot("find", ".", -errno, "use --relative");
		r = taking.cwd ? OPTIONS_GO_ON : CODE_SOME_FAILED;
	}
	if (r == OPTIONS_GO_ON)
		r = take(&taking, command, &options);
	(void)mmapfs_snapshot_abort(taking.writer);
	free(taking.cwd);
	options_done(&options);
	return r;
}

const struct command cmd_snapshot = {
	.name = "snapshot",
	.summary = "record which pages of files are resident",
	.synopsis = "[OPTION]... SNAPSHOT PATH...",
	.about = "Writes the resident ranges of all the files to the file SNAPSHOT, from which\n"
		 "restore makes exactly those ranges resident again. SNAPSHOT is replaced in one\n"
		 "step at the end; interrupted, it stays as it was. A file whose residency cannot\n"
		 "be known is recorded as skipped, with the reason.\n",
	.example = "Example: before a reboot, and after it\n"
		   "  mmapctl snapshot /var/lib/db.snap /var/lib/db\n"
		   "  mmapctl restore /var/lib/db.snap\n",
	.groups = GROUP_SELECT | GROUP_OUTPUT | GROUP_PROGRESS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
