/* SPDX-License-Identifier: MIT */
/*
 * cache_walker.h - a thread that does something with files: with those that it is told of,
 * soon, and now and then with all files of the source. Model: knows nothing of FUSE.
 *
 * Its queue is bounded. What does not fit into it is found by a walk, so nothing is lost,
 * however much happens at once. Walks take a bounded share of the time, however large the
 * source; what is queued while one is under way is served between its files.
 */
#ifndef MMAPFS_FS_CACHE_WALKER_H
#define MMAPFS_FS_CACHE_WALKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs.h"

struct ctl_tree;
struct walker;

/* A file that a walk came upon. */
struct walker_found {
	const struct ctl_tree *tree; /* for ctl_walk_open() */
	int dir_fd;
	const char *name;
	const char *path; /* below the source; NULL: longer than PATH_MAX */
	const struct stat *st;
	bool all; /* the walk is one in which every file counts as new */
};

/* Called by the walker's thread only. */
struct walker_ops {
	/* It was woken, or is about to do something. Returns the milliseconds until it wants to
	 * be called again at the latest, or TICKER_NEVER. */
	uint64_t (*woken)(void *ctx);
	/* Is there anything to be looked for by itself? Else only walker_walk() makes it walk. */
	bool (*is_wanted)(void *ctx);
	/* @inode was queued. True: once more, in a second, unless that was often already. */
	bool (*queued)(void *ctx, struct inode *inode);
	/* A walk of the whole source begins; @all: every file counts as new. It may be given
	 * up, and another begin. */
	void (*begin)(void *ctx, bool all);
	void (*found)(void *ctx, const struct walker_found *found);
	/* It has come to its end; @complete: and could read every directory. */
	void (*end)(void *ctx, bool complete);
};

/* @mark: the enum inode_mark that says "in the queue" of this walker. @interval: seconds from
 * the end of a walk to the next, at least; 0: never by itself. Errors: -ENOMEM. */
int walker_new(struct fs *fs, const struct walker_ops *ops, void *ctx, unsigned char mark,
	       unsigned int interval, struct walker **ret);

/* Errors: as ticker_start(). */
int walker_start(struct walker *walker);

/* fs->stopping is set: end the thread. The other calls stay possible. Takes NULL. */
void walker_stop(struct walker *walker);

/* Takes and returns NULL. The inode table still stands. */
struct walker *walker_free(struct walker *walker);

/* From any thread, without waiting: do something with this file, or with all files below this
 * directory, which then count as new. */
void walker_queue(struct walker *walker, struct inode *inode);

/* Walk the whole source as soon as may be, every file being new. What is under way ends. */
void walker_walk(struct walker *walker);

/* The same for files that are new anyway, when the last walk is some time ago. */
void walker_walk_soon(struct walker *walker);

/* Call `woken` at once. */
void walker_wake(struct walker *walker);

/* Was the file changed, made or moved since the last walk looked? That was, in nanoseconds
 * since 1970: */
bool walker_is_new(const struct walker *walker, const struct stat *st);
int64_t walker_new_since(const struct walker *walker);

/* Should the work on one file end, because the walker stops or is to begin again? */
bool walker_should_stop(struct walker *walker);

struct walker_figures {
	bool busy;	    /* a walk is under way, or waited for, or the queue is not empty */
	uint64_t queued;    /* files waiting */
	uint64_t overflows; /* files that the queue had no room for */
	uint64_t walks;	    /* that came to an end */
	uint64_t files;	    /* that the last of them came upon */
	int error;	    /* of the last, a negative errno, or 0 */
};
struct walker_figures walker_figures(struct walker *walker);

#endif
