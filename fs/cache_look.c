/* SPDX-License-Identifier: MIT */
/* cache_look.c - look at the known files, and evict when there is too much. */
#include "cache_look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/macro.h"
#include "cache_pace.h"
#include "cache_shed.h"
#include "region.h"
#include "ticker.h"

#define MS UINT64_C(1000000) /* in nanoseconds */
#define SECOND (1000 * MS)

/* The low mark is below the limit, and the limit may be passed for a moment, by one part
 * in so many. */
#define SLACK_SHARE 20

/* A full look that differs by more than one part in so many of the limit from what was
 * known is followed by the next one soon. */
#define CHANGE_SHARE 256

/* Files of a full look between two looks at the clock. */
#define STEP 32

/* Evicting, with its syncs, makes way for the next look after this long. */
#define RELIEF_MAX (250 * MS)

/* How long a file rests that would not give what it was asked for; doubled each time. */
#define REST_FIRST SECOND
#define REST_DOUBLINGS 6

/* A full look on its way through the table. */
struct full_look {
	size_t at; /* see known_slice() */
	uint64_t cost_ns;
	uint64_t changed; /* bytes, up or down */
};

static const struct full_look full_look_first = { .at = SIZE_MAX };

struct looker {
	struct fs *fs;
	struct known *known;

	/* of the thread that looks */
	struct pace pace;
	struct full_look full;
	struct known_list list;
	struct cache_file *rows;
	struct action *actions;
	size_t row_capacity;
	uint64_t limit;
	uint64_t announced_seen;
	uint64_t signs_seen;
	uint64_t grown;	     /* bytes, since the last quick look */
	uint64_t growable;   /* of the files in use */
	uint64_t last_quick; /* nanoseconds */
	uint64_t next_full;
	uint64_t earliest; /* no look before */

	/* of everybody */
	_Atomic uint64_t announced;
	atomic_bool idle;
	_Atomic uint64_t peak;
	_Atomic uint64_t full_look_ns;
	_Atomic uint64_t pressure;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static bool is_stopping(const struct looker *looker)
{
	return atomic_load(&looker->fs->stopping);
}

static uint64_t used_now(const struct looker *looker)
{
	return known_sums(looker->known).resident;
}

static uint64_t slack_of(uint64_t limit)
{
	return limit / SLACK_SHARE;
}

struct marks looker_marks(uint64_t limit, uint64_t used)
{
	return (struct marks){ .used = used,
			       .high = limit,
			       .low = limit - slack_of(limit),
			       .granule = shed_granule() };
}

/* ---- looking ---- */

static bool is_gone(int error)
{
	return error == -ESTALE || error == -ENOENT;
}

/* No verdict on the file: it is as it was. */
static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static void look_at(struct looker *looker, struct known_file *file)
{
	struct shed_look look = { 0 };
	int r = shed_look(looker->fs, file->inode, &look);

	if (is_shortage(r))
		return;
	if (r < 0)
		look = (struct shed_look){ .known = is_gone(r) };
	looker->grown += known_measured(looker->known, file, &look);
}

static void look_at_files_in_use(struct looker *looker)
{
	looker->growable = 0;
	if (known_list_in_use(looker->known, &looker->list) < 0)
		return;
	for (size_t i = 0; i < looker->list.count && !is_stopping(looker); i++) {
		struct known_file *file = looker->list.file[i];

		look_at(looker, file);
		looker->growable = add_saturated(looker->growable, known_growable(file));
		(void)known_settle(looker->known, file);
	}
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return u64_max(a, b) - u64_min(a, b);
}

/* Look at the next files of a full look. Returns whether there are more. */
static bool full_look_step(struct looker *looker)
{
	struct known_file *files[STEP];
	const size_t count = known_slice(looker->known, &looker->full.at, files, STEP);

	for (size_t i = 0; i < count && !is_stopping(looker); i++) {
		const uint64_t before = files[i]->last.resident;

		look_at(looker, files[i]);
		looker->full.changed += difference(before, files[i]->last.resident);
		(void)known_settle(looker->known, files[i]);
	}
	return count == STEP;
}

/* "some avg10=0.12 ...": hundredths of a percent of the time in which something waited
 * for memory. BUDGET_UNKNOWN where the kernel does not tell. */
static uint64_t memory_pressure(void)
{
	FILE *file = fopen("/proc/pressure/memory", "re");
	unsigned int whole, hundredths;
	int found;

	if (!file)
		return BUDGET_UNKNOWN;
	found = fscanf(file, "some avg10=%u.%2u", &whole, &hundredths);
	(void)fclose(file);
	return found == 2 ? whole * 100 + hundredths : BUDGET_UNKNOWN;
}

static void end_full_look(struct looker *looker, uint64_t limit)
{
	const uint64_t pressure = memory_pressure();
	const struct pace_full full = {
		.changed = looker->full.changed > limit / CHANGE_SHARE,
		.in_use = known_in_use(looker->known) > 0,
		.pressure = pressure && pressure != BUDGET_UNKNOWN,
	};

	metrics_add(&looker->fs->metrics, METRIC_BUDGET_LOOKS + 1, 1);
	atomic_store(&looker->pressure, pressure);
	atomic_store(&looker->full_look_ns, looker->full.cost_ns);
	looker->next_full = now_ns() + pace_full(&looker->pace, &full) * MS;
	looker->full = full_look_first;
}

/* A slice of the full look, when it is due. */
static void full_look(struct looker *looker, uint64_t limit)
{
	const uint64_t start = now_ns();
	uint64_t cost = 0;
	bool more = true;

	if (start < looker->next_full)
		return;
	while (more && cost < PACE_SLICE_NS) {
		more = full_look_step(looker);
		cost = now_ns() - start;
	}
	looker->full.cost_ns += cost;
	looker->next_full = start + cost + pace_slice(cost) * MS;
	if (!more)
		end_full_look(looker, limit);
}

/* ---- evicting ---- */

static int reserve_rows(struct looker *looker, size_t count)
{
	struct cache_file *rows;
	struct action *actions;

	if (count <= looker->row_capacity)
		return 0;
	rows = realloc(looker->rows, count * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	looker->rows = rows;
	actions = realloc(looker->actions, count * sizeof(*actions));
	if (!actions)
		return -ENOMEM;
	looker->actions = actions;
	looker->row_capacity = count;
	return 0;
}

/* What did not go now will not go in a moment either. */
static void rest(struct known_file *file)
{
	const uint64_t doublings = u64_min(file->refusals, REST_DOUBLINGS);

	file->stuck = file->last.resident;
	file->rest_until = now_ns() + (REST_FIRST << doublings);
	file->refusals++;
}

/* The kernel tells of a write error once, and then calls the pages clean: a second sync would
 * succeed, and they could go. So who had one is left alone. */
static bool has_lost_writes(const struct known_file *file)
{
	return region_sync_seen(file->inode) > 0;
}

/* Returns the bytes that went. */
static uint64_t shed(struct looker *looker, struct known_file *file, uint64_t bytes,
		     bool sync)
{
	struct metrics *metrics = &looker->fs->metrics;
	struct shed_result result = { 0 };
	uint64_t refused;
	int r;

	if (sync)
		known_set_written(looker->known, file, false);
	r = shed_evict(looker->fs, file->inode, bytes, sync, &result);
	if (r < 0 && sync)
		known_set_written(looker->known, file, true);
	look_at(looker, file);
	refused = bytes - u64_min(bytes, result.freed);
	if (!refused)
		file->refusals = 0;
	else if (r != -EINTR)
		rest(file);
	metrics_add(metrics, METRIC_BUDGET_EVICTED, result.freed);
	metrics_add(metrics, METRIC_BUDGET_REFUSED, refused);
	return result.freed;
}

/* Let @action happen as far as it is still needed: what the table says of a file that is
 * not in use may be old. Returns the bytes that went. */
static uint64_t act(struct looker *looker, const struct marks *marks,
		    const struct action *action)
{
	struct known_file *file = looker->list.file[action->file];
	const uint64_t kept = looker->rows[action->file].kept;
	uint64_t used, bytes, freed = 0;

	look_at(looker, file);
	used = used_now(looker);
	if (used <= marks->low)
		return 0;
	bytes = file->last.resident - u64_min(file->last.resident, kept);
	bytes = u64_min(bytes, align_up(used - marks->low, marks->granule));
	if (bytes && !has_lost_writes(file))
		freed = shed(looker, file, bytes, action->sync || file->last.dirty);
	metrics_add(&looker->fs->metrics, METRIC_BUDGET_SYNC_ERRORS, has_lost_writes(file));
	return freed;
}

/* Where many files wait to be written back, let the disk work on all of them at once. */
static void begin_syncs(struct looker *looker, size_t count)
{
	for (size_t i = 0; i < count && !is_stopping(looker); i++) {
		const struct action *action = &looker->actions[i];

		if (action->sync)
			shed_begin_sync(looker->fs,
					looker->list.file[action->file]->inode);
	}
}

static uint64_t act_on(struct looker *looker, const struct marks *marks, size_t count)
{
	const uint64_t end = now_ns() + RELIEF_MAX;
	uint64_t freed = 0;

	for (size_t i = 0; i < count && !is_stopping(looker) && now_ns() < end; i++) {
		if (used_now(looker) <= marks->low)
			break;
		freed += act(looker, marks, &looker->actions[i]);
	}
	return freed;
}

/* Evict down to the low mark, if the high one is passed. Returns the bytes that went. */
static uint64_t relieve(struct looker *looker, uint64_t limit)
{
	const struct marks marks = looker_marks(limit, used_now(looker));
	size_t count;

	if (marks.used <= marks.high ||
	    known_list_all(looker->known, &looker->list) < 0 ||
	    reserve_rows(looker, looker->list.count) < 0)
		return 0;
	known_rows(looker->known, &looker->list, now_ns(), looker->rows);
	count = decide(looker->rows, looker->list.count, &marks, looker->actions);
	begin_syncs(looker, count);
	return act_on(looker, &marks, count);
}

/* ---- the thread that looks ---- */

/* What was announced before the last look has been seen by this one, or never came. */
static void forget_announced(struct looker *looker)
{
	atomic_fetch_sub(&looker->announced, looker->announced_seen);
	looker->announced_seen = atomic_load(&looker->announced);
}

static void note_look(struct looker *looker)
{
	const uint64_t used = used_now(looker);

	metrics_add(&looker->fs->metrics, METRIC_BUDGET_LOOKS, 1);
	if (used > atomic_load(&looker->peak))
		atomic_store(&looker->peak, used);
}

/* Look at the files in use, and evict when there is too much. Returns the milliseconds
 * until it is to be done again. */
static uint64_t watch(struct looker *looker, uint64_t limit)
{
	const uint64_t start = now_ns();
	struct pace_quick quick = { .slack = slack_of(limit),
				    .elapsed_ns = start - looker->last_quick };
	struct known_sums sums;
	uint64_t freed;

	look_at_files_in_use(looker);
	quick.cost_ns = now_ns() - start;
	note_look(looker);
	freed = relieve(looker, limit);
	sums = known_sums(looker->known);
	quick.grown = looker->grown;
	quick.growable = looker->growable;
	quick.room = limit - u64_min(limit, sums.resident);
	quick.over = sums.resident > limit;
	quick.held = quick.over && !freed;
	quick.signs = sums.signs != looker->signs_seen;
	looker->grown = 0;
	looker->signs_seen = sums.signs;
	looker->last_quick = start;
	looker->earliest = now_ns() + pace_least(&quick) * MS;
	metrics_set(&looker->fs->metrics, METRIC_BUDGET_USED, sums.resident);
	return pace_quick(&looker->pace, &quick);
}

static bool is_calm(const struct looker *looker, uint64_t limit)
{
	return !known_in_use(looker->known) && used_now(looker) <= limit;
}

static uint64_t until(uint64_t ns)
{
	const uint64_t now = now_ns();

	return ns > now ? (ns - now) / MS + 1 : 0;
}

/* How long to sleep, when files in use want to be looked at in @watch milliseconds. */
static uint64_t how_long(struct looker *looker, uint64_t limit, uint64_t watch)
{
	const bool calm = is_calm(looker, limit);
	const bool idle = calm || pace_is_idle(&looker->pace);

	/* Who opens a file from here on wakes this thread; who did just before did not. */
	atomic_store(&looker->idle, idle);
	if (idle && known_sums(looker->known).signs != looker->signs_seen)
		return until(looker->earliest);
	return u64_min(until(looker->next_full), calm ? TICKER_NEVER : watch);
}

static void adopt(struct looker *looker, uint64_t limit)
{
	looker->limit = limit;
	known_set_turn(looker->known, limit);
	pace_init(&looker->pace);
	looker->full = full_look_first;
	looker->next_full = now_ns();
	looker->last_quick = now_ns();
	atomic_store(&looker->peak, 0);
	metrics_set(&looker->fs->metrics, METRIC_BUDGET,
		    limit == BUDGET_OFF ? METRIC_UNKNOWN : limit);
}

uint64_t looker_look(struct looker *looker, uint64_t limit)
{
	if (limit != looker->limit)
		adopt(looker, limit);
	if (limit == BUDGET_OFF) {
		known_clear(looker->known);
		metrics_set(&looker->fs->metrics, METRIC_BUDGET_USED, METRIC_UNKNOWN);
		return TICKER_NEVER;
	}
	if (until(looker->earliest))
		return until(looker->earliest);
	forget_announced(looker);
	full_look(looker, limit);
	return how_long(looker, limit, watch(looker, limit));
}

/* ---- life ---- */

int looker_new(struct fs *fs, struct known *known, struct looker **ret)
{
	struct looker *looker = calloc(1, sizeof(*looker));

	if (!looker)
		return -ENOMEM;
	looker->fs = fs;
	looker->known = known;
	atomic_init(&looker->pressure, BUDGET_UNKNOWN);
	*ret = looker;
	return 0;
}

struct looker *looker_free(struct looker *looker)
{
	if (!looker)
		return NULL;
	known_list_free(&looker->list);
	free(looker->rows);
	free(looker->actions);
	free(looker);
	return NULL;
}

/* ---- from any thread ---- */

bool looker_is_idle(struct looker *looker)
{
	return atomic_load(&looker->idle) && atomic_exchange(&looker->idle, false);
}

void looker_announce(struct looker *looker, uint64_t bytes)
{
	atomic_fetch_add(&looker->announced, bytes);
}

uint64_t looker_announced(const struct looker *looker)
{
	return atomic_load(&looker->announced);
}

void looker_figures(const struct looker *looker, struct budget_figures *ret)
{
	const struct metrics *counted = &looker->fs->metrics;

	ret->peak = atomic_load(&looker->peak);
	ret->full_look_ns = atomic_load(&looker->full_look_ns);
	ret->pressure = atomic_load(&looker->pressure);
	ret->quick_looks = metrics_value(counted, METRIC_BUDGET_LOOKS);
	ret->full_looks = metrics_value(counted, METRIC_BUDGET_LOOKS + 1);
	ret->evicted = metrics_value(counted, METRIC_BUDGET_EVICTED);
	ret->refused = metrics_value(counted, METRIC_BUDGET_REFUSED);
	ret->sync_errors = metrics_value(counted, METRIC_BUDGET_SYNC_ERRORS);
}
