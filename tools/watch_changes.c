/* SPDX-License-Identifier: MIT */
/* watch_changes.c - what watch saw change in one round. */
#include "watch_changes.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int watch_changes_add(struct watch_changes *changes, const struct watch_change *change)
{
	if (changes->count == changes->capacity) {
		size_t more = changes->capacity ? 2 * changes->capacity : 64;
		void *list = reallocarray(changes->list, more, sizeof(*changes->list));

		if (!list)
			return -ENOMEM;
		changes->list = list;
		changes->capacity = more;
	}
	changes->list[changes->count++] = *change;
	return 0;
}

/* A figure that is not known counts as none. */
static uint64_t difference(const struct watch_change *change, uint32_t figure, uint64_t was,
			   uint64_t now)
{
	was = change->was.valid & figure ? was : 0;
	now = change->now.valid & figure ? now : 0;
	return was < now ? now - was : was - now;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? 1 : -(a > b);
}

static int by_size(const void *left, const void *right)
{
	const struct watch_change *a = left, *b = right;
	int r = compare(difference(a, MMAPFS_RESIDENT, a->was.resident, a->now.resident),
			difference(b, MMAPFS_RESIDENT, b->was.resident, b->now.resident));

	if (r == 0)
		r = compare(difference(a, MMAPFS_DIRTY, a->was.dirty, a->now.dirty),
			    difference(b, MMAPFS_DIRTY, b->was.dirty, b->now.dirty));
	if (r == 0)
		r = strcmp(a->file->path, b->file->path);
	return r == 0 ? compare(b->range, a->range) : r;
}

void watch_changes_sort(struct watch_changes *changes)
{
	if (changes->count)
		qsort(changes->list, changes->count, sizeof(*changes->list), by_size);
}

size_t watch_changes_files(const struct watch_changes *changes)
{
	size_t files = 0;

	for (size_t i = 0; i < changes->count; i++)
		files += i == 0 || changes->list[i].file != changes->list[i - 1].file;
	return files;
}

void watch_changes_clear(struct watch_changes *changes)
{
	changes->count = 0;
}

void watch_changes_free(struct watch_changes *changes)
{
	free(changes->list);
	*changes = (struct watch_changes){ 0 };
}
