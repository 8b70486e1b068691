/* SPDX-License-Identifier: MIT */
/* lock_hold.h - files that are kept locked, whatever becomes of them. */
#ifndef MMAPCTL_LOCK_HOLD_H
#define MMAPCTL_LOCK_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "target.h"

/** A set of locked files. Opaque. */
struct holds;

/** @ranges are those to lock in each file; borrowed. Errors: -ENOMEM; inotify_init1(2).
 */
int holds_new(const struct mmapfs_range *ranges, size_t count, struct holds **ret);

/** Unlocks everything. Takes NULL, returns NULL. */
struct holds *holds_free(struct holds *holds);

/**
 * Lock @range of @target and hold it. A range that is ranges[0] begins a new file; the
 * others add to it. @target stays the caller's. @result is filled in when 0 or -ENOMEM is
 * returned. On failure nothing of the file is left locked, and its further ranges are
 * -ECANCELED. Errors: as target_lock(); -EINTR when a signal came.
 */
int holds_add(struct holds *holds, const struct target *target, struct mmapfs_range range,
	      struct mmapfs_lock_result *result);

/** No more ranges come: the last file too is held. Before the next three. Errors:
 * -ENOMEM. */
int holds_settle(struct holds *holds);

/** Files of which changes are seen only now and then: the kernel has no watch left. */
size_t holds_unwatched(const struct holds *holds);

/** Files held, and the bytes of them that are locked. */
size_t holds_count(const struct holds *holds);
uint64_t holds_bytes(const struct holds *holds);

struct holds_ops {
	/* The file at @path changed (a word, "replaced") and was locked again: @error is
	 * 0, or the negative errno with which that failed and is tried again. */
	void (*changed)(void *ctx, const char *path, const char *change, int error);
	/* Something changed: tell the service manager. */
	void (*status)(void *ctx);
};

/**
 * Hold and follow until a signal comes (see progress.h). Returns 0, or a negative errno
 * of ppoll(2) or read(2).
 */
int holds_follow(struct holds *holds, const struct holds_ops *ops, void *ctx);

#endif
