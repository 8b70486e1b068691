/* SPDX-License-Identifier: MIT */
/* gaps.h - the parts of a range that a set of spans leaves out. Pure. */
#ifndef MMAPFS_GAPS_H
#define MMAPFS_GAPS_H

#include <stdbool.h>

#include "base/macro.h"
#include "spans.h"

/*
 * The first part of [@begin, @end) that @spans does not cover, in @ret; false when there
 * is none. Go on with @ret->end as the next @begin.
 */
static inline bool mmapfs__spans_gap(const struct mmapfs__spans *spans, uint64_t begin,
				     uint64_t end, struct mmapfs__span *ret)
{
	size_t i;

	for (i = 0; i < spans->count && spans->at[i].begin <= begin; i++)
		begin = u64_max(begin, spans->at[i].end);
	if (begin >= end)
		return false;

	ret->begin = begin;
	ret->end = i < spans->count ? u64_min(end, spans->at[i].begin) : end;
	return true;
}

#endif
