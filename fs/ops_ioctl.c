/* SPDX-License-Identifier: MIT */
/*
 * ops_ioctl.c - the controls by ioctl.
 *
 * A read-only mount refuses setxattr before this daemon hears of it, so the same controls
 * have a second door that works on read-only descriptors. What the VFS checks for an
 * attribute is checked here: to read one needs an open file, to write one the right to write
 * it - by owner and mode, for whether the mount is writable does not matter.
 */
#include "ops.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mmapfs.h>

#include "control.h"
#include "creds.h"
#include "reply.h"

static int may_write(fuse_req_t req, struct inode *inode)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	const struct creds_user user = req_user(req, true);
	int r = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	return r < 0 ? r : creds_may_write(fd.fd, &user);
}

static bool well_formed(const struct mmapfs_control *control)
{
	return memchr(control->name, '\0', sizeof(control->name)) &&
	       control->op <= MMAPFS_CONTROL_SET && control->length <= sizeof(control->value);
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
	      size_t out_size)
{
	const struct mmapfs_control *control = in;
	struct inode *inode = req_inode(req, ino);
	char name[sizeof(MMAPFS_CONTROL_PREFIX) + MMAPFS_CONTROL_NAME_MAX];
	int r;

	(void)arg;
	(void)fi;
	(void)flags;
	if (cmd != MMAPFS_IOC_CONTROL || in_size < sizeof(*control) ||
	    out_size < sizeof(*control)) {
		reply_result(req, -ENOTTY);
		return;
	}
	if (!well_formed(control)) {
		reply_result(req, -EINVAL);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s%s", MMAPFS_CONTROL_PREFIX, control->name);
	if (control->op == MMAPFS_CONTROL_GET) {
		control_get(req, inode, name, sizeof(control->value), CONTROL_IOCTL);
		return;
	}
	r = may_write(req, inode);
	if (r < 0)
		reply_result(req, r);
	else
		control_set(req, inode, name, control->value, control->length, CONTROL_IOCTL);
}
