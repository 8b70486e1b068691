/* SPDX-License-Identifier: MIT */
/* ops_file.c - open, create and close files. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache.h"
#include "creds.h"
#include "datapath.h"
#include "reply.h"

static void close_handle(struct session *session, struct handle *handle)
{
	datapath_close(session, handle->inode, handle->writer);
	cache_closed(&session->fs, handle->inode, handle->writer);
	handle_close(&session->fs, handle);
}

void forget_attributes(struct session *session, struct inode *inode)
{
	(void)fuse_lowlevel_notify_inval_inode(session->fuse, (uintptr_t)inode, -1, 0);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct session *session = req_session(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct inode *inode = req_inode(req, ino);
	struct handle *handle = NULL;
	bool kernel_reads = session->passthrough.active;
	int id, r;

	r = handle_open(&session->fs, inode, fi->flags, ctx->uid, ctx->gid, !kernel_reads,
			&handle);
	if (r < 0) {
		reply_result(req, r);
		return;
	}
	id = datapath_open(session, inode, handle->writer);
	cache_opened(&session->fs, inode, handle->writer);
	/* While a file is open for writing its attributes are not kept (see attr_timeout()), but
	 * the lookup that led here may have left some: a store through a mapping of this open
	 * would not show in them. */
	if (handle->writer)
		forget_attributes(session, inode);
	fi->fh = (uintptr_t)handle;
	fi->noflush = 1;
	fi->direct_io = datapath_is_direct(inode);
	/* An interrupted open is not answered, and will not be released. */
	if (passthrough_reply_open(req, fi, id) == -ENOENT)
		close_handle(session, handle);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	close_handle(req_session(req), fi_handle(fi));
	reply_result(req, 0);
}

/* Open flags of a new file. O_NONBLOCK, lest a FIFO that took the name meanwhile hangs us. */
static int create_flags(int flags)
{
	flags &= ~(O_APPEND | O_DIRECT | O_NOCTTY);
	return flags | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
}

/* A descriptor on the new file, made with the caller's rights. */
static int create_as_caller(fuse_req_t req, int dir_fd, const char *name, mode_t mode, int flags)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CREATE, ctx->uid, ctx->gid);
	int fd;

	creds_umask(ctx->umask);
	if (strcmp(name, PASSTHROUGH_TMPFILE_NAME) == 0)
		fd = openat(dir_fd, ".", (flags & ~(O_CREAT | O_NOFOLLOW | O_DIRECTORY)) |
						 O_TMPFILE | O_CLOEXEC, mode);
	else
		fd = openat(dir_fd, name, create_flags(flags), mode);
	return fd < 0 ? -errno : fd;
}

static int create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, int flags,
		  struct stat *ret_st, struct inode **ret_inode, struct handle **ret_handle)
{
	_cleanup_inode_fd_ struct inode_fd dir = INODE_FD_NONE;
	_cleanup_close_ int fd = -1;
	struct fs *fs = req_fs(req);
	int r = inode_path_fd(fs->inodes, req_inode(req, parent), &dir);

	if (r < 0)
		return r;
	fd = create_as_caller(req, dir.fd, name, mode, flags);
	if (fd < 0)
		return fd;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ESTALE; /* something else took the name: the kernel looks again */
	r = inode_get(fs->inodes, fd, ret_st, ret_inode);
	if (r < 0)
		return r;
	cache_named(fs, req_inode(req, parent), name, *ret_inode, ret_st);
	r = handle_adopt(fs, *ret_inode, flags, &fd, ret_handle);
	if (r < 0)
		inode_unref(fs->inodes, *ret_inode, 1);
	return r;
}

/*
 * The kernel asks once more for the attributes of what it has just been told is new, to see
 * that it may be opened, if they are not to be kept at all. One tick will do; whoever can
 * store through a mapping of it comes later.
 */
static double create_timeout(const struct session *session, double timeout)
{
	return timeout > 0 || session->options->attr_timeout <= 0 ? timeout : 0.001;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct session *session = req_session(req);
	struct fuse_entry_param entry;
	struct handle *handle = NULL;
	struct inode *inode = NULL;
	struct stat st;
	int id, r;

	r = create(req, parent, name, mode, fi->flags, &st, &inode, &handle);
	if (r < 0) {
		reply_result(req, r);
		return;
	}
	id = datapath_open(session, inode, handle->writer);
	cache_opened(&session->fs, inode, handle->writer);
	fi->fh = (uintptr_t)handle;
	fi->noflush = 1;
	entry = entry_of(session, inode, &st);
	entry.attr_timeout = create_timeout(session, entry.attr_timeout);
	if (passthrough_reply_create(req, &entry, fi, id) == -ENOENT) {
		close_handle(session, handle);
		inode_unref(session->fs.inodes, inode, 1);
	}
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	op_create(req, parent, PASSTHROUGH_TMPFILE_NAME, mode, fi);
}
