/* SPDX-License-Identifier: MIT */
/* select_open.c - open what the walk found, and check it. */
#include "select.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "select_dir.h"

const char *select_type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFDIR:
		return "a directory";
	default:
		return "no regular file";
	}
}

static struct timespec time_from(struct statx_timestamp time)
{
	return (struct timespec){ time.tv_sec, time.tv_nsec };
}

/* Field by field: most of a struct stat is set here, and zeros below would show. */
static void stat_from(const struct statx *stx, struct stat *ret)
{
	ret->st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	ret->st_ino = stx->stx_ino;
	ret->st_mode = stx->stx_mode;
	ret->st_nlink = stx->stx_nlink;
	ret->st_uid = stx->stx_uid;
	ret->st_gid = stx->stx_gid;
	ret->st_rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);
	ret->st_size = (off_t)stx->stx_size;
	ret->st_blksize = (blksize_t)stx->stx_blksize;
	ret->st_blocks = (blkcnt_t)stx->stx_blocks;
	ret->st_mtim = time_from(stx->stx_mtime);
	ret->st_ctim = time_from(stx->stx_ctime);
	ret->st_atim = time_from(stx->stx_atime);
}

/* openat(2), but not a cancellation point, for which glibc does more than for the call where
 * there are threads. */
static int open_at(int dirfd, const char *path, int flags)
{
	int fd = (int)syscall(SYS_openat, dirfd, path, flags | O_LARGEFILE, 0);

	return fd < 0 ? -errno : fd;
}

/*
 * O_NONBLOCK: a FIFO must not wait for its other end. O_NOATIME: looking leaves no trace,
 * even where it has to map; only owners may, so one refusal is enough.
 */
static int open_quietly(int dirfd, const char *path, bool nofollow)
{
	static atomic_bool refused;
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd;

	flags |= nofollow ? O_NOFOLLOW : 0;
	if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
		fd = open_at(dirfd, path, flags | O_NOATIME);
		if (fd != -EPERM)
			return fd;
		atomic_store_explicit(&refused, true, memory_order_relaxed);
	}
	return open_at(dirfd, path, flags);
}

int select_open_path(int dirfd, const char *path, bool nofollow, struct found *ret)
{
	_cleanup_close_ int fd = open_quietly(dirfd, path, nofollow);

	if (fd == -ENXIO)
		return -ENODEV; /* a socket, or a device without its driver */
	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | MMAPFS_STATX_MASK, &ret->stx) < 0)
		return -errno;
	stat_from(&ret->stx, &ret->st);
	if (S_ISDIR(ret->st.st_mode))
		return -EISDIR;
	if (!S_ISREG(ret->st.st_mode) && !S_ISBLK(ret->st.st_mode))
		return -ENODEV;
	ret->fd = steal_fd(&fd);
	return 0;
}

static bool size_fits(const struct select_options *options, const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size;

	return !S_ISREG(st->st_mode) || (size >= options->min_size && size <= options->max_size);
}

int select_open_at(const struct select_options *options, const struct candidate *candidate,
		   int dirfd, struct found *ret)
{
	const char *name = candidate->open_path ? candidate->open_path : candidate->name;
	int r;

	ret->st.st_mode = 0;
	r = select_open_path(dirfd, name, !candidate->follow, ret);
	if (r == -ENODEV || r == -ELOOP)
		return VERDICT_SKIP;
	if (r == -ENOENT && !candidate->operand)
		return VERDICT_FILTERED;
	if (r < 0)
		return r;
	if (size_fits(options, &ret->st))
		return VERDICT_FOUND;
	(void)close(ret->fd);
	return VERDICT_FILTERED;
}

int select_open(const struct select_options *options, const struct candidate *candidate,
		struct found *ret)
{
	int dirfd = candidate->dir ? candidate->dir->fd : AT_FDCWD;

	return select_open_at(options, candidate, dirfd, ret);
}

/* ---- directories and candidates ---- */

struct select_dir *select_dir_new(int fd, const char *path)
{
	size_t length = strlen(path);
	struct select_dir *dir = malloc(sizeof(*dir) + length + 1);

	if (!dir)
		return NULL;
	atomic_init(&dir->references, 1);
	dir->fd = fd;
	dir->path_length = length;
	memcpy(dir->path, path, length + 1);
	return dir;
}

struct select_dir *select_dir_ref(struct select_dir *dir)
{
	atomic_fetch_add_explicit(&dir->references, 1, memory_order_relaxed);
	return dir;
}

struct select_dir *select_dir_unref(struct select_dir *dir)
{
	if (!dir || atomic_fetch_sub(&dir->references, 1) > 1)
		return NULL;
	(void)close(dir->fd);
	free(dir);
	return NULL;
}

int candidate_path(const struct candidate *candidate, char **buf, size_t *capacity)
{
	size_t prefix = candidate->dir ? candidate->dir->path_length : 0;
	size_t length = strlen(candidate->name);
	size_t need = prefix + length + 2;
	char *grown;

	if (need > *capacity) {
		grown = realloc(*buf, 2 * need);
		if (!grown)
			return -ENOMEM;
		*buf = grown;
		*capacity = 2 * need;
	}
	if (prefix > 0) {
		memcpy(*buf, candidate->dir->path, prefix);
		if ((*buf)[prefix - 1] != '/')
			(*buf)[prefix++] = '/';
	}
	memcpy(*buf + prefix, candidate->name, length + 1);
	return 0;
}
