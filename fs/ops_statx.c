/* SPDX-License-Identifier: MIT */
/* ops_statx.c - attributes with the time of birth, which getattr has no room for. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "reply.h"

static int statx_inode(struct session *session, struct inode *inode,
		       const struct handle *handle, unsigned int mask, struct statx *ret)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	int r = 0;

	if (handle && handle->fd >= 0)
		fd = (struct inode_fd){ .fd = handle->fd };
	else
		r = inode_path_fd(session->fs.inodes, inode, &fd);
	if (r < 0)
		return r;
	if (statx(fd.fd, "", AT_EMPTY_PATH, mask | STATX_BASIC_STATS, ret) < 0)
		return -errno;
	ret->stx_ino = shown_ino(&session->fs,
				 makedev(ret->stx_dev_major, ret->stx_dev_minor), ret->stx_ino);
	return 0;
}

static int answer(struct session *session, fuse_ino_t ino, uint64_t fh, unsigned int mask,
		  struct statx *ret, double *ret_timeout)
{
	struct inode *inode = node_inode(session, ino);
	const struct handle *handle =
		S_ISREG(inode->type) ? (const struct handle *)(uintptr_t)fh : NULL;

	*ret_timeout = attr_timeout(session, inode);
	return statx_inode(session, inode, handle, mask, ret);
}

int answer_statx(struct passthrough *pt, fuse_ino_t ino, uint64_t fh, unsigned int mask,
		 struct statx *ret, double *ret_timeout)
{
	/* The first member of a session. */
	return answer((struct session *)pt, ino, fh, mask, ret, ret_timeout);
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi)
{
	struct statx stx;
	double timeout;
	int r = answer(req_session(req), ino, fi ? fi->fh : 0, (unsigned int)mask, &stx, &timeout);

	(void)flags;
	if (r < 0)
		reply_result(req, r);
	else
		(void)fuse_reply_statx(req, 0, &stx, timeout);
}
#endif
