/* SPDX-License-Identifier: MIT */
/*
 * cmd_watch.c - mmapctl watch: what changes in the page cache, and with --events by whom.
 *
 * Every interval all files are looked at again, by their names: so files that are new,
 * replaced or gone are seen too. Only what changed is printed.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "act.h"
#include "base/macro.h"
#include "progress.h"
#include "select.h"
#include "target.h"
#include "trace.h"
#include "watch_cache.h"
#include "watch_changes.h"
#include "watch_table.h"
#include "who.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* How often events are fetched, and the longest that a signal waits. */
#define NAP_NS (50 * NS_PER_MS)

/* Of the files of a whole mount, how many are told of in a round. */
#define MOST_OF_A_MOUNT 10

struct watch {
	struct act act; /* first, for the callbacks */
	uint64_t interval_ns;
	unsigned int count; /* 0: without end */
	unsigned int most;  /* changes of a round that are printed; 0: the default */
	bool events;
	bool no_files;

	struct watch_cache *caches; /* the operands that are whole mounts */
	size_t cache_count;
	uint64_t files_due_ns; /* of a mount: when its files may be looked at again */
	uint64_t sums_due_ns;  /* when it may be asked for the sum of them again */

	struct watch_table *table;
	struct watch_changes changes; /* of this round */
	struct target target; /* the file that is being looked at */
	struct seen *seen;    /* files with several names, in this round */
	uint64_t round;	      /* 0: the first look, which prints nothing */
	bool set_changed;     /* files came or were replaced: the trace must know */
	char time[64];	      /* of this round */
	struct trace *trace;
	struct actors actors;
	uint64_t lost; /* events, told so far */
	size_t blind;  /* files without events, told so far */
};

enum column {
	TIME = 0,
	RESIDENT,
	RESIDENT_CHANGE,
	DIRTY,
	DIRTY_CHANGE,
	EVICTED,
	EVICTED_CHANGE,
	EVENT,
	LOCKED, /* and what follows: in the order of enum cache_figure */
	BUDGET,
	USED,
	DROPPED,
	OPENS,
	CHANGED,
	PID,
	COMM,
	BYTES,
	PATH,
	RANGE,
	RANGES,
	COLUMNS,
};

static const struct out_column columns[] = {
	{ "TIME", "t", CELL_TEXT, COLUMN_SHOWN, 12, "when it was seen" },
	{ "RESIDENT", "resident", CELL_COUNT, COLUMN_SHOWN, 8, "resident pages now" },
	{ "RES-CHANGE", "resident_change", CELL_SIGNED, COLUMN_SHOWN, 8,
	  "and how many more" },
	{ "DIRTY", "dirty", CELL_COUNT, COLUMN_SHOWN, 6, "dirty pages now" },
	{ "DIRTY-CHANGE", "dirty_change", CELL_SIGNED, COLUMN_SHOWN, 6,
	  "and how many more" },
	{ "EVICTED", "evicted", CELL_COUNT, 0, 7, "pages that the kernel pushed out" },
	{ "EVICT-CHANGE", "evicted_change", CELL_SIGNED, COLUMN_SHOWN, 7,
	  "how many more it pushed out" },
	{ "EVENT", "event", CELL_WORD, COLUMN_SHOWN, 8,
	  "changed, new, replaced, gone; added, removed; cache" },
	{ "LOCKED", "cache.locked", CELL_BYTES, 0, 6, "of a whole mount: bytes locked" },
	{ "BUDGET", "cache.budget", CELL_BYTES, 0, 6, "bytes that its budget allows" },
	{ "USED", "cache.used", CELL_BYTES, 0, 6, "bytes of the budget in use" },
	{ "DROPPED", "cache.dropped", CELL_COUNT, 0, 7, "pages evicted through it" },
	{ "OPEN-RATE", "cache.opens_per_second", CELL_COUNT, 0, 7, "opens a second through it" },
	{ "CHANGED", "cache.changed", CELL_COUNT, 0, 7, "files that changed, shown or not" },
	{ "PID", "who.pid", CELL_COUNT, 0, 7, "id of the process that did it" },
	{ "COMM", "who.comm", CELL_TEXT, 0, 12, "its name" },
	{ "BYTES", "who.bytes", CELL_BYTES, 0, 6, "bytes that it added or removed" },
	{ "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "name of the file" },
	{ "RANGE", "range", CELL_TEXT, 0, 0, "the bytes that were asked for" },
	{ "RANGES", "who.ranges", CELL_JSON, 0, 0, "which it added or removed" },
	{ 0 },
};

/* Those that only events have. */
static const enum column event_columns[] = { PID, COMM, BYTES, RANGES };

/* Those that only a whole mount has. */
static const enum column cache_columns[] = { LOCKED, BUDGET, USED, DROPPED, OPENS, CHANGED };

static const struct option_row rows[] = {
	{ "interval", 'i', "SECONDS", "time between two looks (default 1)",
	  option_set_seconds, offsetof(struct watch, interval_ns) },
	{ "count", 0, "N", "end after N looks", option_set_count,
	  offsetof(struct watch, count) },
	{ "most", 0, "N",
	  "only the N files that changed most in each round\n"
	  "(default: 10 with a whole mount, else all)",
	  option_set_count, offsetof(struct watch, most) },
	{ "no-files", 0, NULL, "only the lines of whole mounts, not of their files",
	  option_set_true, offsetof(struct watch, no_files) },
	{ "events", 'e', NULL, "also which process did it, and to what (root)",
	  option_set_true, offsetof(struct watch, events) },
	{ 0 },
};

/* ---- time ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* To the second for people, whole for programs. */
static void stamp(struct watch *watch)
{
	bool json = out_is_json(watch->act.out);
	struct timespec ts;
	struct tm tm;
	size_t used;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (json)
		(void)gmtime_r(&ts.tv_sec, &tm);
	else
		(void)localtime_r(&ts.tv_sec, &tm);
	used = strftime(watch->time, sizeof(watch->time), json ? "%FT%T" : "%T", &tm);
	(void)snprintf(watch->time + used, sizeof(watch->time) - used, ".%03ld%s",
		       ts.tv_nsec / (long)NS_PER_MS, json ? "Z" : "");
}

/* ---- rows ---- */

static void put_figure(struct cell *cell, struct cell *change, uint32_t figure,
		       const struct watch_figures *was, const struct watch_figures *now,
		       uint64_t was_number, uint64_t now_number)
{
	if (!now || !(now->valid & figure))
		return;
	*cell = cell_number(now_number);
	if (was && (was->valid & figure))
		*change = cell_delta((int64_t)(now_number - was_number));
	else
		*change = cell_none();
}

static void put_figures(struct cell *cells, const struct watch_figures *was,
			const struct watch_figures *now)
{
	static const struct watch_figures none;
	const struct watch_figures *old = was ? was : &none;

	put_figure(&cells[RESIDENT], &cells[RESIDENT_CHANGE], MMAPFS_RESIDENT, was, now,
		   old->resident, now ? now->resident : 0);
	put_figure(&cells[DIRTY], &cells[DIRTY_CHANGE], MMAPFS_DIRTY, was, now,
		   old->dirty, now ? now->dirty : 0);
	put_figure(&cells[EVICTED], &cells[EVICTED_CHANGE], MMAPFS_EVICTED, was, now,
		   old->evicted, now ? now->evicted : 0);
}

static void begin_row(const struct watch *watch, struct cell *cells, const char *path,
		      const char *event)
{
	cells[TIME] = cell_text(watch->time);
	cells[PATH] = cell_text(path);
	cells[EVENT] = cell_text(event);
	cells[RANGE] = cell_none();
	for (size_t i = 0; i < ARRAY_SIZE(event_columns); i++)
		cells[event_columns[i]] = cell_none();
	for (size_t i = 0; i < ARRAY_SIZE(cache_columns); i++)
		cells[cache_columns[i]] = cell_none();
}

static void no_figures(struct cell *cells)
{
	for (int i = RESIDENT; i <= EVICTED_CHANGE; i++)
		cells[i] = cell_none();
}

static int put_change(struct watch *watch, const struct watch_change *change)
{
	const struct mmapfs_range *asked = &watch->act.options->ranges[change->range];
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX];

	begin_row(watch, cells, change->file->path, change->event);
	if (asked->offset || asked->length)
		cells[RANGE] = cell_text(mmapfs_range_format(word, *asked));
	if (change->file->gone)
		no_figures(cells);
	else
		put_figures(cells, &change->was, &change->now);
	return out_row(watch->act.out, cells);
}

static int put_changes(struct watch *watch)
{
	struct watch_changes *changes = &watch->changes;
	size_t limit = watch->cache_count ? MOST_OF_A_MOUNT : SIZE_MAX;
	int r = 0;

	if (watch->most)
		limit = watch->most;
	if (changes->count > limit)
		watch_changes_sort(changes);
	for (size_t i = 0; r == 0 && i < changes->count && i < limit; i++)
		r = put_change(watch, &changes->list[i]);
	watch_changes_clear(changes);
	return r;
}

/* ---- one file ---- */

static void note_identity(struct watch *watch, struct watched *file)
{
	const struct target *target = &watch->target;

	file->dev = target->st.st_dev;
	file->ino = target->st.st_ino;
	if (!watch->events)
		return;
	file->traceable = trace_file_of(target_fd(target), &file->trace) == 0;
	watch->set_changed = true;
}

static int look_at_range(struct watch *watch, struct watched *file, size_t index,
			 const char *event)
{
	struct mmapfs_range range = watch->act.options->ranges[index];
	struct watch_figures was = file->figures[index];
	struct observation seen = { 0 };
	int r;

	r = target_observe(&watch->target, range, 0, &seen);
	if (r < 0)
		return watch->round ? 0 : r;
	file->figures[index] = watch_figures_of(&seen.residency);
	if (watch->round == 0)
		return 0;
	if (!event && !watch_figures_differ(&was, &file->figures[index]))
		return 0;
	if (event)
		was.valid = 0;
	return watch_changes_add(&watch->changes,
				 &(struct watch_change){ .file = file,
							 .range = index,
							 .event = event ? event : "changed",
							 .was = was,
							 .now = file->figures[index] });
}

/* The file in watch->target. */
static int look_at(struct watch *watch)
{
	const struct target *target = &watch->target;
	const char *event = NULL;
	struct watched *file;
	bool is_new;
	int r = 0;

	file = watch_table_get(watch->table, target->path, &is_new);
	if (!file)
		return 0;
	if (is_new || file->gone)
		event = "new";
	else if (file->dev != target->st.st_dev || file->ino != target->st.st_ino)
		event = "replaced";
	file->gone = false;
	file->round = watch->round;
	if (event)
		note_identity(watch, file);
	for (size_t i = 0; r == 0 && i < watch->act.options->range_count; i++)
		r = look_at_range(watch, file, i, event);
	return r;
}

/* ---- one round ---- */

/* A file that was looked at under another name in this round. */
static bool is_duplicate(const struct watch *watch, const struct stat *st)
{
	const struct select_options *select = &watch->act.options->select;

	if (select->count_links || (st->st_nlink < 2 && select->follow != FOLLOW_ALL))
		return false;
	return seen_before(watch->seen, st->st_dev, st->st_ino);
}

static int look_at_found(struct watch *watch, const struct candidate *candidate,
			 struct found *found)
{
	struct target *target = &watch->target;
	int r = 0;

	if (is_duplicate(watch, &found->st)) {
		(void)close(found->fd);
		return 0;
	}
	r = candidate_path(candidate, &target->path, &target->path_capacity);
	if (r < 0) {
		(void)close(found->fd);
		return r;
	}
	r = target_set(target, found);
	if (r == 0)
		r = look_at(watch);
	target_close(target);
	return r;
}

static int on_candidate(void *ctx, const struct candidate *candidate)
{
	struct watch *watch = ctx;
	struct target *target = &watch->target;
	struct found found;
	int r;

	r = select_open(&watch->act.options->select, candidate, &found);
	if (r == VERDICT_FOUND)
		r = look_at_found(watch, candidate, &found);
	if (r < 0 && watch->round == 0) {
		if (candidate_path(candidate, &target->path, &target->path_capacity) == 0)
			out_error(watch->act.out, "watch", target->path, r, NULL);
		watch->act.tally.failed++;
	}
	return r == -ENOMEM ? r : 0;
}

/* Told once: what cannot be entered now is not going to be news every second. */
static void on_error(void *ctx, const char *op, const char *path, int error)
{
	struct watch *watch = ctx;

	if (watch->round > 0)
		return;
	out_error(watch->act.out, op, path, error, NULL);
	watch->act.tally.failed++;
}

static void on_skip(void *ctx, const char *path, const char *what)
{
	const struct watch *watch = ctx;

	if (watch->round == 0)
		say_notice("'%s' is %s: skipped", path, what);
}

static bool on_stop(void *ctx)
{
	(void)ctx;
	return interrupted();
}

/* Standard input can be read only once: its files by their names from then on. */
static int look_at_known(struct watch *watch)
{
	bool nofollow = watch->act.options->select.follow == FOLLOW_NONE;
	int r = 0;

	for (size_t i = 0; r == 0 && i < watch_table_count(watch->table); i++) {
		const char *path = watch_table_at(watch->table, i)->path;

		target_done(&watch->target);
		if (target_open(&watch->target, path, nofollow) == 0)
			r = look_at(watch);
	}
	return r;
}

static int look_at_all(struct watch *watch)
{
	static const struct select_ops ops = { on_candidate, on_error, on_skip, on_stop };
	const struct options *options = watch->act.options;
	const char *from = options->select.files_from;
	int r;

	if (watch->round > 0 && from && strcmp(from, "-") == 0)
		return look_at_known(watch);
	watch->seen = seen_new();
	if (!watch->seen)
		return -ENOMEM;
	r = select_walk(&options->select, options->operands, options->operand_count, &ops,
			watch);
	seen_free(watch->seen);
	return r == -ENOMEM ? r : 0;
}

static int note_gone(struct watch *watch)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < watch_table_count(watch->table); i++) {
		struct watched *file = watch_table_at(watch->table, i);

		if (file->gone || file->round == watch->round)
			continue;
		file->gone = true;
		r = watch_changes_add(&watch->changes,
				      &(struct watch_change){ .file = file,
							      .event = "gone",
							      .was = file->figures[0] });
	}
	return r;
}

/* What a look at the files of a mount costs grows with their number, so it takes turns. */
static bool files_are_due(const struct watch *watch)
{
	return !watch->no_files && now_ns() >= watch->files_due_ns;
}

static int look_at_files(struct watch *watch)
{
	uint64_t begin_ns = now_ns();
	int r = look_at_all(watch);

	if (r == 0 && !interrupted())
		r = note_gone(watch);
	if (watch->cache_count)
		watch->files_due_ns = watch_cache_rest(begin_ns, now_ns());
	return r;
}

/* ---- whole mounts ---- */

static int find_caches(struct watch *watch, const struct options *options)
{
	watch->caches = calloc((size_t)options->operand_count + 1, sizeof(*watch->caches));
	if (!watch->caches)
		return -ENOMEM;
	for (int i = 0; i < options->operand_count; i++)
		if (watch_cache_is_root(options->operands[i]))
			watch->caches[watch->cache_count++].root = options->operands[i];
	return 0;
}

/* Not asked for, or not to be had, is no figure. */
static void put_sums(struct watch_cache *cache, bool measure, struct cell *cells)
{
	struct watch_figures now;

	no_figures(cells);
	if (!measure || watch_cache_measure(cache, &now) < 0)
		return;
	for (int i = RESIDENT; i <= EVICTED_CHANGE; i++)
		cells[i] = cell_unknown(NULL);
	put_figures(cells, &cache->pages, &now);
	cache->pages = now;
}

/* Before the files are looked at, for that opens them. */
static void look_at_caches(struct watch *watch)
{
	for (size_t i = 0; i < watch->cache_count; i++) {
		struct watch_cache *cache = &watch->caches[i];
		int r = watch_cache_look(cache, now_ns());

		if (r < 0 && !cache->gone) {
			out_error(watch->act.out, "watch", cache->root, r, NULL);
			watch->act.tally.failed++;
		}
		cache->gone = r < 0;
	}
}

static int put_cache(struct watch *watch, struct watch_cache *cache, bool measure, bool looked)
{
	struct cell cells[COLUMNS] = { 0 };

	if (cache->gone)
		return 0;
	begin_row(watch, cells, cache->root, "cache");
	memcpy(&cells[LOCKED], cache->cells, sizeof(cache->cells));
	put_sums(cache, measure, cells);
	if (looked) {
		cells[CHANGED] = cell_number(watch_changes_files(&watch->changes));
		(void)watch_cache_begin_rates(cache, now_ns());
	}
	return out_row(watch->act.out, cells);
}

static int put_caches(struct watch *watch, bool looked)
{
	uint64_t begin_ns = now_ns();
	bool measure = begin_ns >= watch->sums_due_ns;
	int r = 0;

	for (size_t i = 0; r == 0 && i < watch->cache_count; i++)
		r = put_cache(watch, &watch->caches[i], measure, looked);
	if (measure)
		watch->sums_due_ns = watch_cache_rest(begin_ns, now_ns());
	return r;
}

/* ---- events ---- */

static void tell_blind(struct watch *watch, size_t blind)
{
	if (blind > watch->blind)
		say_notice("no events for %zu of the files: the kernel's trace does not "
			   "tell files of their filesystem apart",
			   blind);
	watch->blind = blind;
}

static int restart_trace(struct watch *watch)
{
	size_t count = watch_table_count(watch->table), used = 0, blind = 0;
	struct trace_file *files = calloc(count + 1, sizeof(*files));
	struct trace_failure failure = { "allocate memory" };
	int r = -ENOMEM;

	for (size_t i = 0; files && i < count; i++) {
		const struct watched *file = watch_table_at(watch->table, i);

		if (file->traceable && !file->gone)
			files[used++] = file->trace;
		else if (!file->gone)
			blind++;
	}
	tell_blind(watch, blind);
	watch->trace = trace_close(watch->trace);
	watch->lost = 0;
	watch->set_changed = false;
	if (files)
		r = trace_open(files, used, &watch->trace, &failure);
	free(files);
	if (r < 0)
		say("cannot see events: cannot %s: %s (%s)", failure.step, strerror(-r),
		    r == -EPERM || r == -EACCES ? "it takes root; watch without --events"
						: "watch without --events");
	return r;
}

static void take_events(struct watch *watch)
{
	struct trace_event event;

	while (watch->trace && trace_next(watch->trace, &event) > 0)
		actors_add(&watch->actors, &event);
}

static json_t *json_of(const struct who *who)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < who->range_count; i++)
		(void)json_array_append_new(
			list, json_pack("[I, I]", (json_int_t)who->ranges[i].offset,
					(json_int_t)who->ranges[i].length));
	return list;
}

static int put_who(struct watch *watch, const struct who *who)
{
	const struct watched *file = watch_table_by_trace(watch->table, &who->file);
	struct cell cells[COLUMNS] = { 0 };
	char ranges[512];

	if (!file)
		return 0;
	begin_row(watch, cells, file->path,
		  who->action == TRACE_ADD ? "added" : "removed");
	for (int i = RESIDENT; i <= EVICTED_CHANGE; i++)
		cells[i] = cell_none();
	cells[COMM] = cell_text(who->comm);
	cells[PID] = cell_number((uint64_t)who->pid);
	cells[BYTES] = cell_number(who->bytes);
	cells[RANGES] = cell_text(who_ranges(who, ranges, sizeof(ranges)));
	if (out_is_json(watch->act.out))
		cells[RANGES].json = json_of(who);
	return out_row(watch->act.out, cells);
}

static int put_events(struct watch *watch)
{
	uint64_t lost;
	int r = 0;

	if (!watch->trace)
		return 0;
	take_events(watch);
	actors_finish(&watch->actors);
	for (size_t i = 0; r == 0 && i < watch->actors.count; i++)
		r = put_who(watch, &watch->actors.list[i]);
	lost = trace_lost(watch->trace) + watch->actors.dropped;
	if (lost > watch->lost)
		say_notice("%" PRIu64 " events were lost: too many at once",
			   lost - watch->lost);
	watch->lost = trace_lost(watch->trace);
	actors_clear(&watch->actors);
	return r;
}

/* ---- the loop ---- */

static void wait_until(struct watch *watch, uint64_t due)
{
	uint64_t now;

	while (!interrupted() && (now = now_ns()) < due) {
		uint64_t nap = u64_min(due - now, NAP_NS);

		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)nap }, NULL);
		take_events(watch);
	}
}

static int one_round(struct watch *watch)
{
	bool looked = files_are_due(watch);
	int r = 0;

	stamp(watch);
	look_at_caches(watch);
	if (looked)
		r = look_at_files(watch);
	if (r == 0 && !interrupted())
		r = put_caches(watch, looked);
	if (r == 0)
		r = put_changes(watch);
	if (r == 0)
		r = put_events(watch);
	if (r == 0 && watch->events && watch->set_changed)
		r = restart_trace(watch);
	out_flush(watch->act.out);
	/* Whoever read our output has gone. */
	return r == 0 && ferror(stdout) ? -EPIPE : r;
}

static int loop(struct watch *watch)
{
	uint64_t due = now_ns();
	int r;

	r = one_round(watch);
	if (r < 0 || watch_table_count(watch->table) + watch->cache_count == 0)
		return r;
	if (watch_table_refused(watch->table))
		say_notice("%" PRIu64 " files more than the %d that can be watched",
			   watch_table_refused(watch->table), WATCH_FILES_MAX);
	while (r == 0 && !interrupted() &&
	       (watch->count == 0 || watch->round < watch->count)) {
		due += watch->interval_ns;
		wait_until(watch, due);
		if (interrupted())
			break;
		watch->round++;
		r = one_round(watch);
		due = u64_max(due, now_ns() - u64_min(now_ns(), watch->interval_ns));
	}
	return r;
}

/* ---- the verb ---- */

/* Which columns are shown depends on what was asked for. */
static void choose_columns(const struct watch *watch, const struct options *options,
			   struct out_column *ret)
{
	memcpy(ret, columns, sizeof(columns));
	if (options->ranges_given)
		ret[RANGE].flags |= COLUMN_SHOWN;
	for (size_t i = 0; watch->events && i < ARRAY_SIZE(event_columns); i++)
		ret[event_columns[i]].flags |= COLUMN_SHOWN;
	for (size_t i = 0; watch->cache_count && i < ARRAY_SIZE(cache_columns); i++)
		ret[cache_columns[i]].flags |= COLUMN_SHOWN;
}

static int finish(struct watch *watch, int r)
{
	watch->trace = trace_close(watch->trace);
	watch->act.tally.interrupted |= interrupted();
	watch->act.tally.files = watch_table_count(watch->table);
	if (r == -EPIPE) {
		(void)out_end(watch->act.out, false);
		return CODE_DONE;
	}
	if (r < 0 && watch->events && r != -ENOMEM) {
		(void)out_end(watch->act.out, false);
		return CODE_UNKNOWN;
	}
	return act_end(&watch->act, r);
}

static int watch_files(struct watch *watch, struct options *options)
{
	struct out_column shown[ARRAY_SIZE(columns)];
	int r;

	choose_columns(watch, options, shown);
	watch->act.options = options;
	options->out.no_totals = true;
	r = out_begin(&options->out, shown, "mmapfs.watch/1", stdout, &watch->act.out);
	if (r < 0)
		return r == -EINVAL ? CODE_USAGE : CODE_SOME_FAILED;
	watch->table = watch_table_new(options->range_count);
	target_init(&watch->target);
	/* The tracing instance must go even when nobody reads any more. */
	(void)signal(SIGPIPE, SIG_IGN);
	interrupt_catch();
	r = finish(watch, watch->table ? loop(watch) : -ENOMEM);
	target_done(&watch->target);
	watch_changes_free(&watch->changes);
	watch_table_free(watch->table);
	actors_free(&watch->actors);
	return r;
}

static int watch_all(struct watch *watch, struct options *options)
{
	int r = find_caches(watch, options);

	if (r < 0) {
		say("%s", strerror(-r));
		return CODE_SOME_FAILED;
	}
	if (watch->no_files && watch->cache_count == 0) {
		say("--no-files: no PATH is the root of a mounted mmapfs");
		return CODE_USAGE;
	}
	return watch_files(watch, options);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct watch watch = { .interval_ns = NS_PER_S };
	struct options options;
	int r;

	r = options_parse(command, argc, argv, &options, &watch);
	if (r == OPTIONS_GO_ON)
		r = options_need_operands(command, &options);
	if (r == OPTIONS_GO_ON)
		r = watch_all(&watch, &options);
	free(watch.caches);
	options_done(&options);
	return r;
}

const struct command cmd_watch = {
	.name = "watch",
	.summary = "print what changes in the page cache, and who changes it",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Looks at the files every second and prints those whose resident, dirty or\n"
		"evicted pages changed. With --events (root) also which process read pages in or\n"
		"threw them out, and which, from the kernel's tracepoints.\n"
		"A PATH that is the root of a mounted mmapfs gets a line of its own in each\n"
		"round, the whole cache, before those of its files that changed most.\n",
	.example = "Example: who evicts my index?\n"
		   "  mmapctl watch --events /srv/index\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT,
	.rows = rows,
	.columns = columns,
	.run = run,
};
