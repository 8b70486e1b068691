/* SPDX-License-Identifier: MIT */
/* ops_meta.c - names to inodes, and the attributes of inodes. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache.h"
#include "creds.h"
#include "reply.h"

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	_cleanup_inode_fd_ struct inode_fd dir = INODE_FD_NONE;
	struct fs *fs = req_fs(req);
	struct inode *inode = NULL;
	struct stat st;
	int r = inode_path_fd(fs->inodes, req_inode(req, parent), &dir);

	if (r == 0)
		r = inode_get_at(fs->inodes, dir.fd, name, &st, &inode);
	if (r == 0)
		cache_named(fs, req_inode(req, parent), name, inode, &st);
	reply_lookup(req, r, inode, &st);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	inode_unref(req_fs(req)->inodes, req_inode(req, ino), count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_unref(req_fs(req)->inodes, req_inode(req, forgets[i].ino),
			    forgets[i].nlookup);
	fuse_reply_none(req);
}

static int stat_inode(struct fs *fs, struct inode *inode, struct fuse_file_info *fi,
		      struct stat *ret)
{
	if (fi && S_ISREG(inode->type) && fi_handle(fi)->fd >= 0)
		return inode_stat_fd(inode, fi_handle(fi)->fd, ret);
	return inode_stat(fs->inodes, inode, ret);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = req_inode(req, ino);
	struct stat st;

	reply_attr(req, stat_inode(req_fs(req), inode, fi, &st), inode, &st);
}

/* ---- setattr: each part by the call that a user's own would have been ---- */

static int set_mode(int fd, mode_t mode)
{
	return chmod(fd_name(fd).text, mode) < 0 ? -errno : 0;
}

static int set_owner(int fd, const struct stat *attr, int to_set)
{
	uid_t uid = to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int set_size(fuse_req_t req, int fd, off_t size, struct fuse_file_info *fi)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CHANGE, ctx->uid, ctx->gid);

	if (fi && fi_handle(fi)->fd >= 0 && fi_handle(fi)->writer)
		return ftruncate(fi_handle(fi)->fd, size) < 0 ? -errno : 0;
	return truncate(fd_name(fd).text, size) < 0 ? -errno : 0;
}

static struct timespec time_to_set(int to_set, int set, int now, struct timespec value)
{
	if (to_set & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (to_set & set)
		return value;
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(int fd, const struct stat *attr, int to_set)
{
	const struct timespec times[2] = {
		time_to_set(to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW,
			    attr->st_atim),
		time_to_set(to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
			    attr->st_mtim),
	};

	/* By name, because AT_EMPTY_PATH is known to utimensat only since Linux 5.8. */
	return utimensat(AT_FDCWD, fd_name(fd).text, times, 0) < 0 ? -errno : 0;
}

static int apply(fuse_req_t req, int fd, const struct stat *attr, int to_set,
		 struct fuse_file_info *fi)
{
	int r = 0;

	if (to_set & FUSE_SET_ATTR_MODE)
		r = set_mode(fd, attr->st_mode);
	if (r == 0 && (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		r = set_owner(fd, attr, to_set);
	if (r == 0 && (to_set & FUSE_SET_ATTR_SIZE))
		r = set_size(req, fd, attr->st_size, fi);
	if (r == 0 && (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)))
		r = set_times(fd, attr, to_set);
	return r;
}

/*
 * Nothing to set: a chown(2) of neither owner nor group, which takes the set-ID bits away as
 * any other does. The kernel sends the same before a write to a file that has them, so a
 * caller who may not chown is not refused, and root, whose writes keep the bits, is left out.
 */
static void drop_set_ids(fuse_req_t req, int fd)
{
	const struct creds_user user = req_user(req, true);
	_cleanup_creds_ struct creds creds = creds_enter_user(&user);

	if (creds.entered)
		(void)fchownat(fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	struct inode *inode = req_inode(req, ino);
	struct stat st;
	int r = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	if (r == 0)
		r = apply(req, fd.fd, attr, to_set, fi);
	if (r == 0 && !to_set)
		drop_set_ids(req, fd.fd);
	if (r == 0)
		r = inode_stat_fd(inode, fd.fd, &st);
	reply_attr(req, r, inode, &st);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	char target[PATH_MAX + 1];
	ssize_t n = inode_path_fd(req_fs(req)->inodes, req_inode(req, ino), &fd);

	if (n == 0) {
		n = readlinkat(fd.fd, "", target, sizeof(target) - 1);
		n = n < 0 ? -errno : n;
	}
	if (n < 0) {
		reply_result(req, (int)n);
		return;
	}
	target[n] = '\0';
	(void)fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	struct inode *inode = ino ? req_inode(req, ino) : inode_root(req_fs(req)->inodes);
	struct statvfs st;
	int r = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	if (r == 0 && fstatvfs(fd.fd, &st) < 0)
		r = -errno;
	if (r < 0)
		reply_result(req, r);
	else
		(void)fuse_reply_statfs(req, &st);
}
