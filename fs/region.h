/* SPDX-License-Identifier: MIT */
/*
 * region.h - one file of the mount as a mapped region: what is remembered between two
 * control requests (advice, locks, the warm that runs, the last evict) and the mapping that
 * serves reads on the mapped data path. Model: knows nothing of FUSE.
 */
#ifndef MMAPFS_FS_REGION_H
#define MMAPFS_FS_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "fs.h"

struct region;

/* The region of @inode, made on first use; it lives as long as the inode. NULL: no memory.
 * Regular files, and directories for what is remembered of tree work. */
struct region *region_of(struct inode *inode);

/* For inode_table_new(). */
extern const struct inode_hooks region_hooks;

/* ---- the mapping that serves reads (mapped data path) ---- */

/* A view stays valid until it is put, whatever happens to the file meanwhile. */
struct view;

/* The current view of the whole file, remapped when the file grew. -ENODATA when empty. */
int view_get(struct fs *fs, struct inode *inode, struct view **ret);
const char *view_addr(const struct view *view);
uint64_t view_length(const struct view *view);
void view_put(struct view *view);

/* Let the region's own hold on its view go, with its descriptor: at the last close. */
void view_forget(struct inode *inode);

/* ---- advice ---- */

/* The STATE advice in force for the whole file: what it was given by hand, or else what the
 * policy says. */
enum mmapfs_advice region_advice(struct inode *inode);

/* @child was looked up in @dir: where it was given no advice, that of the directory holds. */
void region_inherit(struct inode *dir, struct inode *child);

/* ---- write errors ---- */

/*
 * A write error reaches each handle that was open once, and the sync control once, as on the
 * source, whoever of the daemon's descriptors the kernel told it to. region_sync_seen() is
 * the count of errors so far, for a new handle to start from; region_sync_failed() records
 * one; region_sync_report() gives the error newer than *@seen, or 0, and moves *@seen.
 */
uint32_t region_sync_seen(struct inode *inode);
void region_sync_failed(struct inode *inode, int error);
int region_sync_report(struct inode *inode, uint32_t *seen);

#endif
