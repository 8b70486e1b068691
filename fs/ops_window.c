/* SPDX-License-Identifier: MIT */
/*
 * ops_window.c - the contents of windows, where that is not what it is for a whole file:
 * offsets are the window's own, it ends where its row says, and others show the same bytes.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "creds.h"
#include "meter.h"
#include "reply.h"
#include "table_share.h"
#include "worker.h"

/* A change that waits for its turn, see table_share.h. */
struct turn {
	fuse_req_t req;
	struct meter meter;
	const struct window *window;
	struct mmapfs_range range;
	int fd;
	int flags; /* of the open file; the mode of a fallocate */
	int64_t (*change)(const struct turn *turn); /* returns the bytes written, or 0 */
	char data[];
};

static struct window *window_of(fuse_req_t req, fuse_ino_t ino)
{
	return req_inode(req, ino)->window;
}

static void reply_change(fuse_req_t req, int64_t r)
{
	if (r > 0)
		(void)fuse_reply_write(req, (size_t)r);
	else
		reply_result(req, (int)r);
}

static void run_turn(void *arg)
{
	struct turn *turn = arg;
	int64_t r;

	meter_give(turn->meter);
	share_forget(turn->window, turn->range);
	r = turn->change(turn);
	share_forget(turn->window, turn->range);
	reply_change(turn->req, r);
	free(turn);
}

/* Copies @model and @data (may be NULL), which is as long as the range. */
static void take_turn(const struct turn *model, const char *data)
{
	size_t size = data ? model->range.length : 0;
	struct turn *turn = malloc(sizeof(*turn) + size);
	int r = -ENOMEM;

	if (turn) {
		*turn = *model;
		if (size)
			memcpy(turn->data, data, size);
		turn->meter = meter_take();
		r = workers_submit(req_fs(model->req)->turns, run_turn, turn);
	}
	if (r == 0)
		return;
	if (turn)
		meter_give(turn->meter);
	free(turn);
	reply_result(model->req, r);
}

/* ---- write ---- */

/* Behind the source's end is the window's, if it reaches there; never for another. */
static ssize_t write_source(const struct turn *turn, const char *data)
{
	const struct window *window = turn->window;
	int flags = window->kind == WINDOW_REST ? turn->flags : 0;

	return write_as_caller(turn->req, turn->fd, data, turn->range.length,
			       (off_t)(window->offset + turn->range.offset), flags);
}

static int64_t write_in_turn(const struct turn *turn)
{
	return write_source(turn, turn->data);
}

void op_window_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	struct window *window = window_of(req, ino);
	struct turn turn = { .req = req, .window = window, .fd = fi_handle(fi)->fd,
			     .flags = fi->flags, .change = write_in_turn };
	int64_t n = window_room(window, (uint64_t)offset, size);

	if (n <= 0) {
		reply_result(req, (int)n);
		return;
	}
	turn.range = (struct mmapfs_range){ (uint64_t)offset, (uint64_t)n };
	/* The kernel's writing back may be what a turn waits for. */
	if (!fi->writepage && share_is_copied(window, turn.range)) {
		take_turn(&turn, buf);
		return;
	}
	n = write_source(&turn, buf);
	if (n > 0)
		share_written(window, turn.range);
	reply_change(req, n);
}

/* ---- fallocate ---- */

static int64_t fallocate_source(const struct turn *turn)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(turn->req);
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);

	return window_fallocate(turn->window, turn->fd, turn->flags, turn->range.offset,
				turn->range.length);
}

void op_window_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	struct window *window = window_of(req, ino);
	const struct turn turn = { .req = req, .window = window,
				   .range = { (uint64_t)offset, (uint64_t)length },
				   .fd = fi_handle(fi)->fd, .flags = mode,
				   .change = fallocate_source };

	if (share_is_copied(window, turn.range))
		take_turn(&turn, NULL);
	else
		reply_result(req, (int)fallocate_source(&turn));
}

/* ---- lseek ---- */

void op_window_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	int64_t r = handle_fd(req_fs(req), fi_handle(fi), &fd);

	if (r == 0)
		r = window_seek(window_of(req, ino), fd.fd, (uint64_t)offset, whence);
	if (r < 0)
		reply_result(req, (int)r);
	else
		(void)fuse_reply_lseek(req, r);
}

/* ---- setattr ---- */

static int set_size(fuse_req_t req, struct inode *inode, off_t size)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);
	_cleanup_close_ int fd = -1;
	int r = window_may_open(inode->window, O_RDWR);

	if (r < 0)
		return r;
	fd = inode_open(req_fs(req)->inodes, inode, O_RDWR);
	return fd < 0 ? fd : window_truncate(inode->window, fd, (uint64_t)size);
}

/* Owner, mode and times are the source's, and are changed there. Memory has its own. */
void op_window_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	const int of_source = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
			      FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW |
			      FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW;
	struct inode *inode = req_inode(req, ino);
	int r = 0;

	if (to_set & of_source && inode->window->kind != WINDOW_MEMORY)
		r = -EPERM;
	else if (to_set & FUSE_SET_ATTR_SIZE)
		r = set_size(req, inode, attr->st_size);
	if (r < 0)
		reply_result(req, r);
	else
		op_setattr(req, ino, attr, to_set & ~FUSE_SET_ATTR_SIZE, fi);
}
