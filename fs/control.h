/* SPDX-License-Identifier: MIT */
/*
 * control.h - carry a control request to the model and its answer back. Wire.
 *
 * Two doors lead here, extended attributes and the ioctl. What may take long runs on a
 * request worker, so that the threads which serve the filesystem stay free.
 */
#ifndef MMAPFS_FS_CONTROL_H
#define MMAPFS_FS_CONTROL_H

#include "session.h"

enum control_door {
	CONTROL_XATTR,
	CONTROL_IOCTL, /* the answer goes into a struct mmapfs_control */
};

/* Read attribute @name (full name) of @inode; the caller has room for @size bytes. */
void control_get(fuse_req_t req, struct inode *inode, const char *name, size_t size,
		 enum control_door door);

/* Write it. The caller's right to write the file has been checked. */
void control_set(fuse_req_t req, struct inode *inode, const char *name, const char *value,
		 size_t length, enum control_door door);

#endif
