/* SPDX-License-Identifier: MIT */
/* cmd_restore.c - mmapctl restore: make the ranges of a snapshot resident again. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "act.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "progress.h"
#include "snapshot_name.h"
#include "snapshot_restore.h"

#define WORKERS_MAX 64

struct restoring {
	struct act act; /* first, for the callbacks */
	const char *root;
	uint64_t rate, budget;
	uint32_t policy; /* enum mmapfs_snapshot_policy */
	char *const *names; /* only these, and what is below them */
	int name_count;
	struct mmapfs_snapshot *snapshot;
	unsigned int workers;
	pthread_mutex_t mutex; /* protects what follows, and act */
	pthread_cond_t turned;
	uint64_t turn;	     /* the entry whose row is the next one */
	uint64_t unrecorded; /* entries that are skipped in the snapshot */
	bool stopped;	     /* by the budget */
	bool over;	     /* no more entries: interrupted, stopped or failed */
	int error;	     /* the first, of reading the snapshot or writing the output */
};

/* Each thread reads the snapshot for itself, and takes every so many-th entry. */
struct worker {
	struct restoring *restoring;
	struct mmapfs_snapshot *snapshot;
	unsigned int index;
	pthread_t thread;
	struct target target;
	bool opened;   /* the current file */
	uint64_t told; /* progress of the current file */
};

enum column {
	RECORDED = ACT_HEAD,
	TOTAL,
	BEFORE,
	REQUESTED,
	AFTER,
	MISSING,
	EXTRA,
	PERCENT,
	CHANGED,
	STATUS,
	ERROR_OFFSET,
	TAIL,
	COLUMNS = TAIL + ACT_TAIL,
};

static const struct out_column columns[] = {
	ACT_HEAD_COLUMNS,
	{ "RECORDED", "action.recorded_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 8,
	  "bytes that the snapshot has" },
	{ "TOTAL", "action.total_bytes", CELL_BYTES, COLUMN_SUM, 6,
	  "bytes of those that the file still has" },
	{ "BEFORE", "action.before_bytes", CELL_BYTES, COLUMN_SUM, 6,
	  "bytes of those resident before" },
	{ "READ", "action.requested_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes that were asked of the disk" },
	{ "AFTER", "action.after_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes of TOTAL resident now, and ready" },
	{ "MISSING", "action.missing_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "bytes of TOTAL not resident now" },
	{ "EXTRA", "action.extra_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes elsewhere in the file that became resident\nmeanwhile, by whomever" },
	{ "PERCENT", "action.percent", CELL_PERCENT, COLUMN_SHOWN, 7,
	  "share of RECORDED resident now", "action.after_bytes",
	  "action.recorded_bytes" },
	{ "CHANGED", "action.changed", CELL_WORD, 0, 0,
	  "what of the file is not as recorded: size, mtime, inode" },
	{ "STATUS", "action.status", CELL_WORD, COLUMN_SHOWN, 0,
	  "done; partial: evicted meanwhile; changed: left alone,\n"
	  "see --if-changed; stopped: by the budget; interrupted;\nfailed" },
	{ "OFFSET", "action.error_offset", CELL_COUNT, 0, 0, "where it failed, bytes" },
	ACT_TAIL_COLUMNS,
};

static const char *const policy_names[] = {
	[MMAPFS_SNAPSHOT_UNCHANGED] = "skip",
	[MMAPFS_SNAPSHOT_RESIZED] = "resized",
	[MMAPFS_SNAPSHOT_ANY] = "any",
};

static int set_policy(void *to, const struct option_row *row, const char *arg)
{
	uint32_t i;

	(void)row;
	for (i = 0; i < ARRAY_SIZE(policy_names); i++) {
		if (strcmp(policy_names[i], arg) == 0) {
			*(uint32_t *)to = i;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct option_row rows[] = {
	{ "root", 0, "DIR", "find names that are relative below DIR",
	  option_set_text, offsetof(struct restoring, root) },
	{ "if-changed", 0, "WHAT",
	  "of files whose size or mtime is another one:\n"
	  "skip (default); resized: restore those that grew or\n"
	  "shrank; any: restore all, as far as they reach",
	  set_policy, offsetof(struct restoring, policy) },
	{ "rate", 'r', "SIZE", "read at most SIZE bytes a second", option_set_size,
	  offsetof(struct restoring, rate) },
	{ "budget", 0, "SIZE", "stop before less than SIZE of memory is available",
	  option_set_size, offsetof(struct restoring, budget) },
	{ 0 },
};

/* ---- one file ---- */

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct worker *worker = ctx;

	(void)total;
	if (done > worker->told)
		progress_add(done - worker->told);
	worker->told = u64_max(done, worker->told);
	return interrupted();
}

static int restore_file(struct worker *worker, const struct mmapfs_snapshot_entry *entry,
			const char *path, struct mmapfs_snapshot_apply_result *ret)
{
	const struct restoring *restoring = worker->restoring;
	const struct mmapfs_snapshot_apply_opts opts = {
		.size = sizeof(opts),
		.progress = on_progress,
		.ctx = worker,
		.rate = restoring->rate,
		.keep_available = restoring->budget,
		.policy = restoring->policy,
	};
	int r;

	r = target_open(&worker->target, path, false);
	worker->opened = r == 0;
	if (r < 0)
		return r;
	worker->told = 0;
	return snapshot_restore(&worker->target, worker->snapshot, entry, &opts, ret);
}

/* ---- what came of it ---- */

static const char *status_of(const struct restoring *restoring, int error,
			     const struct mmapfs_snapshot_apply_result *done)
{
	if (error == -ECANCELED || error == -EINTR)
		return "interrupted";
	if (error == -ENOMEM && restoring->budget > 0)
		return "stopped";
	if (error < 0)
		return "failed";
	if (done->skipped)
		return "changed";
	return done->valid && done->missing > 0 ? "partial" : "done";
}

/* Figures of what was not even tried are not known, and those of what is on a mount not
 * all. */
static void put_figures(const struct worker *worker, struct cell *cells,
			const struct mmapfs_snapshot_apply_result *done)
{
	cells[TOTAL] = cell_number(done->total);
	cells[REQUESTED] = cell_number(done->requested);
	if (done->valid) {
		cells[BEFORE] = cell_number(done->before);
		cells[AFTER] = cell_number(done->after);
		cells[MISSING] = cell_number(done->missing);
		cells[EXTRA] = cell_number(done->extra);
		cells[PERCENT] = cell_percent_of(done->after, done->recorded);
	} else {
		cells[BEFORE] = cell_unknown("unmeasured");
		act_cells_unknown(cells, AFTER, PERCENT, "unmeasured");
	}
	if (done->skipped)
		act_cells_unknown(cells, TOTAL, PERCENT, "changed");
	else if (!worker->opened)
		act_cells_unknown(cells, TOTAL, PERCENT, "not-opened");
	else if (worker->target.on_mount && done->valid)
		cells[EXTRA] = cell_unknown("on-mount");
}

static void say_failed(struct restoring *restoring, const char *path, int error,
		       const struct mmapfs_snapshot_apply_result *done)
{
	char text[96];
	bool on_disk = error == -EIO || error == -ESTALE;

	(void)snprintf(text, sizeof(text), "at offset %" PRIu64, done->error_offset);
	restoring->act.tally.failed++;
	out_error(restoring->act.out, "restore", path, error, on_disk ? text : NULL);
}

static int report(struct worker *worker, const char *path, int error,
		  const struct mmapfs_snapshot_apply_result *done)
{
	struct restoring *restoring = worker->restoring;
	const char *status = status_of(restoring, error, done);
	struct tally *tally = &restoring->act.tally;
	struct cell cells[COLUMNS] = { 0 };
	bool open = worker->opened;

	cells[0] = cell_text(path);
	cells[1] = cell_none();
	cells[2] = open ? cell_number((uint64_t)worker->target.st.st_size)
			: cell_unknown("not-opened");
	cells[3] = cell_text("restore");
	act_tail(cells + TAIL, strcmp(status, "failed") == 0 ? error : 0);
	cells[RECORDED] = cell_number(done->recorded);
	put_figures(worker, cells, done);
	cells[CHANGED] = open ? cell_text(snapshot_change_name(done->changed))
			      : cell_unknown("not-opened");
	cells[STATUS] = cell_text(status);
	cells[ERROR_OFFSET] = cell_none();
	if (strcmp(status, "failed") == 0) {
		cells[ERROR_OFFSET] = open ? cell_number(done->error_offset) : cell_none();
		say_failed(restoring, path, error, done);
	}
	restoring->stopped |= strcmp(status, "stopped") == 0;
	tally->interrupted |= strcmp(status, "interrupted") == 0;
	tally->incomplete += strcmp(status, "partial") == 0 || done->skipped ||
			     restoring->stopped;
	tally->files++;
	out_count_file(restoring->act.out, !done->valid && error == 0 && !done->skipped);
	return out_row(restoring->act.out, cells);
}

/* ---- all files ---- */

static char *path_of(const struct restoring *restoring, const char *name)
{
	char *path = NULL;

	if (!restoring->root || name[0] == '/')
		return strdup(name);
	if (asprintf(&path, "%s/%s", restoring->root, name) < 0)
		return NULL;
	return path;
}

/* Bytes of an entry that could not be tried. */
static uint64_t recorded_bytes(struct mmapfs_snapshot *snapshot)
{
	struct mmapfs_range range;
	uint64_t bytes = 0;

	mmapfs_snapshot_rewind_ranges(snapshot);
	while (mmapfs_snapshot_next_range(snapshot, &range) > 0)
		bytes += range.length;
	return bytes;
}

/* Rows come in the order of the snapshot, unless there are to be no more. */
static void wait_for_turn(struct restoring *restoring, uint64_t index)
{
	while (restoring->turn != index && !restoring->over)
		(void)pthread_cond_wait(&restoring->turned, &restoring->mutex);
}

static void next_turn(struct restoring *restoring, int error)
{
	restoring->turn++;
	restoring->over |= restoring->stopped || restoring->act.tally.interrupted ||
			   error < 0;
	if (error < 0 && restoring->error == 0)
		restoring->error = error;
	(void)pthread_cond_broadcast(&restoring->turned);
}

static int restore_entry(struct worker *worker, const struct mmapfs_snapshot_entry *entry,
			 uint64_t index)
{
	struct restoring *restoring = worker->restoring;
	struct mmapfs_snapshot_apply_result done =
		MMAPFS_INIT(struct mmapfs_snapshot_apply_result);
	_cleanup_free_ char *path = path_of(restoring, entry->name);
	int r;

	if (!path)
		return -ENOMEM;
	r = restore_file(worker, entry, path, &done);
	if (r < 0 && done.recorded == 0)
		done.recorded = recorded_bytes(worker->snapshot);
	{
		SCOPE_LOCK(&restoring->mutex);
		wait_for_turn(restoring, index);
		next_turn(restoring, report(worker, path, r, &done));
	}
	target_done(&worker->target); /* target_open() begins afresh */
	return 0;
}

static bool is_over(struct restoring *restoring)
{
	SCOPE_LOCK(&restoring->mutex);

	if (interrupted()) {
		restoring->act.tally.interrupted = restoring->over = true;
		(void)pthread_cond_broadcast(&restoring->turned);
	}
	return restoring->over;
}

/* Entries that are to be restored are counted alike by all workers. */
static int restore_share(struct worker *worker)
{
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct restoring *restoring = worker->restoring;
	uint64_t index = 0;
	int r;

	while ((r = mmapfs_snapshot_next(worker->snapshot, &entry)) > 0) {
		if (!snapshot_name_matches(entry.name, restoring->names,
					   restoring->name_count))
			continue;
		/* The first worker sees them all, and only it counts. */
		restoring->unrecorded += entry.skipped && worker->index == 0;
		if (entry.skipped || index++ % restoring->workers != worker->index)
			continue;
		if (is_over(restoring))
			return 0;
		r = restore_entry(worker, &entry, index - 1);
		if (r < 0)
			return r;
	}
	return r;
}

static void *run_worker(void *arg)
{
	struct worker *worker = arg;
	int r = restore_share(worker);
	SCOPE_LOCK(&worker->restoring->mutex);

	if (r < 0)
		next_turn(worker->restoring, r);
	return NULL;
}

static int start_worker(struct worker *worker)
{
	int r;

	target_init(&worker->target);
	r = mmapfs_snapshot_dup(worker->restoring->snapshot, &worker->snapshot);
	/* The first is the thread that we are. */
	if (r == 0 && worker->index > 0)
		r = -pthread_create(&worker->thread, NULL, run_worker, worker);
	if (r < 0)
		worker->snapshot = mmapfs_snapshot_close(worker->snapshot);
	return r;
}

/* All start or none does: a share must not be left out. */
static int restore_all(struct restoring *restoring)
{
	struct worker workers[WORKERS_MAX] = { { .restoring = NULL } };
	unsigned int started;
	int r = 0;

	pthread_mutex_lock(&restoring->mutex); /* they wait here until all are there */
	for (started = 0; started < restoring->workers && r == 0; started += r == 0) {
		workers[started].restoring = restoring;
		workers[started].index = started;
		r = start_worker(&workers[started]);
	}
	restoring->over = r < 0;
	restoring->error = r;
	pthread_mutex_unlock(&restoring->mutex);
	if (started > 0)
		(void)run_worker(&workers[0]);
	while (started > 0) {
		struct worker *worker = &workers[--started];

		if (worker->index > 0)
			(void)pthread_join(worker->thread, NULL);
		target_done(&worker->target);
		(void)mmapfs_snapshot_close(worker->snapshot);
	}
	return restoring->error;
}

static void say_the_end(const struct restoring *restoring, const char *path, int r)
{
	if (r < 0)
		out_error(restoring->act.out, "read", path, r, NULL);
	if (restoring->stopped)
		say("stopped by --budget: less memory than that would be left");
	if (restoring->unrecorded > 0)
		say_notice("residency of %" PRIu64
			   " files was not known when the snapshot was taken",
			   restoring->unrecorded);
}

static int restore(struct restoring *restoring, const struct command *command,
		   const struct options *options)
{
	struct mmapfs_snapshot_info info = MMAPFS_INIT(struct mmapfs_snapshot_info);
	int r;

	if (snapshot_load(options->operands[0], &restoring->snapshot) < 0)
		return CODE_SOME_FAILED;
	r = act_begin(&restoring->act, command, options);
	if (r != OPTIONS_GO_ON)
		return r;
	(void)mmapfs_snapshot_info(restoring->snapshot, &info);
	interrupt_catch();
	progress_begin(options, command->name);
	if (restoring->name_count == 0)
		progress_expect(info.bytes);
	/* Of several, each would take the whole rate, or the last of the memory. */
	restoring->workers = restoring->rate > 0 || restoring->budget > 0 ?
				     1 : (unsigned int)u64_min(options->jobs, WORKERS_MAX);
	r = restore_all(restoring);
	progress_end();
	say_the_end(restoring, options->operands[0], r);
	return act_end(&restoring->act, r);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct restoring restoring = {
		.policy = MMAPFS_SNAPSHOT_UNCHANGED,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.turned = PTHREAD_COND_INITIALIZER,
	};
	struct options options;
	int r;

	r = options_parse(command, argc, argv, &options, &restoring);
	if (r == OPTIONS_GO_ON && options.operand_count == 0) {
		say("restore: which snapshot? (try: mmapctl restore --help)");
		r = CODE_USAGE;
	}
	if (r == OPTIONS_GO_ON) {
		restoring.names = options.operands + 1;
		restoring.name_count = options.operand_count - 1;
		r = restore(&restoring, command, &options);
	}
	(void)mmapfs_snapshot_close(restoring.snapshot);
	options_done(&options);
	return r;
}

const struct command cmd_restore = {
	.name = "restore",
	.summary = "make resident again what a snapshot recorded",
	.synopsis = "[OPTION]... SNAPSHOT [NAME]...",
	.about = "Reads in exactly the ranges that SNAPSHOT recorded and that are not resident,\n"
		 "many at once, waits until they are ready, and verifies it. With names, only\n"
		 "those files, and files below those directories, as they are in the snapshot.\n"
		 "All of SNAPSHOT is checked first: of a damaged one nothing is restored.\n",
	.example = "Example: what a database had in memory, at 500 MiB/s\n"
		   "  mmapctl restore --rate 500M /var/lib/db.snap\n",
	.groups = GROUP_OUTPUT | GROUP_JOBS | GROUP_PROGRESS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
