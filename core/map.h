/* SPDX-License-Identifier: MIT */
/* map.h - what is inside a map, for the files of core that work on one. */
#ifndef MMAPFS_MAP_H
#define MMAPFS_MAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <mmapfs.h>

#include "spans.h"
#include "sys.h"

struct mmapfs__file;

/* What the file's filesystem means for residency; see page-cache notes in docs/kernel.md. */
enum mmapfs__fs_kind {
	MMAPFS__FS_PLAIN = 0,
	MMAPFS__FS_MEMORY,  /* tmpfs, ramfs: cache is storage, never dirty, never evicted */
	MMAPFS__FS_OVERLAY, /* cachestat sees an empty inode; mincore is right */
	MMAPFS__FS_FUSE,    /* cachestat sees the FUSE inode; mincore is right */
	MMAPFS__FS_HUGETLB,
	MMAPFS__FS_ZFS,
	MMAPFS__FS_DAX,
};

struct mmapfs_map {
	int fd;
	uint32_t access; /* enum mmapfs_access; COPY: private, whatever prot says now */
	int prot;	 /* of the memory, also of a base that is still to come */
	bool writable;   /* fd was opened for writing */
	bool to_end;     /* the window was asked to reach to the end of the file */
	bool clip;	 /* the window ends with the file where that is before `limit` */
	uint64_t limit;	 /* bytes the window has at most; UINT64_MAX: any number */
	bool own_position; /* nobody else shares the file position of fd: lseek is free */
	bool block_device;
	enum mmapfs__fs_kind fs_kind;
	uint64_t offset; /* of the window in the file, bytes */
	uint64_t length; /* of the window, bytes */
	struct mmapfs__file *file; /* shared by all maps of this file: sticky sync error */

	pthread_mutex_t mutex; /* protects base and base_length against two first uses */
	char *base;	       /* page-aligned mapping around the window; NULL: not mapped.
				* A first use sets it last: mmapfs__map_is_mapped() */
	uint64_t base_length;  /* bytes, whole pages */

	struct mmapfs__spans locked; /* ranges locked by mmapfs_lock, file offsets */
};

/* A range of a map as file offsets. Empty (begin == end) where nothing of it exists. */
struct mmapfs__extent {
	uint64_t begin; /* page aligned */
	uint64_t end;	/* page aligned; the last page may reach beyond `eof` */
	uint64_t eof;	/* size of the file now, bytes, or the window's end if smaller */
};

/* Clamp @range to the window and to the file as it is now, widened to whole pages.
 * Errors as mmapfs__map_file_size(). */
int mmapfs__map_extent(struct mmapfs_map *map, struct mmapfs_range range,
		       struct mmapfs__extent *ret);

/* The same, clamped to the window alone, wherever the file ends: for what works on the
 * memory, of which no byte need exist. */
void mmapfs__map_window(const struct mmapfs_map *map, struct mmapfs_range range,
			struct mmapfs__extent *ret);

/* Bytes in the file, or on the block device, now. Errors: fstat(2), ioctl(2). */
int mmapfs__map_file_size(const struct mmapfs_map *map, uint64_t *ret);

/* Make `base` exist. Errors: mmap(2); -ENODATA for an empty window. */
int mmapfs__map_ensure(struct mmapfs_map *map);

/* Whether there is an address, also while another thread makes it. Once there is, what
 * base and base_length say holds until the map is resized. */
static inline bool mmapfs__map_is_mapped(const struct mmapfs_map *map)
{
	return __atomic_load_n(&map->base, __ATOMIC_ACQUIRE) != NULL;
}

/* The address of file offset @offset, which lies in the mapped window. */
static inline char *mmapfs__map_at(const struct mmapfs_map *map, uint64_t offset)
{
	uint64_t first = map->offset & ~(mmapfs__page_size() - 1);

	return map->base + (offset - first);
}

static inline uint64_t mmapfs__extent_pages(const struct mmapfs__extent *e)
{
	return (e->end - e->begin) / mmapfs__page_size();
}

/* A descriptor on the same file whose position may be moved: the map's own, or in
 * *@ret_opened a new one that the caller closes (else -1 is stored there). */
int mmapfs__map_seek_fd(struct mmapfs_map *map, int *ret_opened);

#endif
