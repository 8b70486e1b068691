/* SPDX-License-Identifier: MIT */
/*
 * pinned.c - the files with locked pages, to find those that were removed.
 *
 * When a file is removed through the mount, or looked for after that, the kernel forgets it, and
 * its lock ends with that (see region_lock_left()). Nothing is heard of one that was removed in
 * the source if nobody looks for it again, or if the kernel had forgotten it before: its pages
 * and blocks would be kept to the end of the mount. So all are looked at now and then.
 */
#include "pinned.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "region_state.h"
#include "ticker.h"

#define LOOK_MS 2000

void pinned_add(struct fs *fs, struct inode *inode, struct region *region)
{
	struct pinned *pinned = &fs->pinned;

	SCOPE_LOCK(&pinned->mutex);
	region->pin_inode = inode;
	LIST_INSERT_HEAD(&pinned->regions, region, pinned);
	if (pinned->count++ == 0)
		ticker_wake(pinned->ticker);
}

void pinned_remove(struct fs *fs, struct region *region)
{
	SCOPE_LOCK(&fs->pinned.mutex);
	LIST_REMOVE(region, pinned);
	fs->pinned.count--;
}

/* All of them, with a reference each; NULL without memory. */
static struct inode **hold_all(struct fs *fs, size_t *ret_count)
{
	SCOPE_LOCK(&fs->pinned.mutex);
	struct inode **held = calloc(fs->pinned.count, sizeof(struct inode *));
	struct region *region;
	size_t count = 0;

	if (held) {
		LIST_FOREACH(region, &fs->pinned.regions, pinned) {
			inode_ref(fs->inodes, region->pin_inode);
			held[count++] = region->pin_inode;
		}
	}
	*ret_count = count;
	return held;
}

static bool is_open(struct inode *inode)
{
	SCOPE_LOCK(inode_lock(inode));

	return inode->opens > 0;
}

void pinned_look(struct fs *fs)
{
	_cleanup_free_ struct inode **held = NULL;
	size_t count;

	held = hold_all(fs, &count);
	for (size_t i = 0; i < count; i++) {
		/* A window keeps its name in the mount, whatever becomes of its source. */
		if (!held[i]->window && !is_open(held[i]))
			region_lock_left(held[i]);
		inode_unref(fs->inodes, held[i], 1);
	}
}

static uint64_t look(void *arg)
{
	struct fs *fs = arg;

	pinned_look(fs);
	SCOPE_LOCK(&fs->pinned.mutex);
	return fs->pinned.count ? LOOK_MS : TICKER_NEVER;
}

int pinned_start(struct fs *fs)
{
	return ticker_start(look, fs, TICKER_NEVER, &fs->pinned.ticker);
}

void pinned_stop(struct fs *fs)
{
	fs->pinned.ticker = ticker_stop(fs->pinned.ticker);
}
