/* SPDX-License-Identifier: MIT */
/* cache_path.c - where a directory of the source is, by what /proc says of a descriptor. */
#include "cache_path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Returns the length. */
static int absolute_path(struct fs *fs, struct inode *dir, char ret[PATH_MAX])
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	ssize_t length;
	int r = inode_path_fd(fs->inodes, dir, &fd);

	if (r < 0)
		return r;
	length = readlink(fd_name(fd.fd).text, ret, PATH_MAX);
	if (length < 0)
		return -errno;
	if (length == PATH_MAX)
		return -ENAMETOOLONG;
	ret[length] = '\0';
	return (int)length;
}

int source_path(struct fs *fs, struct inode *dir, char ret[PATH_MAX])
{
	char root[PATH_MAX];
	int root_length, length;

	if (dir == inode_root(fs->inodes)) {
		*ret = '\0';
		return 0;
	}
	root_length = absolute_path(fs, inode_root(fs->inodes), root);
	if (root_length < 0)
		return root_length;
	length = absolute_path(fs, dir, ret);
	if (length < 0)
		return length;
	if (root[root_length - 1] == '/') /* "/" itself */
		root_length--;
	if (strncmp(root, ret, (size_t)root_length) != 0 || ret[root_length] != '/')
		return -ENOENT;
	memmove(ret, ret + root_length + 1, (size_t)(length - root_length));
	return 0;
}
