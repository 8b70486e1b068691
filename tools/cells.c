/* SPDX-License-Identifier: MIT */
/* cells.c - cells from the figures of core. */
#include "cells.h"

const char *figure_reason(const struct mmapfs_residency *residency, uint32_t figure)
{
	if (residency->valid & figure)
		return NULL;
	if (residency->reason != MMAPFS_REASON_NONE)
		return mmapfs_reason_name(residency->reason);
	return "not-measured";
}

void cell_set_figure(struct cell *cell, const struct mmapfs_residency *residency,
		     uint32_t figure, uint64_t unit)
{
	if (!(residency->valid & figure)) {
		*cell = cell_unknown(figure_reason(residency, figure));
		return;
	}
	cell->state = CELL_KNOWN;
	cell->number = figure_pages(residency, figure) * unit;
	cell->upper_bound = figure_is_bound(residency, figure);
}

struct cell cell_figure(const struct mmapfs_residency *residency, uint32_t figure)
{
	struct cell cell = { 0 };

	cell_set_figure(&cell, residency, figure, 1);
	return cell;
}

struct cell cell_figure_bytes(const struct mmapfs_residency *residency, uint32_t figure)
{
	struct cell cell = { 0 };

	cell_set_figure(&cell, residency, figure, residency->page_size);
	return cell;
}

struct cell cell_figure_percent(const struct mmapfs_residency *residency, uint32_t figure)
{
	if (residency->pages == 0)
		return cell_none();
	if (!(residency->valid & figure))
		return cell_unknown(figure_reason(residency, figure));
	return cell_percent_of(figure_pages(residency, figure), residency->pages);
}
