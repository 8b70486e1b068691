/* SPDX-License-Identifier: MIT */
/*
 * region_state.h - what a region remembers, for region.c and the control attributes.
 *
 * Lock order: locking, then mutex. `mutex` is never held across a system call that can
 * block; `locking` is, because two requests that lock pages of one file must take turns,
 * and nobody takes it only to read.
 */
#ifndef MMAPFS_FS_REGION_STATE_H
#define MMAPFS_FS_REGION_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mmapfs.h>

#include "region.h"

enum job_kind {
	JOB_WARM = 0,
	JOB_EVICT, /* of a tree; that of a file is done at once */
	JOB_KINDS
};

enum job_state {
	JOB_IDLE = 0,
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_DONE,
	JOB_CANCELLED,
	JOB_FAILED,
};

/* Work that goes on after its request was answered, as its control attribute shows it. */
struct job {
	/* protected by the region's mutex */
	enum job_state state;
	int error;	       /* negative errno of JOB_FAILED */
	uint64_t error_offset; /* bytes, in the file it happened in */

	/* written by the job, read by anybody */
	atomic_uint_fast64_t done;  /* bytes */
	atomic_uint_fast64_t total; /* bytes */
	atomic_bool cancel;
};

/* What the last evict did, in pages; of a tree, summed up. */
struct evict_sums {
	bool any;   /* there was one */
	bool exact; /* every reason was read page by page */
	uint64_t files;
	uint64_t unknown_files; /* of those, not measured, or not to be opened */
	uint64_t before;
	uint64_t after;
	uint64_t stayed[MMAPFS_STAY_COUNT];
};

struct byte_span {
	uint64_t begin; /* page aligned */
	uint64_t end;
};

/* Advice that holds for a part of the file only. */
struct part_advice {
	struct mmapfs_range range;
	enum mmapfs_advice advice;
};

#define REGION_PART_ADVICE_MAX 16

struct region {
	pthread_mutex_t mutex;

	/* protected by mutex */
	struct view *view; /* newest; NULL before the first and after view_forget() */
	struct part_advice parts[REGION_PART_ADVICE_MAX]; /* in the order given */
	unsigned int part_count;
	uint32_t sync_errors; /* so far */
	int sync_error;	      /* the newest, a negative errno */
	uint32_t sync_control_seen;
	struct job jobs[JOB_KINDS]; /* but see there */
	struct evict_sums evict;
	struct byte_span *locked; /* a copy of what `pin` has locked, for readers */
	size_t locked_count;
	uint64_t locked_bytes;

	pthread_mutex_t locking; /* held by region_lock and region_unlock */

	/* protected by locking */
	struct mmapfs_map *pin; /* has the locked pages; NULL: nothing is locked */
	struct fs *pin_fs;	/* in whose sum locked_bytes is */

	/* protected by pin_fs->pinned.mutex */
	LIST_ENTRY(region) pinned;
	struct inode *pin_inode;
};

/* The region of @inode if there is one already, else NULL. */
struct region *region_peek(struct inode *inode);

/* ---- opening ---- */

/* Open the file of @inode for observation: read only, without touching its atime. */
int region_open_fd(struct fs *fs, struct inode *inode);

/* A map of all that @inode shows, without addresses yet. @access: enum mmapfs_access.
 * Errors also: -EACCES for a window that is only to be read. */
int region_open_map(struct fs *fs, struct inode *inode, uint32_t access,
		    struct mmapfs_map **ret);

/* The same from a descriptor, which is taken also on failure: of what @window shows of the
 * file, or (NULL) all of it. */
int region_map_fd(const struct window *window, int fd, uint32_t access,
		  struct mmapfs_map **ret);

/*
 * The pages of @range of @inode, which shows @size bytes (UINT64_MAX: do not cut there), as
 * bytes from where its first page begins. That is its first byte, unless it shows a window
 * which does not begin a page of the source.
 */
struct byte_span region_pages(const struct inode *inode, struct mmapfs_range range,
			      uint64_t size);

/* The bytes of @inode that these pages have. */
struct mmapfs_range region_bytes(const struct inode *inode, struct byte_span pages);

/* ---- the view ---- */

struct mmapfs_map *view_map(const struct view *view);

/* The current view as it is, whatever the file's size now. NULL: there is none. */
struct view *view_peek(struct inode *inode);

/* Drop the page table entries of our own views of @range, whatever inode they are for, so
 * that an evict does not meet them. */
void region_release_pages(struct inode *inode, struct mmapfs_range range);

/* ---- advice ---- */

/* Remember STATE advice for @range, for every later view. -ENOSPC: too many parts. */
int region_remember_advice(struct inode *inode, struct mmapfs_range range,
			   enum mmapfs_advice advice);

/* The advice in force has changed: give it to the current view too. */
void region_renew_advice(struct inode *inode);

/* ---- locks (region_lock.c) ---- */

/* Lock @range within the mount's limit. Errors: -ENOMEM over a limit; mmapfs_lock(). */
int region_lock(struct fs *fs, struct inode *inode, struct mmapfs_range range);
int region_unlock(struct fs *fs, struct inode *inode, struct mmapfs_range range);

/* Bytes of the pages of [begin, end) that this mount has locked for @inode. */
uint64_t region_locked(struct inode *inode, uint64_t begin, uint64_t end);

/* Nobody but the locks has hold of @inode, perhaps: let them go if it has no name either. */
void region_lock_left(struct inode *inode);

/* region_drop()'s share of it. */
void region_lock_drop(struct region *region);

#endif
