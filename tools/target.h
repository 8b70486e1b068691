/* SPDX-License-Identifier: MIT */
/*
 * target.h - one selected file, on a plain filesystem or on a mounted mmapfs.
 *
 * Verbs call these and need not care where the file is: on a mount they go through the
 * control attributes, because only the daemon sees and reaches the pages behind it.
 * Results are the structs of <mmapfs.h>; what a mount does not tell is left out of `valid`.
 */
#ifndef MMAPCTL_TARGET_H
#define MMAPCTL_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <mmapfs.h>

struct found;

struct target {
	char *path;	/* as to be shown */
	struct stat st; /* as of open */
	bool on_mount; /* of mmapfs: driven by control attributes */

	/* private */
	int fd;		  /* -1: closed, or the map's */
	/* What statx(2) has just said, where somebody has it and it still holds; else NULL. */
	const struct statx *fresh;
	bool writable;	  /* fd is */
	uint32_t fs_magic;
	struct mmapfs_map *map; /* NULL until needed, always on a mount */
	size_t path_capacity;
};

/* What is known of a range of a file beyond struct mmapfs_residency. */
struct observation {
	struct mmapfs_residency residency;
	uint64_t locked;   /* pages that the mount keeps locked */
	bool locked_known; /* only on a mount */
	char advice[24];   /* only on a mount, else "" */
	char data_path[16]; /* only on a mount: "passthrough", "mapped", "undecided" */
};

/* Make an empty target; target_close() closes the file, and what was learnt of it stays
 * until the next one is set; target_done() gives the memory back too. */
void target_init(struct target *target);
void target_close(struct target *target);
void target_done(struct target *target);

/* As target_close(), but hand the descriptor to the caller, who closes it; -1 when there is
 * none to be had apart from a map. */
int target_take_fd(struct target *target);

/* Take over what the walker found (found->fd too, also on failure); target->path has been
 * set. Errors: fstatfs(2). */
int target_set(struct target *target, const struct found *found);

/* Let @to be what @from is, and @from empty: to keep a file open past deliver(). */
void target_steal(struct target *from, struct target *to);

/* Open @path by itself. @nofollow: a symbolic link is -ELOOP. Errors: open(2); -EISDIR;
 * -ENODEV for what has no pages. */
int target_open(struct target *target, const char *path, bool nofollow);

/* Open the same file again for writing, for advice that writes. Errors: open(2). */
int target_reopen_writable(struct target *target);

/* The descriptor. It stays the target's. */
int target_fd(const struct target *target);

/* Bytes, also of a block device, now. */
int target_size(struct target *target, uint64_t *ret);

/* Name of the filesystem type, "ext4", or "0x1234"; "mmapfs" on a mount of ours. Static or
 * thread-local, good until the next call. */
const char *target_fs_name(const struct target *target);

/* @flags: enum mmapfs_observe_flags. That nothing could be known is no error. Errors: as
 * mmapfs_residency(), mmapfs_control_get(). */
int target_observe(struct target *target, struct mmapfs_range range, uint32_t flags,
		   struct observation *ret);

/* As mmapfs_ranges(). */
int target_ranges(struct target *target, struct mmapfs_range range, uint32_t flags,
		  mmapfs_range_fn fn, void *ctx);

/*
 * As mmapfs_warm(). On a mount the daemon does it, piece by piece so that rate and
 * keep_available hold; the progress callback is asked several times a second, and its
 * non-zero cancels the daemon's work too.
 */
int target_warm(struct target *target, struct mmapfs_range range,
		const struct mmapfs_warm_opts *opts, struct mmapfs_warm_result *ret);

/* As mmapfs_evict(). */
int target_evict(struct target *target, struct mmapfs_range range, uint32_t flags,
		 struct mmapfs_evict_result *ret);

/*
 * As mmapfs_lock() and mmapfs_unlock(). A lock on a plain file lasts until target_close();
 * one on a mount until target_unlock() or the end of the mount, and `limit` and `in_use` of
 * the result are UINT64_MAX and 0 there.
 */
int target_lock(struct target *target, struct mmapfs_range range,
		struct mmapfs_lock_result *ret);
int target_unlock(struct target *target, struct mmapfs_range range);

/* As mmapfs_sync(). */
int target_sync(struct target *target, struct mmapfs_range range,
		enum mmapfs_sync_level level);

/* As mmapfs_advise(). On a mount the daemon's mapping is advised, and the advice stays; on
 * a plain file it lasts as long as the target is open. */
int target_advise(struct target *target, struct mmapfs_range range,
		  enum mmapfs_advice advice, uint32_t flags);

/* The map under a plain target, made when first asked for. -EOPNOTSUPP on a mount. */
int target_map(struct target *target, struct mmapfs_map **ret);

#endif
