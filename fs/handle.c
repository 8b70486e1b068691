/* SPDX-License-Identifier: MIT */
/* handle.c - open files and directories of the source. */
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "creds.h"
#include "region.h"
#include "table_window.h"

/* Protects fs->handles and fs->dirs. */
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool for_reading(int flags)
{
	return (flags & O_ACCMODE) != O_WRONLY;
}

static bool for_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

int handle_adopt(struct fs *fs, struct inode *inode, int flags, int *fd, struct handle **ret)
{
	struct handle *handle = malloc(sizeof(*handle));

	if (!handle)
		return -ENOMEM;
	inode_ref(fs->inodes, inode);
	*handle = (struct handle){ .inode = inode, .fd = steal_fd(fd),
				   .reader = for_reading(flags),
				   .writer = for_writing(flags),
				   .sync_seen = region_sync_seen(inode) };
	{
		SCOPE_LOCK(&all_mutex);
		LIST_INSERT_HEAD(&fs->handles, handle, all);
	}
	*ret = handle;
	return 0;
}

/* O_TRUNC is for the window, not for all of the file that it is a part of. */
static int open_window(struct fs *fs, struct inode *inode, int flags)
{
	_cleanup_close_ int fd = -1;
	int r = window_may_open(inode->window, flags);

	if (r < 0)
		return r;
	if (!(flags & O_TRUNC))
		return inode_open(fs->inodes, inode, flags);
	fd = inode_open(fs->inodes, inode, (flags & ~(O_TRUNC | O_ACCMODE)) | O_RDWR);
	if (fd < 0)
		return fd;
	r = window_truncate(inode->window, fd, 0);
	return r < 0 ? r : steal_fd(&fd);
}

/* An append-only file opens to be written with O_APPEND only, and keeps it. Of any other it is
 * taken away again: each write says whether it appends. */
static int open_file(struct fs *fs, struct inode *inode, int flags)
{
	int fd = inode_open(fs->inodes, inode, flags);

	if (fd >= 0 && flags & O_APPEND)
		(void)fcntl(fd, F_SETFL, flags & ~O_APPEND);
	return fd;
}

/* Opening for real also lets the source refuse what the kernel's passthrough would not:
 * immutable files, files being executed, read-only filesystems. */
static int open_as(struct fs *fs, struct inode *inode, int flags, uid_t uid, gid_t gid)
{
	_cleanup_creds_ struct creds creds = creds_enter(CREDS_CHANGE, uid, gid);

	if (inode->window)
		return open_window(fs, inode, flags & ~O_APPEND);
	return open_file(fs, inode, flags);
}

int handle_open(struct fs *fs, struct inode *inode, int flags, uid_t uid, gid_t gid,
		bool need_fd, struct handle **ret)
{
	_cleanup_close_ int fd = -1;

	flags &= ~(O_CREAT | O_EXCL | O_NOCTTY | O_NOFOLLOW | O_DIRECT);
	if (need_fd || for_writing(flags) || (flags & O_TRUNC)) {
		fd = open_as(fs, inode, flags, uid, gid);
		if (fd < 0)
			return fd;
	}
	return handle_adopt(fs, inode, flags, &fd, ret);
}

int handle_fd(struct fs *fs, struct handle *handle, struct inode_fd *ret)
{
	int fd = handle->fd;

	if (fd < 0) {
		fd = inode_open(fs->inodes, handle->inode, O_RDONLY);
		if (fd < 0)
			return fd;
	}
	*ret = (struct inode_fd){ .fd = fd, .owned = fd != handle->fd };
	return 0;
}

int handle_sync(struct fs *fs, struct handle *handle, bool data_only)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	int r = handle_fd(fs, handle, &fd);

	if (r < 0)
		return r;
	r = data_only ? fdatasync(fd.fd) : fsync(fd.fd);
	r = r < 0 ? -errno : 0;
	if (r < 0)
		region_sync_failed(handle->inode, r);
	/* The kernel tells each of our own descriptors once; a handle without one hears of
	 * it through the region. */
	if (handle->fd >= 0)
		return r;
	return region_sync_report(handle->inode, &handle->sync_seen);
}

void handle_close(struct fs *fs, struct handle *handle)
{
	if (!handle)
		return;
	{
		SCOPE_LOCK(&all_mutex);
		LIST_REMOVE(handle, all);
	}
	if (handle->fd >= 0)
		close(handle->fd);
	inode_unref(fs->inodes, handle->inode, 1);
	free(handle);
}

int dir_open(struct fs *fs, struct inode *inode, struct dir_handle **ret)
{
	_cleanup_close_ int fd = inode_open(fs->inodes, inode, O_RDONLY | O_DIRECTORY);
	struct dir_handle *dir;

	if (fd < 0)
		return fd;
	dir = malloc(sizeof(*dir));
	if (!dir)
		return -ENOMEM;
	inode_ref(fs->inodes, inode);
	dir->inode = inode;
	dir->fd = steal_fd(&fd);
	dir->position = 0;
	dir->at = 0;
	dir->filled = 0;
	dir->since_ms = 0;
	dir->state = 0;
	dir->names_only = false;
	pthread_mutex_init(&dir->mutex, NULL);
	{
		SCOPE_LOCK(&all_mutex);
		LIST_INSERT_HEAD(&fs->dirs, dir, all);
	}
	*ret = dir;
	return 0;
}

void dir_close(struct fs *fs, struct dir_handle *dir)
{
	{
		SCOPE_LOCK(&all_mutex);
		LIST_REMOVE(dir, all);
	}
	close(dir->fd);
	pthread_mutex_destroy(&dir->mutex);
	inode_unref(fs->inodes, dir->inode, 1);
	free(dir);
}

void handle_close_all(struct fs *fs)
{
	while (!LIST_EMPTY(&fs->handles))
		handle_close(fs, LIST_FIRST(&fs->handles));
	while (!LIST_EMPTY(&fs->dirs))
		dir_close(fs, LIST_FIRST(&fs->dirs));
}

int dir_seek(struct dir_handle *dir, off_t position)
{
	/* The start is read anew, as rewinddir(3) promises. */
	if (position == dir->position && position != 0)
		return 0;
	if (lseek(dir->fd, position, SEEK_SET) < 0)
		return -errno;
	dir->position = position;
	dir->at = 0;
	dir->filled = 0;
	return 0;
}

int dir_peek(struct dir_handle *dir, struct dir_entry *ret)
{
	const struct dirent64 *entry;

	if (dir->at >= dir->filled) {
		ssize_t n = getdents64(dir->fd, dir->block, sizeof(dir->block));

		if (n < 0)
			return -errno;
		dir->at = 0;
		dir->filled = (size_t)n;
		if (n == 0)
			return 0;
	}
	entry = (const void *)(dir->block + dir->at);
	*ret = (struct dir_entry){ entry->d_name, entry->d_ino, entry->d_type, entry->d_off };
	return 1;
}

void dir_next(struct dir_handle *dir, const struct dir_entry *entry)
{
	const struct dirent64 *at = (const void *)(dir->block + dir->at);

	dir->position = entry->next;
	dir->at += at->d_reclen;
}
