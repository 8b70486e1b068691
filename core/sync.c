/* SPDX-License-Identifier: MIT */
/* sync.c - write-back on demand, and the error of it that must not get lost. */
#include <mmapfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "base/macro.h"
#include "file.h"
#include "map.h"

/* A refused call says nothing about the data. All else is a result of write-back. */
static bool is_refusal(int error)
{
	static const int refusals[] = { EAGAIN, EBADF,	EBUSY,	    EINTR, EINVAL,
					ENOMEM, ENOSYS, EOPNOTSUPP, ESPIPE };

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (error == -refusals[i])
			return true;
	return false;
}

/*
 * The kernel forgets that a mapping is shared when its descriptor cannot write (VM_SHARED
 * is cleared), and msync of such a mapping is silently nothing. So only a mapping through
 * which somebody may store is worth an msync; everything else is fdatasync's.
 */
static bool has_shared_stores(const struct mmapfs_map *map)
{
	return map->writable && map->access != MMAPFS_ACCESS_COPY &&
	       mmapfs__map_is_mapped(map);
}

static int sync_now(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	if (!has_shared_stores(map))
		return mmapfs__sys->fdatasync(map->fd);
	return mmapfs__sys->msync(mmapfs__map_at(map, e->begin), e->end - e->begin,
				  MS_SYNC);
}

static int sync_start(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	/* The last page of the longest file would end beyond what the kernel can count. */
	uint64_t end = u64_min(e->end, e->eof);

	return mmapfs__sys->sync_file_range(map->fd, e->begin, end - e->begin,
					    SYNC_FILE_RANGE_WRITE);
}

static int sync_invalidate(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	int r;

	r = mmapfs__map_ensure(map);
	if (r < 0)
		return r;
	return mmapfs__sys->msync(mmapfs__map_at(map, e->begin), e->end - e->begin,
				  MS_INVALIDATE);
}

static int sync_extent(struct mmapfs_map *map, const struct mmapfs__extent *e,
		       enum mmapfs_sync_level level)
{
	switch (level) {
	case MMAPFS_SYNC:
		return sync_now(map, e);
	case MMAPFS_SYNC_ASYNC:
		return sync_start(map, e);
	case MMAPFS_SYNC_INVALIDATE:
		return sync_invalidate(map, e);
	}
	return -EINVAL;
}

MMAPFS_PUBLIC int mmapfs_sync(struct mmapfs_map *map, struct mmapfs_range range,
			      enum mmapfs_sync_level level)
{
	struct mmapfs__extent e;
	int sticky, r;

	if ((unsigned int)level > MMAPFS_SYNC_INVALIDATE)
		return -EINVAL;

	/* Where the file ends is nothing to write-back: pages beyond it are never dirty. So
	 * the kernel is entered once. */
	mmapfs__map_window(map, range, &e);
	r = e.begin < e.end ? sync_extent(map, &e, level) : 0;
	/* MS_INVALIDATE writes nothing, so its errors are no results of write-back. */
	if (r < 0 && level != MMAPFS_SYNC_INVALIDATE && !is_refusal(r))
		mmapfs__file_fail(map->file, r);

	/* An earlier loss outlives a later success: that data is still lost. */
	sticky = mmapfs__file_error(map->file);
	return sticky < 0 ? sticky : r;
}

MMAPFS_PUBLIC int mmapfs_sync_error(struct mmapfs_map *map)
{
	return mmapfs__file_error(map->file);
}

MMAPFS_PUBLIC void mmapfs_sync_forget_error(struct mmapfs_map *map)
{
	mmapfs__file_forget(map->file);
}
