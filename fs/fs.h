/* SPDX-License-Identifier: MIT */
/* fs.h - one mounted filesystem: what all operations share. Model: knows nothing of FUSE. */
#ifndef MMAPFS_FS_FS_H
#define MMAPFS_FS_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "inode.h"
#include "metrics.h"
#include "options.h"
#include "pinned.h"

struct cache;
struct table;
struct workers;

struct fs {
	const struct options *options;
	const char *source; /* what is mounted: an absolute path without links */
	struct inode_table *inodes;
	struct table *table; /* NULL: a directory is mounted, not a region table */
	dev_t root_dev;
	uid_t owner; /* who mounted */

	/* What is open, see handle.c. */
	LIST_HEAD(, handle) handles;
	LIST_HEAD(, dir_handle) dirs;

	/* Short work of control requests, each answered when done. */
	struct workers *request_workers;
	/* Long work that goes on after its request was answered: warm, tree evict. */
	struct workers *job_workers;
	/* Writes through one window of a file that others show too, one after the other; see
	 * table_share.h. NULL without a region table. */
	struct workers *turns;
	atomic_bool stopping; /* long work looks at this and ends */

	struct cache *cache; /* see cache.h; NULL: no part of it was ever asked for */

	uint64_t lock_limit;		    /* bytes all regions together may lock */
	atomic_uint_fast64_t locked_bytes;  /* locked now; see region_lock */
	struct pinned pinned;

	/* Make the kernel forget its own copy of a file's pages (mapped path). Set by the
	 * session; NULL in unit tests. Must not be called from a FUSE handler. */
	void (*invalidate)(void *ctx, struct inode *inode, uint64_t offset, uint64_t length);
	void *invalidate_ctx;

	struct metrics metrics;
};

#endif
