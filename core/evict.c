/* SPDX-License-Identifier: MIT */
/* evict.c - drop pages from the page cache, and say what is left and why. */
#include <mmapfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "gaps.h"
#include "map.h"
#include "result.h"
#include "stay.h"

/* Pauses before trying again, while pages are being read, written or unmapped: 200 ms. */
static const uint64_t pauses_ns[] = { 20000000, 60000000, 120000000 };

struct job {
	struct mmapfs_map *map;
	struct mmapfs_range range;
	struct mmapfs__extent extent;
	bool at_end; /* the extent reaches the end of the file */
};

static int job_init(struct job *job, struct mmapfs_map *map, struct mmapfs_range range)
{
	uint64_t size;
	int r;

	*job = (struct job){ .map = map, .range = range };
	r = mmapfs__map_extent(map, range, &job->extent);
	if (r < 0)
		return r;
	/* A window may end before the file does. */
	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	job->at_end = job->extent.end >= size;
	return 0;
}

/*
 * Pages in our own page tables would stay. A private map keeps its entries, because some
 * of them are the only copy of what was stored there; locked parts keep theirs too.
 */
static void release_own(const struct job *job)
{
	struct mmapfs_map *map = job->map;
	struct mmapfs__span gap;
	uint64_t at;

	if (!map->base || map->access == MMAPFS_ACCESS_COPY)
		return;
	for (at = job->extent.begin;
	     mmapfs__spans_gap(&map->locked, at, job->extent.end, &gap); at = gap.end)
		/* EINVAL where the process locked it without us: reported as stayed. */
		(void)mmapfs__sys->madvise(mmapfs__map_at(map, gap.begin),
					   gap.end - gap.begin, MADV_DONTNEED);
}

static int drop(const struct job *job)
{
	const struct mmapfs__extent *e = &job->extent;

	release_own(job);
	/* Up to the end it must be 0, "all": the last folio may reach beyond the end. */
	return mmapfs__sys->fadvise(job->map->fd, e->begin,
				    job->at_end ? 0 : e->end - e->begin,
				    POSIX_FADV_DONTNEED);
}

/* Is there anything that will be droppable in a moment without anybody's doing? */
static bool is_in_motion(const struct mmapfs_residency *now)
{
	uint32_t both = MMAPFS_OCCUPIED | MMAPFS_RESIDENT;

	if (now->valid & MMAPFS_WRITEBACK && now->writeback > 0)
		return true;
	return (now->valid & both) == both && now->occupied > now->resident;
}

/* Drop, and again as long as that may help. */
static int drop_all(const struct job *job)
{
	struct mmapfs_residency now;
	int r;

	for (size_t i = 0;; i++) {
		r = drop(job);
		if (r < 0)
			return r;
		/* There, nothing can be dropped however long one waits. */
		if (job->map->fs_kind == MMAPFS__FS_MEMORY || i == ARRAY_SIZE(pauses_ns))
			return 0;

		now = (struct mmapfs_residency)MMAPFS_INIT(struct mmapfs_residency);
		r = mmapfs_residency(job->map, job->range, MMAPFS_OBSERVE_READY, &now);
		if (r < 0)
			return r;
		if (!is_in_motion(&now))
			return 0;
		mmapfs__sys->sleep_ns(pauses_ns[i]);
	}
}

/* Fill in what is there after; leaves `valid` 0 when that cannot be known. */
static int verify(const struct job *job, struct mmapfs_evict_result *result)
{
	struct mmapfs__stay stay = { .exact = true };
	int r = 0;

	if (result->pages > 0)
		r = mmapfs__stay_explain(job->map, &job->extent, job->at_end, &stay);
	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	result->after = 0;
	for (int i = 0; i < MMAPFS_STAY_COUNT; i++) {
		result->stayed[i] = stay.stayed[i];
		result->after += stay.stayed[i];
	}
	result->exact = stay.exact;
	result->valid = 1;
	return 0;
}

/*
 * A page without a reason lost it between the drop and the look: a mapping that was just
 * being unmapped, a reference of the kernel's own lists. Then dropping again helps.
 */
static int verify_settled(const struct job *job, struct mmapfs_evict_result *result)
{
	int r = verify(job, result);

	for (size_t i = 0; i < ARRAY_SIZE(pauses_ns); i++) {
		if (r < 0 || result->stayed[MMAPFS_STAY_OTHER] == 0)
			return r;
		mmapfs__sys->sleep_ns(pauses_ns[i]);
		r = drop(job);
		if (r == 0)
			r = verify(job, result);
	}
	return r;
}

static int evict(const struct job *job, uint32_t flags,
		 struct mmapfs_evict_result *result)
{
	struct mmapfs_residency before = MMAPFS_INIT(struct mmapfs_residency);
	bool known;
	int r;

	r = mmapfs_residency(job->map, job->range, 0, &before);
	if (r < 0)
		return r;
	result->pages = mmapfs__extent_pages(&job->extent);
	known = result->pages == 0 || mmapfs__stay_pages(&before, &result->before) == 0;

	if (flags & MMAPFS_EVICT_SYNC) {
		r = mmapfs_sync(job->map, job->range, MMAPFS_SYNC);
		if (r < 0)
			return r;
	}
	if (result->pages > 0) {
		r = drop_all(job);
		if (r < 0)
			return r;
	}
	return known ? verify_settled(job, result) : 0;
}

MMAPFS_PUBLIC int mmapfs_evict(struct mmapfs_map *map, struct mmapfs_range range,
			       uint32_t flags, struct mmapfs_evict_result *ret)
{
	struct mmapfs_evict_result result = MMAPFS_INIT(struct mmapfs_evict_result);
	struct job job;
	int r;

	if (flags & ~(uint32_t)MMAPFS_EVICT_SYNC)
		return -EINVAL;
	if (map->fs_kind == MMAPFS__FS_HUGETLB)
		return -EOPNOTSUPP;

	r = job_init(&job, map, range);
	if (r < 0)
		return r;
	r = evict(&job, flags, &result);
	if (r < 0)
		return r;
	if (ret)
		mmapfs__result_put(ret, &result, sizeof(result));
	return 0;
}
