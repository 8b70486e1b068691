/* SPDX-License-Identifier: MIT */
/* ops_io.c - the contents of files: what the kernel does not serve itself by passthrough. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/macro.h"
#include "creds.h"
#include "region.h"
#include "reply.h"

/*
 * Straight out of the mapping: the write to /dev/fuse reads the pages. One that has vanished
 * or cannot be read makes that write fail, not this process, and the kernel answers EIO.
 */
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct view *view = NULL;
	uint64_t length, at = (uint64_t)offset;
	int r = view_get(fs, req_inode(req, ino), &view);

	(void)fi;
	if (r < 0 && r != -ENODATA) {
		reply_result(req, r);
		return;
	}
	length = view ? view_length(view) : 0;
	if (at >= length)
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_buf(req, view_addr(view) + at, u64_min(size, length - at));
	view_put(view);
}

/* Where O_APPEND is set the source's end counts, not the one the kernel remembers. */
static ssize_t write_some(int fd, const char *buf, size_t size, off_t offset, int flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, size };

	return pwritev2(fd, &iov, 1, offset, flags & O_APPEND ? RWF_APPEND : 0);
}

/* pwrite, not a store into the mapping: a full disk is an errno then, not a signal. */
ssize_t write_as_caller(fuse_req_t req, int fd, const char *buf, size_t size, off_t offset,
			int flags)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);
	size_t done = 0;

	while (done < size) {
		ssize_t n = write_some(fd, buf + done, size - done, offset + (off_t)done, flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
	      struct fuse_file_info *fi)
{
	ssize_t n = write_as_caller(req, fi_handle(fi)->fd, buf, size, offset, fi->flags);

	(void)ino;
	if (n < 0)
		reply_result(req, (int)n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	reply_result(req, handle_sync(req_fs(req), fi_handle(fi), datasync));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct creds creds = creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);
	int r = fallocate(fi_handle(fi)->fd, mode, offset, length) < 0 ? -errno : 0;

	(void)ino;
	creds_leave(&creds);
	reply_result(req, r);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	off_t result = handle_fd(req_fs(req), fi_handle(fi), &fd);

	(void)ino;
	if (result == 0) {
		result = lseek(fd.fd, offset, whence);
		result = result < 0 ? -errno : result;
	}
	if (result < 0)
		reply_result(req, (int)result);
	else
		(void)fuse_reply_lseek(req, result);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t length, int flags)
{
	_cleanup_inode_fd_ struct inode_fd in = INODE_FD_NONE;
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct creds creds;
	ssize_t n = handle_fd(req_fs(req), fi_handle(fi_in), &in);

	(void)ino_in;
	(void)ino_out;
	if (n == 0) {
		creds = creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);
		n = copy_file_range(in.fd, &off_in, fi_handle(fi_out)->fd, &off_out, length,
				    (unsigned int)flags);
		n = n < 0 ? -errno : n;
		creds_leave(&creds);
	}
	if (n < 0)
		reply_result(req, (int)n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}
