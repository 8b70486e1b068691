/* SPDX-License-Identifier: MIT */
/* trace_file.c - by what device and inode the kernel's events call a file. */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"

struct mount {
	uint64_t id;
	unsigned int dev_major, dev_minor;
	char type[64];
	char source[PATH_MAX];
};

/* "\040" in mountinfo is a space. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned int byte;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &byte) == 1) {
			*to++ = (char)byte;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

static bool parse_mount(const char *line, struct mount *ret)
{
	const char *rest = strstr(line, " - ");

	if (!rest || sscanf(line, "%" SCNu64 " %*s %u:%u", &ret->id, &ret->dev_major,
			    &ret->dev_minor) != 3)
		return false;
	if (sscanf(rest, " - %63s %4095s", ret->type, ret->source) != 2)
		return false;
	unescape(ret->source);
	return true;
}

static int find_mount(uint64_t id, struct mount *ret)
{
	_cleanup_free_ char *line = NULL;
	FILE *file = fopen("/proc/self/mountinfo", "re");
	size_t capacity = 0;
	int r = -ENODEV;

	if (!file)
		return -errno;
	while (r < 0 && getline(&line, &capacity, file) > 0)
		if (parse_mount(line, ret) && ret->id == id)
			r = 0;
	(void)fclose(file);
	return r;
}

/*
 * In a chroot, mountinfo has not the mount that the root directory is on. There st_dev must
 * do: it is the filesystem's own device but where subvolumes or layers have one each.
 */
static int mount_by_stat(int fd, const struct statx *stx, struct mount *ret)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	switch ((uint32_t)fs.f_type) {
	case BTRFS_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return -EOPNOTSUPP;
	}
	*ret = (struct mount){ .id = stx->stx_mnt_id,
			       .dev_major = stx->stx_dev_major,
			       .dev_minor = stx->stx_dev_minor };
	return 0;
}

static int mount_of(int fd, struct mount *ret)
{
	static _Thread_local struct mount last; /* files of one tree come together */
	struct statx stx;
	int r = 0;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
		return -errno;
	if (last.id == 0 || last.id != stx.stx_mnt_id)
		r = find_mount(stx.stx_mnt_id, &last);
	if (r == -ENODEV)
		r = mount_by_stat(fd, &stx, &last);
	if (r < 0)
		last.id = 0;
	*ret = last;
	return r;
}

/* A mounted mmapfs shows the inode numbers of its source. */
static int mount_behind(struct mount *mount)
{
	_cleanup_close_ int fd = open(mount->source, O_PATH | O_CLOEXEC);

	return fd < 0 ? -EOPNOTSUPP : mount_of(fd, mount);
}

int trace_file_of(int fd, struct trace_file *ret)
{
	struct mount mount;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = mount_of(fd, &mount);
	if (r == 0 && strcmp(mount.type, "fuse.mmapfs") == 0)
		r = mount_behind(&mount);
	if (r < 0)
		return r;
	if (strcmp(mount.type, "overlay") == 0 || strncmp(mount.type, "fuse", 4) == 0)
		return -EOPNOTSUPP;
	*ret = (struct trace_file){ mount.dev_major, mount.dev_minor, st.st_ino };
	return 0;
}
