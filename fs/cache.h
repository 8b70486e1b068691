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

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache_policy.h"
#include "fs.h"

struct policy_keeper; /* cache_policy.h */
struct budget;	      /* cache_budget.h */
struct restart;	      /* cache_restart.h */

struct cache {
	pthread_mutex_t mutex; /* held by start and stop, which may come at the same time */
	struct policy_keeper *policy;
	struct budget *budget;
	struct restart *restart;
};

/* Before the mount: read what the options name. Says what is wrong with it. Errors: those of
 * the parts; nothing is left behind then. */
int cache_open(struct fs *fs);

/* The mount is up: start what works in the background. */
void cache_start(struct fs *fs);

/* No handler runs any more, but requests on workers may: end the threads. fs->stopping is
 * set. */
void cache_stop(struct fs *fs);

/* The mount is gone, the inode table still stands: save, free. */
void cache_close(struct fs *fs);

/* How the file with @path below the source is to be treated, known to the mount or not. */
struct treatment cache_treatment(struct fs *fs, const char *path);

/* SIGHUP: read the policy again, soon. Errors are said, the old one stays. False: there is
 * no policy to read. */
bool cache_reload(struct fs *fs);

/* @name in @dir is @inode, with the attributes @st: looked up, made or linked there. Gives it
 * the advice that holds for the directory, and what the policy says of its name. */
void cache_named(struct fs *fs, struct inode *dir, const char *name, struct inode *inode,
		 const struct stat *st);

/* Something was moved to @name in @dir, which is open as @dir_fd. */
void cache_moved(struct fs *fs, struct inode *dir, int dir_fd, const char *name);

/* A name was removed, or given to another file: some file may have had no other. */
void cache_removed(struct fs *fs);

/* A handle on @inode was opened, or closed: it is no longer counted among its opens. */
void cache_opened(struct fs *fs, struct inode *inode, bool writer);
void cache_closed(struct fs *fs, struct inode *inode, bool writer);

/* How many bytes may be read in before the budget is full; UINT64_MAX without a budget. */
uint64_t cache_room(struct fs *fs);

/* The mount itself is about to read in @bytes of @inode (a warm, a restore): no program uses
 * it, but the budget is to see it. cache_room() is so much less until its next look. 0: it
 * is not known how much. */
void cache_reading(struct fs *fs, struct inode *inode, uint64_t bytes);

#endif
