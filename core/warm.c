/* SPDX-License-Identifier: MIT */
/*
 * warm.c - read in what is missing of a range, and wait until it is ready.
 *
 * A pipeline: the data of the file, or what else is asked for, is walked in slices; each
 * missing run of a slice is queued by readahead(2) in pieces, ahead of a reader that waits
 * for the oldest piece. Measured, a deep queue of exact ranges is several times as fast as
 * touching, and the wait costs next to nothing. Nothing here grows with the file.
 */
#include "warm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "data.h"
#include "observe.h"
#include "reader.h"
#include "result.h"

#define MIB (UINT64_C(1) << 20)
#define NS_PER_S UINT64_C(1000000000)

#define PIECE_BYTES (2 * MIB)  /* readahead(2) may be cut to one window of the device */
#define AHEAD_BYTES (32 * MIB) /* queued and not yet waited for */
#define SLICE_BYTES (64 * MIB) /* looked at in one go; memory is checked as often */
#define QUEUE_PIECES 1024
#define CALLBACK_NS (NS_PER_S / 10) /* the longest silence while waiting for the rate */

struct warm {
	struct mmapfs_map *map;
	const struct mmapfs__source *source;
	struct mmapfs__extent extent;
	struct mmapfs__observer observer;
	struct mmapfs__reader reader;
	struct mmapfs_warm_opts opts;
	struct mmapfs_warm_result out;
	bool known;	/* what is ready can be told, so only the missing is read */
	bool readahead; /* works on this file */

	struct mmapfs__span queue[QUEUE_PIECES];
	size_t first, queued;
	uint64_t queued_bytes;
	uint64_t piece_bytes, ahead_bytes;

	uint64_t cursor; /* all before it in the slice is resident or queued */
	uint64_t done;	 /* bytes of data */
	uint64_t told;	 /* `done` when progress was last called */
	uint64_t told_ns;
	uint64_t start_ns;
	uint64_t check_at; /* look at MemAvailable when so much has been requested */
};

/* Bytes of the map in whole pages of the file. */
static uint64_t bytes_of(const struct warm *warm, uint64_t begin, uint64_t end)
{
	begin = u64_max(begin, warm->map->offset);
	end = u64_min(end, warm->extent.eof);
	return begin < end ? end - begin : 0;
}

/* ---- between the pieces: progress, rate, memory ---- */

static int tell(struct warm *warm)
{
	uint64_t done = u64_min(warm->done, warm->out.total);

	if (!warm->opts.progress)
		return 0;
	warm->told = warm->done;
	warm->told_ns = mmapfs__sys->now_ns();
	return warm->opts.progress(warm->opts.ctx, done, warm->out.total) ? -ECANCELED
									  : 0;
}

/* Scattered pages are not worth a call each. */
static int tell_sometimes(struct warm *warm)
{
	if (warm->done - warm->told < PIECE_BYTES &&
	    mmapfs__sys->now_ns() - warm->told_ns < CALLBACK_NS)
		return 0;
	return tell(warm);
}

/* Nanoseconds that @bytes take at @rate. Their product might not fit. */
static uint64_t ns_for(uint64_t bytes, uint64_t rate)
{
	uint64_t rest = bytes % rate;

	rest = rate < NS_PER_S ? rest * NS_PER_S / rate : rest / (rate / NS_PER_S);
	return bytes / rate * NS_PER_S + rest;
}

/* Sleep until the rate allows the next piece, never so long that none could cancel. */
static int keep_rate(struct warm *warm)
{
	uint64_t rate = warm->opts.rate;
	uint64_t due, now;
	int r;

	if (rate == 0)
		return 0;
	due = warm->start_ns + ns_for(warm->out.requested, rate);
	while ((now = mmapfs__sys->now_ns()) < due) {
		mmapfs__sys->sleep_ns(u64_min(due - now, CALLBACK_NS));
		r = tell_sometimes(warm);
		if (r < 0)
			return r;
	}
	return 0;
}

static int mem_available(uint64_t *ret)
{
	static const char key[] = "MemAvailable:";
	char text[8192];
	const char *at;
	int64_t n;

	n = mmapfs__sys->read_text("/proc/meminfo", text, sizeof(text));
	if (n < 0)
		return (int)n;
	at = strstr(text, key);
	if (!at)
		return -ENODATA;
	*ret = strtoull(at + strlen(key), NULL, 10) * 1024;
	return 0;
}

/* Once for each slice's worth of requests: is there room for the next one? */
static int keep_available(struct warm *warm)
{
	uint64_t keep = warm->opts.keep_available;
	uint64_t left = warm->out.total - u64_min(warm->out.total, warm->done);
	uint64_t available;
	int r;

	if (keep == 0 || warm->out.requested < warm->check_at)
		return 0;
	r = mem_available(&available);
	if (r < 0)
		return r;
	if (available < add_saturated(keep, u64_min(left, SLICE_BYTES)))
		return -ENOMEM;
	warm->check_at = warm->out.requested + SLICE_BYTES;
	return 0;
}

static int keep_limit(const struct warm *warm, uint64_t bytes)
{
	uint64_t limit = warm->opts.limit;

	return limit && add_saturated(warm->out.requested, bytes) > limit ? -EDQUOT : 0;
}

/* ---- the pipeline ---- */

static int wait_oldest(struct warm *warm)
{
	struct mmapfs__span piece = warm->queue[warm->first];
	int r;

	warm->first = (warm->first + 1) % QUEUE_PIECES;
	warm->queued--;
	warm->queued_bytes -= piece.end - piece.begin;
	r = mmapfs__reader_wait(&warm->reader, piece.begin, piece.end, warm->readahead);
	if (r < 0)
		return r;
	warm->done += bytes_of(warm, piece.begin, piece.end);
	return tell_sometimes(warm);
}

static int make_room(struct warm *warm, uint64_t length)
{
	while (warm->queued > 0 && (warm->queued == QUEUE_PIECES ||
				    warm->queued_bytes + length > warm->ahead_bytes)) {
		int r = wait_oldest(warm);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Waiting for the oldest piece first also keeps requests from running ahead of errors. */
static int enqueue(struct warm *warm, uint64_t begin, uint64_t end)
{
	int r;

	r = make_room(warm, end - begin);
	if (r == 0)
		r = keep_limit(warm, bytes_of(warm, begin, end));
	if (r == 0)
		r = keep_available(warm);
	if (r == 0)
		r = keep_rate(warm);
	if (r < 0)
		return r;
	/* Only a hint: if it fails the reader reads, and gets the true error if any. */
	if (warm->readahead)
		warm->readahead = mmapfs__sys->readahead(warm->map->fd, begin,
							 (size_t)(end - begin)) >= 0;
	warm->queue[(warm->first + warm->queued) % QUEUE_PIECES] =
		(struct mmapfs__span){ begin, end };
	warm->queued++;
	warm->queued_bytes += end - begin;
	warm->out.requested += bytes_of(warm, begin, end);
	return 0;
}

static int fetch(struct warm *warm, uint64_t begin, uint64_t end)
{
	uint64_t next;
	int r;

	for (; begin < end; begin = next) {
		next = u64_min(begin + warm->piece_bytes, end);
		r = enqueue(warm, begin, next);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A run that is there already: what lies between it and the one before is missing. */
static int skip_resident(void *ctx, uint64_t begin, uint64_t end)
{
	struct warm *warm = ctx;
	uint64_t cursor = warm->cursor;

	warm->cursor = end;
	warm->done += bytes_of(warm, begin, end);
	return fetch(warm, cursor, begin);
}

static int warm_slice(struct warm *warm, uint64_t begin, uint64_t end)
{
	int r = 0;

	warm->cursor = begin;
	if (warm->known)
		r = mmapfs__observer_runs(&warm->observer, begin, end, true,
					  skip_resident, warm);
	if (r == 0)
		r = fetch(warm, warm->cursor, end);
	if (r == 0)
		r = tell_sometimes(warm);
	return r;
}

static int warm_data(struct warm *warm, uint64_t begin, uint64_t end)
{
	uint64_t next;
	int r;

	for (; begin < end; begin = next) {
		next = u64_min(align_down(begin, SLICE_BYTES) + SLICE_BYTES, end);
		r = warm_slice(warm, begin, next);
		if (r < 0)
			return r;
	}
	return 0;
}

static int warm_all(struct warm *warm)
{
	const struct mmapfs__source *source = warm->source;
	uint64_t begin, end;
	int r;

	r = source->begin(source->ctx, warm->map, &warm->extent);
	if (r < 0)
		return r;
	while ((r = source->next(source->ctx, &begin, &end)) > 0) {
		r = warm_data(warm, begin, end);
		if (r < 0)
			break;
	}
	/* What the limit let through is still to become ready. */
	while ((r == 0 || r == -EDQUOT) && warm->queued > 0) {
		int waited = wait_oldest(warm);

		r = waited < 0 ? waited : r;
	}
	source->done(source->ctx);
	return r;
}

/* ---- before and after ---- */

struct sum {
	const struct warm *warm;
	uint64_t resident;
};

static int add_run(void *ctx, uint64_t begin, uint64_t end)
{
	struct sum *sum = ctx;

	sum->resident += bytes_of(sum->warm, begin, end);
	return 0;
}

/* Bytes of data, and how many of them are resident and ready where that is known. */
static int measure(struct warm *warm, uint64_t *ret_total, uint64_t *ret_resident)
{
	const struct mmapfs__source *source = warm->source;
	struct sum sum = { .warm = warm };
	uint64_t begin, end, total = 0;
	int r;

	r = source->begin(source->ctx, warm->map, &warm->extent);
	if (r < 0)
		return r;
	while ((r = source->next(source->ctx, &begin, &end)) > 0) {
		total += bytes_of(warm, begin, end);
		if (!warm->known)
			continue;
		r = mmapfs__observer_runs(&warm->observer, begin, end, true, add_run,
					  &sum);
		if (r < 0)
			break;
	}
	source->done(source->ctx);
	if (r < 0)
		return r;
	*ret_total = total;
	*ret_resident = sum.resident;
	return 0;
}

static int run(struct warm *warm)
{
	int r;

	r = mmapfs__observer_truthful(&warm->observer);
	if (r < 0)
		return r;
	warm->known = r > 0;
	r = measure(warm, &warm->out.total, &warm->out.before);
	if (r < 0)
		return r;
	warm->out.valid = warm->known;
	/* Memory is all the storage these have; there is nothing to read in from. */
	if (warm->map->fs_kind == MMAPFS__FS_HUGETLB ||
	    warm->map->fs_kind == MMAPFS__FS_DAX)
		return 0;
	if (warm->map->fs_kind == MMAPFS__FS_MEMORY && warm->source->holes)
		return 0;
	warm->start_ns = warm->told_ns = mmapfs__sys->now_ns();
	if (warm->known && warm->out.before == warm->out.total)
		warm->done = warm->out.total;
	else
		r = warm_all(warm);
	if (r == 0)
		r = mmapfs__reader_check_size(&warm->reader);
	if (r == 0 && warm->done > warm->told)
		r = tell(warm);
	return r;
}

/* What is true now, of the file as it is now. */
static void measure_after(struct warm *warm, struct mmapfs_range range)
{
	uint64_t total;

	if (!warm->out.valid)
		return;
	if (warm->out.error == 0 && warm->out.before == warm->out.total) {
		warm->out.after = warm->out.before; /* measured a moment ago */
		return;
	}
	if (mmapfs__map_extent(warm->map, range, &warm->extent) < 0 ||
	    measure(warm, &total, &warm->out.after) < 0) {
		warm->out.valid = 0;
		warm->out.before = warm->out.after = 0;
		return;
	}
	warm->out.missing = total - warm->out.after;
}

static void put_error(struct warm *warm, int r)
{
	if (warm->reader.error == 0 && r < 0) {
		warm->out.error = r;
		return;
	}
	warm->out.error = warm->reader.error;
	if (warm->reader.error < 0)
		warm->out.error_offset =
			warm->reader.error_offset -
			u64_min(warm->reader.error_offset, warm->map->offset);
}

/* With a rate, short pieces and a short queue, so that it is kept at any moment. */
static void set_pace(struct warm *warm)
{
	uint64_t page = mmapfs__page_size();
	uint64_t rate = warm->opts.rate;

	warm->piece_bytes = PIECE_BYTES;
	warm->ahead_bytes = AHEAD_BYTES;
	if (rate == 0)
		return;
	warm->piece_bytes =
		u64_max(align_down(u64_min(rate / 10, PIECE_BYTES), page), page);
	warm->ahead_bytes = u64_max(u64_min(rate / 10, AHEAD_BYTES), warm->piece_bytes);
}

static int warm_range(struct warm *warm, struct mmapfs_range range)
{
	int r;

	r = mmapfs__map_extent(warm->map, range, &warm->extent);
	if (r < 0)
		return r;
	set_pace(warm);
	warm->readahead = true;
	mmapfs__observer_init(&warm->observer, warm->map);
	mmapfs__reader_init(&warm->reader, warm->map, &warm->extent);
	r = run(warm);
	put_error(warm, r);
	mmapfs__reader_done(&warm->reader);
	measure_after(warm, range);
	mmapfs__observer_done(&warm->observer);
	return r < 0 ? r : warm->out.error;
}

int mmapfs__warm(struct mmapfs_map *map, struct mmapfs_range range,
		 const struct mmapfs__source *source, const struct mmapfs_warm_opts *opts,
		 struct mmapfs_warm_result *ret)
{
	_cleanup_free_ struct warm *warm = NULL;
	int r;

	if (opts && opts->size < sizeof(opts->size))
		return -EINVAL;
	if (ret && ret->size < offsetof(struct mmapfs_warm_result, total))
		return -EINVAL;
	warm = calloc(1, sizeof(*warm));
	if (!warm)
		return -ENOMEM;
	warm->map = map;
	warm->source = source;
	if (opts)
		memcpy(&warm->opts, opts, u64_min(opts->size, sizeof(*opts)));
	r = warm_range(warm, range);
	if (ret)
		mmapfs__result_put(ret, &warm->out, sizeof(warm->out));
	return r;
}

/* ---- the data of a file as the source ---- */

static int data_begin(void *ctx, struct mmapfs_map *map,
		      const struct mmapfs__extent *extent)
{
	return mmapfs__data_init(ctx, map, extent);
}

static int data_next(void *ctx, uint64_t *ret_begin, uint64_t *ret_end)
{
	return mmapfs__data_next(ctx, ret_begin, ret_end);
}

static void data_done(void *ctx)
{
	mmapfs__data_done(ctx);
}

MMAPFS_PUBLIC int mmapfs_warm(struct mmapfs_map *map, struct mmapfs_range range,
			      const struct mmapfs_warm_opts *opts,
			      struct mmapfs_warm_result *ret)
{
	struct mmapfs__data data;
	const struct mmapfs__source source = {
		.begin = data_begin,
		.next = data_next,
		.done = data_done,
		.ctx = &data,
	};

	return mmapfs__warm(map, range, &source, opts, ret);
}
