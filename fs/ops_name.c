/* SPDX-License-Identifier: MIT */
/* ops_name.c - make, link, move and remove names. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cache.h"
#include "creds.h"
#include "reply.h"

/* What make_object() has to make. */
struct object {
	mode_t mode; /* with S_IFMT */
	dev_t rdev;
	const char *target; /* of a symbolic link */
};

static int make(int dir_fd, const char *name, const struct object *object)
{
	int r;

	if (S_ISDIR(object->mode))
		r = mkdirat(dir_fd, name, object->mode & ~(mode_t)S_IFMT);
	else if (S_ISLNK(object->mode))
		r = symlinkat(object->target, dir_fd, name);
	else
		r = mknodat(dir_fd, name, object->mode, object->rdev);
	return r < 0 ? -errno : 0;
}

static int make_as_caller(fuse_req_t req, int dir_fd, const char *name,
			  const struct object *object)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CREATE, ctx->uid, ctx->gid);

	creds_umask(ctx->umask);
	return make(dir_fd, name, object);
}

static void make_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name,
			   const struct object *object)
{
	_cleanup_inode_fd_ struct inode_fd dir = INODE_FD_NONE;
	struct fs *fs = req_fs(req);
	struct inode *inode = NULL;
	struct stat st;
	int r = inode_path_fd(fs->inodes, req_inode(req, parent), &dir);

	if (r == 0)
		r = make_as_caller(req, dir.fd, name, object);
	if (r == 0)
		r = inode_get_at(fs->inodes, dir.fd, name, &st, &inode);
	if (r == 0)
		cache_named(fs, req_inode(req, parent), name, inode, &st);
	reply_entry(req, r, inode, &st);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make_and_reply(req, parent, name, &(struct object){ .mode = mode, .rdev = rdev });
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make_and_reply(req, parent, name, &(struct object){ .mode = mode | S_IFDIR });
}

void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	make_and_reply(req, parent, name,
		       &(struct object){ .mode = S_IFLNK | 0777, .target = link });
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	_cleanup_inode_fd_ struct inode_fd dir = INODE_FD_NONE;
	_cleanup_inode_fd_ struct inode_fd file = INODE_FD_NONE;
	struct fs *fs = req_fs(req);
	struct inode *inode = req_inode(req, ino);
	struct stat st;
	int r = inode_path_fd(fs->inodes, inode, &file);

	if (r == 0)
		r = inode_path_fd(fs->inodes, req_inode(req, parent), &dir);
	if (r == 0 && linkat(AT_FDCWD, fd_name(file.fd).text, dir.fd, name,
			     AT_SYMLINK_FOLLOW) < 0)
		r = -errno;
	if (r == 0 && fstat(file.fd, &st) < 0)
		r = -errno;
	if (r == 0) {
		inode_ref(fs->inodes, inode);
		cache_named(fs, req_inode(req, parent), name, inode, &st);
	}
	reply_entry(req, r, inode, &st);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
	_cleanup_inode_fd_ struct inode_fd dir = INODE_FD_NONE;
	struct fs *fs = req_fs(req);
	int r = inode_path_fd(fs->inodes, req_inode(req, parent), &dir);

	if (r == 0 && unlinkat(dir.fd, name, flags) < 0)
		r = -errno;
	if (r == 0)
		cache_removed(fs);
	reply_result(req, r);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, 0);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, AT_REMOVEDIR);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned int flags)
{
	_cleanup_inode_fd_ struct inode_fd from = INODE_FD_NONE;
	_cleanup_inode_fd_ struct inode_fd to = INODE_FD_NONE;
	struct fs *fs = req_fs(req);
	int r = inode_path_fd(fs->inodes, req_inode(req, parent), &from);

	if (r == 0)
		r = inode_path_fd(fs->inodes, req_inode(req, new_parent), &to);
	if (r == 0 && renameat2(from.fd, name, to.fd, new_name, flags) < 0)
		r = -errno;
	if (r == 0) {
		cache_moved(fs, req_inode(req, new_parent), to.fd, new_name);
		if (flags & RENAME_EXCHANGE)
			cache_moved(fs, req_inode(req, parent), from.fd, name);
		cache_removed(fs);
	}
	reply_result(req, r);
}
