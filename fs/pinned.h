/* SPDX-License-Identifier: MIT */
/* pinned.h - the files with locked pages, to find those that were removed. Model: knows
 * nothing of FUSE. */
#ifndef MMAPFS_FS_PINNED_H
#define MMAPFS_FS_PINNED_H

#include <pthread.h>
#include <stddef.h>
#include <sys/queue.h>

struct fs;
struct inode;
struct region;
struct ticker;

struct pinned {
	pthread_mutex_t mutex;

	/* protected by mutex */
	LIST_HEAD(, region) regions; /* that have a pin */
	size_t count;

	struct ticker *ticker;
};

/* @region of @inode has a pin now; it has none any more. Both need region->locking. */
void pinned_add(struct fs *fs, struct inode *inode, struct region *region);
void pinned_remove(struct fs *fs, struct region *region);

/* Unlock all that has no name and that nobody has open. */
void pinned_look(struct fs *fs);

/* Do so every few seconds while anything is locked. Errors: those of ticker_start(). */
int pinned_start(struct fs *fs);
void pinned_stop(struct fs *fs);

#endif
