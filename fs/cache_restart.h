/* SPDX-License-Identifier: MIT */
/*
 * cache_restart.h - what was resident is so again after a restart (-o snapshot=FILE).
 *
 * The resident ranges of the tree are saved to FILE when the mount ends, at intervals and
 * on request, and read in again, hottest first, when it is mounted. One thread does both, so
 * that a save never records what a restore has only begun to read in. Model.
 */
#ifndef MMAPFS_FS_CACHE_RESTART_H
#define MMAPFS_FS_CACHE_RESTART_H

#include "fs.h"

struct ctl_text;
struct ctl_words;
struct restart;

/*
 * Before the mount: find the place of fs->options->snapshot and see that it can be written.
 * *@ret is NULL where no snapshot was asked for. Says what is wrong. Errors: open(2) of the
 * directory and of what is in it; -EINVAL for a FILE inside the source.
 */
int restart_open(struct fs *fs, struct restart **ret);

/* The mount is up: restore, then save at intervals. Takes NULL. */
void restart_start(struct restart *restart);

/* fs->stopping is set: end what runs. Takes NULL. */
void restart_stop(struct restart *restart);

/* The mount is gone: save what is resident, unless it never came up; free. Takes and
 * returns NULL. */
struct restart *restart_close(struct restart *restart);

/* The root's attribute: "save", "restore", "cancel", "interval SECONDS", "rate SIZE". Takes
 * NULL. Errors: -EINVAL; -EBUSY when a save or restore waits or runs; -EOPNOTSUPP without
 * a snapshot file. Who may do so has been checked. */
int restart_control(struct restart *restart, const struct ctl_words *words);

/* And as it reads: key=value lines. Takes NULL. */
int restart_print(struct restart *restart, struct ctl_text *ret);

/* @inode was opened or closed: a sign of use. */
void restart_used(struct inode *inode);

#endif
