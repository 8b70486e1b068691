/* SPDX-License-Identifier: MIT */
/*
 * ops_ioctl.c - the controls by ioctl, and the inode flags of lsattr(1) and chattr(1).
 *
 * A read-only mount refuses setxattr before this daemon hears of it, so the same controls
 * have a second door that works on read-only descriptors. What the VFS checks for an
 * attribute is checked here: to read one needs the right to read the file, which a descriptor
 * for reading is, to write one the right to write it - by owner and mode, for whether the mount
 * is writable does not matter.
 */
#include "ops.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <mmapfs.h>

#include "base/macro.h"
#include "control.h"
#include "creds.h"
#include "handle.h"
#include "reply.h"

/* Requests that are the source's. The kernel, which makes them of its own calls, has checked
 * who asks; sizes are those of its arguments, not of the user's. */
union source_argument {
	int flags;
	struct fsxattr fsxattr;
};

static const struct source_ioctl {
	unsigned int cmd;
	size_t size;
	bool change;
} source_ioctls[] = {
	{ FS_IOC_GETFLAGS, sizeof(int), false },
	{ FS_IOC_SETFLAGS, sizeof(int), true },
	{ FS_IOC_FSGETXATTR, sizeof(struct fsxattr), false },
	{ FS_IOC_FSSETXATTR, sizeof(struct fsxattr), true },
};

static const struct source_ioctl *find_source_ioctl(unsigned int cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(source_ioctls); i++) {
		if (source_ioctls[i].cmd == cmd)
			return &source_ioctls[i];
	}
	return NULL;
}

/* A descriptor that ioctl(2) works on: O_PATH ones do not. */
static int open_for_ioctl(struct fs *fs, const struct inode *inode, struct fuse_file_info *fi,
			  struct inode_fd *ret)
{
	if (S_ISREG(inode->type))
		return handle_fd(fs, fi_handle(fi), ret);
	if (!S_ISDIR(inode->type))
		return -ENOTTY;
	*ret = (struct inode_fd){ .fd = fi_dir(fi)->fd };
	return 0;
}

static void ask_source(fuse_req_t req, struct inode *inode, struct fuse_file_info *fi,
		       const struct source_ioctl *row, union source_argument *argument)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	int r = open_for_ioctl(req_fs(req), inode, fi, &fd);

	if (r == 0) {
		_cleanup_creds_ struct creds creds =
			creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);

		r = ioctl(fd.fd, row->cmd, argument) < 0 ? -errno : 0;
	}
	if (r == 0 && row->change)
		forget_attributes(req_session(req), inode); /* ctime */
	if (r < 0)
		reply_result(req, r);
	else
		(void)fuse_reply_ioctl(req, 0, argument, row->change ? 0 : row->size);
}

static int may_by_rights(fuse_req_t req, struct inode *inode,
			 int (*may)(int fd, const struct creds_user *user))
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	const struct creds_user user = req_user(req, true);
	int r = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	return r < 0 ? r : may(fd.fd, &user);
}

static int may(fuse_req_t req, struct inode *inode, struct fuse_file_info *fi, uint32_t op)
{
	if (op == MMAPFS_CONTROL_SET)
		return may_by_rights(req, inode, creds_may_write);
	/* Only regular files can be opened for writing alone. */
	if (!S_ISREG(inode->type) || fi_handle(fi)->reader)
		return 0;
	return may_by_rights(req, inode, creds_may_read);
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
	const struct source_ioctl *source = find_source_ioctl(cmd);
	const struct mmapfs_control *control = in;
	struct inode *inode = req_inode(req, ino);
	char name[sizeof(MMAPFS_CONTROL_PREFIX) + MMAPFS_CONTROL_NAME_MAX];
	int r;

	(void)arg;
	(void)flags;
	if (source && (source->change ? in_size : out_size) >= source->size) {
		union source_argument argument = { 0 };

		if (source->change)
			memcpy(&argument, in, source->size);
		ask_source(req, inode, fi, source, &argument);
		return;
	}
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
	r = may(req, inode, fi, control->op);
	if (r < 0)
		reply_result(req, r);
	else if (control->op == MMAPFS_CONTROL_GET)
		control_get(req, inode, name, sizeof(control->value), CONTROL_IOCTL);
	else
		control_set(req, inode, name, control->value, control->length, CONTROL_IOCTL);
}
