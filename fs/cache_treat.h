/* SPDX-License-Identifier: MIT */
/*
 * cache_treat.h - treat files as the policy says: when the mount begins, when a name appears,
 * moves or goes, when a file was closed, and when the policy was read again. Model.
 *
 * Handlers only look a name up and put the file into a queue. Two threads do what is to be
 * done, each with the queue and the walks of a walker (cache_walker.h): the treater keeps
 * files locked and lets go of their pages, the warmer reads them in. So a file is locked
 * though a large one is being warmed.
 */
#ifndef MMAPFS_FS_CACHE_TREAT_H
#define MMAPFS_FS_CACHE_TREAT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "fs.h"

struct ctl_text;
struct policy_keeper;

/*
 * Before the mount: read what fs->options names. *@ret is NULL where no policy was asked for.
 * Says what is wrong, with file and line. Errors: -EINVAL for that; open(2) and read(2);
 * -ENOMEM.
 */
int treat_open(struct fs *fs, struct policy_keeper **ret);

/* The mount is up. Says so when there is no thread to be had. Takes NULL, as all below do. */
void treat_start(struct policy_keeper *keeper);

/* fs->stopping is set: end the threads. The other calls stay possible. */
void treat_stop(struct policy_keeper *keeper);

/* Nobody calls any more; the inode table still stands. Returns NULL. */
struct policy_keeper *treat_close(struct policy_keeper *keeper);

/* ---- from handlers: these never wait ---- */

void treat_named(struct policy_keeper *keeper, struct inode *dir, const char *name,
		 struct inode *inode, const struct stat *st);
/* The same, also where the name is all that is new about @inode, perhaps a directory. */
void treat_moved(struct policy_keeper *keeper, struct inode *dir, const char *name,
		 struct inode *inode, const struct stat *st);
/* Some file may have lost its only name. */
void treat_removed(struct policy_keeper *keeper);
void treat_closed(struct policy_keeper *keeper, struct inode *inode, bool writer);

/* Read the policy again, from the treater's thread. False: there is none. */
bool treat_reload_soon(struct policy_keeper *keeper);

/* ---- from other threads ---- */

/* What the policy says of the file with @path below the source, for treatment_unpack(), also
 * where the mount has not seen that file yet. */
uint32_t treat_find(struct policy_keeper *keeper, const char *path);

/* ---- the root's attribute ---- */

/* Read the policy again, now. Errors: as treat_open(), and the old one stays; -EOPNOTSUPP
 * without a policy. */
int treat_reload(struct policy_keeper *keeper);

/* How it stands, key=value lines, then the sections. */
#define TREAT_TEXT_MAX 16384
int treat_print(struct policy_keeper *keeper, struct ctl_text *ret);

/* ---- metrics ---- */

/* Files and bytes that are to be so and are not, or are so. */
struct treat_count {
	uint64_t files;
	uint64_t bytes;
};

struct treat_figures {
	bool busy;		    /* something is yet to be done */
	struct treat_count locked;  /* because of the policy */
	struct treat_count refused; /* to be locked, but a limit is reached */
	struct treat_count warmed;  /* since the mount; the bytes that were read */
	struct treat_count no_room; /* to be warmed, but the budget, or RAM, is full */
	uint64_t dropped;	    /* files let go after the last close, since the mount */
	uint64_t failed;	    /* files that could not be treated, since the last reload */
	int error;		    /* of the last of them, a negative errno */
	uint64_t queued;	    /* files waiting */
	uint64_t overflows;	    /* of the queues, since the mount */
	uint64_t walks;		    /* that came to an end, since the mount */
	int walk_error;		    /* of the last, a negative errno, or 0 */
	uint64_t reloads;	    /* without an error */
	uint64_t reload_errors;
};
void treat_figures(struct policy_keeper *keeper, struct treat_figures *ret);

#endif
