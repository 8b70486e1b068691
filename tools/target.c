/* SPDX-License-Identifier: MIT */
/* target.c - one selected file: opened once, asked and driven where it is. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "select.h"
#include "target_mount.h"

#define FUSE_MAGIC 0x65735546

/* What the thread learnt of the filesystem of the last file, for a walk meets thousands of
 * files of the same one. */
static _Thread_local struct {
	bool known;
	dev_t dev;
	uint32_t magic;
	bool ours;
} last;

static int learn_filesystem(int fd, dev_t dev)
{
	struct statfs fs;

	if (last.known && last.dev == dev)
		return 0;
	last.known = false;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	last.dev = dev;
	last.magic = (uint32_t)fs.f_type;
	last.ours = last.magic == FUSE_MAGIC && mount_is_ours(fd);
	last.known = true;
	return 0;
}

static const struct {
	uint32_t magic;
	const char *name;
} filesystems[] = {
	{ 0x0000ef53, "ext4" },	    { 0x58465342, "xfs" },	{ 0x9123683e, "btrfs" },
	{ 0x01021994, "tmpfs" },    { 0x858458f6, "ramfs" },	{ 0x794c7630, "overlay" },
	{ FUSE_MAGIC, "fuse" },	    { 0x958458f6, "hugetlbfs" }, { 0x2fc12fc1, "zfs" },
	{ 0xf2f52010, "f2fs" },	    { 0x00006969, "nfs" },	{ 0xff534d42, "cifs" },
	{ 0xfe534d42, "smb2" },	    { 0x73717368, "squashfs" }, { 0xe0f5e1e2, "erofs" },
	{ 0x00009660, "iso9660" },  { 0x00004d44, "vfat" },	{ 0x2011bab0, "exfat" },
	{ 0x00009fa0, "proc" },	    { 0x62656572, "sysfs" },	{ 0xca451a4e, "bcachefs" },
	{ 0x01021997, "9p" },	    { 0x00c36400, "ceph" },	{ 0x7366746e, "ntfs3" },
};

const char *target_fs_name(const struct target *target)
{
	static _Thread_local char unnamed[16];

	if (S_ISBLK(target->st.st_mode))
		return "block";
	if (target->on_mount)
		return "mmapfs";
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++)
		if (filesystems[i].magic == target->fs_magic)
			return filesystems[i].name;
	snprintf(unnamed, sizeof(unnamed), "0x%x", target->fs_magic);
	return unnamed;
}

/* ---- open and close ---- */

void target_init(struct target *target)
{
	*target = (struct target){ .fd = -1 };
}

void target_close(struct target *target)
{
	if (target->map)
		target->map = mmapfs_map_close(target->map);
	else if (target->fd >= 0)
		(void)close(target->fd);
	target->fd = -1;
}

int target_take_fd(struct target *target)
{
	int fd = target->map ? -1 : steal_fd(&target->fd);

	target_close(target);
	return fd;
}

void target_done(struct target *target)
{
	target_close(target);
	free(target->path);
	target->path = NULL;
	target->path_capacity = 0;
}

void target_steal(struct target *from, struct target *to)
{
	*to = *from;
	target_init(from);
}

int target_set(struct target *target, const struct found *found)
{
	int r;

	target->fd = found->fd;
	target->st = found->st;
	target->fresh = NULL;
	r = learn_filesystem(found->fd, found->st.st_dev);
	if (r < 0) {
		target_close(target);
		return r;
	}
	target->fs_magic = last.magic;
	target->on_mount = last.ours && S_ISREG(found->st.st_mode);
	return 0;
}

int target_open(struct target *target, const char *path, bool nofollow)
{
	struct found found;
	int r;

	target_init(target);
	r = select_open_path(AT_FDCWD, path, nofollow, &found);
	if (r < 0)
		return r;
	target->path = strdup(path);
	if (!target->path) {
		(void)close(found.fd);
		return -ENOMEM;
	}
	target->path_capacity = strlen(path) + 1;
	last.known = false; /* what was mounted there may have changed */
	r = target_set(target, &found);
	if (r < 0)
		target_done(target);
	return r;
}

int target_fd(const struct target *target)
{
	return target->map ? mmapfs_map_fd(target->map) : target->fd;
}

int target_reopen_writable(struct target *target)
{
	char path[40];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", target_fd(target));
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (target->map)
		target->map = mmapfs_map_close(target->map);
	else
		(void)close(target->fd);
	target->fd = fd;
	target->writable = true;
	return 0;
}

int target_size(struct target *target, uint64_t *ret)
{
	struct stat st;

	if (S_ISBLK(target->st.st_mode))
		return ioctl(target_fd(target), BLKGETSIZE64, ret) < 0 ? -errno : 0;
	if (fstat(target_fd(target), &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int target_map(struct target *target, struct mmapfs_map **ret)
{
	const struct mmapfs_map_opts opts = {
		.size = sizeof(opts),
		.access = target->writable ? MMAPFS_ACCESS_WRITE : MMAPFS_ACCESS_READ,
		.flags = MMAPFS_MAP_LAZY,
	};
	int r = 0;

	if (target->on_mount)
		return -EOPNOTSUPP;
	if (!target->map)
		r = mmapfs_map_from_fd(target->fd, &opts, &target->map);
	if (r == 0)
		*ret = target->map;
	return r;
}

/* ---- looking ---- */

int target_observe(struct target *target, struct mmapfs_range range, uint32_t flags,
		   struct observation *ret)
{
	const struct statx *known = target->fresh;
	struct mmapfs_residency *residency = &ret->residency;

	if (target->on_mount)
		return mount_observe(target->fd, range, ret);
	/* Field by field: a quarter of a kilobyte of zeros for each file would show. */
	ret->locked_known = false;
	ret->advice[0] = ret->data_path[0] = 0;
	residency->size = sizeof(*residency);
	target->fresh = NULL;
	if (target->map)
		return mmapfs_residency(target->map, range, flags, residency);
	return mmapfs_residency_fd(target->fd, known, range, flags, residency);
}

int target_ranges(struct target *target, struct mmapfs_range range, uint32_t flags,
		  mmapfs_range_fn fn, void *ctx)
{
	struct mmapfs_map *map;
	uint64_t size;
	int r;

	if (target->on_mount) {
		r = target_size(target, &size);
		return r < 0 ? r : mount_ranges(target->fd, size, range, fn, ctx);
	}
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_ranges(map, range, flags, fn, ctx);
}

/* ---- acting ---- */

int target_warm(struct target *target, struct mmapfs_range range,
		const struct mmapfs_warm_opts *opts, struct mmapfs_warm_result *ret)
{
	struct mmapfs_map *map;
	uint64_t size;
	int r;

	if (target->on_mount) {
		r = target_size(target, &size);
		return r < 0 ? r : mount_warm(target->fd, size, range, opts, ret);
	}
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_warm(map, range, opts, ret);
}

int target_evict(struct target *target, struct mmapfs_range range, uint32_t flags,
		 struct mmapfs_evict_result *ret)
{
	struct mmapfs_map *map;
	int r;

	if (target->on_mount)
		return mount_evict(target->fd, range, flags, ret);
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_evict(map, range, flags, ret);
}

int target_lock(struct target *target, struct mmapfs_range range,
		struct mmapfs_lock_result *ret)
{
	struct mmapfs_map *map;
	uint64_t size;
	int r;

	if (target->on_mount) {
		r = target_size(target, &size);
		return r < 0 ? r : mount_lock(target->fd, size, range, ret);
	}
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_lock(map, range, ret);
}

int target_unlock(struct target *target, struct mmapfs_range range)
{
	if (target->on_mount)
		return mount_unlock(target->fd, range);
	return target->map ? mmapfs_unlock(target->map, range) : 0;
}

int target_sync(struct target *target, struct mmapfs_range range,
		enum mmapfs_sync_level level)
{
	struct mmapfs_map *map;
	int r;

	if (target->on_mount)
		return mount_sync(target->fd, range, level);
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_sync(map, range, level);
}

int target_advise(struct target *target, struct mmapfs_range range,
		  enum mmapfs_advice advice, uint32_t flags)
{
	struct mmapfs_map *map;
	int r;

	if (target->on_mount)
		return mount_advise(target->fd, range, advice);
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_advise(map, range, advice, flags);
}
