/* SPDX-License-Identifier: MIT */
/*
 * folios.c - which folios the resident pages of a range lie in.
 *
 * /proc/kpageflags knows, but by the number of the physical page. That number is in this
 * process's pagemap once it has the page mapped. So: map a piece of the file, take into
 * our page tables what is resident (nothing is read in), note the numbers, let go of the
 * pages again, and only then read the flags - so that "mapped" there means mapped by
 * others.
 */
#include "folios.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "observe.h"
#include "pagemap.h"
#include "probe.h"
#include "result.h"

#define PIECE_PAGES 2048

/* A folio is naturally aligned in memory too. With pages of 4 KiB none is larger than
 * this many; of a larger one, only this much around a page is looked at. */
#define FOLIO_PAGES_MAX 512

#define BIT(n) (UINT64_C(1) << (n))

/* Flags of consecutive physical pages, read lately. */
struct flag_cache {
	int fd;
	uint64_t first;
	uint64_t count;
	uint64_t at[FOLIO_PAGES_MAX + 1];
};

struct folio {
	uint64_t begin; /* physical page numbers */
	uint64_t end;
	uint64_t flags; /* of all its pages, or-ed */
	bool cut;	/* it is larger than was looked at */
};

struct walk {
	struct mmapfs_map *map;
	mmapfs__folio_fn fn;
	void *ctx;
	struct mmapfs__observer observer;
	int pagemap;
	uint64_t pages_max;
	uint64_t walked; /* pages */
	struct flag_cache flags;
	unsigned char resident[PIECE_PAGES];
	uint64_t entry[PIECE_PAGES];
};

static int flags_load(struct flag_cache *cache, uint64_t first, uint64_t count)
{
	int64_t n;

	count = u64_min(count, ARRAY_SIZE(cache->at));
	n = mmapfs__sys->pread(cache->fd, cache->at, count * sizeof(cache->at[0]),
			       first * sizeof(cache->at[0]));
	if (n < 0)
		return (int)n;
	cache->first = first;
	cache->count = (uint64_t)n / sizeof(cache->at[0]);
	return 0;
}

static bool flags_has(const struct flag_cache *cache, uint64_t pfn)
{
	return pfn >= cache->first && pfn - cache->first < cache->count;
}

/* 0 for a physical page that the kernel has no flags of. */
static uint64_t flags_of(const struct flag_cache *cache, uint64_t pfn)
{
	return flags_has(cache, pfn) ? cache->at[pfn - cache->first] : 0;
}

static bool is_tail(const struct flag_cache *cache, uint64_t pfn)
{
	return flags_of(cache, pfn) & BIT(MMAPFS__PAGE_TAIL);
}

/* The folio of @pfn. @run: physical pages from there on that will be asked for next. */
static int folio_at(struct flag_cache *cache, uint64_t pfn, uint64_t run,
		    struct folio *ret)
{
	uint64_t compound = BIT(MMAPFS__PAGE_HEAD) | BIT(MMAPFS__PAGE_TAIL);
	int r;

	if (!flags_has(cache, pfn)) {
		r = flags_load(cache, pfn, run);
		if (r < 0)
			return r;
	}
	*ret = (struct folio){ pfn, pfn + 1, flags_of(cache, pfn), false };
	if (!(ret->flags & compound))
		return 0;

	r = flags_load(cache, align_down(pfn, FOLIO_PAGES_MAX), FOLIO_PAGES_MAX + 1);
	if (r < 0)
		return r;
	while (ret->begin > cache->first && is_tail(cache, ret->begin))
		ret->begin--;
	while (is_tail(cache, ret->end))
		ret->end++;
	ret->cut = is_tail(cache, ret->begin) || ret->end > cache->first + FOLIO_PAGES_MAX;
	/* Older kernels say per page what holds the whole folio, as MMAP. */
	for (uint64_t i = ret->begin; i < ret->end; i++)
		ret->flags |= flags_of(cache, i);
	return 0;
}

static uint64_t pfn_of(const struct walk *x, size_t i)
{
	if (!(x->resident[i] & 1) || !(x->entry[i] & MMAPFS__PAGEMAP_PRESENT))
		return 0;
	return x->entry[i] & MMAPFS__PAGEMAP_PFN;
}

/* How many entries from @i on are neighbours in memory too. */
static size_t physical_run(const struct walk *x, size_t i, size_t pages)
{
	uint64_t pfn = pfn_of(x, i);
	size_t n = 1;

	while (i + n < pages && pfn_of(x, i + n) == pfn + n)
		n++;
	return n;
}

/* @pages of which nothing else is known. */
static int tell_hidden(struct walk *x, uint64_t pages)
{
	const struct mmapfs__folio_run run = { .pages = pages };

	return pages > 0 ? x->fn(x->ctx, &run) : 0;
}

/* Tell of the page at file offset @offset, physical page @pfn, and of as many of the
 * @neighbours after it in memory as are of its folio. */
static int tell_run(struct walk *x, uint64_t offset, uint64_t pfn, size_t *neighbours)
{
	struct mmapfs__folio_run run = { .known = true, .offset = offset };
	struct folio folio;
	int r;

	r = folio_at(&x->flags, pfn, *neighbours, &folio);
	if (r < 0)
		return r;
	run.pages = u64_min(*neighbours, folio.end - pfn);
	run.before = pfn - folio.begin;
	run.behind = folio.end - pfn - run.pages;
	run.flags = folio.flags;
	run.cut = folio.cut;
	*neighbours = run.pages;
	return x->fn(x->ctx, &run);
}

/* Tell of the resident pages of the piece at file offset @begin, whose entries are noted. */
static int tell_piece(struct walk *x, uint64_t begin, size_t pages)
{
	size_t used;
	int r = 0;

	for (size_t i = 0; r == 0 && i < pages; i += used) {
		uint64_t pfn = pfn_of(x, i);

		used = 1;
		if (pfn != 0) {
			used = physical_run(x, i, pages);
			r = tell_run(x, begin + i * mmapfs__page_size(), pfn, &used);
		} else if (x->resident[i] & 1) {
			r = tell_hidden(x, 1); /* gone meanwhile, or not to be mapped */
		}
	}
	return r;
}

/* Map what is resident, and only that. What cannot be mapped is noticed later. */
static uint64_t populate_resident(struct walk *x, char *view, size_t pages)
{
	uint64_t page_size = mmapfs__page_size();
	uint64_t resident = 0;
	size_t n;

	for (size_t i = 0; i < pages; i += n) {
		for (n = 0; i + n < pages && x->resident[i + n] & 1; n++)
			;
		if (n > 0)
			(void)mmapfs__sys->madvise(view + i * page_size, n * page_size,
						   MADV_POPULATE_READ);
		resident += n;
		n = n > 0 ? n : 1;
	}
	return resident;
}

/* Note residency and physical pages of a piece, leaving none mapped. */
static int note_piece(struct walk *x, char *view, size_t pages,
		      uint64_t *ret_resident)
{
	uint64_t length = pages * mmapfs__page_size();
	uint64_t hidden = 0;
	int r;

	r = mmapfs__sys->mincore(view, length, x->resident);
	if (r < 0)
		return r;
	/* No readahead; and unmapping them must not count as a use of the pages. */
	(void)mmapfs__sys->madvise(view, length, MADV_RANDOM);
	*ret_resident = populate_resident(x, view, pages);
	r = mmapfs__pagemap_read(x->pagemap, view, pages, x->entry);
	(void)mmapfs__sys->madvise(view, length, MADV_SEQUENTIAL);
	(void)mmapfs__sys->madvise(view, length, MADV_DONTNEED);
	if (r < 0)
		return r;

	for (size_t i = 0; i < pages; i++)
		hidden += x->entry[i] & MMAPFS__PAGEMAP_PRESENT &&
			  !(x->entry[i] & MMAPFS__PAGEMAP_PFN);
	return hidden > 0 ? -EPERM : 0;
}

static int walk_piece(struct walk *x, uint64_t begin, size_t pages)
{
	uint64_t length = pages * mmapfs__page_size();
	struct mmapfs__cachestat stat = { 0 };
	uint64_t resident = 0;
	void *view;
	int r;

	if (x->observer.cachestat) {
		r = mmapfs__observer_cachestat(&x->observer, begin, begin + length,
					       &stat);
		if (r < 0 || stat.nr_cache == 0)
			return r;
	}
	r = mmapfs__sys->mmap(NULL, length, PROT_READ, MAP_SHARED, x->map->fd, begin,
			      &view);
	if (r < 0)
		return r;
	r = note_piece(x, view, pages, &resident);
	(void)mmapfs__sys->munmap(view, length);
	if (r < 0)
		return r;

	x->walked += resident;
	/* In the cache but not ready: still being read, which holds them. */
	if (stat.nr_cache > resident) {
		r = tell_hidden(x, stat.nr_cache - resident);
		if (r != 0)
			return r;
	}
	return tell_piece(x, begin, pages);
}

static int walk_pieces(struct walk *x, const struct mmapfs__extent *extent,
		       uint64_t *ret_end)
{
	uint64_t at = extent->begin;
	size_t pages;
	int r;

	while (at < extent->end && x->walked < x->pages_max) {
		pages = u64_min((extent->end - at) / mmapfs__page_size(), PIECE_PAGES);
		r = walk_piece(x, at, pages);
		if (r != 0)
			return r;
		at += pages * mmapfs__page_size();
	}
	*ret_end = at;
	return 0;
}

/* The kernel's own word on a feature where it has one. */
static int need_feature(enum mmapfs_feature feature)
{
	int r = mmapfs__feature(feature);

	return r > 0 ? 0 : r < 0 ? r : -EOPNOTSUPP;
}

static int open_and_walk(struct walk *x, const struct mmapfs__extent *extent,
			 uint64_t *ret_end)
{
	_cleanup_close_ int pagemap = -1, kpageflags = -1;
	int r;

	r = need_feature(MMAPFS_FEATURE_PAGE_FLAGS);
	if (r == 0)
		r = need_feature(MMAPFS_FEATURE_POPULATE);
	if (r < 0)
		return r;
	r = mmapfs__observer_truthful(&x->observer);
	if (r <= 0)
		return r < 0 ? r : -EPERM;
	pagemap = mmapfs__pagemap_open();
	if (pagemap < 0)
		return pagemap;
	kpageflags = mmapfs__sys->openat(AT_FDCWD, "/proc/kpageflags",
					 O_RDONLY | O_CLOEXEC, 0);
	if (kpageflags < 0)
		return kpageflags;

	x->pagemap = pagemap;
	x->flags.fd = kpageflags;
	return walk_pieces(x, extent, ret_end);
}

int mmapfs__folios_walk(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			uint64_t pages_max, mmapfs__folio_fn fn, void *ctx,
			uint64_t *ret_end)
{
	struct walk x = { .map = map, .fn = fn, .ctx = ctx, .pages_max = pages_max };
	int r;

	mmapfs__observer_init(&x.observer, map);
	r = open_and_walk(&x, extent, ret_end);
	mmapfs__observer_done(&x.observer);
	return r;
}

/* ---- counted ---- */

/* Some 0.4 us a page: a bound of about half a second. */
#define COUNT_PAGES_MAX (UINT64_C(1) << 20)

struct counting {
	const struct mmapfs__extent *extent;
	bool at_end;	  /* the extent reaches the end of the file: nothing straddles there */
	uint64_t counted; /* file offset where the folio that was counted last ends */
	struct mmapfs_folios *ret;
};

static unsigned int order_of(uint64_t pages)
{
	unsigned int order = 0;

	while (order + 1 < MMAPFS_FOLIO_ORDERS && UINT64_C(2) << order <= pages)
		order++;
	return order;
}

static int count_run(void *ctx, const struct mmapfs__folio_run *run)
{
	unsigned int order = order_of(run->before + run->pages + run->behind);
	uint64_t page_size = mmapfs__page_size();
	struct counting *counting = ctx;
	struct mmapfs_folios *ret = counting->ret;
	uint64_t begin = run->offset - run->before * page_size;
	uint64_t end = run->offset + (run->pages + run->behind) * page_size;

	if (!run->known || run->cut) {
		ret->hidden += run->pages;
		return 0;
	}
	ret->pages[order] += run->pages;
	if (end > counting->counted) { /* else the walk had cut it in two */
		ret->folios[order]++;
		counting->counted = end;
	}
	end = counting->at_end ? u64_min(end, ret->end) : end;
	ret->begin = u64_min(ret->begin, begin);
	ret->end = u64_max(ret->end, end);
	if (begin < counting->extent->begin || end > counting->extent->end)
		ret->straddling += run->pages;
	return 0;
}

MMAPFS_PUBLIC int mmapfs_folios(struct mmapfs_map *map, struct mmapfs_range range,
				struct mmapfs_folios *ret)
{
	struct mmapfs_folios out = { .size = sizeof(out) };
	struct counting counting = { .ret = &out };
	struct mmapfs__extent extent;
	uint64_t size, examined;
	int r;

	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	r = mmapfs__map_extent(map, range, &extent);
	if (r < 0)
		return r;
	counting.extent = &extent;
	counting.at_end = extent.end >= size;
	out.begin = extent.begin;
	out.end = extent.end;
	r = mmapfs__folios_walk(map, &extent, COUNT_PAGES_MAX, count_run, &counting,
				&examined);
	if (r < 0)
		return r;
	out.page_size = mmapfs__page_size();
	out.examined = examined - extent.begin;
	out.complete = examined >= extent.end;
	mmapfs__result_put(ret, &out, sizeof(out));
	return 0;
}
