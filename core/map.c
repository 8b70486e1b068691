/* SPDX-License-Identifier: MIT */
/* map.c - open files and map them, whole or a window of them. */
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "file.h"
#include "kind.h"

#define FLAGS_KNOWN \
	(MMAPFS_MAP_CREATE | MMAPFS_MAP_GROW | MMAPFS_MAP_LAZY | MMAPFS_MAP_NOFOLLOW | \
	 MMAPFS_MAP_NOATIME | MMAPFS_MAP_CLIP)

/* ---- options ---- */

/* Options of an older caller are shorter; what a newer one adds must be 0, for we would
 * not do it. */
static int copy_options(const struct mmapfs_map_opts *opts, struct mmapfs_map_opts *ret)
{
	const char *bytes = (const char *)opts;
	struct mmapfs_map_opts known = { 0 };
	size_t i;

	if (opts) {
		if (opts->size < sizeof(opts->size))
			return -EINVAL;
		for (i = sizeof(known); i < opts->size; i++)
			if (bytes[i] != 0)
				return -EINVAL;
		memcpy(&known, opts, u64_min(opts->size, sizeof(known)));
	}
	if (known.flags & ~(uint32_t)FLAGS_KNOWN || known.access > MMAPFS_ACCESS_COPY)
		return -EINVAL;
	if (known.flags & MMAPFS_MAP_GROW && known.access != MMAPFS_ACCESS_WRITE)
		return -EACCES;
	if (add_saturated(known.offset, known.length) > INT64_MAX)
		return -EOVERFLOW;
	*ret = known;
	return 0;
}

/* ---- the file ---- */

int mmapfs__map_file_size(const struct mmapfs_map *map, uint64_t *ret)
{
	struct stat st;
	int r;

	/* st_size of a block device is 0, and lseek would move a position that may be
	 * somebody else's. */
	if (map->block_device)
		return mmapfs__sys->ioctl(map->fd, BLKGETSIZE64, ret);
	r = mmapfs__sys->fstat(map->fd, &st);
	if (r < 0)
		return r;
	*ret = (uint64_t)st.st_size;
	return 0;
}

/* All that opening wants to know of the file, in one call. */
static int look(int fd, struct statx *ret)
{
	struct stat st;
	int r;

	r = mmapfs__sys->statx(fd, "", AT_EMPTY_PATH,
			       STATX_BASIC_STATS | MMAPFS_STATX_MASK, ret);
	if (r != -ENOSYS && r != -EPERM)
		return r;
	/* Linux 4.11; forbidden in old containers. Lost: that a DAX file has no page cache. */
	r = mmapfs__sys->fstat(fd, &st);
	if (r < 0)
		return r;
	*ret = (struct statx){
		.stx_mode = (uint16_t)st.st_mode,
		.stx_size = (uint64_t)st.st_size,
		.stx_ino = st.st_ino,
		.stx_dev_major = major(st.st_dev),
		.stx_dev_minor = minor(st.st_dev),
	};
	return 0;
}

/*
 * Allocate [begin, end), also in the middle of the file, and let the file reach to @end.
 * First without touching the size, which allocates everything or changes nothing that a
 * reader can see; then the size, which can hardly fail any more.
 */
static int allocate(const struct mmapfs_map *map, uint64_t begin, uint64_t end)
{
	uint64_t before, now;
	int r;

	r = mmapfs__map_file_size(map, &before);
	if (r < 0)
		return r;
	r = mmapfs__sys->fallocate(map->fd, FALLOC_FL_KEEP_SIZE, begin, end - begin);
	/* EOPNOTSUPP also from NFS, which knows only the form that sets the size. */
	if (r == 0 || r == -EOPNOTSUPP)
		r = mmapfs__sys->fallocate(map->fd, 0, begin, end - begin);
	if (r == -EOPNOTSUPP)
		/* Lost: a later store may find the disk full, and raise SIGBUS. */
		return before < end ? mmapfs__sys->ftruncate(map->fd, end) : 0;
	/* A full disk may have been filled up by the attempt: give that back, unless
	 * somebody else is at work on the size. */
	if (r < 0 && mmapfs__map_file_size(map, &now) == 0 && now == before)
		(void)mmapfs__sys->ftruncate(map->fd, before);
	return r;
}

/* ---- the mapping ---- */

static uint64_t first_mapped(const struct mmapfs_map *map)
{
	return align_down(map->offset, mmapfs__page_size());
}

/* Bytes of mapping that a window of @length bytes needs. */
static uint64_t base_length_for(const struct mmapfs_map *map, uint64_t length)
{
	if (length == 0)
		return 0;
	return align_up(map->offset + length, mmapfs__page_size()) - first_mapped(map);
}

static int map_at(const struct mmapfs_map *map, void *addr, uint64_t offset,
		  uint64_t length, int flags, void **ret)
{
	flags |= map->access == MMAPFS_ACCESS_COPY ? MAP_PRIVATE : MAP_SHARED;
	if ((size_t)length != length)
		return -ENOMEM;
	return mmapfs__sys->mmap(addr, (size_t)length, map->prot, flags, map->fd, offset,
				 ret);
}

static int map_first(struct mmapfs_map *map)
{
	uint64_t length = base_length_for(map, map->length);
	void *base;
	int r;
	SCOPE_LOCK(&map->mutex);

	if (map->base)
		return 0;
	if (length == 0)
		return -ENODATA;
	r = map_at(map, NULL, first_mapped(map), length, 0, &base);
	if (r < 0)
		return r;
	map->base_length = length;
	__atomic_store_n(&map->base, base, __ATOMIC_RELEASE);
	return 0;
}

int mmapfs__map_ensure(struct mmapfs_map *map)
{
	return mmapfs__map_is_mapped(map) ? 0 : map_first(map);
}

/* Add to the end of the mapping where it lies. */
static int extend_in_place(const struct mmapfs_map *map, uint64_t length)
{
	char *end = map->base + map->base_length;
	uint64_t more = length - map->base_length;
	void *at;
	int r;

	r = map_at(map, end, first_mapped(map) + map->base_length, more,
		   MAP_FIXED_NOREPLACE, &at);
	if (r < 0)
		return r;
	if (at == end)
		return 0;
	/* Before Linux 4.17 the flag is not known and the address only a hint. */
	(void)mmapfs__sys->munmap(at, (size_t)more);
	return -EEXIST;
}

/*
 * Let the mapping be @length bytes, more than before. mremap refuses (EFAULT) a mapping
 * whose parts were given different advice, and would lock what it adds where the end is
 * locked; such a one grows where it lies, or is mapped afresh - which loses the advice,
 * and is not done to locks or to private pages.
 */
static int grow_mapping(struct mmapfs_map *map, uint64_t length)
{
	void *base = map->base;
	int r = -EFAULT;

	if ((size_t)length != length)
		return -ENOMEM;
	if (map->locked.count == 0)
		r = mmapfs__sys->mremap(map->base, (size_t)map->base_length,
					(size_t)length, MREMAP_MAYMOVE, &base);
	if (r == -EFAULT && extend_in_place(map, length) == 0)
		r = 0;
	if (r == -EFAULT && map->locked.count > 0)
		return -EBUSY;
	if (r == -EFAULT && map->access == MMAPFS_ACCESS_COPY)
		return -ENOMEM;
	if (r == -EFAULT) {
		r = map_at(map, NULL, first_mapped(map), length, 0, &base);
		if (r == 0)
			(void)mmapfs__sys->munmap(map->base, (size_t)map->base_length);
	}
	if (r < 0)
		return r;
	map->base = base;
	map->base_length = length;
	return 0;
}

/* Let the mapping be @length bytes, fewer than before. Failing is no harm: more is mapped
 * than is shown. */
static void shrink_mapping(struct mmapfs_map *map, uint64_t length)
{
	uint64_t less = map->base_length - length;

	if (mmapfs__sys->munmap(map->base + length, (size_t)less) < 0)
		return;
	map->base_length = length;
	if (length == 0)
		map->base = NULL;
}

/* Let the window be @length bytes, and the mapping, if there is one, with it. */
static int set_length(struct mmapfs_map *map, uint64_t length)
{
	uint64_t base_length = base_length_for(map, length);
	int r = 0;

	if (map->base && base_length > map->base_length)
		r = grow_mapping(map, base_length);
	else if (map->base && base_length < map->base_length)
		shrink_mapping(map, base_length);
	if (r == 0)
		map->length = length;
	return r;
}

/* ---- open and close ---- */

static int check_type(mode_t mode)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return S_ISDIR(mode) ? -EISDIR : -ENODEV;
}

/* How long the window is in a file that is @size bytes. */
static uint64_t clipped_length(const struct mmapfs_map *map, uint64_t size)
{
	return u64_min(map->limit, size > map->offset ? size - map->offset : 0);
}

/* @size is what the file had before. */
static int place_window(struct mmapfs_map *map, const struct mmapfs_map_opts *opts,
			uint64_t size)
{
	int r;

	map->offset = opts->offset;
	map->length = opts->length;
	map->limit = opts->length > 0 ? opts->length : UINT64_MAX;
	map->to_end = opts->length == 0;
	map->clip = map->to_end || opts->flags & MMAPFS_MAP_CLIP;
	if (opts->flags & MMAPFS_MAP_GROW && opts->length > 0) {
		r = allocate(map, opts->offset, opts->offset + opts->length);
		if (r < 0)
			return r;
	}
	if (!map->clip)
		return 0;
	if (map->block_device || opts->flags & MMAPFS_MAP_GROW) {
		r = mmapfs__map_file_size(map, &size);
		if (r < 0)
			return r;
	}
	map->length = clipped_length(map, size);
	return 0;
}

/* What follows when fd and access are known. */
static int set_up(struct mmapfs_map *map, const struct mmapfs_map_opts *opts)
{
	struct statx stx;
	int r;

	r = look(map->fd, &stx);
	if (r < 0)
		return r;
	r = check_type(stx.stx_mode);
	if (r < 0)
		return r;
	map->block_device = S_ISBLK(stx.stx_mode);
	r = mmapfs__kind_find(map->fd, &stx, &map->fs_kind);
	if (r < 0)
		return r;
	r = place_window(map, opts, stx.stx_size);
	if (r < 0)
		return r;
	map->file = mmapfs__file_get(makedev(stx.stx_dev_major, stx.stx_dev_minor),
				     stx.stx_ino);
	if (!map->file)
		return -ENOMEM;
	if (opts->flags & MMAPFS_MAP_LAZY || map->length == 0)
		return 0;
	return mmapfs__map_ensure(map);
}

/* On failure @fd is still the caller's. */
static int create(int fd, bool own_position, const struct mmapfs_map_opts *opts,
		  bool writable, struct mmapfs_map **ret)
{
	struct mmapfs_map *map = calloc(1, sizeof(*map));
	int r;

	if (!map)
		return -ENOMEM;
	map->fd = fd;
	map->access = opts->access;
	map->prot = PROT_READ | (opts->access != MMAPFS_ACCESS_READ ? PROT_WRITE : 0);
	map->writable = writable;
	map->own_position = own_position;
	(void)pthread_mutex_init(&map->mutex, NULL); /* cannot fail without attributes */
	r = set_up(map, opts);
	if (r < 0) {
		map->fd = -1;
		(void)mmapfs_map_close(map);
		return r;
	}
	*ret = map;
	return 0;
}

/* As create(), but on failure @fd is closed. */
static int create_owned(int fd, const struct mmapfs_map_opts *opts, bool writable,
			struct mmapfs_map **ret)
{
	int r = create(fd, true, opts, writable, ret);

	if (r < 0)
		(void)mmapfs__sys->close(fd);
	return r;
}

/*
 * O_NONBLOCK: a FIFO must not make us wait for its other end, nor O_NOCTTY a terminal
 * take us over, before fstat can say what they are. A socket cannot be opened at all
 * (ENXIO).
 */
static int open_file(int dirfd, const char *path, const struct mmapfs_map_opts *opts)
{
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct statx stx;
	int fd = -EPERM;

	flags |= opts->access == MMAPFS_ACCESS_WRITE ? O_RDWR : O_RDONLY;
	flags |= opts->flags & MMAPFS_MAP_CREATE ? O_CREAT : 0;
	flags |= opts->flags & MMAPFS_MAP_NOFOLLOW ? O_NOFOLLOW : 0;
	if (opts->flags & MMAPFS_MAP_NOATIME)
		fd = mmapfs__sys->openat(dirfd, path, flags | O_NOATIME, (mode_t)opts->mode);
	/* That is refused to all but the owner; the file can still be mapped. */
	if (fd == -EPERM)
		fd = mmapfs__sys->openat(dirfd, path, flags, (mode_t)opts->mode);
	if (fd == -ENXIO &&
	    mmapfs__sys->statx(dirfd, path, AT_STATX_DONT_SYNC, STATX_TYPE, &stx) == 0 &&
	    S_ISSOCK(stx.stx_mode))
		return -ENODEV;
	return fd;
}

MMAPFS_PUBLIC int mmapfs_map_open(int dirfd, const char *path,
				  const struct mmapfs_map_opts *opts,
				  struct mmapfs_map **ret)
{
	struct mmapfs_map_opts known;
	int fd, r;

	r = copy_options(opts, &known);
	if (r < 0)
		return r;
	fd = open_file(dirfd, path, &known);
	if (fd < 0)
		return fd;
	return create_owned(fd, &known, known.access == MMAPFS_ACCESS_WRITE, ret);
}

MMAPFS_PUBLIC int mmapfs_map_from_fd(int fd, const struct mmapfs_map_opts *opts,
				     struct mmapfs_map **ret)
{
	struct mmapfs_map_opts known;
	int flags, mode, r;

	r = copy_options(opts, &known);
	if (r < 0)
		return r;
	if (known.flags & (MMAPFS_MAP_CREATE | MMAPFS_MAP_NOFOLLOW | MMAPFS_MAP_NOATIME))
		return -EINVAL;
	flags = mmapfs__sys->fcntl(fd, F_GETFL, 0);
	if (flags < 0)
		return flags;
	if (flags & O_PATH)
		return -EBADF;
	mode = flags & O_ACCMODE;
	if (mode == O_WRONLY || (known.access == MMAPFS_ACCESS_WRITE && mode != O_RDWR))
		return -EACCES;
	/* pwrite() on such a descriptor ignores the offset and makes the file longer. */
	if (known.access == MMAPFS_ACCESS_WRITE && flags & O_APPEND)
		return -EACCES;
	return create(fd, false, &known, mode == O_RDWR, ret);
}

MMAPFS_PUBLIC int mmapfs_map_anonymous(const char *name, uint64_t length,
				       struct mmapfs_map **ret)
{
	const struct mmapfs_map_opts opts = {
		.size = sizeof(opts),
		.access = MMAPFS_ACCESS_WRITE,
	};
	int fd, r;

	if (length == 0 || length > INT64_MAX)
		return -EINVAL;
	fd = mmapfs__sys->memfd_create(name ? name : "mmapfs", MFD_CLOEXEC);
	if (fd < 0)
		return fd;
	r = mmapfs__sys->ftruncate(fd, length);
	if (r < 0) {
		(void)mmapfs__sys->close(fd);
		return r;
	}
	return create_owned(fd, &opts, true, ret);
}

MMAPFS_PUBLIC struct mmapfs_map *mmapfs_map_close(struct mmapfs_map *map)
{
	if (!map)
		return NULL;
	if (map->base)
		(void)mmapfs__sys->munmap(map->base, (size_t)map->base_length);
	mmapfs__spans_clear(&map->locked);
	mmapfs__file_put(map->file);
	if (map->fd >= 0)
		(void)mmapfs__sys->close(map->fd);
	(void)pthread_mutex_destroy(&map->mutex);
	free(map);
	return NULL;
}

/* ---- use ---- */

MMAPFS_PUBLIC int mmapfs_map_addr(struct mmapfs_map *map, void **ret)
{
	int r;

	if (map->length == 0)
		return -ENODATA;
	r = mmapfs__map_ensure(map);
	if (r < 0)
		return r;
	*ret = mmapfs__map_at(map, map->offset);
	return 0;
}

MMAPFS_PUBLIC uint64_t mmapfs_map_length(const struct mmapfs_map *map)
{
	return map->length;
}

MMAPFS_PUBLIC int mmapfs_map_fd(const struct mmapfs_map *map)
{
	return map->fd;
}

/* Truncate the file to the window's new end, if the window reached to the file's. */
static int shrink_file(const struct mmapfs_map *map, uint64_t length)
{
	uint64_t size;
	int r;

	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	if (map->offset + map->length < size || map->offset + length >= size)
		return 0;
	return mmapfs__sys->ftruncate(map->fd, map->offset + length);
}

/* Let the file be @old bytes again after the mapping could not follow it to @grown. */
static void give_back(const struct mmapfs_map *map, uint64_t old, uint64_t grown)
{
	uint64_t now;

	if (old < grown && mmapfs__map_file_size(map, &now) == 0 && now == grown)
		(void)mmapfs__sys->ftruncate(map->fd, old);
}

static int grow(struct mmapfs_map *map, uint64_t length)
{
	uint64_t end = map->offset + length;
	uint64_t old;
	int r;

	r = mmapfs__map_file_size(map, &old);
	if (r < 0)
		return r;
	r = allocate(map, map->offset + map->length, end);
	if (r < 0)
		return r;
	r = set_length(map, length);
	if (r < 0)
		give_back(map, old, end);
	return r;
}

MMAPFS_PUBLIC int mmapfs_map_resize(struct mmapfs_map *map, uint64_t length)
{
	int r;

	if (map->access != MMAPFS_ACCESS_WRITE)
		return -EACCES;
	if (map->locked.count > 0)
		return -EBUSY;
	if (add_saturated(map->offset, length) > INT64_MAX)
		return -EFBIG;
	if (length > map->length) {
		r = grow(map, length);
	} else {
		r = shrink_file(map, length);
		if (r >= 0)
			r = set_length(map, length);
	}
	if (r >= 0 && !map->to_end)
		map->limit = length;
	return r;
}

MMAPFS_PUBLIC int mmapfs_map_refresh(struct mmapfs_map *map)
{
	uint64_t size, length, end;
	int r;

	if (!map->clip)
		return 0;
	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	length = clipped_length(map, size);
	if (length == map->length)
		return 0;
	r = set_length(map, length);
	if (r < 0)
		return r;
	end = align_up(map->offset + length, mmapfs__page_size());
	(void)mmapfs__spans_remove(&map->locked, end, UINT64_MAX); /* splits none */
	return 1;
}

/* The protection that @access means on this map. */
static int prot_for(const struct mmapfs_map *map, enum mmapfs_access access)
{
	bool is_private = map->access == MMAPFS_ACCESS_COPY;

	switch (access) {
	case MMAPFS_ACCESS_READ:
		return PROT_READ;
	case MMAPFS_ACCESS_WRITE:
		if (is_private)
			return -EINVAL;
		return map->writable ? PROT_READ | PROT_WRITE : -EACCES;
	case MMAPFS_ACCESS_COPY:
		return is_private ? PROT_READ | PROT_WRITE : -EINVAL;
	}
	return -EINVAL;
}

MMAPFS_PUBLIC int mmapfs_map_protect(struct mmapfs_map *map, enum mmapfs_access access)
{
	int prot = prot_for(map, access);
	int r;

	if (prot < 0)
		return prot;
	if (map->base) {
		r = mmapfs__sys->mprotect(map->base, (size_t)map->base_length, prot);
		if (r < 0)
			return r;
	}
	map->prot = prot;
	if (map->access != MMAPFS_ACCESS_COPY)
		map->access = access;
	return 0;
}

/* ---- for the rest of core ---- */

/* @range as file offsets, cut at @limit. */
static void place_range(const struct mmapfs_map *map, struct mmapfs_range range,
			uint64_t limit, struct mmapfs__extent *ret)
{
	uint64_t page = mmapfs__page_size();
	uint64_t begin = add_saturated(map->offset, range.offset);
	uint64_t end = range.length ? add_saturated(begin, range.length) : UINT64_MAX;

	end = u64_min(end, limit);
	ret->eof = limit;
	if (begin < end) {
		ret->begin = align_down(begin, page);
		ret->end = align_up(end, page);
	} else {
		ret->begin = ret->end = align_down(u64_min(begin, limit), page);
	}
}

void mmapfs__map_window(const struct mmapfs_map *map, struct mmapfs_range range,
			struct mmapfs__extent *ret)
{
	place_range(map, range, map->offset + map->length, ret);
}

int mmapfs__map_extent(struct mmapfs_map *map, struct mmapfs_range range,
		       struct mmapfs__extent *ret)
{
	uint64_t size;
	int r;

	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	place_range(map, range, u64_min(size, map->offset + map->length), ret);
	return 0;
}

int mmapfs__map_seek_fd(struct mmapfs_map *map, int *ret_opened)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	int fd;

	*ret_opened = -1;
	if (map->own_position)
		return map->fd;
	/* A duplicate would share the position: opening again gives one of our own. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", map->fd);
	fd = mmapfs__sys->openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		*ret_opened = fd;
	return fd;
}
