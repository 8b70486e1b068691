/* SPDX-License-Identifier: MIT */
/*
 * reply.h - answer a request, exactly once. Wire.
 *
 * Results inside fs are negative errno; libfuse wants positive ones. The sign turns here and
 * nowhere else. After any of these the request is gone.
 */
#ifndef MMAPFS_FS_REPLY_H
#define MMAPFS_FS_REPLY_H

#include "handle.h"
#include "session.h"

/* 0, or an error. */
void reply_result(fuse_req_t req, int r);

/* @inode with one reference that becomes the kernel's lookup; or the error @r. */
void reply_entry(fuse_req_t req, int r, struct inode *inode, const struct stat *st);
/* The same of a name that was looked up: that there is none is kept as long as a name is. */
void reply_lookup(fuse_req_t req, int r, struct inode *inode, const struct stat *st);

void reply_attr(fuse_req_t req, int r, const struct inode *inode, const struct stat *st);

/* @r bytes of @text, or the error @r. @size is what the caller has room for: 0 asks for the
 * length, too little is ERANGE. */
void reply_text(fuse_req_t req, int64_t r, const char *text, size_t size);

/* The inode number that the mount shows for file @ino of device @dev. */
ino_t shown_ino(const struct fs *fs, dev_t dev, ino_t ino);

/* How long the kernel may keep the attributes of @inode, in seconds. */
double attr_timeout(const struct session *session, const struct inode *inode);

/* What the kernel is told of a file, also for readdirplus. */
struct fuse_entry_param entry_of(const struct session *session, const struct inode *inode,
				 const struct stat *st);

#endif
