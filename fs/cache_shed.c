/* SPDX-License-Identifier: MIT */
/* cache_shed.c - what a file has in RAM, and how to take some of it away. */
#include "cache_shed.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "ctl_private.h"
#include "table_window.h"

/* Where part after part stays, because programs have it mapped, so many are tried. */
#define PARTS_MAX 16

static void close_mapp(struct mmapfs_map **map)
{
	mmapfs_map_close(*map);
}

uint64_t shed_granule(void)
{
	return ctl_page_size() * SHED_GRANULE_PAGES;
}

/* ---- looking ---- */

/* What takes up memory, ready or not, and where only readiness can be known, that. */
static uint64_t resident_bytes(const struct mmapfs_residency *found)
{
	const uint64_t pages =
		found->valid & MMAPFS_OCCUPIED ? found->occupied : found->resident;

	return pages * found->page_size;
}

static bool is_known(const struct mmapfs_residency *found)
{
	return found->valid & (MMAPFS_OCCUPIED | MMAPFS_RESIDENT);
}

/* Removed, and only we and the locks that we keep still have it. */
static bool is_left(struct inode *inode, struct mmapfs_map *map)
{
	SCOPE_LOCK(inode_lock(inode));
	struct stat st;

	/* A row of a table goes by its own name, whatever became of its source's. */
	return !inode->window && !inode->opens && fstat(mmapfs_map_fd(map), &st) == 0 &&
	       !st.st_nlink;
}

/* What of @inode is looked at and evicted. False: nothing, others do. */
static bool part_of(const struct inode *inode, struct mmapfs_range *ret)
{
	*ret = (struct mmapfs_range){ 0, UINT64_MAX };
	return !inode->window || window_own(inode->window, ret);
}

static void add_locked(void *ctx, const struct window *other, struct mmapfs_range range)
{
	uint64_t *locked = ctx;

	*locked += region_locked(other->inode, range.offset, range.offset + range.length);
}

/* Bytes locked by this mount, through whatever window; what two have locked counts twice, but
 * all of it no more than there is. */
static uint64_t locked_bytes(struct inode *inode, uint64_t begin, uint64_t end)
{
	const struct mmapfs_range range = { begin, end - begin };
	uint64_t locked = region_locked(inode, begin, end);

	if (inode->window)
		window_each_other(inode->window, range, add_locked, &locked);
	return inode->window ? u64_min(locked, align_up(end - begin, ctl_page_size())) : locked;
}

int shed_look(struct fs *fs, struct inode *inode, struct shed_look *ret)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct mmapfs_residency found = MMAPFS_INIT(found);
	struct mmapfs_range part;
	uint64_t size;
	int r;

	*ret = (struct shed_look){ .known = true };
	if (!part_of(inode, &part))
		return 0;
	r = region_open_map(fs, inode, MMAPFS_ACCESS_READ, &map);
	if (r < 0)
		return r;
	size = mmapfs_map_length(map);
	if (part.offset && part.offset >= size)
		return 0;
	r = mmapfs_residency(map, part, 0, &found);
	if (r < 0)
		return r;
	size = u64_min(size, add_saturated(part.offset, part.length)) - part.offset;
	*ret = (struct shed_look){
		.known = is_known(&found),
		.resident = resident_bytes(&found),
		.absent = size - u64_min(size, resident_bytes(&found)),
		.locked = locked_bytes(inode, part.offset,
				       add_saturated(part.offset, part.length)),
		.dirty = found.valid & MMAPFS_DIRTY && found.dirty + found.writeback > 0,
		.fixed = found.reason == MMAPFS_REASON_MEMORY_FS,
	};
	/* Forgotten by the budget, it is unlocked; see region_lock_left(). */
	return ret->locked && is_left(inode, map) ? -ESTALE : 0;
}

/* ---- evicting ---- */

struct shedding {
	struct fs *fs;
	struct inode *inode;
	struct mmapfs_map *map;
	uint64_t begin; /* of the part that is evicted */
	uint64_t end;
	uint64_t shift; /* how far into a granule of the source the file begins */
	uint64_t size; /* of the file */
	uint32_t flags;
	struct shed_result result;
};

/* Bytes between @begin and @end that may go. */
static int may_go(const struct shedding *shedding, uint64_t begin, uint64_t end,
		  uint64_t *ret)
{
	struct mmapfs_residency found = MMAPFS_INIT(found);
	const struct mmapfs_range range = { begin, end - begin };
	uint64_t resident;
	int r = mmapfs_residency(shedding->map, range, 0, &found);

	if (r < 0)
		return r;
	if (!is_known(&found))
		return -ENODATA;
	resident = resident_bytes(&found);
	*ret = resident - u64_min(resident, locked_bytes(shedding->inode, begin, end));
	return 0;
}

/* Where to end, so that of what lies between @begin and there @bytes may go: at a multiple of
 * the granule in the source, where folios end too. */
static int find_end(const struct shedding *shedding, uint64_t begin, uint64_t bytes,
		    uint64_t *ret)
{
	const uint64_t granule = shed_granule(), shift = shedding->shift;
	uint64_t less = align_down(begin + shift, granule);
	uint64_t enough = align_up(shedding->end + shift, granule);

	while (enough - less > granule) {
		const uint64_t middle = less + align_down((enough - less) / 2, granule);
		uint64_t found;
		int r = may_go(shedding, begin, middle - shift, &found);

		if (r < 0)
			return r;
		if (found >= bytes)
			enough = middle;
		else
			less = middle;
	}
	*ret = u64_min(enough - shift, shedding->end);
	return 0;
}

static int evict_part(struct shedding *shedding, uint64_t begin, uint64_t end)
{
	/* The last page is dropped only by a range that has no end. */
	const struct mmapfs_range range = { begin,
					    end < shedding->size ? end - begin : 0 };
	struct evict_sums sums = { .any = true, .exact = true };
	int r = ctl_evict_map(shedding->fs, shedding->inode, shedding->map, range,
			      shedding->flags, &sums);

	if (r < 0)
		return r;
	shedding->result.freed +=
		(sums.before - u64_min(sums.before, sums.after)) * ctl_page_size();
	shedding->result.stayed += sums.after * ctl_page_size();
	return 0;
}

static int evict_parts(struct shedding *shedding, uint64_t bytes)
{
	uint64_t begin = shedding->begin, end;

	for (int i = 0; i < PARTS_MAX && begin < shedding->end; i++, begin = end) {
		int r;

		if (shedding->result.freed >= bytes)
			return 0;
		if (atomic_load(&shedding->fs->stopping))
			return -EINTR;
		r = find_end(shedding, begin, bytes - shedding->result.freed, &end);
		if (r >= 0)
			r = evict_part(shedding, begin, end);
		if (r < 0)
			return r;
	}
	return 0;
}

int shed_evict(struct fs *fs, struct inode *inode, uint64_t bytes, bool sync,
	       struct shed_result *ret)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct shedding shedding = { .fs = fs,
				     .inode = inode,
				     .flags = sync ? MMAPFS_EVICT_SYNC : 0 };
	struct mmapfs_range part;
	int r;

	*ret = shedding.result;
	if (!part_of(inode, &part))
		return 0;
	r = region_open_map(fs, inode, MMAPFS_ACCESS_READ, &map);
	if (r < 0)
		return r;
	shedding.map = map;
	shedding.size = mmapfs_map_length(map);
	shedding.shift = inode->window ? inode->window->offset & (shed_granule() - 1) : 0;
	shedding.begin = part.offset;
	shedding.end = u64_min(shedding.size, add_saturated(part.offset, part.length));
	r = evict_parts(&shedding, bytes);
	*ret = shedding.result;
	return r;
}

void shed_begin_sync(struct fs *fs, struct inode *inode)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	const struct mmapfs_range whole = { 0, 0 };
	int error;

	if (region_open_map(fs, inode, MMAPFS_ACCESS_READ, &map) < 0)
		return;
	(void)mmapfs_sync(map, whole, MMAPFS_SYNC_ASYNC);
	error = mmapfs_sync_error(map);
	if (error < 0) {
		mmapfs_sync_forget_error(map);
		region_sync_failed(inode, error);
	}
}
