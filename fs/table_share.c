/* SPDX-License-Identifier: MIT */
/* table_share.c - let the kernel forget its copies of what was written by another way. */
#include "table_share.h"

#include "base/cleanup.h"
#include "base/macro.h"
#include "worker.h"

#define WRITES_WAITING 1024

/* Protects `written` and `telling` of all windows. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

int share_start(struct fs *fs, size_t windows)
{
	/* Besides the writes each window has one task at most. */
	return workers_start(1, WRITES_WAITING + windows, &fs->turns);
}

/* Maps are filled with copies as long as anybody has the window open or mapped. */
static bool has_copies(const struct window *window)
{
	return atomic_load(&window->inode->data_path) == DATA_PATH_MAPPED;
}

static void look_for_copies(void *ctx, const struct window *other, struct mmapfs_range range)
{
	bool *found = ctx;

	(void)range;
	*found = *found || has_copies(other);
}

bool share_is_copied(const struct window *window, struct mmapfs_range range)
{
	bool found = false;

	window_each_other(window, range, look_for_copies, &found);
	return found;
}

static void forget(void *ctx, const struct window *other, struct mmapfs_range range)
{
	struct fs *fs = ctx;

	if (has_copies(other) && fs->invalidate)
		fs->invalidate(fs->invalidate_ctx, other->inode, range.offset, range.length);
}

void share_forget(const struct window *window, struct mmapfs_range range)
{
	if (window->source)
		window_each_other(window, range, forget, window->source->fs);
}

/* One range that has all of both. */
static struct mmapfs_range join(struct mmapfs_range a, struct mmapfs_range b)
{
	uint64_t begin = u64_min(a.offset, b.offset);
	uint64_t end = u64_max(a.offset + a.length, b.offset + b.length);

	return a.length ? (struct mmapfs_range){ begin, end - begin } : b;
}

static struct mmapfs_range take_written(struct window *window)
{
	SCOPE_LOCK(&mutex);
	struct mmapfs_range range = window->written;

	window->written = (struct mmapfs_range){ 0, 0 };
	window->telling = false;
	return range;
}

static void tell_others(void *arg)
{
	struct window *window = arg;

	share_forget(window, take_written(window));
}

void share_written(struct window *window, struct mmapfs_range range)
{
	if (!share_is_copied(window, range))
		return;
	SCOPE_LOCK(&mutex);
	window->written = join(window->written, range);
	/* Without memory for it: with the next that is written. */
	if (!window->telling)
		window->telling = workers_submit(window->source->fs->turns, tell_others,
						 window) == 0;
}
