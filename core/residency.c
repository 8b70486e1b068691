/* SPDX-License-Identifier: MIT */
/* residency.c - count the pages of a range, and say how far each count can be trusted. */
#include <mmapfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "kind.h"
#include "observe.h"
#include "probe.h"
#include "result.h"

static void put_cachestat(enum mmapfs__fs_kind kind, const struct mmapfs__extent *extent,
			  const struct mmapfs__cachestat *stat,
			  struct mmapfs_residency *out)
{
	out->method = MMAPFS_METHOD_CACHESTAT;
	out->valid |= MMAPFS_RESIDENT | MMAPFS_OCCUPIED | MMAPFS_EVICTED |
		      MMAPFS_RECENTLY_EVICTED;
	out->resident = out->occupied = stat->nr_cache;
	out->evicted = stat->nr_evicted;
	out->recently_evicted = stat->nr_recently_evicted;
	/* Where nothing is, nothing can be unready. */
	out->confidence = MMAPFS_CONFIDENCE_EXACT;
	if (stat->nr_cache > 0) {
		out->confidence = MMAPFS_CONFIDENCE_UPPER_BOUND;
		out->upper_bound |= MMAPFS_RESIDENT;
	}
	/* Memory filesystems never mark a page dirty: their 0 says nothing. */
	if (kind == MMAPFS__FS_MEMORY)
		return;
	out->valid |= MMAPFS_DIRTY | MMAPFS_WRITEBACK;
	out->dirty = stat->nr_dirty;
	out->writeback = stat->nr_writeback;
	/* Counted by folio: one stored byte makes all pages of a large one count, also
	 * where only an untouched page of it was asked about. */
	if (stat->nr_dirty > 0 && extent->eof > mmapfs__page_size())
		out->upper_bound |= MMAPFS_DIRTY;
}

static int add_run(void *ctx, uint64_t begin, uint64_t end)
{
	uint64_t *pages = ctx;

	*pages += (end - begin) / mmapfs__page_size();
	return 0;
}

static int put_mincore(struct mmapfs__observer *observer,
		       const struct mmapfs__extent *extent, struct mmapfs_residency *out)
{
	uint64_t pages = 0;
	int r;

	/* Where cachestat can tell what is not there, mincore need not look at it: of a
	 * sparse file of 1 TiB it would do so for half a minute. */
	if (observer->cachestat)
		r = mmapfs__observer_runs(observer, extent->begin, extent->end, true,
					  add_run, &pages);
	else
		r = mmapfs__observer_mincore_count(observer, extent->begin, extent->end,
						   &pages);
	if (r < 0)
		return r;
	out->resident = pages;
	out->valid |= MMAPFS_RESIDENT;
	out->confidence = MMAPFS_CONFIDENCE_EXACT;
	out->method = observer->cachestat ? MMAPFS_METHOD_CACHESTAT_MINCORE
					  : MMAPFS_METHOD_MINCORE;
	return 0;
}

static int by_cachestat(struct mmapfs__observer *observer,
			const struct mmapfs__extent *extent, uint32_t flags,
			struct mmapfs_residency *out)
{
	struct mmapfs__cachestat stat;
	int r;

	r = mmapfs__observer_cachestat(observer, extent->begin, extent->end, &stat);
	if (r < 0)
		return r;
	put_cachestat(observer->map->fs_kind, extent, &stat, out);
	if (stat.nr_cache == 0 || !(flags & MMAPFS_OBSERVE_READY))
		return 0;
	/* cachestat answers whoever holds a writable descriptor, mincore only owners and
	 * those who may write now; without it the upper bound is what there is. */
	r = mmapfs__observer_truthful(observer);
	if (r <= 0)
		return r;
	out->upper_bound &= ~(uint32_t)MMAPFS_RESIDENT;
	return put_mincore(observer, extent, out);
}

static int by_mincore(struct mmapfs__observer *observer,
		      const struct mmapfs__extent *extent, struct mmapfs_residency *out)
{
	int r;

	r = mmapfs__observer_truthful(observer);
	if (r <= 0)
		return r;
	return put_mincore(observer, extent, out);
}

static int measure(struct mmapfs_map *map, const struct mmapfs__extent *extent,
		   uint32_t flags, struct mmapfs_residency *out)
{
	struct mmapfs__observer observer;
	int r;

	mmapfs__observer_init(&observer, map);
	if (observer.cachestat)
		r = by_cachestat(&observer, extent, flags, out);
	else
		r = by_mincore(&observer, extent, out);
	out->reason = observer.reason;
	mmapfs__observer_done(&observer);
	return r;
}

static int check_call(uint32_t flags, const struct mmapfs_residency *ret)
{
	if (flags & ~(uint32_t)MMAPFS_OBSERVE_READY)
		return -EINVAL;
	if (ret->size < offsetof(struct mmapfs_residency, resident))
		return -EINVAL;
	return 0;
}

/* @offset: of the window in the file. */
static void put_frame(uint64_t offset, const struct mmapfs__extent *extent,
		      struct mmapfs_residency *out)
{
	out->page_size = mmapfs__page_size();
	out->file_size = extent->eof - u64_min(extent->eof, offset);
	out->pages = mmapfs__extent_pages(extent);
}

MMAPFS_PUBLIC int mmapfs_residency(struct mmapfs_map *map, struct mmapfs_range range,
				   uint32_t flags, struct mmapfs_residency *ret)
{
	struct mmapfs_residency out = { .size = sizeof(out) };
	struct mmapfs__extent extent;
	uint64_t before, after;
	int r;

	r = check_call(flags, ret);
	if (r < 0)
		return r;
	r = mmapfs__map_file_size(map, &before);
	if (r < 0)
		return r;
	r = mmapfs__map_extent(map, range, &extent);
	if (r < 0)
		return r;
	r = measure(map, &extent, flags, &out);
	if (r < 0)
		return r;
	r = mmapfs__map_file_size(map, &after);
	if (r < 0)
		return r;
	out.changed = before != after;
	put_frame(map->offset, &extent, &out);
	mmapfs__result_put(ret, &out, sizeof(out));
	return 0;
}

/*
 * One cachestat of a file of @size and nothing else, where that answers the question. Returns
 * 1 when it does not, also because of an error: finding out why is the long way's.
 */
static int measure_quickly(int fd, uint64_t size, enum mmapfs__fs_kind kind,
			   struct mmapfs_range range, struct mmapfs_residency *out)
{
	uint64_t page = mmapfs__page_size();
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : UINT64_MAX;
	struct mmapfs__extent extent = { .eof = size };
	struct mmapfs__cachestat_range asked;
	struct mmapfs__cachestat stat = { 0 };

	extent.end = align_up(u64_min(end, size), page);
	extent.begin = u64_min(align_down(range.offset, page), extent.end);
	asked.off = extent.begin;
	asked.len = extent.end - extent.begin;
	/* To the kernel a length of 0 means all the rest of the file. */
	if (asked.len > 0 && mmapfs__sys->cachestat(fd, &asked, &stat) < 0)
		return 1;
	put_cachestat(kind, &extent, &stat, out);
	if (kind == MMAPFS__FS_MEMORY)
		out->reason = MMAPFS_REASON_MEMORY_FS;
	put_frame(0, &extent, out);
	return 0;
}

static bool may_be_quick(const struct statx *stx, enum mmapfs__fs_kind kind, uint32_t flags)
{
	return S_ISREG(stx->stx_mode) && !(flags & MMAPFS_OBSERVE_READY) &&
	       (kind == MMAPFS__FS_PLAIN || kind == MMAPFS__FS_MEMORY) &&
	       mmapfs__feature(MMAPFS_FEATURE_CACHESTAT) > 0;
}

/* Enough of a map for looking: it owns nothing. */
static int borrow_map(int fd, const struct statx *stx, enum mmapfs__fs_kind kind,
		      struct mmapfs_map *ret)
{
	*ret = (struct mmapfs_map){
		.fd = fd,
		.access = MMAPFS_ACCESS_READ,
		.prot = PROT_READ,
		.to_end = true,
		.block_device = S_ISBLK(stx->stx_mode),
		.fs_kind = kind,
		.length = stx->stx_size,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	return ret->block_device ? mmapfs__map_file_size(ret, &ret->length) : 0;
}

/* @ret: as mmapfs_residency_fd() takes it. */
static int measure_fd(int fd, const struct statx *stx, struct mmapfs_range range,
		      uint32_t flags, struct mmapfs_residency *ret)
{
	struct mmapfs_residency out = { .size = sizeof(out) };
	enum mmapfs__fs_kind kind;
	struct mmapfs_map map;
	int r;

	if (!S_ISREG(stx->stx_mode) && !S_ISBLK(stx->stx_mode))
		return S_ISDIR(stx->stx_mode) ? -EISDIR : -ENODEV;
	r = mmapfs__kind_find(fd, stx, &kind);
	if (r < 0)
		return r;
	if (may_be_quick(stx, kind, flags) &&
	    measure_quickly(fd, stx->stx_size, kind, range, &out) == 0) {
		mmapfs__result_put(ret, &out, sizeof(out));
		return 0;
	}
	r = borrow_map(fd, stx, kind, &map);
	return r < 0 ? r : mmapfs_residency(&map, range, flags, ret);
}

MMAPFS_PUBLIC int mmapfs_residency_fd(int fd, const struct statx *known,
				      struct mmapfs_range range, uint32_t flags,
				      struct mmapfs_residency *ret)
{
	struct statx stx;
	int r;

	r = check_call(flags, ret);
	if (r < 0)
		return r;
	if (!known) {
		r = mmapfs__sys->statx(fd, "", AT_EMPTY_PATH,
				       STATX_BASIC_STATS | MMAPFS_STATX_MASK, &stx);
		if (r < 0)
			return r;
		known = &stx;
	}
	return measure_fd(fd, known, range, flags, ret);
}
