/* SPDX-License-Identifier: MIT */
/*
 * stay.c - look page by page why an evict left something in the page cache.
 *
 * /proc/kpageflags knows, but by the number of the physical page. That number is in this
 * process's pagemap once it has the page mapped. So: map a piece of the file, take into
 * our page tables what is resident (nothing is read in), note the numbers, let go of the
 * pages again, and only then read the flags - so that "mapped" there means mapped by
 * others.
 */
#include "stay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "observe.h"
#include "pagemap.h"
#include "probe.h"

#define PIECE_PAGES 2048

/* Some 0.4 us a page: a bound of about a tenth of a second. */
#define EXAMINE_PAGES_MAX 262144

/* A folio is naturally aligned in memory too. With pages of 4 KiB none is larger than
 * this many; of a larger one, only this much around a page is looked at. */
#define FOLIO_PAGES_MAX 512

#define BIT(n) (UINT64_C(1) << (n))

/* Flags of consecutive physical pages, read lately. */
struct flag_cache {
	int fd;
	uint64_t first;
	uint64_t count;
	uint64_t at[FOLIO_PAGES_MAX];
};

struct folio {
	uint64_t begin; /* physical page numbers */
	uint64_t end;
	uint64_t flags; /* of all its pages, or-ed */
};

struct examiner {
	struct mmapfs_map *map;
	const struct mmapfs__extent *extent;
	bool at_end;
	struct mmapfs__stay *ret;
	struct mmapfs__observer observer;
	int pagemap;
	uint64_t examined;
	struct flag_cache flags;
	unsigned char resident[PIECE_PAGES];
	uint64_t entry[PIECE_PAGES];
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
	*ret = (struct folio){ pfn, pfn + 1, flags_of(cache, pfn) };
	if (!(ret->flags & compound))
		return 0;

	r = flags_load(cache, align_down(pfn, FOLIO_PAGES_MAX), FOLIO_PAGES_MAX);
	if (r < 0)
		return r;
	while (ret->begin > cache->first && is_tail(cache, ret->begin))
		ret->begin--;
	while (is_tail(cache, ret->end))
		ret->end++;
	/* Older kernels say per page what holds the whole folio, as MMAP. */
	for (uint64_t i = ret->begin; i < ret->end; i++)
		ret->flags |= flags_of(cache, i);
	return 0;
}

static uint64_t pfn_of(const struct examiner *x, size_t i)
{
	if (!(x->resident[i] & 1) || !(x->entry[i] & MMAPFS__PAGEMAP_PRESENT))
		return 0;
	return x->entry[i] & MMAPFS__PAGEMAP_PFN;
}

/* How many entries from @i on are neighbours in memory too. */
static size_t physical_run(const struct examiner *x, size_t i, size_t pages)
{
	uint64_t pfn = pfn_of(x, i);
	size_t n = 1;

	while (i + n < pages && pfn_of(x, i + n) == pfn + n)
		n++;
	return n;
}

static bool straddles(const struct examiner *x, const struct folio *folio, uint64_t pfn,
		      uint64_t offset)
{
	uint64_t before = (pfn - folio->begin) * mmapfs__page_size();
	uint64_t after = (folio->end - pfn) * mmapfs__page_size();

	if (offset - x->extent->begin < before)
		return true;
	return !x->at_end && x->extent->end - offset < after;
}

/* Sort @pages pages of @folio, the first of them physical page @pfn, at file @offset. */
static void sort_pages(struct examiner *x, const struct folio *folio, uint64_t pfn,
		       uint64_t offset, size_t pages)
{
	const struct mmapfs__spans *locked = &x->map->locked;
	uint64_t page_size = mmapfs__page_size();
	bool across = straddles(x, folio, pfn, offset);
	bool ours;

	for (size_t i = 0; i < pages; i++, offset += page_size) {
		ours = locked->count > 0 &&
		       mmapfs__spans_covered(locked, offset, offset + page_size) > 0;
		x->ret->stayed[mmapfs__stay_of_flags(folio->flags, ours, across)]++;
	}
}

/* Sort the resident pages of the piece at file offset @begin, whose entries are noted. */
static int sort_piece(struct examiner *x, uint64_t begin, size_t pages)
{
	struct folio folio;
	size_t used;
	uint64_t pfn;
	int r;

	for (size_t i = 0; i < pages; i += used) {
		used = 1;
		if (!(x->resident[i] & 1))
			continue;
		pfn = pfn_of(x, i);
		if (pfn == 0) {
			/* It went away, or cannot be mapped. */
			x->ret->stayed[MMAPFS_STAY_OTHER]++;
			continue;
		}
		used = physical_run(x, i, pages);
		r = folio_at(&x->flags, pfn, used, &folio);
		if (r < 0)
			return r;
		used = u64_min(used, folio.end - pfn);
		sort_pages(x, &folio, pfn, begin + i * mmapfs__page_size(), used);
	}
	return 0;
}

/* Map what is resident, and only that. What cannot be mapped is noticed later. */
static uint64_t populate_resident(struct examiner *x, char *view, size_t pages)
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
static int note_piece(struct examiner *x, char *view, size_t pages,
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

static int examine_piece(struct examiner *x, uint64_t begin, size_t pages)
{
	uint64_t length = pages * mmapfs__page_size();
	struct mmapfs__cachestat stat = { 0 };
	uint64_t resident;
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

	x->examined += resident;
	/* In the cache but not ready: still being read, which holds them. */
	if (stat.nr_cache > resident)
		x->ret->stayed[MMAPFS_STAY_OTHER] += stat.nr_cache - resident;
	return sort_piece(x, begin, pages);
}

/* Returns how far it got, in @ret_end. */
static int examine_pieces(struct examiner *x, uint64_t *ret_end)
{
	uint64_t at = x->extent->begin;
	size_t pages;
	int r;

	while (at < x->extent->end && x->examined < EXAMINE_PAGES_MAX) {
		pages = u64_min((x->extent->end - at) / mmapfs__page_size(), PIECE_PAGES);
		r = examine_piece(x, at, pages);
		if (r < 0)
			return r;
		at += pages * mmapfs__page_size();
	}
	*ret_end = at;
	return 0;
}

static int examine(struct examiner *x, uint64_t *ret_end)
{
	_cleanup_close_ int pagemap = -1, kpageflags = -1;

	if (mmapfs__feature(MMAPFS_FEATURE_PAGE_FLAGS) != 1 ||
	    mmapfs__feature(MMAPFS_FEATURE_POPULATE) != 1)
		return -EOPNOTSUPP;
	if (mmapfs__observer_truthful(&x->observer) != 1)
		return -EPERM;
	pagemap = mmapfs__pagemap_open();
	if (pagemap < 0)
		return pagemap;
	kpageflags = mmapfs__sys->openat(AT_FDCWD, "/proc/kpageflags",
					 O_RDONLY | O_CLOEXEC, 0);
	if (kpageflags < 0)
		return kpageflags;

	x->pagemap = pagemap;
	x->flags.fd = kpageflags;
	return examine_pieces(x, ret_end);
}

/* As far as it can be done within bounds, page by page; *@ret_end is where that ends. */
static void explain_by_pages(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			     bool at_end, struct mmapfs__stay *ret, uint64_t *ret_end)
{
	struct examiner x = {
		.map = map, .extent = extent, .at_end = at_end, .ret = ret
	};

	mmapfs__observer_init(&x.observer, map);
	if (examine(&x, ret_end) < 0) {
		*ret = (struct mmapfs__stay){ 0 };
		*ret_end = extent->begin;
	}
	mmapfs__observer_done(&x.observer);
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
