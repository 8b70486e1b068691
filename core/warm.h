/* SPDX-License-Identifier: MIT */
/* warm.h - read in what some source of extents asks for; shared by warm and snapshot. */
#ifndef MMAPFS_WARM_H
#define MMAPFS_WARM_H

#include <stdbool.h>
#include <stdint.h>

#include "map.h"

/* What is to be made resident. It is walked several times: to count before, to read, and
 * to count after. */
struct mmapfs__source {
	/* Start, or start again, with all that lies in @extent. Negative errno. */
	int (*begin)(void *ctx, struct mmapfs_map *map, const struct mmapfs__extent *extent);
	/* The next piece, page aligned, behind the one before and inside of the extent:
	 * returns 1, 0 at the end, or a negative errno. */
	int (*next)(void *ctx, uint64_t *ret_begin, uint64_t *ret_end);
	/* After begin() has succeeded. */
	void (*done)(void *ctx);
	void *ctx;
	/* It may name holes. On memory filesystems, where reading one in fills it with
	 * memory, nothing is read at all then. */
	bool holes;
};

/* As mmapfs_warm(), with the extents of @source in the place of the file's data. */
int mmapfs__warm(struct mmapfs_map *map, struct mmapfs_range range,
		 const struct mmapfs__source *source, const struct mmapfs_warm_opts *opts,
		 struct mmapfs_warm_result *ret);

#endif
