/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - the runs of resident pages of a range.
 *
 * mincore costs about 50 ns for each page of the file, resident or not. cachestat costs
 * next to nothing for what is not there and for large folios, and as much as mincore for
 * single pages. So the first cachestat, of the whole, is timed: where it was cheap the
 * range is halved and quartered with more of them, and only small mixed pieces are shown
 * to mincore; where it was dear, mincore walks all of it once.
 */
#include <mmapfs.h>

#include <errno.h>

#include "base/macro.h"
#include "observe.h"

/* Below this cost of an entry the page cache holds large folios. */
#define LARGE_FOLIO_NS 5

/* Single pages are worth a search only where they are fewer than one in this many. */
#define SPARSE_SHARE 64

struct walk {
	struct mmapfs__observer *observer;
	bool ready;
	bool mincore;  /* it can be believed */
	uint64_t fan;  /* pieces a mixed one is cut into */
	uint64_t leaf; /* pages; a mixed piece of so few is shown to mincore */
	mmapfs__run_fn fn;
	void *ctx;
	uint64_t begin; /* the run being collected; empty when begin == end */
	uint64_t end;
};

static uint64_t page_count(uint64_t begin, uint64_t end)
{
	return (end - begin) / mmapfs__page_size();
}

static int flush(struct walk *walk)
{
	uint64_t begin = walk->begin;
	uint64_t end = walk->end;

	walk->begin = walk->end = 0;
	return begin < end ? walk->fn(walk->ctx, begin, end) : 0;
}

/* Add to the run that is being collected, or begin the next. */
static int emit(struct walk *walk, uint64_t begin, uint64_t end)
{
	int r;

	if (walk->begin < walk->end && walk->end == begin) {
		walk->end = end;
		return 0;
	}
	r = flush(walk);
	walk->begin = begin;
	walk->end = end;
	return r;
}

/* How many pages from the start of @vec on are like the first. */
static size_t alike(const unsigned char *vec, size_t pages)
{
	unsigned char first = vec[0] & 1;
	uint64_t pattern = first * MMAPFS__MINCORE_ONES;
	size_t n = 1;

	while (n + 8 <= pages && mmapfs__mincore_eight(vec + n) == pattern)
		n += 8;
	while (n < pages && (vec[n] & 1) == first)
		n++;
	return n;
}

static int emit_vector(void *ctx, uint64_t offset, const unsigned char *vec, size_t pages)
{
	uint64_t page = mmapfs__page_size();
	size_t i, n;

	for (i = 0; i < pages; i += n) {
		int r = 0;

		n = alike(vec + i, pages - i);
		if (vec[i] & 1)
			r = emit(ctx, offset + i * page, offset + (i + n) * page);
		if (r != 0)
			return r;
	}
	return 0;
}

static int show_mincore(struct walk *walk, uint64_t begin, uint64_t end)
{
	return mmapfs__observer_mincore(walk->observer, begin, end, emit_vector, walk);
}

static int descend(struct walk *walk, uint64_t begin, uint64_t end, uint64_t count);

/*
 * Cut [begin, end), of which about @count pages are occupied. The last piece has what the
 * others left over and need not be asked about. But pages come and go meanwhile, so that
 * is good enough only to look closer: that a piece is empty or full must have been
 * measured.
 */
static int split(struct walk *walk, uint64_t begin, uint64_t end, uint64_t count)
{
	uint64_t pages = page_count(begin, end);
	uint64_t step = (pages + walk->fan - 1) / walk->fan * mmapfs__page_size();
	uint64_t at, next;

	for (at = begin; at < end; at = next) {
		struct mmapfs__cachestat stat = { .nr_cache = count };
		int r = 0;

		next = u64_min(at + step, end);
		if (next < end || count == 0 || count >= page_count(at, next))
			r = mmapfs__observer_cachestat(walk->observer, at, next, &stat);
		if (r < 0)
			return r;
		count -= u64_min(count, stat.nr_cache);
		r = descend(walk, at, next, stat.nr_cache);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Emit the runs of [begin, end), of which cachestat counted @count pages. */
static int descend(struct walk *walk, uint64_t begin, uint64_t end, uint64_t count)
{
	uint64_t pages = page_count(begin, end);
	bool full = count >= pages;

	if (count == 0)
		return 0;
	if (full && !walk->ready)
		return emit(walk, begin, end);
	if (walk->mincore && (full || pages <= walk->leaf))
		return show_mincore(walk, begin, end);
	if (full)
		return emit(walk, begin, end);
	return split(walk, begin, end, count);
}

/* True when the page cache is to be searched by cachestat rather than read through. */
static bool choose(struct walk *walk, const struct mmapfs__cachestat *stat,
		   uint64_t pages, uint64_t took_ns)
{
	/* Shadows of evicted pages cost cachestat as much as pages. */
	uint64_t entries = stat->nr_cache + stat->nr_evicted;

	walk->fan = 2;
	walk->leaf = 32;
	if (!walk->mincore)
		return true;
	if (took_ns / entries < LARGE_FOLIO_NS) {
		walk->fan = 8;
		walk->leaf = 64;
		return true;
	}
	return entries < pages / SPARSE_SHARE;
}

static int search(struct walk *walk, uint64_t begin, uint64_t end)
{
	uint64_t pages = page_count(begin, end);
	uint64_t start = mmapfs__sys->now_ns();
	struct mmapfs__cachestat stat;
	uint64_t took;
	int r;

	r = mmapfs__observer_cachestat(walk->observer, begin, end, &stat);
	if (r < 0)
		return r;
	took = mmapfs__sys->now_ns() - start;
	if (stat.nr_cache == 0)
		return 0;
	if (stat.nr_cache >= pages && !walk->ready)
		return emit(walk, begin, end);
	r = mmapfs__observer_truthful(walk->observer);
	if (r < 0)
		return r;
	walk->mincore = r > 0;
	if (!choose(walk, &stat, pages, took))
		return show_mincore(walk, begin, end);
	return descend(walk, begin, end, stat.nr_cache);
}

int mmapfs__observer_runs(struct mmapfs__observer *observer, uint64_t begin, uint64_t end,
			  bool ready, mmapfs__run_fn fn, void *ctx)
{
	struct walk walk = { .observer = observer, .ready = ready, .fn = fn, .ctx = ctx };
	int r;

	if (observer->cachestat) {
		r = search(&walk, begin, end);
	} else {
		r = mmapfs__observer_truthful(observer);
		if (r < 0)
			return r;
		if (r == 0)
			return -ENODATA;
		r = show_mincore(&walk, begin, end);
	}
	return r != 0 ? r : flush(&walk);
}

struct caller {
	const struct mmapfs_map *map;
	uint64_t eof;
	mmapfs_range_fn fn;
	void *ctx;
};

/* File offsets of whole pages to bytes of the map. */
static int tell_caller(void *ctx, uint64_t begin, uint64_t end)
{
	const struct caller *caller = ctx;

	begin = u64_max(begin, caller->map->offset);
	end = u64_min(end, caller->eof);
	if (begin >= end)
		return 0;
	return caller->fn(caller->ctx, begin - caller->map->offset, end - begin);
}

MMAPFS_PUBLIC int mmapfs_ranges(struct mmapfs_map *map, struct mmapfs_range range,
				uint32_t flags, mmapfs_range_fn fn, void *ctx)
{
	struct caller caller = { .map = map, .fn = fn, .ctx = ctx };
	struct mmapfs__observer observer;
	struct mmapfs__extent extent;
	int r;

	if (flags & ~(uint32_t)MMAPFS_OBSERVE_READY)
		return -EINVAL;
	r = mmapfs__map_extent(map, range, &extent);
	if (r < 0)
		return r;
	caller.eof = extent.eof;
	mmapfs__observer_init(&observer, map);
	r = mmapfs__observer_runs(&observer, extent.begin, extent.end,
				  flags & MMAPFS_OBSERVE_READY, tell_caller, &caller);
	mmapfs__observer_done(&observer);
	return r;
}
