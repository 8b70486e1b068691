/* SPDX-License-Identifier: MIT */
/*
 * cache_budget.h - keep the resident bytes of the mount's files under a limit (-o
 * budget).
 *
 * A thread looks at the files that the mount knows (cache_known.h), often at those that
 * are in use and now and then at all (cache_pace.h), and evicts the coldest
 * (cache_decide.h) down to the low mark when the high mark is passed. Locked pages are
 * never evicted, dirty ones only after they were synced. A second thread walks the tree
 * for files that have something in RAM without the mount having seen how (cache_find.h).
 * Model.
 */
#ifndef MMAPFS_FS_CACHE_BUDGET_H
#define MMAPFS_FS_CACHE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"

struct budget;

/* As a limit: there is none. */
#define BUDGET_OFF 0

/* The smallest: a few large folios. */
#define BUDGET_MIN (UINT64_C(16) << 20)

/* "4G", "25%" (of RAM) or "off" as a limit in bytes. Errors: -EINVAL, also for less than
 * BUDGET_MIN or more than 100 %. */
int budget_parse(const char *text, uint64_t *ret);

/* Nothing is looked at before budget_start(). @limit: bytes, or BUDGET_OFF. Errors:
 * -ENOMEM. */
int budget_new(struct fs *fs, uint64_t limit, struct budget **ret);

/* The mount is up. Errors: -EAGAIN, no thread is to be had. Takes NULL. */
int budget_start(struct budget *budget);

/* fs->stopping is set: end the threads, soon. Other calls stay possible. Takes NULL. */
void budget_stop(struct budget *budget);

/* Takes and returns NULL. The inode table still stands. */
struct budget *budget_free(struct budget *budget);

/* Another limit from now on, in bytes, or BUDGET_OFF. Errors: as budget_start(). */
int budget_set(struct budget *budget, uint64_t limit);

/* A program opened @inode, or closed it: signs of use. */
void budget_opened(struct budget *budget, struct inode *inode, bool writer);
void budget_closed(struct budget *budget, struct inode *inode);

/* The mount itself reads in @bytes more of @inode, for a warm or the like: to be looked
 * at soon, though no program uses it. 0: it is not known how much. Takes NULL. */
void budget_reading(struct budget *budget, struct inode *inode, uint64_t bytes);

/* Bytes that may be read in before the high mark is reached: what the last look found,
 * less what was announced since by budget_reading(). UINT64_MAX without a limit, or for
 * NULL. */
uint64_t budget_room(struct budget *budget);

/* How it stands; in bytes where nothing else is said. */
struct budget_figures {
	uint64_t limit; /* above it, the coldest files are evicted; BUDGET_OFF: none */
	uint64_t low;	/* down to this */
	uint64_t used;	/* resident at the last look */
	uint64_t peak;	/* the most that a look found since the limit was set */
	uint64_t locked;
	uint64_t fixed; /* of `used`, in memory that has no disk to read it from again */
	uint64_t files;		/* known */
	uint64_t unknown_files; /* of those, ones whose residency cannot be known */
	uint64_t untracked;   /* uses of files for which there was no room in the table */
	uint64_t quick_looks; /* at the files in use */
	uint64_t full_looks;  /* at all */
	uint64_t full_look_ns; /* what the last full one took */
	uint64_t evicted;
	uint64_t refused; /* was asked to go and stayed: mapped, being written ... */
	uint64_t
		sync_errors; /* times that a file could not be written back, and stayed */
	uint64_t pressure;   /* hundredths of a percent; BUDGET_UNKNOWN on old kernels */
};

#define BUDGET_UNKNOWN UINT64_MAX

void budget_figures(struct budget *budget, struct budget_figures *ret);

#endif
