/* SPDX-License-Identifier: MIT */
/*
 * ops_xattr.c - extended attributes: ours are answered, all others are the source's.
 *
 * Nothing named user.mmapfs* ever reaches the source, and one left there by a past copy is
 * hidden: a restored backup must never be a command.
 */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "control.h"
#include "creds.h"
#include "ctl.h"
#include "reply.h"

static void get_from_source(fuse_req_t req, struct inode *inode, const char *name, size_t size)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	_cleanup_free_ char *value = NULL;
	ssize_t n = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	if (n == 0 && size > 0) {
		value = malloc(size);
		n = value ? 0 : -ENOMEM;
	}
	if (n == 0) {
		n = getxattr(fd_name(fd.fd).text, name, value, size);
		n = n < 0 ? -errno : n;
	}
	reply_text(req, n, value, size);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct inode *inode = req_inode(req, ino);

	if (!ctl_is_ours(name))
		get_from_source(req, inode, name, size);
	else if (size == 0)
		reply_text(req, ctl_get_bound(inode, name), NULL, 0);
	else
		control_get(req, inode, name, size, CONTROL_XATTR);
}

/* Giving a file an access ACL takes its set-group-ID bit away, unless the caller is a member
 * of its group: the source has to see who does it. */
static struct creds enter_for(fuse_req_t req, const char *name)
{
	const struct creds none = { .entered = false };
	struct creds_user user;

	if (strcmp(name, "system.posix_acl_access") != 0)
		return none;
	user = req_user(req, true);
	return creds_enter_owner(&user);
}

static int set_on_source(fuse_req_t req, int fd, const char *name, const char *value,
			 size_t size, int flags)
{
	_cleanup_creds_ struct creds creds = enter_for(req, name);

	return setxattr(fd_name(fd).text, name, value, size, flags);
}

static int change_source(fuse_req_t req, struct inode *inode, const char *name,
			 const char *value, size_t size, int flags)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	int r = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	if (r < 0)
		return r;
	if (value)
		r = set_on_source(req, fd.fd, name, value, size, flags);
	else
		r = removexattr(fd_name(fd.fd).text, name);
	return r < 0 ? -errno : 0;
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		 size_t size, int flags)
{
	struct inode *inode = req_inode(req, ino);

	if (!ctl_is_ours(name))
		reply_result(req, change_source(req, inode, name, value, size, flags));
	else if (flags & XATTR_CREATE)
		reply_result(req, -EEXIST);
	else
		control_set(req, inode, name, value, size, CONTROL_XATTR);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (ctl_is_ours(name))
		reply_result(req, -EOPNOTSUPP);
	else
		reply_result(req, change_source(req, req_inode(req, ino), name, NULL, 0, 0));
}

/* The names of the source without those that look like ours. Returns the length. */
static size_t hide_ours(char *list, size_t length)
{
	size_t kept = 0;

	for (size_t at = 0; at < length;) {
		size_t n = strlen(list + at) + 1;

		if (!ctl_is_ours(list + at)) {
			memmove(list + kept, list + at, n);
			kept += n;
		}
		at += n;
	}
	return kept;
}

/* All names of the source, in memory of the caller; the list may grow between two calls. */
static ssize_t list_source(int fd, char **ret)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		ssize_t n = listxattr(fd_name(fd).text, NULL, 0);

		if (n < 0)
			return -errno;
		free(*ret);
		*ret = malloc((size_t)n + 1);
		if (!*ret)
			return -ENOMEM;
		n = listxattr(fd_name(fd).text, *ret, (size_t)n);
		if (n >= 0)
			return n;
		if (errno != ERANGE)
			return -errno;
	}
	return -ERANGE;
}

static int list_names(fuse_req_t req, struct inode *inode, struct ctl_text *ret)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	ssize_t n = inode_path_fd(req_fs(req)->inodes, inode, &fd);

	if (n == 0)
		n = list_source(fd.fd, &ret->data);
	if (n < 0)
		return (int)n;
	ret->length = hide_ours(ret->data, (size_t)n);
	ret->capacity = (size_t)n;
	return req_session(req)->options->list_xattrs ? ctl_list(inode, ret) : 0;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct ctl_text names = { 0 };
	int64_t r = list_names(req, req_inode(req, ino), &names);

	reply_text(req, r < 0 ? r : (int64_t)names.length, names.data, size);
	ctl_text_free(&names);
}
