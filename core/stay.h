/* SPDX-License-Identifier: MIT */
/* stay.h - why pages of a range are still in the page cache after an evict. */
#ifndef MMAPFS_STAY_H
#define MMAPFS_STAY_H

#include <stdbool.h>
#include <stdint.h>

#include "map.h"

struct mmapfs__stay {
	bool exact;			    /* every page was looked at */
	uint64_t stayed[MMAPFS_STAY_COUNT]; /* pages, by the first reason that applies */
};

/* The reason that these flags of a page, or-ed over its folio, give. Pure. */
enum mmapfs_stay mmapfs__stay_of_flags(uint64_t flags, bool locked_by_us, bool straddles);

/*
 * Sort every page that is in the cache in @extent under its reason. @at_end: the extent
 * reaches the end of the file, so that nothing can straddle it there. Reads in nothing
 * and leaves no page mapped. Where page flags cannot be read, or from some 10^5 pages on,
 * the reasons are inferred. Errors: those of mmapfs_residency(); -ENODATA when not even
 * the number of pages can be known.
 */
int mmapfs__stay_explain(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			 bool at_end, struct mmapfs__stay *ret);

/* The second way of mmapfs__stay_explain(): from counts, own locks, the mappings of
 * processes that may be looked at, and what lies at the edges; @at_begin and @at_end:
 * nothing can straddle there. `exact` is false. Errors as above. */
int mmapfs__stay_infer(struct mmapfs_map *map, const struct mmapfs__extent *extent,
		       bool at_begin, bool at_end, struct mmapfs__stay *ret);

/* Count file offsets [begin, end), page aligned, as mmapfs_residency() does. */
int mmapfs__stay_count(struct mmapfs_map *map, uint64_t begin, uint64_t end,
		       struct mmapfs_residency *ret);

/* The pages that are in the cache in some way: occupied, or else resident. -ENODATA when
 * neither was measured. */
int mmapfs__stay_pages(const struct mmapfs_residency *residency, uint64_t *ret);

/* The parts of @extent that some process has mapped, apart from the memory of @map
 * itself, as far as this process may look. Page tables are not shown, so a part may be
 * mapped and yet not in any. Added to @ret. Errors: mmap(2); -ENOMEM. */
int mmapfs__stay_mapped(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			struct mmapfs__spans *ret);

#endif
