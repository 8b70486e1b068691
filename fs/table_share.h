/* SPDX-License-Identifier: MIT */
/*
 * table_share.h - what is written through one window is seen through all others.
 *
 * Reads and writes go to the source at once, whatever window they come through. A client's
 * memory map of a window does not: the kernel fills it with a copy of its own, a page at a
 * time, and writes a page in which something was stored back as a whole. So who writes to
 * bytes of which another window may have such copies first has them written back and
 * forgotten - else an older page would later be written over the newer bytes - and once
 * more afterwards, because they may have been read in again meanwhile. That cannot be done
 * by a handler, which the kernel may need to write them back: it is done by one worker,
 * fs->turns, and the write is answered when all is done. Model.
 */
#ifndef MMAPFS_FS_TABLE_SHARE_H
#define MMAPFS_FS_TABLE_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#include "fs.h"
#include "table_window.h"

/* Start fs->turns, for a table of @windows. Errors: -ENOMEM, -EAGAIN. */
int share_start(struct fs *fs, size_t windows);

/* May the kernel have copies of bytes of @range of @window that another window shows? */
bool share_is_copied(const struct window *window, struct mmapfs_range range);

/* Let it write back what was stored in them, and forget them. Blocks; not for a handler. */
void share_forget(const struct window *window, struct mmapfs_range range);

/*
 * For who must not wait, such as the kernel writing back a copy: @range (not empty) of
 * @window was written; the copies will be forgotten soon. Where the other window's copy of
 * the same page was stored to as well, one of the two is lost.
 */
void share_written(struct window *window, struct mmapfs_range range);

#endif
