/* SPDX-License-Identifier: MIT */
/* table_window.c - what is different about a file that is a part of another. */
#include "table_window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/macro.h"

#define BLOCK 512 /* the unit of st_blocks */

/* How far away a window is still near, and at most how many are, on each side. */
#define NEAR_BYTES (UINT64_C(16) << 20)
#define NEAR_WINDOWS 8

/* Where it ends in the source, at most. */
static uint64_t window_end(const struct window *window)
{
	return add_saturated(window->offset, window->length);
}

uint64_t window_length(const struct window *window, uint64_t size)
{
	return u64_min(window->length, size > window->offset ? size - window->offset : 0);
}

bool window_is_whole(const struct window *window)
{
	return window->kind == WINDOW_REST && window->offset == 0;
}

/* ---- attributes ---- */

/* Who may read the table may see its names and use them; who may write it, set controls. */
static void stat_root(struct stat *st)
{
	st->st_mode = S_IFDIR | (st->st_mode & 0666) | (st->st_mode & 0444) >> 2;
	st->st_nlink = 2;
	st->st_size = 0;
	st->st_blocks = 0;
}

static void stat_file(const struct window *window, struct stat *st)
{
	uint64_t length = window_length(window, (uint64_t)st->st_size);
	uint64_t blocks = length / BLOCK + (length % BLOCK != 0);

	st->st_mode = S_IFREG | (st->st_mode & (window->writable ? 0666 : 0444));
	st->st_nlink = 1;
	st->st_size = (off_t)length;
	/* How many blocks of it are holes nobody says; more than the source has they are not. */
	st->st_blocks = (blkcnt_t)u64_min(blocks, (uint64_t)st->st_blocks);
}

void window_stat(const struct window *window, struct stat *st)
{
	st->st_dev = window->dev;
	st->st_ino = window->ino;
	if (window->kind == WINDOW_ROOT)
		stat_root(st);
	else
		stat_file(window, st);
}

int window_may_open(const struct window *window, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;

	return writes && !window->writable ? -EACCES : 0;
}

/* ---- operations ---- */

int64_t window_room(const struct window *window, uint64_t offset, uint64_t size)
{
	if (offset >= window->length)
		return -EFBIG;
	return (int64_t)u64_min(size, window->length - offset);
}

static int present_length(const struct window *window, int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = window_length(window, (uint64_t)st.st_size);
	return 0;
}

int window_truncate(const struct window *window, int fd, uint64_t length)
{
	uint64_t present;
	int r = present_length(window, fd, &present);

	if (r < 0 || length == present)
		return r;
	if (length > window->length)
		return -EFBIG;
	if (window->kind == WINDOW_PART)
		return -EPERM;
	return ftruncate(fd, (off_t)(window->offset + length)) < 0 ? -errno : 0;
}

int window_fallocate(const struct window *window, int fd, int mode, uint64_t offset,
		     uint64_t length)
{
	/* A hole may be punched beyond the end of a file, where there is nothing. */
	if (mode & FALLOC_FL_PUNCH_HOLE && offset >= window->length)
		return 0;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		length = u64_min(length, window->length - offset);
	if (offset > window->length || length > window->length - offset)
		return -EFBIG;
	if (fallocate(fd, mode, (off_t)(window->offset + offset), (off_t)length) < 0)
		return -errno;
	return 0;
}

int64_t window_seek(const struct window *window, int fd, uint64_t offset, int whence)
{
	uint64_t present, found;
	off_t at;
	int r = present_length(window, fd, &present);

	if (r < 0)
		return r;
	if (offset >= present)
		return -ENXIO;
	at = lseek(fd, (off_t)(window->offset + offset), whence);
	if (at < 0)
		return -errno;
	found = (uint64_t)at - window->offset;
	/* There is data behind the window, and a hole behind every file. */
	if (found >= present && whence == SEEK_DATA)
		return -ENXIO;
	return (int64_t)u64_min(found, present);
}

/* ---- the others of the same source ---- */

static int by_offset(const void *a, const void *b)
{
	const struct window *one = *(struct window *const *)a;
	const struct window *two = *(struct window *const *)b;

	return (one->offset > two->offset) - (one->offset < two->offset);
}

void window_source_sort(struct window_source *source)
{
	uint64_t reach = 0;

	qsort(source->windows, source->count, sizeof(struct window *), by_offset);
	for (size_t i = 0; i < source->count; i++) {
		struct window *window = source->windows[i];

		reach = u64_max(reach, window_end(window));
		window->index = i;
		window->reach = reach;
	}
}

/* How many windows of @source begin before @end. */
static size_t count_before(const struct window_source *source, uint64_t end)
{
	size_t low = 0, high = source->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (source->windows[middle]->offset < end)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

void window_each_other(const struct window *window, struct mmapfs_range range, window_fn fn,
		       void *ctx)
{
	const struct window_source *source = window->source;
	uint64_t page = page_size();
	uint64_t begin = align_down(add_saturated(window->offset, range.offset), page);
	uint64_t end = window_end(window);

	if (!source)
		return;
	if (range.length)
		end = u64_min(end, add_saturated(window->offset + range.offset, range.length));
	end = align_up(end, page);
	/* From the last that begins before the end, back to where none reaches the begin. */
	for (size_t i = count_before(source, end); i-- > 0;) {
		const struct window *other = source->windows[i];
		uint64_t from = u64_max(begin, other->offset);
		uint64_t to = u64_min(end, window_end(other));

		if (other->reach <= begin)
			break;
		if (other != window && from < to)
			fn(ctx, other, (struct mmapfs_range){ from - other->offset, to - from });
	}
}

/* ---- whose a page is ---- */

/* Places in the source. */
struct places {
	uint64_t begin;
	uint64_t end;
};

static struct places pages_of(const struct window *window)
{
	return (struct places){ align_down(window->offset, page_size()),
				align_up(window_end(window), page_size()) };
}

/* None, where they end before they begin. */
static struct places own_pages(const struct window *window)
{
	const struct window_source *source = window->source;
	struct places own = pages_of(window);

	if (source && window->index)
		own.begin = u64_max(own.begin,
				    align_up(source->windows[window->index - 1]->reach,
					     page_size()));
	return own;
}

bool window_own(const struct window *window, struct mmapfs_range *ret)
{
	const struct places own = own_pages(window);
	const uint64_t begin = u64_max(own.begin, window->offset);

	if (begin >= own.end)
		return false;
	*ret = (struct mmapfs_range){ begin - window->offset, own.end - begin };
	return true;
}

static bool overlap(struct places a, struct places b)
{
	return u64_max(a.begin, b.begin) < u64_min(a.end, b.end);
}

void window_each_owner(const struct window *window, window_owner_fn fn, void *ctx)
{
	const struct window_source *source = window->source;
	const struct places shown = pages_of(window);

	if (!source) {
		fn(ctx, window);
		return;
	}
	/* Of those behind it, none begins to own before this one ends. */
	for (size_t i = window->index + 1; i-- > 0;) {
		const struct window *owner = source->windows[i];

		if (align_up(owner->reach, page_size()) <= shown.begin)
			break;
		if (overlap(own_pages(owner), shown))
			fn(ctx, owner);
	}
}

void window_each_near(const struct window *window, window_owner_fn fn, void *ctx)
{
	const struct window_source *source = window->source;
	const size_t from = window->index - u64_min(window->index, NEAR_WINDOWS);
	const struct places near = { window->offset - u64_min(window->offset, NEAR_BYTES),
				     add_saturated(window_end(window), NEAR_BYTES) };

	for (size_t i = from; source && i < source->count &&
			      i <= window->index + NEAR_WINDOWS; i++) {
		if (i != window->index && overlap(own_pages(source->windows[i]), near))
			fn(ctx, source->windows[i]);
	}
}
