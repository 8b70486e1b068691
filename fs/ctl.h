/* SPDX-License-Identifier: MIT */
/*
 * ctl.h - the control attributes, user.mmapfs.*: names, values, who may, what happens.
 *
 * One table row per attribute (ctl.c); getxattr, setxattr, listxattr, the ioctl, the help
 * text, the manual and the round-trip test come from it. Model: knows nothing of FUSE.
 */
#ifndef MMAPFS_FS_CTL_H
#define MMAPFS_FS_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "creds.h"
#include "fs.h"

/* A growing text. `data` is malloc'ed; not NUL-terminated for the outside. */
struct ctl_text {
	char *data;
	size_t length;
	size_t capacity;
	size_t limit; /* 0: none; ranges are cut so that they fit */
};

__attribute__((format(printf, 2, 3))) int ctl_text_printf(struct ctl_text *text,
							   const char *format, ...);
void ctl_text_free(struct ctl_text *text);

struct ctl_caller {
	struct creds_user user; /* groups count only for work on trees */
	/* Asked between pieces of work: true ends it with -EINTR. May be NULL. */
	bool (*interrupted)(void *ctx);
	void *ctx;
};

/* "user.mmapfs" or below "user.mmapfs.": ours, never the source's. @name is a full name. */
bool ctl_is_ours(const char *name);

/*
 * May this take long (a tree to walk, a file to read or write)? Then it is to be run on a
 * request worker, not in the thread that received the request. False for unknown names.
 */
bool ctl_get_is_long(const struct inode *inode, const char *name);
bool ctl_set_is_long(const struct inode *inode, const char *name);

/* How many bytes ctl_get may answer at most, for a caller that asks for the size first: an
 * upper bound that needs no measuring. Errors as ctl_get for names: -ENODATA. */
int64_t ctl_get_bound(const struct inode *inode, const char *name);

/*
 * Value of attribute @name (full name, perhaps with "@RANGE") of @inode, appended to @ret.
 * Errors: -ENODATA unknown name, or not to be known; -EINVAL bad range; -ENOMEM; -EINTR; and
 * what opening the source file gives.
 */
int ctl_get(struct fs *fs, struct inode *inode, const char *name,
	    const struct ctl_caller *caller, struct ctl_text *ret);

/*
 * Write @value (@length bytes, not terminated) to attribute @name. The caller of this
 * function has made sure that the user may write the file. Errors: -EOPNOTSUPP unknown name
 * or one that only reports; -EINVAL bad value or range; -EPERM; -ENOMEM over the lock limit;
 * -EAGAIN when too much work is waiting; what the action reports.
 */
int ctl_set(struct fs *fs, struct inode *inode, const char *name, const char *value,
	    size_t length, const struct ctl_caller *caller);

/* The names that only report, each with its NUL, as listxattr(2) gives them (-o list_xattrs). */
int ctl_list(const struct inode *inode, struct ctl_text *ret);

#endif
