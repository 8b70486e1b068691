/* SPDX-License-Identifier: MIT */
/*
 * region.c - a file of the mount as a region: its views, its advice, its write errors.
 *
 * A view is one mapping of all that an inode shows, at one length. It is never resized: when
 * the file has another length, a new view takes its place, and the old one goes when the last
 * read that is under way with it puts it back.
 */
#include "region.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_policy.h"
#include "region_state.h"
#include "table_window.h"

struct view {
	atomic_uint_fast32_t refs;
	struct mmapfs_map *map;
	const char *addr;
	uint64_t length;
};

/* ---- life ---- */

static struct region *region_new(void)
{
	struct region *region = calloc(1, sizeof(*region));

	if (!region)
		return NULL;
	pthread_mutex_init(&region->mutex, NULL);
	pthread_mutex_init(&region->locking, NULL);
	return region;
}

static void region_free(struct region *region)
{
	region_lock_drop(region);
	view_put(region->view);
	pthread_mutex_destroy(&region->locking);
	pthread_mutex_destroy(&region->mutex);
	free(region);
}

struct region *region_peek(struct inode *inode)
{
	return atomic_load(&inode->region);
}

struct region *region_of(struct inode *inode)
{
	struct region *region = region_peek(inode), *found = NULL;

	if (region)
		return region;
	region = region_new();
	if (!region)
		return NULL;
	if (atomic_compare_exchange_strong(&inode->region, &found, region))
		return region;
	region_free(region); /* another thread was first */
	return found;
}

static void region_drop(struct inode *inode)
{
	struct region *region = atomic_exchange(&inode->region, NULL);

	if (region)
		region_free(region);
}

const struct inode_hooks region_hooks = { .drop = region_drop, .left = region_lock_left };

/* ---- opening ---- */

int region_open_fd(struct fs *fs, struct inode *inode)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
	int fd = inode_open(fs->inodes, inode, flags | O_NOATIME);

	/* O_NOATIME is for the owner and CAP_FOWNER. */
	return fd == -EPERM ? inode_open(fs->inodes, inode, flags) : fd;
}

int region_map_fd(const struct window *window, int fd, uint32_t access,
		  struct mmapfs_map **ret)
{
	struct mmapfs_map_opts opts = MMAPFS_INIT(opts);
	_cleanup_close_ int owned = fd;
	int r;

	opts.access = access;
	opts.flags = MMAPFS_MAP_LAZY;
	if (window) {
		opts.flags |= MMAPFS_MAP_CLIP;
		opts.offset = window->offset;
		opts.length = window->length;
	}
	r = mmapfs_map_from_fd(owned, &opts, ret);
	if (r >= 0)
		steal_fd(&owned);
	return r;
}

int region_open_map(struct fs *fs, struct inode *inode, uint32_t access,
		    struct mmapfs_map **ret)
{
	int fd;

	if (access == MMAPFS_ACCESS_WRITE && inode->window && !inode->window->writable)
		return -EACCES;
	if (access == MMAPFS_ACCESS_WRITE)
		fd = inode_open(fs->inodes, inode, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	else
		fd = region_open_fd(fs, inode);
	return fd < 0 ? fd : region_map_fd(inode->window, fd, access, ret);
}

/* ---- pages ---- */

/* How far into a page of the source the first byte of @inode is. */
static uint64_t skew_of(const struct inode *inode)
{
	return inode->window ? inode->window->offset & ((uint64_t)sysconf(_SC_PAGESIZE) - 1)
			     : 0;
}

struct byte_span region_pages(const struct inode *inode, struct mmapfs_range range,
			      uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), skew = skew_of(inode);
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : UINT64_MAX;
	struct byte_span pages;

	end = u64_min(end, size);
	pages.end = end ? align_up(add_saturated(end, skew), page) : 0;
	pages.begin = u64_min(align_down(add_saturated(range.offset, skew), page), pages.end);
	return pages;
}

struct mmapfs_range region_bytes(const struct inode *inode, struct byte_span pages)
{
	uint64_t skew = skew_of(inode);
	uint64_t begin = u64_max(pages.begin, skew);

	return (struct mmapfs_range){ begin - skew, u64_max(pages.end, begin) - begin };
}

/* ---- views ---- */

const char *view_addr(const struct view *view)
{
	return view->addr;
}

uint64_t view_length(const struct view *view)
{
	return view->length;
}

struct mmapfs_map *view_map(const struct view *view)
{
	return view->map;
}

static struct view *view_ref(struct view *view)
{
	if (view)
		atomic_fetch_add(&view->refs, 1);
	return view;
}

void view_put(struct view *view)
{
	if (!view || atomic_fetch_sub(&view->refs, 1) > 1)
		return;
	mmapfs_map_close(view->map);
	free(view);
}

struct view *view_peek(struct inode *inode)
{
	struct region *region = region_peek(inode);

	if (!region)
		return NULL;
	SCOPE_LOCK(&region->mutex);
	return view_ref(region->view);
}

/* A view with the caller's reference. Errors: -ENODATA when the file is empty. */
static int view_new(struct fs *fs, struct inode *inode, struct view **ret)
{
	struct view *view = calloc(1, sizeof(*view));
	void *addr;
	int r;

	if (!view)
		return -ENOMEM;
	atomic_init(&view->refs, 1);
	r = region_open_map(fs, inode, MMAPFS_ACCESS_READ, &view->map);
	if (r >= 0)
		r = mmapfs_map_addr(view->map, &addr);
	if (r < 0) {
		view_put(view);
		return r;
	}
	view->addr = addr;
	view->length = mmapfs_map_length(view->map);
	*ret = view;
	return 0;
}

/* Let a new view have the advice in force. Advice is a hint: what fails is left out. */
static void view_advise(struct inode *inode, struct region *region, struct view *view)
{
	struct part_advice parts[REGION_PART_ADVICE_MAX + 1] = { 0 };
	unsigned int count = 0;

	parts[count++].advice = region_advice(inode);
	pthread_mutex_lock(&region->mutex);
	for (unsigned int i = 0; i < region->part_count; i++)
		parts[count++] = region->parts[i];
	pthread_mutex_unlock(&region->mutex);

	for (unsigned int i = 0; i < count; i++) {
		if (i || parts[i].advice != MMAPFS_ADVICE_NORMAL)
			(void)mmapfs_advise(view->map, parts[i].range, parts[i].advice,
					    0);
	}
}

/* Put @view (may be NULL) in the place of the current one; takes its reference. */
static void view_replace(struct region *region, struct view *view)
{
	struct view *old;

	pthread_mutex_lock(&region->mutex);
	old = region->view;
	region->view = view;
	pthread_mutex_unlock(&region->mutex);
	view_put(old);
}

static bool view_is_current(const struct inode *inode, const struct view *view)
{
	struct stat st;

	return inode_stat_fd(inode, mmapfs_map_fd(view->map), &st) == 0 &&
	       (uint64_t)st.st_size == view->length;
}

int view_get(struct fs *fs, struct inode *inode, struct view **ret)
{
	struct region *region = region_of(inode);
	struct view *view;
	int r;

	if (!region)
		return -ENOMEM;
	view = view_peek(inode);
	if (view && view_is_current(inode, view)) {
		*ret = view;
		return 0;
	}
	view_put(view);

	r = view_new(fs, inode, &view);
	if (r < 0) {
		if (r == -ENODATA)
			view_replace(region, NULL);
		return r;
	}
	view_advise(inode, region, view);
	view_replace(region, view_ref(view));
	*ret = view;
	return 0;
}

void view_forget(struct inode *inode)
{
	struct region *region = region_peek(inode);

	if (region)
		view_replace(region, NULL);
}

static void release_view(struct inode *inode, struct mmapfs_range range)
{
	struct view *view = view_peek(inode);

	/* On a shared read-only map this loses nothing. What fails shows as "mapped". */
	if (view)
		(void)mmapfs_advise(view->map, range, MMAPFS_ADVICE_DONTNEED, 0);
	view_put(view);
}

/* All of it: large folios reach out of the range, and one page mapped keeps all of them. */
static void release_other(void *ctx, const struct window *window, struct mmapfs_range range)
{
	const struct mmapfs_range whole = { 0, 0 };

	(void)ctx;
	(void)range;
	release_view(window->inode, whole);
}

void region_release_pages(struct inode *inode, struct mmapfs_range range)
{
	release_view(inode, range);
	if (inode->window)
		window_each_other(inode->window, range, release_other, NULL);
}

/* ---- advice ---- */

static bool range_is_whole(struct mmapfs_range range)
{
	return range.offset == 0 && range.length == 0;
}

/* Where advice for @range is kept: the place it has, or a new one at the end. */
static struct part_advice *find_part(struct region *region, struct mmapfs_range range)
{
	for (unsigned int i = 0; i < region->part_count; i++) {
		if (region->parts[i].range.offset == range.offset &&
		    region->parts[i].range.length == range.length)
			return &region->parts[i];
	}
	if (region->part_count == REGION_PART_ADVICE_MAX)
		return NULL;
	return &region->parts[region->part_count++];
}

/* Kept in the inode, one more than the number, so that a whole tree can be advised without
 * a region for each of its files. */
enum mmapfs_advice region_advice(struct inode *inode)
{
	unsigned char given = atomic_load(&inode->advice);

	return given ? (enum mmapfs_advice)(given - 1) : inode_treatment(inode).advice;
}

void region_renew_advice(struct inode *inode)
{
	struct view *view = view_peek(inode);

	if (view && region_advice(inode) == MMAPFS_ADVICE_NORMAL)
		(void)mmapfs_advise(view->map, (struct mmapfs_range){ 0, 0 },
				    MMAPFS_ADVICE_NORMAL, 0);
	if (view)
		view_advise(inode, region_peek(inode), view);
	view_put(view);
}

void region_inherit(struct inode *dir, struct inode *child)
{
	unsigned char none = 0;
	unsigned char given = atomic_load(&dir->advice);

	if (given)
		(void)atomic_compare_exchange_strong(&child->advice, &none, given);
}

int region_remember_advice(struct inode *inode, struct mmapfs_range range,
			   enum mmapfs_advice advice)
{
	bool whole = range_is_whole(range);
	struct region *region = whole ? region_peek(inode) : region_of(inode);
	struct part_advice *part;

	if (whole)
		atomic_store(&inode->advice, (unsigned char)(advice + 1));
	if (!region)
		return whole ? 0 : -ENOMEM;
	SCOPE_LOCK(&region->mutex);
	if (whole) {
		region->part_count = 0;
		return 0;
	}
	part = find_part(region, range);
	if (!part)
		return -ENOSPC;
	part->range = range;
	part->advice = advice;
	return 0;
}

/* ---- write errors ---- */

uint32_t region_sync_seen(struct inode *inode)
{
	struct region *region = region_peek(inode);

	if (!region)
		return 0;
	SCOPE_LOCK(&region->mutex);
	return region->sync_errors;
}

void region_sync_failed(struct inode *inode, int error)
{
	struct region *region = region_of(inode);

	assert(error < 0);
	if (!region)
		return; /* no memory: the one who met the error still returns it */
	SCOPE_LOCK(&region->mutex);
	region->sync_error = error;
	region->sync_errors++;
}

int region_sync_report(struct inode *inode, uint32_t *seen)
{
	struct region *region = region_peek(inode);

	if (!region)
		return 0;
	SCOPE_LOCK(&region->mutex);
	if (*seen == region->sync_errors)
		return 0;
	*seen = region->sync_errors;
	return region->sync_error;
}
