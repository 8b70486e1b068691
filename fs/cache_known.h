/* SPDX-License-Identifier: MIT */
/*
 * cache_known.h - the files that may have something in RAM: opened through the mount,
 * read in by it, or found resident. Model.
 *
 * Handlers tell of signs of use, from any thread, in constant time. One thread, the one
 * that looks, does the rest: only it takes files out of the table, so what it was given
 * stays until it settles it itself.
 */
#ifndef MMAPFS_FS_CACHE_KNOWN_H
#define MMAPFS_FS_CACHE_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache_decide.h"
#include "cache_shed.h"
#include "inode.h"

struct known;

struct known_file {
	struct inode *inode; /* one reference; never changes */

	/* protected by the table's mutex */
	size_t place; /* in the table */
	double heat;
	uint64_t used_at; /* number of the last sign of use */
	bool in_use;	  /* on the list of those: open, or touched since the last look */
	bool touched;	  /* since the last look */
	bool written; /* opened for writing, or seen dirty, since it was last synced */
	TAILQ_ENTRY(known_file) next_in_use;

	/* of the thread that looks */
	struct shed_look last;
	uint64_t stuck;	     /* bytes that stayed when they were asked to go */
	uint64_t rest_until; /* nanoseconds; they are not asked again before */
	unsigned int refusals;
};

/* What a table may hold. A file whose inode keeps a descriptor counts for both. */
struct known_limits {
	size_t files;
	size_t descriptors;
};

/* The limits that this process can afford. */
struct known_limits known_default_limits(void);

int known_new(struct inode_table *inodes, const struct known_limits *limits,
	      struct known **ret);

/* Forgets all files. Takes and returns NULL. */
struct known *known_free(struct known *known);

/* Bytes read in that make a turn (cache_decide.h). Before the first call nothing ages. */
void known_set_turn(struct known *known, uint64_t bytes);

/* ---- from any thread; the caller has hold of the inode ---- */

enum known_sign {
	KNOWN_OPENED,
	KNOWN_WRITER, /* opened for writing */
	KNOWN_CLOSED,
	KNOWN_READING, /* by the mount itself: to be looked at, but no sign of use */
};

/* Where there is no room or no memory for another file, it is only counted. */
void known_sign(struct known *known, struct inode *inode, enum known_sign sign);

/* Found with something in RAM by a walk. False: it was known before. */
bool known_found(struct known *known, struct inode *inode, const struct shed_look *look);

struct known_sums {
	uint64_t resident; /* bytes */
	uint64_t locked;
	uint64_t fixed; /* bytes that cannot be evicted, see struct shed_look */
	uint64_t files;
	uint64_t unknown_files; /* of those, not to be measured */
	uint64_t untracked;	/* signs of files for which there was no room */
	uint64_t signs;		/* of use, so far */
};

struct known_sums known_sums(struct known *known);

/* ---- from the thread that looks ---- */

struct known_list {
	struct known_file **file;
	size_t count;
	size_t capacity;
};

/* Begin a look: the files in use as they are now. What is touched from here on is among
 * the next ones too. Errors: -ENOMEM. */
int known_list_in_use(struct known *known, struct known_list *list);

/* All known files, good until one of them is forgotten. Errors: -ENOMEM. */
int known_list_all(struct known *known, struct known_list *list);

/* The next files of a look at all, which begins with *@at = SIZE_MAX, at most @max; 0
 * when it is over. Files may be forgotten meanwhile; some may then come twice. */
size_t known_slice(struct known *known, size_t *at, struct known_file **files,
		   size_t max);

void known_list_free(struct known_list *list);

/* How many are in use. */
size_t known_in_use(struct known *known);

/* @file was measured. Returns by how many bytes it grew, which is a sign of use. */
uint64_t known_measured(struct known *known, struct known_file *file,
			const struct shed_look *look);

/* Is @file open, or was it touched since it was listed? Else it leaves the list of files
 * in use, and where it has nothing in RAM that could be known, the table. Returns whether
 * it is gone. */
bool known_settle(struct known *known, struct known_file *file);

/* How many bytes @file may bring by what who has it open does: any number, where they write. */
uint64_t known_growable(const struct known_file *file);

/* @file is about to be written back (false), or that failed (true). Who opens it for
 * writing from here on sets it again. */
void known_set_written(struct known *known, struct known_file *file, bool written);

/* The files of @list as the decision wants them, at @now in nanoseconds. */
void known_rows(struct known *known, const struct known_list *list, uint64_t now,
		struct cache_file *rows);

/* Forget all files. */
void known_clear(struct known *known);

#endif
