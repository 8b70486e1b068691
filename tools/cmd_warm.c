/* SPDX-License-Identifier: MIT */
/*
 * cmd_warm.c - mmapctl warm: read in what is missing, within a rate and a memory budget,
 * and verify it.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "act.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "out_words.h"
#include "pace.h"
#include "progress.h"

#define MIB (UINT64_C(1) << 20)
#define NS_PER_S UINT64_C(1000000000)
#define NAP_NS (NS_PER_S / 10) /* the longest that a signal waits */

/* How often memory is looked at, in bytes of progress of one file. */
#define LOOK_BYTES (16 * MIB)

struct warm {
	struct act act; /* first, for the callbacks */
	uint64_t rate, budget;
	pthread_mutex_t mutex; /* protects pace */
	struct pace pace;
};

enum status { DONE = 0, PARTIAL, STOPPED, INTERRUPTED, FAILED };

static const char *const status_names[] = { "done", "partial", "stopped", "interrupted",
					    "failed" };

struct warmed {
	struct mmapfs_warm_result figures;
	bool stopped; /* by the budget */
	bool started;
	const char *reason; /* why the figures are not valid */
};

enum column {
	BEFORE,
	AFTER,
	MISSING,
	PERCENT,
	DATA,
	REQUESTED,
	HEAD,
	STATUS = HEAD + ACT_HEAD,
	ERROR_OFFSET,
	TAIL,
	COLUMNS = TAIL + ACT_TAIL,
};

static const struct out_column columns[] = {
	{ "BEFORE", "action.before_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes resident before" },
	{ "AFTER", "action.after_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes resident now, and ready" },
	{ "MISSING", "action.missing_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "bytes of data not resident now" },
	{ "PERCENT", "action.percent", CELL_PERCENT, COLUMN_SHOWN, 7,
	  "share of the data resident now", "action.after_bytes", "action.total_bytes" },
	{ "DATA", "action.total_bytes", CELL_BYTES, COLUMN_SUM, 6,
	  "bytes that hold data: holes are not read in" },
	{ "READ", "action.requested_bytes", CELL_BYTES, COLUMN_SUM, 6,
	  "bytes that were asked of the disk" },
	ACT_HEAD_COLUMNS,
	{ "STATUS", "action.status", CELL_WORD, COLUMN_SHOWN, 0,
	  "done, partial (evicted again), stopped, interrupted, failed" },
	{ "OFFSET", "action.error_offset", CELL_COUNT, 0, 0, "where it failed, bytes" },
	ACT_TAIL_COLUMNS,
};

static const struct option_row rows[] = {
	{ "rate", 0, "SIZE", "read at most SIZE bytes a second, over all files",
	  option_set_size, offsetof(struct warm, rate) },
	{ "budget", 0, "SIZE",
	  "stop before less than SIZE of memory is left:\n"
	  "of MemAvailable, and of what the cgroup may use",
	  option_set_size, offsetof(struct warm, budget) },
	{ 0 },
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- one file ---- */

/* A file that is being warmed, for its progress callback. */
struct warming {
	struct warm *warm;
	struct target *target;
	struct mmapfs_range range;
	struct warmed *warmed;
	uint64_t resident; /* bytes at the start, where known */
	uint64_t told;
	uint64_t look_at; /* look at memory at so much progress */
	uint64_t counted; /* see pace_allows() */
	bool expected;
};

static bool resident_bytes(struct target *target, struct mmapfs_range range,
			   uint64_t *ret_resident, uint64_t *ret_pages)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct observation seen;

	if (target_observe(target, range, 0, &seen) < 0 ||
	    !(seen.residency.valid & MMAPFS_RESIDENT))
		return false;
	*ret_resident = seen.residency.resident * page;
	*ret_pages = seen.residency.pages * page;
	return true;
}

/* What this file has taken so far: where that cannot be told, all that was done. */
static uint64_t taking(const struct warming *warming, uint64_t done)
{
	uint64_t resident, pages;

	if (!resident_bytes(warming->target, warming->range, &resident, &pages))
		return done;
	return resident - u64_min(resident, warming->resident);
}

static bool within_budget(struct warming *warming, uint64_t done, uint64_t total)
{
	struct warm *warm = warming->warm;
	uint64_t now;

	if (!warm->budget || done < warming->look_at)
		return true;
	warming->look_at = done + LOOK_BYTES;
	now = taking(warming, done);
	SCOPE_LOCK(&warm->mutex);
	return pace_allows(&warm->pace, &warming->counted, now,
			   total - u64_min(total, done));
}

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct warming *warming = ctx;

	if (!warming->expected)
		progress_expect(total);
	warming->expected = true;
	if (done > warming->told)
		progress_add(done - warming->told);
	warming->told = u64_max(done, warming->told);
	if (interrupted())
		return 1;
	if (within_budget(warming, done, total))
		return 0;
	warming->warmed->stopped = true;
	return 1;
}

static void wait_for_rate(struct warm *warm)
{
	uint64_t delay;

	for (;;) {
		{
			SCOPE_LOCK(&warm->mutex);
			delay = pace_delay_ns(&warm->pace, now_ns());
		}
		if (delay == 0 || interrupted())
			return;
		delay = u64_min(delay, NAP_NS);
		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)delay }, NULL);
	}
}

/* Not one byte of it fits any more: say what is resident all the same. */
static bool may_start(struct warming *warming)
{
	struct warm *warm = warming->warm;
	uint64_t pages = 0;
	bool known;

	if (!warm->budget)
		return true;
	known = resident_bytes(warming->target, warming->range, &warming->resident,
			       &pages);
	if (!known)
		pages = (uint64_t)warming->target->st.st_size;
	warming->look_at = LOOK_BYTES;
	SCOPE_LOCK(&warm->mutex);
	if (pace_allows(&warm->pace, &warming->counted, 0,
			pages - u64_min(pages, warming->resident)))
		return true;
	warming->warmed->stopped = true;
	warming->warmed->figures.valid = known;
	warming->warmed->figures.before = warming->resident;
	warming->warmed->figures.after = warming->resident;
	return false;
}

static void finished(const struct warming *warming)
{
	const struct mmapfs_warm_result *figures = &warming->warmed->figures;
	struct warm *warm = warming->warm;
	uint64_t taken = figures->requested;

	if (figures->valid)
		taken = figures->after - u64_min(figures->after, figures->before);
	SCOPE_LOCK(&warm->mutex);
	pace_finished(&warm->pace, warming->counted, figures->requested, taken);
}

static int work(void *ctx, struct target *target, struct mmapfs_range range, void *result)
{
	struct mmapfs_warm_opts opts = MMAPFS_INIT(opts);
	struct warm *warm = ctx;
	struct warmed *warmed = result;
	struct warming warming = { warm, target, range, warmed };
	int r;

	warmed->figures.size = sizeof(warmed->figures);
	wait_for_rate(warm);
	if (!may_start(&warming))
		return -ECANCELED;
	warmed->started = true;
	opts.progress = on_progress;
	opts.ctx = &warming;
	opts.rate = warm->rate;
	r = target_warm(target, range, &opts, &warmed->figures);
	if (!warmed->figures.valid)
		warmed->reason = act_reason(target);
	finished(&warming);
	return r;
}

/* ---- what came of it ---- */

static enum status status_of(const struct warmed *warmed, int error)
{
	if (error == -ECANCELED || error == -EINTR)
		return warmed->stopped ? STOPPED : INTERRUPTED;
	if (error < 0)
		return FAILED;
	return warmed->figures.valid && warmed->figures.missing ? PARTIAL : DONE;
}

static void put_figures(const struct warmed *warmed, struct cell *cells)
{
	const struct mmapfs_warm_result *figures = &warmed->figures;

	cells[DATA] = cell_number(figures->total);
	cells[REQUESTED] = cell_number(figures->requested);
	if (!figures->valid) {
		act_cells_unknown(cells, BEFORE, PERCENT, warmed->reason);
		return;
	}
	cells[BEFORE] = cell_number(figures->before);
	cells[AFTER] = cell_number(figures->after);
	cells[MISSING] = cell_number(figures->missing);
	cells[PERCENT] = cell_percent_of(figures->after, figures->total);
	if (!warmed->started)
		act_cells_unknown(cells, MISSING, DATA, "not-started");
}

static void say_failed(struct warm *warm, const struct target *target, int error,
		       uint64_t offset)
{
	char text[96];

	(void)snprintf(text, sizeof(text),
		       error == -ESTALE ? "it was truncated meanwhile"
		       : error == -EIO	? "at offset %" PRIu64
					 ", what else can be read is in"
				       : "at offset %" PRIu64,
		       offset);
	act_failed(&warm->act, "warm", target, error, text);
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	const struct warmed *warmed = result;
	enum status status = status_of(warmed, error);
	struct warm *warm = ctx;
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX];

	act_head(cells + HEAD, target, range, "warm", word);
	act_tail(cells + TAIL, status == FAILED ? error : 0);
	put_figures(warmed, cells);
	cells[STATUS] = cell_text(status_names[status]);
	cells[ERROR_OFFSET] = cell_none();
	if (status == FAILED) {
		cells[ERROR_OFFSET] = cell_number(warmed->figures.error_offset);
		say_failed(warm, target, error, warmed->figures.error_offset);
	}
	if (S_ISBLK(target->st.st_mode) && status != FAILED)
		say_notice("'%s' is a block device: its pages go when the last one who "
			   "has it open closes it",
			   target->path);
	warm->act.tally.incomplete += status == PARTIAL || status == STOPPED;
	warm->act.tally.interrupted |= status == INTERRUPTED;
	/* That a lying mincore hides the result is no failure: the file was read. */
	act_count(&warm->act, range, status == DONE && !warmed->figures.valid);
	return act_row(&warm->act, cells);
}

/* ---- the verb ---- */

static int prepare(struct act *act, struct options *options)
{
	struct warm *warm = (struct warm *)act;
	int r;

	/* Two readers would each take the whole rate. */
	if (warm->rate)
		options->jobs = 1;
	r = pace_begin(&warm->pace, warm->rate, warm->budget, "", now_ns());
	if (r == 0)
		return OPTIONS_GO_ON;
	say_cannot("read", "/proc/meminfo", r, "needed for --budget");
	return CODE_UNKNOWN;
}

static void say_stopped(const struct pace *pace)
{
	char room[MMAPFS_WORD_MAX], keep[MMAPFS_WORD_MAX];

	say("stopped by --budget: %s has %s left, %s are to stay", pace->room.bound,
	    bytes_format(room, pace->start_room - u64_min(pace->start_room, pace->taken)),
	    bytes_format(keep, pace->keep));
}

static int run(const struct command *command, int argc, char **argv)
{
	static const struct jobs_ops ops = { sizeof(struct warmed), work, deliver };
	struct warm warm = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	int r = act_main(command, argc, argv, &warm.act, &ops, prepare);

	if (warm.pace.stopped)
		say_stopped(&warm.pace);
	return r;
}

const struct command cmd_warm = {
	.name = "warm",
	.summary = "read in what is missing, wait until it is ready, verify it",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Reads the missing pages of the files into the page cache; what is resident is\n"
		"not touched, and holes are not filled. Prints what is resident afterwards: with\n"
		"too little memory that may be less than was read. Memory that was read into\n"
		"counts as used for --budget. Interrupted, it prints what is true by then.\n",
	.example = "Example: at 200 MiB/s, leaving 2 GiB of memory\n"
		   "  mmapctl warm --rate 200M --budget 2G /srv/models\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_JOBS | GROUP_PROGRESS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
