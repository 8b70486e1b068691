/* SPDX-License-Identifier: MIT */
/* folios.h - the folios that the resident pages of a range lie in, by page flags. */
#ifndef MMAPFS_FOLIOS_H
#define MMAPFS_FOLIOS_H

#include <stdbool.h>
#include <stdint.h>

#include "map.h"

/* The bits of /proc/kpageflags that matter here (linux/kernel-page-flags.h; the last is a
 * number of kernel-page-flags.h inside the kernel, the same since Linux 2.6.31). */
enum mmapfs__page_flag {
	MMAPFS__PAGE_DIRTY = 4,
	MMAPFS__PAGE_WRITEBACK = 8,
	MMAPFS__PAGE_MMAP = 11,
	MMAPFS__PAGE_HEAD = 15,
	MMAPFS__PAGE_TAIL = 16,
	MMAPFS__PAGE_UNEVICTABLE = 18,
	MMAPFS__PAGE_MLOCKED = 33,
};

/* Pages of a range that follow one another in the file and belong to one folio. */
struct mmapfs__folio_run {
	bool known;	 /* false: nothing but `pages`, which were in motion */
	bool cut;	 /* the folio is larger than was looked at */
	uint64_t pages;
	uint64_t offset; /* of the first one, in the file */
	uint64_t before; /* pages of the folio in front of the run */
	uint64_t behind; /* and behind it */
	uint64_t flags;	 /* of all pages of the folio, or-ed */
};

/* Receives a run. Runs come in file order; the known ones of a folio that is large are
 * neighbours. Non-zero ends the walk. */
typedef int (*mmapfs__folio_fn)(void *ctx, const struct mmapfs__folio_run *run);

/*
 * Tell @fn of every page of @extent that is in the cache, until some @pages_max have been
 * looked at; *@ret_end is how far that was. Reads in nothing and leaves no page mapped.
 * Returns 0 or what @fn returned. Errors: -EOPNOTSUPP or -EPERM where page flags cannot be
 * read, or what is resident cannot be known; mmap(2), mincore(2), open(2), pread(2).
 */
int mmapfs__folios_walk(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			uint64_t pages_max, mmapfs__folio_fn fn, void *ctx,
			uint64_t *ret_end);

#endif
