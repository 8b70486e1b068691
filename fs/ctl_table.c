/* SPDX-License-Identifier: MIT */
/* ctl_table.c - visit the rows of a mounted region table as if they were files of a tree. */
#include "ctl_private.h"

#include <errno.h>
#include <fcntl.h>

#include "table_open.h"

int ctl_table_walk(const struct ctl_tree *tree, ctl_walk_fn fn, void *ctx,
		   uint64_t *ret_unread)
{
	struct fs *fs = tree->stop->fs;
	uint64_t unread = 0;
	int r = 0;

	if (tree->enter)
		tree->enter(ctx, "");
	for (size_t i = 0; r == 0 && i < table_count(fs->table); i++) {
		struct stat st;

		r = ctl_stopped(tree->stop);
		if (r == 0 && inode_stat(fs->inodes, table_inode(fs->table, i), &st) < 0)
			unread++;
		else if (r == 0)
			r = fn(ctx, -1, table_name(fs->table, i), &st);
	}
	if (ret_unread && r >= 0)
		*ret_unread = unread;
	return r;
}

/* The kernel judges the user's right to the source itself, whatever leads to it. */
static int open_source(const struct window *window, int flags)
{
	int fd = -1;

	flags |= O_CLOEXEC | O_NONBLOCK;
	if (!(flags & O_PATH))
		fd = open(fd_name(window->fd).text, flags | O_NOATIME);
	if (fd < 0 && (flags & O_PATH || errno == EPERM))
		fd = open(fd_name(window->fd).text, flags);
	return fd < 0 ? -errno : fd;
}

int ctl_table_open(const struct ctl_tree *tree, const char *name, int flags)
{
	_cleanup_creds_ struct creds creds = creds_enter_user(tree->user);
	const struct inode *inode = table_find(tree->stop->fs->table, name);
	int r;

	if (!inode)
		return -ENOENT;
	r = window_may_open(inode->window, flags);
	return r < 0 ? r : open_source(inode->window, flags);
}
