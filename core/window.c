/* SPDX-License-Identifier: MIT */
/* window.c - a moving, temporary view of a file for calls that need addresses. */
#include "window.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/macro.h"

/* Address space is free until it is touched, and remapping is not: start large. */
#define LIMIT_MAX                                                                        \
	((uint64_t)(sizeof(void *) > 4 ? UINT64_C(64) << 30 : UINT64_C(256) << 20))
#define LIMIT_MIN (UINT64_C(16) << 20)

void mmapfs__window_init(struct mmapfs__window *window, struct mmapfs_map *map, int prot)
{
	*window = (struct mmapfs__window){
		.map = map,
		.prot = prot,
		.limit = LIMIT_MAX,
	};
}

/*
 * The map's own mapping, where it has @offset. Only to observe: populating it would leave
 * the caller's page tables full. A private mapping is not lent, for mincore calls pages
 * present that are the process's own copies and no longer the file's.
 */
static bool lend(struct mmapfs__window *window, uint64_t offset, uint64_t length,
		 char **ret, uint64_t *ret_length)
{
	struct mmapfs_map *map = window->map;
	uint64_t first = align_down(map->offset, mmapfs__page_size());

	if (window->prot != PROT_NONE || map->access == MMAPFS_ACCESS_COPY)
		return false;

	/* Another thread may be mapping a lazy map just now. */
	SCOPE_LOCK(&map->mutex);

	if (!map->base || offset < first || offset - first >= map->base_length)
		return false;
	*ret = map->base + (offset - first);
	*ret_length = u64_min(length, map->base_length - (offset - first));
	return true;
}

static bool view_has(const struct mmapfs__window *window, uint64_t offset)
{
	return window->length > 0 && offset >= window->begin &&
	       offset - window->begin < window->length;
}

static void unmap(struct mmapfs__window *window)
{
	if (window->length > 0)
		(void)mmapfs__sys->munmap(window->base, (size_t)window->length);
	window->base = NULL;
	window->length = 0;
}

/*
 * Where to put the view that has @offset: a slab aligned to the limit, so that the many
 * small requests of a walk in file order hit one view, but never more than the map's
 * window and the request need. A page beyond the window (mincore's oracle) gets a view of
 * its own.
 */
static struct mmapfs__span slab(const struct mmapfs__window *window, uint64_t offset,
				uint64_t length)
{
	const struct mmapfs_map *map = window->map;
	uint64_t page = mmapfs__page_size();
	uint64_t first = align_down(map->offset, page);
	uint64_t last = align_up(add_saturated(map->offset, map->length), page);
	struct mmapfs__span at = { offset, 0 };

	length = align_up(u64_min(length, window->limit), page);
	if (offset >= first && offset < last) {
		at.begin = u64_max(align_down(offset, window->limit), first);
		at.end = u64_max(last, add_saturated(offset, length));
		at.end = u64_min(at.end, add_saturated(at.begin, window->limit));
	} else {
		at.end = offset + length;
	}
	return at;
}

static int map_slab(struct mmapfs__window *window, struct mmapfs__span at)
{
	void *base;
	int r;

	r = mmapfs__sys->mmap(NULL, (size_t)(at.end - at.begin), window->prot, MAP_SHARED,
			      window->map->fd, at.begin, &base);
	if (r < 0)
		return r;
	window->base = base;
	window->begin = at.begin;
	window->length = at.end - at.begin;
	return 0;
}

int mmapfs__window_at(struct mmapfs__window *window, uint64_t offset, uint64_t length,
		      char **ret, uint64_t *ret_length)
{
	int r;

	if (length == 0)
		length = mmapfs__page_size();
	if (lend(window, offset, length, ret, ret_length))
		return 0;
	if (!view_has(window, offset)) {
		unmap(window);
		r = map_slab(window, slab(window, offset, length));
		/* EAGAIN: after mlockall(MCL_FUTURE), the view is over the lock limit. */
		while ((r == -ENOMEM || r == -EAGAIN) && window->limit > LIMIT_MIN) {
			window->limit /= 2;
			r = map_slab(window, slab(window, offset, length));
		}
		if (r < 0)
			return r;
	}
	*ret = window->base + (offset - window->begin);
	*ret_length = u64_min(length, window->begin + window->length - offset);
	return 0;
}

void mmapfs__window_done(struct mmapfs__window *window)
{
	unmap(window);
}
