/* SPDX-License-Identifier: MIT */
/* kind.c - what the filesystem of a file means for its residency. */
#include "kind.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/macro.h"

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif

/* Where the kernel puts stx_mnt_id; glibc before 2.37 has no name for it. */
#define MNT_ID_AT 0x90

static const struct {
	uint32_t magic;
	enum mmapfs__fs_kind kind;
} filesystems[] = {
	{ 0x01021994, MMAPFS__FS_MEMORY },  /* tmpfs, memfd */
	{ 0x858458f6, MMAPFS__FS_MEMORY },  /* ramfs */
	{ 0x794c7630, MMAPFS__FS_OVERLAY },
	{ 0x65735546, MMAPFS__FS_FUSE },
	{ 0x958458f6, MMAPFS__FS_HUGETLB },
	{ 0x2fc12fc1, MMAPFS__FS_ZFS },
};

static _Thread_local struct {
	bool known;
	uint64_t mount;
	enum mmapfs__fs_kind kind;
} last;

enum mmapfs__fs_kind mmapfs__kind_of_magic(uint32_t magic)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(filesystems); i++)
		if (filesystems[i].magic == magic)
			return filesystems[i].kind;
	return MMAPFS__FS_PLAIN;
}

static int kind_of_mount(int fd, const struct statx *stx, enum mmapfs__fs_kind *ret)
{
	/* Linux 6.8. Lost before: one more fstatfs(2) for each file. */
	bool unique = stx->stx_mask & MMAPFS_STATX_MASK;
	struct statfs fs;
	uint64_t mount;
	int r;

	memcpy(&mount, (const char *)stx + MNT_ID_AT, sizeof(mount));
	if (unique && last.known && last.mount == mount) {
		*ret = last.kind;
		return 0;
	}
	r = mmapfs__sys->fstatfs(fd, &fs);
	if (r < 0)
		return r;
	*ret = mmapfs__kind_of_magic((uint32_t)fs.f_type);
	last.known = unique;
	last.mount = mount;
	last.kind = *ret;
	return 0;
}

int mmapfs__kind_find(int fd, const struct statx *stx, enum mmapfs__fs_kind *ret)
{
	enum mmapfs__fs_kind kind;
	int r;

	/* The filesystem of a device node, devtmpfs, says nothing about the device. */
	if (S_ISBLK(stx->stx_mode)) {
		*ret = MMAPFS__FS_PLAIN;
		return 0;
	}
	r = kind_of_mount(fd, stx, &kind);
	if (r < 0)
		return r;
	if (stx->stx_attributes & STATX_ATTR_DAX &&
	    (kind == MMAPFS__FS_PLAIN || kind == MMAPFS__FS_FUSE))
		kind = MMAPFS__FS_DAX;
	*ret = kind;
	return 0;
}

void mmapfs__kind_forget(void)
{
	last.known = false;
}
