/* SPDX-License-Identifier: MIT */
/* stay.c - look page by page why an evict left something in the page cache. */
#include "stay.h"

#include <errno.h>

#include "base/macro.h"
#include "folios.h"

/* Some 0.4 us a page: a bound of about a tenth of a second. */
#define EXAMINE_PAGES_MAX 262144

#define BIT(n) (UINT64_C(1) << (n))

struct sorter {
	const struct mmapfs_map *map;
	const struct mmapfs__extent *extent;
	bool at_end;
	struct mmapfs__stay *ret;
};

enum mmapfs_stay mmapfs__stay_of_flags(uint64_t flags, bool locked_by_us, bool straddles)
{
	if (locked_by_us ||
	    flags & (BIT(MMAPFS__PAGE_MLOCKED) | BIT(MMAPFS__PAGE_UNEVICTABLE)))
		return MMAPFS_STAY_LOCKED;
	if (flags & BIT(MMAPFS__PAGE_WRITEBACK))
		return MMAPFS_STAY_WRITEBACK;
	if (flags & BIT(MMAPFS__PAGE_DIRTY))
		return MMAPFS_STAY_DIRTY;
	if (flags & BIT(MMAPFS__PAGE_MMAP))
		return MMAPFS_STAY_MAPPED;
	return straddles ? MMAPFS_STAY_STRADDLING : MMAPFS_STAY_OTHER;
}

static bool straddles(const struct sorter *sorter, const struct mmapfs__folio_run *run)
{
	uint64_t page_size = mmapfs__page_size();

	if (run->offset - sorter->extent->begin < run->before * page_size)
		return true;
	return !sorter->at_end && sorter->extent->end - run->offset <
					  (run->pages + run->behind) * page_size;
}

static int sort_run(void *ctx, const struct mmapfs__folio_run *run)
{
	struct sorter *sorter = ctx;
	const struct mmapfs__spans *locked = &sorter->map->locked;
	uint64_t page_size = mmapfs__page_size();
	uint64_t offset = run->offset;
	bool ours, across;

	if (!run->known) {
		sorter->ret->stayed[MMAPFS_STAY_OTHER] += run->pages;
		return 0;
	}
	across = straddles(sorter, run);
	for (uint64_t i = 0; i < run->pages; i++, offset += page_size) {
		ours = locked->count > 0 &&
		       mmapfs__spans_covered(locked, offset, offset + page_size) > 0;
		sorter->ret->stayed[mmapfs__stay_of_flags(run->flags, ours, across)]++;
	}
	return 0;
}

/* As far as it can be done within bounds, page by page; *@ret_end is where that ends. */
static void explain_by_pages(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			     bool at_end, struct mmapfs__stay *ret, uint64_t *ret_end)
{
	struct sorter sorter = {
		.map = map, .extent = extent, .at_end = at_end, .ret = ret
	};

	if (mmapfs__folios_walk(map, extent, EXAMINE_PAGES_MAX, sort_run, &sorter,
				ret_end) < 0) {
		*ret = (struct mmapfs__stay){ 0 };
		*ret_end = extent->begin;
	}
}

/* Nothing to explain one by one: all that is there is there to stay. */
static int explain_memory_fs(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			     struct mmapfs__stay *ret)
{
	struct mmapfs_residency count;
	struct mmapfs__stay stay = { .exact = true };
	int r;

	r = mmapfs__stay_count(map, extent->begin, extent->end, &count);
	if (r < 0)
		return r;
	r = mmapfs__stay_pages(&count, &stay.stayed[MMAPFS_STAY_MEMORY_FS]);
	if (r < 0)
		return r;
	*ret = stay;
	return 0;
}

int mmapfs__stay_explain(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			 bool at_end, struct mmapfs__stay *ret)
{
	struct mmapfs__extent rest = *extent;
	struct mmapfs__stay stay = { 0 };
	struct mmapfs__stay inferred;
	int r;

	if (map->fs_kind == MMAPFS__FS_MEMORY)
		return explain_memory_fs(map, extent, ret);

	explain_by_pages(map, extent, at_end, &stay, &rest.begin);
	stay.exact = rest.begin == rest.end;
	if (!stay.exact) {
		/* A folio across the beginning of the rest is still inside the range. */
		r = mmapfs__stay_infer(map, &rest, rest.begin > extent->begin, at_end,
				       &inferred);
		if (r < 0)
			return r;
		for (int i = 0; i < MMAPFS_STAY_COUNT; i++)
			stay.stayed[i] += inferred.stayed[i];
	}
	*ret = stay;
	return 0;
}
