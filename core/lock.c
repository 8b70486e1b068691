/* SPDX-License-Identifier: MIT */
/*
 * lock.c - keep ranges in RAM within the process's limit.
 *
 * Never by mlock(2): on a page that cannot be read it does not return (page-cache notes
 * in docs/kernel.md). MLOCK_ONFAULT locks nothing by itself, but every page as it is
 * mapped, and MADV_POPULATE_READ maps them and reports a bad page as EFAULT.
 */
#include <mmapfs.h>

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "data.h"
#include "gaps.h"
#include "map.h"
#include "observe.h"
#include "pagemap.h"
#include "populate.h"
#include "probe.h"
#include "result.h"

/* Bytes this process has locked, all its maps together. */
static uint64_t locked_in_process(const struct mmapfs_map *map)
{
	uint64_t ours = mmapfs__spans_covered(&map->locked, 0, UINT64_MAX);
	char status[8192];
	const char *line;

	/* Where there is no /proc, our own are the least that is known; the kernel counts
	 * for itself when it comes to mlock2. */
	if (mmapfs__sys->read_text("/proc/self/status", status, sizeof(status)) < 0)
		return ours;
	line = strstr(status, "\nVmLck:");
	if (!line)
		return ours;
	return strtoull(line + strlen("\nVmLck:"), NULL, 10) * 1024;
}

static int lock_limit(uint64_t *ret)
{
	struct rlimit limit;
	int r;

	if (mmapfs__sys->has_capability(CAP_IPC_LOCK) > 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	r = mmapfs__sys->getrlimit(RLIMIT_MEMLOCK, &limit);
	if (r < 0)
		return r;
	*ret = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	return 0;
}

/* The kernel would say ENOMEM as well, but not how much there is of what. */
static int check_limit(const struct mmapfs_lock_result *numbers)
{
	if (numbers->need == 0)
		return 0;
	if (numbers->limit == 0)
		return -EPERM;
	if (add_saturated(numbers->in_use, numbers->need) > numbers->limit)
		return -ENOMEM;
	return 0;
}

static int count_numbers(struct mmapfs_map *map, const struct mmapfs__extent *e,
			 struct mmapfs_lock_result *ret)
{
	ret->need =
		e->end - e->begin - mmapfs__spans_covered(&map->locked, e->begin, e->end);
	ret->in_use = locked_in_process(map);
	return lock_limit(&ret->limit);
}

/* Unlock what this call locked: not what had been locked before. */
static void undo(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	struct mmapfs__span gap;
	uint64_t at;

	for (at = e->begin; mmapfs__spans_gap(&map->locked, at, e->end, &gap);
	     at = gap.end)
		(void)mmapfs__sys->munlock(mmapfs__map_at(map, gap.begin),
					   gap.end - gap.begin);
}

static int populate(struct mmapfs_map *map, uint64_t begin, uint64_t end, uint64_t eof)
{
	if (mmapfs__feature(MMAPFS_FEATURE_POPULATE) == 1)
		return mmapfs__populate(map, MADV_POPULATE_READ, begin, end, eof);
	if (mmapfs__feature(MMAPFS_FEATURE_PROCESS_VM) == 1)
		return mmapfs__populate_by_copy(map, begin, end, eof);
	return -EOPNOTSUPP;
}

/* Map, and so lock, all data. Holes would be given pages, on tmpfs for good. */
static int populate_data(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	struct mmapfs__data data;
	uint64_t begin, end;
	int r;

	r = mmapfs__data_init(&data, map, e);
	if (r < 0)
		return r;
	while ((r = mmapfs__data_next(&data, &begin, &end)) > 0) {
		r = populate(map, begin, end, e->eof);
		if (r < 0)
			break;
	}
	mmapfs__data_done(&data);
	return r;
}

/* Before Linux 4.4 there is only mlock(2), see the head of this file. */
static int need_mlock_onfault(void)
{
	int r = mmapfs__feature(MMAPFS_FEATURE_MLOCK_ONFAULT);

	return r == 1 ? 0 : mmapfs__is_shortage(r) ? r : -EOPNOTSUPP;
}

static int lock_extent(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	int r = need_mlock_onfault();

	if (r < 0)
		return r;
	r = mmapfs__sys->mlock2(mmapfs__map_at(map, e->begin), e->end - e->begin,
				MLOCK_ONFAULT);
	if (r >= 0)
		r = populate_data(map, e);
	if (r >= 0)
		r = mmapfs__spans_add(&map->locked, e->begin, e->end);
	/* Also after a failed mlock2, which may have marked a part. */
	if (r < 0)
		undo(map, e);
	return r;
}

/* Kernels without /proc/self/pagemap: resident pages, which are the same but for holes that
 * others have read. */
static int count_resident(struct mmapfs_map *map, const struct mmapfs__extent *e,
			  uint64_t *ret_pages)
{
	struct mmapfs__observer observer;
	int r;

	mmapfs__observer_init(&observer, map);
	r = mmapfs__observer_truthful(&observer);
	if (r > 0)
		r = mmapfs__observer_mincore_count(&observer, e->begin, e->end, ret_pages);
	mmapfs__observer_done(&observer);
	return r;
}

/* Bytes shown to be locked: what is in the page tables of a locked mapping. 0 where nothing
 * can be shown; the lock is none the worse for it. */
static uint64_t count_locked(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	uint64_t pages = 0;
	int r;

	r = mmapfs__pagemap_count(mmapfs__map_at(map, e->begin), e->end - e->begin,
				  &pages);
	if (r < 0)
		r = count_resident(map, e, &pages);
	return r < 0 ? 0 : pages * mmapfs__page_size();
}

static int lock(struct mmapfs_map *map, const struct mmapfs__extent *e,
		struct mmapfs_lock_result *result)
{
	int r;

	r = mmapfs__map_ensure(map);
	if (r < 0)
		return r;
	r = lock_extent(map, e);
	if (r < 0)
		return r;
	result->locked = count_locked(map, e);
	return 0;
}

MMAPFS_PUBLIC int mmapfs_lock(struct mmapfs_map *map, struct mmapfs_range range,
			      struct mmapfs_lock_result *ret)
{
	struct mmapfs_lock_result result = MMAPFS_INIT(struct mmapfs_lock_result);
	struct mmapfs__extent e;
	int r;

	r = mmapfs__map_extent(map, range, &e);
	if (r < 0)
		return r;
	r = count_numbers(map, &e, &result);
	if (r < 0)
		return r;

	r = check_limit(&result);
	if (r == 0 && e.begin < e.end)
		r = lock(map, &e, &result);
	if (ret && (r == 0 || r == -ENOMEM))
		mmapfs__result_put(ret, &result, sizeof(result));
	return r;
}

/* Whole pages of the window, wherever the file ends now: beyond may be locked too. */
static struct mmapfs__span window_span(const struct mmapfs_map *map,
				       struct mmapfs_range range)
{
	uint64_t page_size = mmapfs__page_size();
	uint64_t begin = u64_min(range.offset, map->length);
	uint64_t end = map->length;

	if (range.length > 0)
		end = u64_min(end, add_saturated(range.offset, range.length));
	return (struct mmapfs__span){ align_down(map->offset + begin, page_size),
				      align_up(map->offset + end, page_size) };
}

/* munlock leaves the pages in our page tables, and so in RAM until the next evict. */
static int unlock_part(struct mmapfs_map *map, uint64_t begin, uint64_t end)
{
	int r;

	r = mmapfs__spans_remove(&map->locked, begin, end);
	if (r < 0)
		return r;
	r = mmapfs__sys->munlock(mmapfs__map_at(map, begin), end - begin);
	if (r < 0)
		/* Takes no more memory than the set had a moment ago. */
		(void)mmapfs__spans_add(&map->locked, begin, end);
	return r;
}

MMAPFS_PUBLIC int mmapfs_unlock(struct mmapfs_map *map, struct mmapfs_range range)
{
	struct mmapfs__span span = window_span(map, range);
	uint64_t begin, end;
	size_t i = 0;
	int r;

	while (i < map->locked.count && map->locked.at[i].begin < span.end) {
		begin = u64_max(map->locked.at[i].begin, span.begin);
		end = u64_min(map->locked.at[i].end, span.end);
		if (begin >= end) {
			i++;
			continue;
		}
		r = unlock_part(map, begin, end);
		if (r < 0)
			return r;
	}
	return 0;
}

MMAPFS_PUBLIC int mmapfs_locked(struct mmapfs_map *map, mmapfs_range_fn fn, void *ctx)
{
	uint64_t window_end = map->offset + map->length;
	uint64_t begin, end;
	int r;

	for (size_t i = 0; i < map->locked.count; i++) {
		/* Pages at the edges of the window may reach out of it. */
		begin = u64_max(map->locked.at[i].begin, map->offset);
		end = u64_min(map->locked.at[i].end, window_end);
		if (begin >= end)
			continue;
		r = fn(ctx, begin - map->offset, end - begin);
		if (r != 0)
			return r;
	}
	return 0;
}
