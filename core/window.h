/* SPDX-License-Identifier: MIT */
/*
 * window.h - a moving, temporary view of a file for calls that need addresses.
 *
 * mincore, populate and msync want a mapping. A map that has one lends it; else a window is
 * mapped where it is needed, as large as the address space allows, and moved in file order.
 */
#ifndef MMAPFS_WINDOW_H
#define MMAPFS_WINDOW_H

#include <stdint.h>

#include "map.h"

struct mmapfs__window {
	struct mmapfs_map *map;
	int prot;	 /* PROT_NONE to observe, PROT_READ to populate */
	uint64_t begin;	 /* file offset of the view, page aligned */
	uint64_t length; /* bytes; 0: no view yet */
	char *base;
	uint64_t limit; /* largest view to map, bytes; shrinks when the kernel says ENOMEM */
};

/* Nothing is mapped yet. The map lends its own mapping when @prot is PROT_NONE. */
void mmapfs__window_init(struct mmapfs__window *window, struct mmapfs_map *map, int prot);

/*
 * Make [offset, offset + length) of the file addressable, or as much of its beginning as
 * fits one view. Returns 0, the address in @ret and in @ret_length how much of it counts
 * (at least one page). @offset is page aligned. Errors: mmap(2).
 */
int mmapfs__window_at(struct mmapfs__window *window, uint64_t offset, uint64_t length,
		      char **ret, uint64_t *ret_length);

/* Unmap. The window can be used again after another init. */
void mmapfs__window_done(struct mmapfs__window *window);

#endif
