/* SPDX-License-Identifier: MIT */
/* cache_restart_private.h - what saving and restoring share. */
#ifndef MMAPFS_FS_CACHE_RESTART_PRIVATE_H
#define MMAPFS_FS_CACHE_RESTART_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache_restart.h"

/* What the thread does. */
enum restart_state {
	RESTART_IDLE = 0,
	RESTART_WAITING, /* another mmapfs has the snapshot */
	RESTART_RESTORING,
	RESTART_SAVING,
};

/* How far the last save or restore came, or why it ended. */
enum restart_outcome {
	OUTCOME_NONE = 0, /* there was none */
	OUTCOME_RUNNING,
	OUTCOME_DONE,
	OUTCOME_CANCELLED,
	OUTCOME_STOPPED, /* a restore, and the mount ended */
	OUTCOME_BUDGET,	 /* a restore: there was no more room */
	OUTCOME_MEMORY,	 /* a restore: memory was getting scarce */
	OUTCOME_FAILED,
};

struct restore_status {
	enum restart_outcome outcome;
	int error;	/* negative errno: why it failed, or the first of a file */
	uint64_t total; /* bytes recorded of files of this source */
	uint64_t done;	/* of those: resident, or given up */
	uint64_t read;	/* asked of the disk */
	uint64_t missing; /* not resident when the file was done: evicted meanwhile */
	uint64_t files;
	uint64_t changed; /* since then, and so left alone; or gone */
	uint64_t failed;  /* could not be opened or read */
	uint64_t unwanted; /* the policy says never to cache them */
};

struct save_status {
	enum restart_outcome outcome;
	int error;
	int64_t time_s; /* of the last good one; 0: none since the mount */
	uint64_t files;
	uint64_t bytes;
	uint64_t unknown; /* files whose residency could not be known, unread directories */
};

struct restart {
	struct fs *fs;
	char *path;	  /* of the snapshot, absolute */
	const char *name; /* its last component */
	int dir_fd;	  /* where it is */
	int lock_fd;	  /* of the file beside it, which one daemon at a time has locked */

	atomic_uint_fast64_t interval_s; /* 0: only at the end, and when asked */
	atomic_uint_fast64_t rate;	 /* bytes per second; 0: any */
	atomic_bool cancel;		 /* what runs is to end */

	bool started; /* the mount came up */

	/* used by the thread, and after its end */
	bool locked;
	bool blocked;	     /* what is there could not be set aside: it is not overwritten */
	uint64_t save_at_ns; /* the next save that nobody asks for */

	pthread_mutex_t mutex;

	/* protected by mutex; the statuses are written by the thread alone */
	struct ticker *ticker; /* the thread, while it is there */
	enum restart_state state;
	bool want_restore;
	bool want_save;
	bool reschedule; /* there is another interval */
	struct restore_status restored;
	struct save_status saved;
};

/* CLOCK_MONOTONIC. */
uint64_t restart_now_ns(void);

/* The mount ends, or somebody said cancel. */
bool restart_ends(const struct restart *restart);

/* Seconds since @inode was used, or HEAT_UNUSED. */
uint64_t restart_unused_s(struct inode *inode);

/* Sleep, but end early where restart_ends(). */
void restart_pause(const struct restart *restart, uint64_t ns);

void restart_set_state(struct restart *restart, enum restart_state state);

/* Become the one daemon that uses the snapshot, within @patience_ms. False: another is. */
bool restart_lock(struct restart *restart, uint64_t patience_ms);

/* ---- cache_restore.c ---- */

/* Make resident what the snapshot says. Fills in restart->restored. */
void restart_restore(struct restart *restart);

/* ---- cache_save.c ---- */

enum save_kind {
	SAVE_INTERVAL, /* in slices, so as not to be noticed */
	SAVE_ASKED,
	SAVE_LAST, /* the mount has ended: within a limited time */
};

/* Let the snapshot be what is resident now. Fills in restart->saved. */
void restart_save(struct restart *restart, enum save_kind kind);

#endif
