/* SPDX-License-Identifier: MIT */
/* observe.h - the two kernel interfaces that tell residency, and when to believe them. */
#ifndef MMAPFS_OBSERVE_H
#define MMAPFS_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "window.h"

/*
 * What may be believed about this map's file: decided once per operation, from the
 * filesystem, one cachestat call and, where mincore is needed, the oracle.
 */
struct mmapfs__observer {
	struct mmapfs_map *map;
	bool cachestat;	 /* works on this file and tells the truth */
	int truthful;	 /* mincore: 1 yes, 0 no, -1 not asked yet */
	uint32_t reason; /* enum mmapfs_reason, of the first thing that is missing */
	struct mmapfs__window window; /* PROT_NONE */
};

void mmapfs__observer_init(struct mmapfs__observer *observer, struct mmapfs_map *map);
void mmapfs__observer_done(struct mmapfs__observer *observer);

/*
 * Does mincore tell the truth about this file? A kernel that hides residency from the
 * caller fills the vector with ones, also for a page far beyond the end of the file,
 * which can never be resident. Returns 1, 0, or a negative errno of mmap(2) or fstat(2).
 */
int mmapfs__observer_truthful(struct mmapfs__observer *observer);

/* Receives the mincore vector of @pages pages from file offset @offset; only bit 0 of
 * each byte counts. Non-zero stops. */
typedef int (*mmapfs__mincore_fn)(void *ctx, uint64_t offset, const unsigned char *vec,
				  size_t pages);

/* mincore of [begin, end), page aligned, in pieces of bounded size. The caller has asked
 * whether it is truthful. Returns 0, what @fn returned, or -ENOMEM. */
int mmapfs__observer_mincore(struct mmapfs__observer *observer, uint64_t begin,
			     uint64_t end, mmapfs__mincore_fn fn, void *ctx);

/* Resident pages of [begin, end), page aligned, by mincore in bounded windows. */
int mmapfs__observer_mincore_count(struct mmapfs__observer *observer, uint64_t begin,
				   uint64_t end, uint64_t *ret_pages);

/* cachestat of [begin, end); all zeros of an empty one. Errors: cachestat(2). */
int mmapfs__observer_cachestat(struct mmapfs__observer *observer, uint64_t begin,
			       uint64_t end, struct mmapfs__cachestat *ret);

/* The first 8 of a mincore vector as one number that has bit 0 of each byte only. */
#define MMAPFS__MINCORE_ONES UINT64_C(0x0101010101010101)
uint64_t mmapfs__mincore_eight(const unsigned char *vec);

/* Receives a run of resident pages as file offsets, page aligned. Non-zero stops. */
typedef int (*mmapfs__run_fn)(void *ctx, uint64_t begin, uint64_t end);

/*
 * Call @fn for each maximal run of resident pages in [begin, end), page aligned, in file
 * order. With @ready, pages still being read do not count, where mincore can be believed.
 * Returns 0 or what @fn returned. Errors: -ENODATA when nothing can be known;
 * cachestat(2), -ENOMEM. In ranges.c.
 */
int mmapfs__observer_runs(struct mmapfs__observer *observer, uint64_t begin, uint64_t end,
			  bool ready, mmapfs__run_fn fn, void *ctx);

#endif
