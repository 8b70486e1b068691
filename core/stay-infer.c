/* SPDX-License-Identifier: MIT */
/* stay-infer.c - reasons for staying, for those who may not read page flags. */
#include "stay.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "gaps.h"
#include "observe.h"

/* Folios are naturally aligned in the file and no larger than this on what we know, so
 * one that lies across an edge lies within the block around it. */
#define BLOCK_PAGES 512

int mmapfs__stay_count(struct mmapfs_map *map, uint64_t begin, uint64_t end,
		       struct mmapfs_residency *ret)
{
	/* Ranges are relative to the window, whose first page may begin before it. */
	uint64_t from = u64_max(begin, map->offset);
	struct mmapfs_range range = { from - map->offset, end - from };
	struct mmapfs_residency count = MMAPFS_INIT(struct mmapfs_residency);
	int r;

	r = mmapfs_residency(map, range, 0, &count);
	if (r < 0)
		return r;
	*ret = count;
	return 0;
}

int mmapfs__stay_pages(const struct mmapfs_residency *residency, uint64_t *ret)
{
	if (residency->valid & MMAPFS_OCCUPIED)
		*ret = residency->occupied;
	else if (residency->valid & MMAPFS_RESIDENT)
		*ret = residency->resident;
	else
		return -ENODATA;
	return 0;
}

struct counts {
	uint64_t pages;
	uint64_t writeback;
	uint64_t dirty;
};

static int count_more(struct mmapfs_map *map, uint64_t begin, uint64_t end,
		      struct counts *sum)
{
	struct mmapfs_residency count;
	uint64_t pages;
	int r;

	r = mmapfs__stay_count(map, begin, end, &count);
	if (r < 0)
		return r;
	r = mmapfs__stay_pages(&count, &pages);
	if (r < 0)
		return r;
	sum->pages += pages;
	sum->writeback += count.valid & MMAPFS_WRITEBACK ? count.writeback : 0;
	sum->dirty += count.valid & MMAPFS_DIRTY ? count.dirty : 0;
	return 0;
}

/* What lies in @extent inside @spans, or outside of them. */
static int count_spans(struct mmapfs_map *map, const struct mmapfs__extent *extent,
		       const struct mmapfs__spans *spans, struct counts *sum)
{
	uint64_t begin, end;
	int r;

	for (size_t i = 0; i < spans->count; i++) {
		begin = u64_max(spans->at[i].begin, extent->begin);
		end = u64_min(spans->at[i].end, extent->end);
		if (begin >= end)
			continue;
		r = count_more(map, begin, end, sum);
		if (r < 0)
			return r;
	}
	return 0;
}

static int count_gaps(struct mmapfs_map *map, const struct mmapfs__extent *extent,
		      const struct mmapfs__spans *spans, struct counts *sum)
{
	struct mmapfs__span gap;
	uint64_t at;
	int r;

	for (at = extent->begin; mmapfs__spans_gap(spans, at, extent->end, &gap);
	     at = gap.end) {
		r = count_more(map, gap.begin, gap.end, sum);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Pages that other mappings span, without those that this map has locked. */
static int count_mapped(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			uint64_t *ret)
{
	struct mmapfs__spans mapped = { 0 };
	struct counts sum = { 0 };
	int r;

	r = mmapfs__stay_mapped(map, extent, &mapped);
	for (size_t i = 0; r >= 0 && i < map->locked.count; i++)
		r = mmapfs__spans_remove(&mapped, map->locked.at[i].begin,
					 map->locked.at[i].end);
	if (r >= 0)
		r = count_spans(map, extent, &mapped, &sum);
	mmapfs__spans_clear(&mapped);
	*ret = sum.pages;
	return r;
}

/* The resident bits of the aligned block around @edge. Beyond the end they are 0. */
static int block_at(struct mmapfs_map *map, uint64_t edge,
		    unsigned char resident[BLOCK_PAGES])
{
	uint64_t length = BLOCK_PAGES * mmapfs__page_size();
	void *view;
	int r;

	r = mmapfs__sys->mmap(NULL, length, PROT_NONE, MAP_SHARED, map->fd,
			      align_down(edge, length), &view);
	if (r < 0)
		return r;
	r = mmapfs__sys->mincore(view, length, resident);
	(void)mmapfs__sys->munmap(view, length);
	return r;
}

/*
 * How many resident pages reach from @edge into the range, where the page on the other
 * side is resident too: so many may belong to a folio that lies across. @step is 1 when
 * the range begins at @edge, -1 when it ends there.
 */
static int run_across(struct mmapfs_map *map, uint64_t edge, int step, uint64_t *ret)
{
	unsigned char resident[BLOCK_PAGES];
	int64_t at = (int64_t)(edge / mmapfs__page_size() % BLOCK_PAGES);
	uint64_t run = 0;
	int r;

	if (at == 0) /* no folio lies across the edge of a block */
		return 0;
	r = block_at(map, edge, resident);
	if (r < 0)
		return r;
	if (step < 0)
		at--;
	if (resident[at - step] & 1)
		for (; at >= 0 && at < BLOCK_PAGES && resident[at] & 1; at += step)
			run++;
	*ret += run;
	return 0;
}

static int count_straddling(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			    bool at_begin, bool at_end, uint64_t *ret)
{
	struct mmapfs__observer observer;
	int r;

	mmapfs__observer_init(&observer, map);
	r = mmapfs__observer_truthful(&observer);
	mmapfs__observer_done(&observer);
	if (r <= 0)
		return r;

	r = at_begin ? 0 : run_across(map, extent->begin, 1, ret);
	if (r >= 0 && !at_end)
		r = run_across(map, extent->end, -1, ret);
	return r;
}

/* Move at most @pages from what is left unexplained to @reason. */
static void attribute(struct mmapfs__stay *stay, enum mmapfs_stay reason, uint64_t pages)
{
	uint64_t *left = &stay->stayed[MMAPFS_STAY_OTHER];
	uint64_t n = u64_min(*left, pages);

	*left -= n;
	stay->stayed[reason] += n;
}

int mmapfs__stay_infer(struct mmapfs_map *map, const struct mmapfs__extent *extent,
		       bool at_begin, bool at_end, struct mmapfs__stay *ret)
{
	struct mmapfs__stay stay = { 0 };
	struct counts locked = { 0 }, others = { 0 };
	uint64_t mapped = 0, straddling = 0;
	int r;

	r = count_spans(map, extent, &map->locked, &locked);
	if (r >= 0)
		r = count_gaps(map, extent, &map->locked, &others);
	if (r >= 0 && others.pages > 0)
		r = count_mapped(map, extent, &mapped);
	if (r >= 0 && others.pages > 0)
		r = count_straddling(map, extent, at_begin, at_end, &straddling);
	if (r < 0)
		return r;

	stay.stayed[MMAPFS_STAY_LOCKED] = locked.pages;
	stay.stayed[MMAPFS_STAY_OTHER] = others.pages;
	attribute(&stay, MMAPFS_STAY_WRITEBACK, others.writeback);
	attribute(&stay, MMAPFS_STAY_DIRTY, others.dirty);
	attribute(&stay, MMAPFS_STAY_MAPPED, mapped);
	attribute(&stay, MMAPFS_STAY_STRADDLING, straddling);
	*ret = stay;
	return 0;
}
