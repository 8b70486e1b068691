/* SPDX-License-Identifier: MIT */
/* data.h - where a file holds data and where it is only a hole. */
#ifndef MMAPFS_DATA_H
#define MMAPFS_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "map.h"

/* A walk over the data of an extent. */
struct mmapfs__data {
	int fd;
	int opened;	     /* to be closed, or -1 */
	bool whole;	     /* the filesystem cannot tell: everything counts as data */
	uint64_t at;	     /* where to look next */
	uint64_t end;	     /* page aligned */
	uint64_t held_begin; /* found, but not handed out yet; empty when equal */
	uint64_t held_end;
};

/* Errors: those of mmapfs__map_seek_fd(). Nothing is to be released then. */
int mmapfs__data_init(struct mmapfs__data *data, struct mmapfs_map *map,
		      const struct mmapfs__extent *extent);

/* The next piece of data, widened to pages, never adjacent to the one before. Returns 1,
 * or 0 at the end. Errors: lseek(2). */
int mmapfs__data_next(struct mmapfs__data *data, uint64_t *ret_begin, uint64_t *ret_end);

void mmapfs__data_done(struct mmapfs__data *data);

#endif
