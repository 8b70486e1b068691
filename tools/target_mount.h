/* SPDX-License-Identifier: MIT */
/* target_mount.h - what target.c does for files on a mounted mmapfs. As target.h, with the
 * descriptor in place of the target. */
#ifndef MMAPCTL_TARGET_MOUNT_H
#define MMAPCTL_TARGET_MOUNT_H

#include "target.h"

/* Is @fd, on a FUSE filesystem, on a mounted mmapfs? */
bool mount_is_ours(int fd);

int mount_observe(int fd, struct mmapfs_range range, struct observation *ret);
int mount_ranges(int fd, uint64_t size, struct mmapfs_range range, mmapfs_range_fn fn,
		 void *ctx);
int mount_warm(int fd, uint64_t size, struct mmapfs_range range,
	       const struct mmapfs_warm_opts *opts, struct mmapfs_warm_result *ret);
int mount_evict(int fd, struct mmapfs_range range, uint32_t flags,
		struct mmapfs_evict_result *ret);
int mount_lock(int fd, uint64_t size, struct mmapfs_range range,
	       struct mmapfs_lock_result *ret);
int mount_unlock(int fd, struct mmapfs_range range);
int mount_sync(int fd, struct mmapfs_range range, enum mmapfs_sync_level level);
int mount_advise(int fd, struct mmapfs_range range, enum mmapfs_advice advice);

/* ---- the texts of the attributes; no system calls, for tests ---- */

/* Errors: -EPROTO when @text (NUL-terminated) is no `stat` of a file. */
int mount_parse_stat(const char *text, struct observation *ret);

/* "before=9 after=3 dirty=3 reasons=exact"; @pages from elsewhere. -EPROTO. */
int mount_parse_evict(const char *text, struct mmapfs_evict_result *ret);

struct mount_warm_state {
	char state[16]; /* "running" */
	uint64_t done;
	uint64_t total;
	int error; /* negative errno, 0: none */
	uint64_t error_offset;
};

/* "failed 0/4096 EIO at 0". -EPROTO. */
int mount_parse_warm(const char *text, struct mount_warm_state *ret);

#endif
