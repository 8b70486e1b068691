/* SPDX-License-Identifier: MIT */
/*
 * cache.h - the cache manager: what keeps the right pages in RAM while nobody looks.
 *
 * Three parts, each there only when it was asked for, by an option or through its attribute
 * of the root: the policy (what files are to be treated how, by their names), the budget
 * (how many bytes may be resident) and the restart (what was resident is so again after a
 * restart). Handlers tell what happens through the functions below, which cost one load when
 * no part is there, never block and never fail. Model.
 */
#ifndef MMAPFS_FS_CACHE_H
#define MMAPFS_FS_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"

struct policy_keeper; /* cache_policy.h */
struct budget;	      /* cache_budget.h */
struct restart;	      /* cache_restart.h */

struct cache {
	struct policy_keeper *policy;
	struct budget *budget;
	struct restart *restart;
};

/* Before the mount: read what the options name. Says what is wrong with it. Errors: those of
 * the parts; nothing is left behind then. */
int cache_open(struct fs *fs);

/* The mount is up: start what works in the background. */
void cache_start(struct fs *fs);

/* No handler runs any more: save, end the threads. fs->stopping is set. */
void cache_stop(struct fs *fs);

/* SIGHUP: read the policy again. Errors are said, the old one stays. */
void cache_reload(struct fs *fs);

/* @name in @dir is @inode: looked up, made, linked or moved there. Gives it the advice that
 * holds for the directory, then what the policy says of its name. */
void cache_named(struct fs *fs, struct inode *dir, const char *name, struct inode *inode);

/* A handle on @inode was opened, or is about to be closed. */
void cache_opened(struct fs *fs, struct inode *inode, bool writer);
void cache_closed(struct fs *fs, struct inode *inode, bool writer);

/* How many bytes may be read in before the budget is full; UINT64_MAX without a budget. */
uint64_t cache_room(struct fs *fs);

#endif
