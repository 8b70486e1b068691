/* SPDX-License-Identifier: MIT */
/*
 * ops_table.c - a mounted region table: one directory, whose names are its rows and stay so.
 *
 * What is left out falls back in the kernel: copy_file_range to reads and writes, statx to
 * getattr.
 */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cache.h"
#include "ctl.h"
#include "reply.h"
#include "table_open.h"

/* ---- names ---- */

static void table_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = req_fs(req);
	struct inode *inode = table_find(fs->table, name);
	struct stat st;
	int r = inode ? inode_stat(fs->inodes, inode, &st) : -ENOENT;

	if (r == 0) {
		inode_ref(fs->inodes, inode);
		cache_named(fs, req_inode(req, parent), name, inode, &st);
	}
	reply_lookup(req, r, inode, &st);
}

/* "The filesystem does not support it", as the manual pages of these calls have it. */
static void refuse(fuse_req_t req)
{
	reply_result(req, -EPERM);
}

static void table_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	refuse(req);
}

static void table_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	refuse(req);
}

static void table_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)parent, (void)name;
	refuse(req);
}

static void table_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino, (void)parent, (void)name;
	refuse(req);
}

static void table_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	refuse(req);
}

static void table_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			 fuse_ino_t new_parent, const char *new_name, unsigned int flags)
{
	(void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
	refuse(req);
}

static void table_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			 struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	refuse(req);
}

/* ---- the directory ---- */

static void table_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->fh = 0;
	(void)fuse_reply_open(req, fi);
}

static void table_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	reply_result(req, 0);
}

static void table_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
			   struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	reply_result(req, 0);
}

/* A reply that is being filled. */
struct listing {
	fuse_req_t req;
	bool plus; /* with attributes, and a lookup for each */
	char *buf;
	size_t room;
	size_t used;
};

/* Add @param under @name; @next is the position behind it. False: it did not fit. */
static bool add(struct listing *listing, const char *name, const struct fuse_entry_param *param,
		off_t next)
{
	char *at = listing->buf + listing->used;
	size_t room = listing->room - listing->used;
	size_t need;

	if (listing->plus)
		need = fuse_add_direntry_plus(listing->req, at, room, name, param, next);
	else
		need = fuse_add_direntry(listing->req, at, room, name, &param->attr, next);
	if (need > room)
		return false;
	listing->used += need;
	return true;
}

static bool add_dot(struct listing *listing, const char *name, off_t next)
{
	const struct inode *root = inode_root(req_fs(listing->req)->inodes);
	const struct fuse_entry_param param = { .attr = { .st_ino = root->ino,
							  .st_mode = S_IFDIR } };

	return add(listing, name, &param, next);
}

static bool add_row(struct listing *listing, size_t number, off_t next)
{
	struct session *session = req_session(listing->req);
	struct fs *fs = &session->fs;
	struct inode *inode = table_inode(fs->table, number);
	const char *name = table_name(fs->table, number);
	struct stat st = { .st_ino = inode->ino, .st_mode = inode->type };
	struct fuse_entry_param param = { .attr = st };

	if (listing->plus && inode_stat(fs->inodes, inode, &st) == 0)
		param = entry_of(session, inode, &st);
	if (!add(listing, name, &param, next))
		return false;
	if (param.ino) {
		/* The kernel has not seen it yet: this is in time. */
		inode_ref(fs->inodes, inode);
		cache_named(fs, inode_root(fs->inodes), name, inode, &st);
	}
	return true;
}

/* Positions are numbers of rows, behind "." and "..". */
static void list(fuse_req_t req, size_t size, off_t offset, bool plus)
{
	_cleanup_free_ char *buf = malloc(size);
	struct listing listing = { .req = req, .plus = plus, .buf = buf, .room = size };
	off_t end = (off_t)table_count(req_fs(req)->table) + 2;
	bool more = buf != NULL;

	if (!buf) {
		reply_result(req, -ENOMEM);
		return;
	}
	for (off_t at = offset; more && at < end; at++) {
		if (at < 2)
			more = add_dot(&listing, at == 0 ? "." : "..", at + 1);
		else
			more = add_row(&listing, (size_t)at - 2, at + 1);
	}
	(void)fuse_reply_buf(req, buf, listing.used);
}

static void table_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			  struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	list(req, size, offset, false);
}

static void table_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			      struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	list(req, size, offset, true);
}

/* ---- attributes ---- */

/* All but our own are the source's: they are shown, and changed there. */
static void table_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			   size_t size, int flags)
{
	if (ctl_is_ours(name))
		op_setxattr(req, ino, name, value, size, flags);
	else
		refuse(req);
}

static void table_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (ctl_is_ours(name))
		op_removexattr(req, ino, name);
	else
		refuse(req);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = table_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_window_setattr,
	.mknod = table_mknod,
	.mkdir = table_mkdir,
	.unlink = table_remove,
	.rmdir = table_remove,
	.symlink = table_symlink,
	.rename = table_rename,
	.link = table_link,
	.open = op_open,
	.read = op_read,
	.write = op_window_write,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = table_opendir,
	.readdir = table_readdir,
	.readdirplus = table_readdirplus,
	.releasedir = table_releasedir,
	.fsyncdir = table_fsyncdir,
	.statfs = op_statfs,
	.setxattr = table_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = table_removexattr,
	.create = table_create,
	.ioctl = op_ioctl,
	.fallocate = op_window_fallocate,
	.lseek = op_window_lseek,
};
