/* SPDX-License-Identifier: MIT */
/*
 * region_lock.c - the pages of a file that this mount keeps in RAM, within its limit.
 *
 * A region that has anything locked keeps one map open, `pin`, and one reference to its
 * inode, so that a forget of the kernel cannot drop it. The bytes are reserved in the
 * mount's sum before they are locked; afterwards the sum follows what is true.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "region_state.h"

struct span_list {
	struct byte_span *at;
	size_t count;
	size_t capacity;
	uint64_t bytes;
	const struct inode *inode;
};

static int collect_span(void *ctx, uint64_t offset, uint64_t length)
{
	struct span_list *list = ctx;
	const struct mmapfs_range range = { offset, length };
	struct byte_span span = region_pages(list->inode, range, UINT64_MAX);

	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 4;
		void *at = realloc(list->at, capacity * sizeof(*list->at));

		if (!at)
			return -ENOMEM;
		list->at = at;
		list->capacity = capacity;
	}
	list->at[list->count++] = span;
	list->bytes += span.end - span.begin;
	return 0;
}

/* Bytes of @pages that are locked. Needs region->mutex. */
static uint64_t covered(const struct region *region, struct byte_span pages)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < region->locked_count; i++) {
		uint64_t from = u64_max(pages.begin, region->locked[i].begin);
		uint64_t to = u64_min(pages.end, region->locked[i].end);

		if (from < to)
			bytes += to - from;
	}
	return bytes;
}

uint64_t region_locked(struct inode *inode, uint64_t begin, uint64_t end)
{
	const struct mmapfs_range range = { begin, end - begin };
	struct region *region = region_peek(inode);

	if (!region || begin >= end)
		return 0;
	SCOPE_LOCK(&region->mutex);
	return covered(region, region_pages(inode, range, UINT64_MAX));
}

/*
 * Make the copy for readers, and the mount's sum, what the pin says. @reserved bytes that
 * were taken from the limit in advance go back. Needs region->locking.
 */
static void publish(const struct inode *inode, struct region *region, uint64_t reserved)
{
	struct span_list list = { .inode = inode };
	uint64_t before;

	if (mmapfs_locked(region->pin, collect_span, &list) < 0) {
		/* No memory for the list: count too much rather than too little. */
		free(list.at);
		pthread_mutex_lock(&region->mutex);
		region->locked_bytes += reserved;
		pthread_mutex_unlock(&region->mutex);
		return;
	}
	pthread_mutex_lock(&region->mutex);
	before = region->locked_bytes;
	free(region->locked);
	region->locked = list.at;
	region->locked_count = list.count;
	region->locked_bytes = list.bytes;
	pthread_mutex_unlock(&region->mutex);
	/* Unsigned: a difference below zero wraps round and back. */
	atomic_fetch_add(&region->pin_fs->locked_bytes, list.bytes - before - reserved);
}

static int reserve(struct fs *fs, uint64_t bytes)
{
	uint_fast64_t used = atomic_load(&fs->locked_bytes);

	do {
		if (bytes && (used > fs->lock_limit || bytes > fs->lock_limit - used))
			return -ENOMEM;
	} while (!atomic_compare_exchange_weak(&fs->locked_bytes, &used, used + bytes));
	return 0;
}

/* Bytes of @range, whole pages to the end of the file, that are not locked yet. */
static int bytes_needed(const struct inode *inode, struct region *region,
			struct mmapfs_range range, uint64_t *ret)
{
	struct byte_span pages;
	struct stat st;
	int r = inode_stat_fd(inode, mmapfs_map_fd(region->pin), &st);

	if (r < 0)
		return r;
	pages = region_pages(inode, range, (uint64_t)st.st_size);
	SCOPE_LOCK(&region->mutex);
	*ret = pages.end - pages.begin - covered(region, pages);
	return 0;
}

static void close_mapp(struct mmapfs_map **map)
{
	mmapfs_map_close(*map);
}

static int lock_again(void *ctx, uint64_t offset, uint64_t length)
{
	return mmapfs_lock(ctx, (struct mmapfs_range){ offset, length }, NULL);
}

/*
 * Let another map of the file, as long as it is now, take the pin's place. Its locks are
 * taken before the old ones go, so that no page is free for a moment; a process without
 * CAP_IPC_LOCK needs room for both.
 */
static int repin(struct fs *fs, struct inode *inode, struct region *region)
{
	_cleanup_(close_mapp) struct mmapfs_map *pin = NULL;
	struct mmapfs_map *old;
	int r;

	r = region_open_map(fs, inode, MMAPFS_ACCESS_READ, &pin);
	if (r >= 0)
		r = mmapfs_locked(region->pin, lock_again, pin);
	if (r < 0)
		return r;
	old = region->pin;
	region->pin = pin;
	pin = old; /* closed here */
	return 0;
}

/* Let the pin reach to the end of the file as it is now. */
static int pin_refresh(struct fs *fs, struct inode *inode, struct region *region)
{
	int r = mmapfs_map_refresh(region->pin);

	/* Locked ranges cannot be moved where the map has no room to grow. */
	return r == -EBUSY ? repin(fs, inode, region) : r;
}

static int lock_pinned(struct fs *fs, struct inode *inode, struct mmapfs_range range)
{
	struct region *region = region_peek(inode);
	uint64_t need = 0;
	int r;

	r = pin_refresh(fs, inode, region);
	publish(inode, region, 0); /* a shorter file has lost locks */
	if (r < 0)
		return r;
	r = bytes_needed(inode, region, range, &need);
	if (r < 0)
		return r;
	r = reserve(fs, need);
	if (r < 0)
		return r;
	r = mmapfs_lock(region->pin, range, NULL);
	publish(inode, region, need);
	if (r >= 0)
		metrics_add(&fs->metrics, METRIC_LOCKED,
			    need / (uint64_t)sysconf(_SC_PAGESIZE));
	return r;
}

/* Close a pin that locks nothing. Returns whether it was closed: the reference goes too.
 */
static bool unpin_if_idle(struct region *region)
{
	if (!region->pin || region->locked_count)
		return false;
	pinned_remove(region->pin_fs, region);
	region->pin = mmapfs_map_close(region->pin);
	region->pin_fs = NULL;
	return true;
}

/* Open the pin; returns 1 when there was none before: it wants a reference. */
static int pin_open(struct fs *fs, struct inode *inode, struct region *region)
{
	int r;

	if (region->pin)
		return 0;
	r = region_open_map(fs, inode, MMAPFS_ACCESS_READ, &region->pin);
	if (r < 0)
		return r;
	region->pin_fs = fs;
	inode_ref(fs->inodes, inode);
	pinned_add(fs, inode, region);
	return 1;
}

int region_lock(struct fs *fs, struct inode *inode, struct mmapfs_range range)
{
	struct region *region = region_of(inode);
	bool unpinned = false;
	int r;

	if (!region)
		return -ENOMEM;
	pthread_mutex_lock(&region->locking);
	r = pin_open(fs, inode, region);
	if (r >= 0) {
		r = lock_pinned(fs, inode, range);
		unpinned = unpin_if_idle(region);
	}
	pthread_mutex_unlock(&region->locking);
	if (unpinned)
		inode_unref(fs->inodes, inode, 1);
	return r < 0 ? r : 0;
}

int region_unlock(struct fs *fs, struct inode *inode, struct mmapfs_range range)
{
	struct region *region = region_peek(inode);
	bool unpinned;
	int r = 0;

	if (!region)
		return 0;
	pthread_mutex_lock(&region->locking);
	if (region->pin) {
		r = mmapfs_unlock(region->pin, range);
		publish(inode, region, 0);
		/* Else the pin would keep the unlocked pages in its page tables. */
		if (r >= 0)
			(void)mmapfs_advise(region->pin, range, MMAPFS_ADVICE_DONTNEED,
					    0);
	}
	unpinned = unpin_if_idle(region);
	pthread_mutex_unlock(&region->locking);
	if (unpinned)
		inode_unref(fs->inodes, inode, 1);
	return r < 0 ? r : 0;
}

/* The filesystem that the pin belongs to, if the file that it keeps has no name. */
static struct fs *pinned_nameless(struct region *region)
{
	SCOPE_LOCK(&region->locking);
	struct stat st;

	if (!region->pin || fstat(mmapfs_map_fd(region->pin), &st) < 0 || st.st_nlink)
		return NULL;
	return region->pin_fs;
}

static bool has_locked(struct region *region)
{
	SCOPE_LOCK(&region->mutex);

	return region->locked_count > 0;
}

/*
 * Else a file that was removed while it was locked would keep its pages, its blocks and its
 * part of the limit to the end of the mount: there is no name by which to unlock it. What is
 * locked has the pin's reference, so the caller has all others, and `locking` is free.
 */
void region_lock_left(struct inode *inode)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct region *region = region_peek(inode);
	struct fs *fs = has_locked(region) ? pinned_nameless(region) : NULL;

	if (fs)
		(void)region_unlock(fs, inode, whole);
}

void region_lock_drop(struct region *region)
{
	if (region->pin) {
		pinned_remove(region->pin_fs, region);
		atomic_fetch_sub(&region->pin_fs->locked_bytes, region->locked_bytes);
	}
	region->pin = mmapfs_map_close(region->pin);
	free(region->locked);
	region->locked = NULL;
	region->locked_count = 0;
	region->locked_bytes = 0;
}
