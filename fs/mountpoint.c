/* SPDX-License-Identifier: MIT */
/* mountpoint.c - what has to be true of two directories before one is mounted on the other. */
#include "mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inode.h"
#include "log.h"
#include <syslog.h>

extern char **environ;

static int refuse(const char *what, const char *path, const char *why)
{
	log_line(LOG_ERR, "%s '%s': %s", what, path, why);
	return -EINVAL;
}

static int open_source(const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return refuse("cannot open the source", path, strerror(errno));
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return refuse("cannot mount the source", path,
			      "neither a directory nor a region table");
	return steal_fd(&fd);
}

/* Is the topmost mount on @path one of ours? */
static bool is_ours(const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *entry;
	bool ours = false;

	if (!mounts)
		return false;
	while ((entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_dir, path) == 0)
			ours = strcmp(entry->mnt_type, "fuse.mmapfs") == 0;
	}
	endmntent(mounts);
	return ours;
}

/* An ordinary user unmounts by the helper, as fuse_session_unmount() does. */
static int detach(const char *path)
{
	const char *argv[] = { "fusermount3", "-u", "-z", "-q", path, NULL };
	pid_t pid;
	int status;

	if (umount2(path, MNT_DETACH) == 0)
		return 0;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char **)(uintptr_t)argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		return -EPERM;
	return 0;
}

/* realpath(3) cannot pass a dead mount: resolve what leads to it. */
static char *resolve_dead(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_free_ char *parent = NULL;
	char *slash, *full = NULL;

	if (!copy)
		return NULL;
	while ((slash = strrchr(copy, '/')) && slash > copy && !slash[1])
		*slash = '\0';
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	parent = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	if (parent && asprintf(&full, "%s/%s", strcmp(parent, "/") ? parent : "",
			       slash ? slash + 1 : copy) < 0)
		full = NULL;
	return full;
}

static int clear_remains(const char *mountpoint)
{
	_cleanup_free_ char *path = resolve_dead(mountpoint);

	if (!path || !is_ours(path))
		return refuse("cannot mount on", mountpoint,
			      "Transport endpoint is not connected (a dead mount of another "
			      "filesystem: umount it first)");
	if (detach(path) < 0)
		return refuse("cannot mount on", mountpoint,
			      "a dead mmapfs mount is there and cannot be unmounted");
	log_line(LOG_NOTICE, "unmounted what a killed daemon left on '%s'", path);
	return 0;
}

/* Of a daemon that was just killed the kernel may still have the attributes: not those. */
static int look(const char *path, struct statx *ret)
{
	return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, ret);
}

static int check_mountpoint(const char *path)
{
	struct statx st;
	int r;

	if (look(path, &st) < 0 && errno == ENOTCONN) {
		r = clear_remains(path);
		if (r < 0)
			return r;
	}
	if (look(path, &st) < 0)
		return refuse("cannot mount on", path, strerror(errno));
	if (!S_ISDIR(st.stx_mode))
		return refuse("cannot mount on", path, "Not a directory");
	return 0;
}

/* Strictly inside: the daemon would come to its own mount through its source. */
static bool is_inside(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (strcmp(directory, "/") == 0)
		return strcmp(path, "/") != 0;
	return strncmp(path, directory, length) == 0 && path[length] == '/';
}

int mountpoint_without_atime(int source_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOATIME,
				   .attr_clr = MOUNT_ATTR__ATIME };
	_cleanup_close_ int fd = open_tree(source_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
								  AT_EMPTY_PATH | AT_RECURSIVE);

	if (fd < 0 ||
	    mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int mountpoint_open(const char *path, dev_t *ret_device)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) < 0)
		return -errno;
	*ret_device = makedev(st.stx_dev_major, st.stx_dev_minor);
	return steal_fd(&fd);
}

int mountpoint_detach(int mount_fd)
{
	return umount2(fd_name(mount_fd).text, MNT_FORCE | MNT_DETACH) < 0 ? -errno : 0;
}

int mountpoint_prepare(const char *source, const char *mountpoint, char **ret_source,
		       char **ret_mountpoint)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *full_source = NULL, *full_mountpoint = NULL;
	int r = check_mountpoint(mountpoint);

	if (r < 0)
		return r;
	fd = open_source(source);
	if (fd < 0)
		return fd;
	full_source = realpath(source, NULL);
	full_mountpoint = realpath(mountpoint, NULL);
	if (!full_source || !full_mountpoint)
		return refuse("cannot resolve", source, strerror(errno));
	if (is_inside(full_mountpoint, full_source))
		return refuse("cannot mount on", mountpoint,
			      "it lies inside the source, which would then contain itself");
	*ret_source = steal_ptr(full_source);
	*ret_mountpoint = steal_ptr(full_mountpoint);
	return steal_fd(&fd);
}
