/* SPDX-License-Identifier: MIT */
/* residency.c - count the pages of a range, and say how far each count can be trusted. */
#include <mmapfs.h>

#include <errno.h>
#include <stddef.h>

#include "base/macro.h"
#include "observe.h"
#include "result.h"

static void put_cachestat(const struct mmapfs__observer *observer,
			  const struct mmapfs__extent *extent,
			  const struct mmapfs__cachestat *stat,
			  struct mmapfs_residency *out)
{
	out->valid |= MMAPFS_OCCUPIED | MMAPFS_EVICTED | MMAPFS_RECENTLY_EVICTED;
	out->occupied = stat->nr_cache;
	out->evicted = stat->nr_evicted;
	out->recently_evicted = stat->nr_recently_evicted;
	/* Memory filesystems never mark a page dirty: their 0 says nothing. */
	if (observer->map->fs_kind == MMAPFS__FS_MEMORY)
		return;
	out->valid |= MMAPFS_DIRTY | MMAPFS_WRITEBACK;
	out->dirty = stat->nr_dirty;
	out->writeback = stat->nr_writeback;
	/* Counted by folio: one stored byte makes all pages of a large one count, also
	 * where only an untouched page of it was asked about. */
	if (stat->nr_dirty > 0 && extent->eof > mmapfs__page_size())
		out->upper_bound |= MMAPFS_DIRTY;
}

static int put_mincore(struct mmapfs__observer *observer,
		       const struct mmapfs__extent *extent, struct mmapfs_residency *out)
{
	int r;

	r = mmapfs__observer_mincore_count(observer, extent->begin, extent->end,
					   &out->resident);
	if (r < 0)
		return r;
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
	put_cachestat(observer, extent, &stat, out);
	out->valid |= MMAPFS_RESIDENT;
	out->resident = stat.nr_cache;
	out->method = MMAPFS_METHOD_CACHESTAT;
	if (stat.nr_cache == 0) { /* nothing is there, so nothing can be unready */
		out->confidence = MMAPFS_CONFIDENCE_EXACT;
		return 0;
	}
	out->confidence = MMAPFS_CONFIDENCE_UPPER_BOUND;
	out->upper_bound |= MMAPFS_RESIDENT;
	if (!(flags & MMAPFS_OBSERVE_READY))
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

MMAPFS_PUBLIC int mmapfs_residency(struct mmapfs_map *map, struct mmapfs_range range,
				   uint32_t flags, struct mmapfs_residency *ret)
{
	struct mmapfs_residency out = { .size = sizeof(out) };
	struct mmapfs__extent extent;
	uint64_t before, after;
	int r;

	if (flags & ~(uint32_t)MMAPFS_OBSERVE_READY)
		return -EINVAL;
	if (ret->size < offsetof(struct mmapfs_residency, resident))
		return -EINVAL;
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
	out.page_size = mmapfs__page_size();
	out.file_size = extent.eof - u64_min(extent.eof, map->offset);
	out.pages = mmapfs__extent_pages(&extent);
	mmapfs__result_put(ret, &out, sizeof(out));
	return 0;
}
