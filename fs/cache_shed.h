/* SPDX-License-Identifier: MIT */
/*
 * cache_shed.h - what a file has in RAM, and how to take some of it away. Model.
 *
 * What goes first is the beginning of the file: of a file that is being read from end to
 * end it is what the reader has left behind. Of the window of a region table it is all about
 * the part that is its own, see window_own().
 */
#ifndef MMAPFS_FS_CACHE_SHED_H
#define MMAPFS_FS_CACHE_SHED_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"

/* A large folio is not larger than this many pages on what we know, and stays when only a
 * part of it is to go. So parts of files are multiples of it. */
#define SHED_GRANULE_PAGES 512

uint64_t shed_granule(void);

struct shed_look {
	bool known;	   /* else the figures below could not be measured */
	uint64_t resident; /* bytes */
	uint64_t absent;   /* bytes that may come by reading all of it */
	uint64_t locked;   /* of those, by this mount */
	bool dirty;
	bool fixed; /* a memory filesystem: nothing can be evicted */
};

/* Looks at pages, disturbs none. Errors: -ESTALE when the file is gone; open(2). */
int shed_look(struct fs *fs, struct inode *inode, struct shed_look *ret);

struct shed_result {
	uint64_t freed;	 /* bytes */
	uint64_t stayed; /* bytes that were asked to go */
};

/* Let the kernel begin to write @inode back, so that a shed_evict() with @sync that
 * follows waits for less. A write error is told to the region. */
void shed_begin_sync(struct fs *fs, struct inode *inode);

/*
 * Evict @bytes from the beginning of @inode, rounded up to the granule, but for what is
 * locked. @sync: after writing it back. @ret is filled in also when it fails. Errors:
 * fsync(2), which is told to the region, with nothing more evicted; open(2); -EINTR when
 * the mount is to end.
 */
int shed_evict(struct fs *fs, struct inode *inode, uint64_t bytes, bool sync,
	       struct shed_result *ret);

#endif
