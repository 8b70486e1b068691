/* SPDX-License-Identifier: MIT */
/* cells.h - cells from the figures of core, the same way in every verb. */
#ifndef MMAPCTL_CELLS_H
#define MMAPCTL_CELLS_H

#include <mmapfs.h>

#include "out.h"
#include "target.h"

/* A figure in pages: unknown with its reason where it was not measured. */
struct cell cell_figure(const struct mmapfs_residency *residency, uint32_t figure);

/* The same in bytes. The last page of a file counts whole. */
struct cell cell_figure_bytes(const struct mmapfs_residency *residency, uint32_t figure);

/* Let @cell be a figure at @unit to a page, where it stands: for rows by the ten thousand,
 * in which copies of cells would show. */
void cell_set_figure(struct cell *cell, const struct mmapfs_residency *residency,
		     uint32_t figure, uint64_t unit);

/* Share of pages that are @figure: unknown likewise, none for an empty file. */
struct cell cell_figure_percent(const struct mmapfs_residency *residency, uint32_t figure);

/* Pages of @figure; 0 where unknown. */
static inline uint64_t figure_pages(const struct mmapfs_residency *residency, uint32_t figure)
{
	if (!(residency->valid & figure))
		return 0;
	switch (figure) {
	case MMAPFS_RESIDENT:
		return residency->resident;
	case MMAPFS_OCCUPIED:
		return residency->occupied;
	case MMAPFS_DIRTY:
		return residency->dirty;
	case MMAPFS_WRITEBACK:
		return residency->writeback;
	case MMAPFS_EVICTED:
		return residency->evicted;
	default:
		return residency->recently_evicted;
	}
}

/* That `resident` may include pages still being read is what `confidence` says of the whole
 * row; a mark on each would say it of nearly all. */
static inline bool figure_is_bound(const struct mmapfs_residency *residency, uint32_t figure)
{
	return figure != MMAPFS_RESIDENT && residency->upper_bound & figure;
}

/* Word of why @figure is missing. */
const char *figure_reason(const struct mmapfs_residency *residency, uint32_t figure);

#endif
