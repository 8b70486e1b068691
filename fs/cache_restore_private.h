/* SPDX-License-Identifier: MIT */
/* cache_restore_private.h - a restore under way: cache_restore.c goes through the snapshot,
 * cache_restore_file.c reads in what is missing of one file. */
#ifndef MMAPFS_FS_CACHE_RESTORE_PRIVATE_H
#define MMAPFS_FS_CACHE_RESTORE_PRIVATE_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache_heat.h"
#include "cache_restart_private.h"
#include "ctl_private.h"

struct restore {
	struct restart *restart;
	struct mmapfs_snapshot *snapshot;
	struct ctl_stop stop;
	struct ctl_tree tree;
	struct heat_bands bands;
	uint64_t small_files; /* that are worth more than one thread */
	int root_fd;
	uint64_t keep; /* bytes that stay available */
	uint64_t room; /* that the budget had at the start */

	/* Held to read files in: shared for small ones, and else alone. */
	pthread_rwlock_t turns;

	pthread_mutex_t mutex; /* protects what follows */
	struct restore_status status;
	uint64_t promised;  /* bytes of the room that files being read in may yet take */
	uint64_t under_way; /* bytes done of these files */
	uint64_t due_ns;    /* by when the rate allows what was read so far */
	uint64_t unchecked; /* bytes asked for since memory was looked at */
	uint64_t claimed;   /* entries of the band that somebody has taken */
	int result;	    /* negative errno: why it ends before the end */
};

/* One of the threads that read in, with a reader of the snapshot of its own. */
struct restorer {
	struct restore *restore;
	struct mmapfs_snapshot *snapshot;
	unsigned int band;
	int dir_fd;	    /* of the files that are read in now, or -1 */
	char dir[PATH_MAX]; /* its path below the source */
	uint64_t file_done; /* bytes of the file that is being read in */
	pthread_t thread;
};

/* Is a file of @bytes read in beside others, rather than alone? With a deep queue of its own
 * a large one keeps the disk busy; and so slow a rate is kept best by one at a time. */
bool restore_is_small(const struct restore *restore, uint64_t bytes);

/* Read in @bytes of the file @path below the source, which the entry has that the restorer's
 * snapshot is at. Negative errno: the restore ends here. */
int restore_file(struct restorer *restorer, const char *path, uint64_t bytes);

/* With restore->mutex held: let the attribute show how far it is. */
void restore_tell(struct restore *restore);

#endif
