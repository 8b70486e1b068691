/* SPDX-License-Identifier: MIT */
/*
 * cache_decide.h - which files of a full cache give up how much. Pure: no system calls,
 * no clock, no state. Model.
 *
 * How hot a file is. Time is counted in turns: one turn has passed when as many bytes
 * were read in as the budget allows, however long that took, so that a quiet night ages
 * nothing. A use counts 1 at first and half as much with every turn that passes; the heat
 * of a file is the logarithm of the sum of its uses. So between two files used equally
 * often the one used last is hotter, as with LRU, while a file used often outlasts a scan
 * of files that are read once (LRFU: Lee et al., 2001). Kept relative to turn 0, the heat
 * of a file changes only when it is used, and files are compared without looking at the
 * time.
 */
#ifndef MMAPFS_FS_CACHE_DECIDE_H
#define MMAPFS_FS_CACHE_DECIDE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a file of whose use nothing is known. */
#define HEAT_NONE (-INFINITY)

/* Used once more at @turn. */
double heat_used(double heat, double turn);

/* Signs of the same use again: at least as hot as if its only use were at @turn. */
double heat_seen(double heat, double turn);

/* A file, as far as the decision depends on it. */
struct cache_file {
	uint64_t resident; /* bytes */
	uint64_t kept;	   /* of those, locked, or not to be had for another reason */
	double heat;
	uint64_t used_at; /* decides between equal heats: the smaller goes first */
	uint8_t priority; /* decides before heat: the smaller goes first */
	bool never;	  /* leave it alone */
	bool sync;	  /* has to be written back first */
};

struct marks {
	uint64_t used;	  /* bytes; may be more than the sum of the table */
	uint64_t high;	  /* up to here nothing is done, and */
	uint64_t low;	  /* beyond it, files give up bytes down to here */
	uint64_t granule; /* a part of a file is a multiple of this, a power of two */
};

struct action {
	size_t file; /* number in the table */
	uint64_t bytes;
	bool sync;
};

/*
 * What to evict, in this order: never what is kept, and together not more than needed,
 * but for the last action, which is rounded up to the granule. Less, when the files have
 * no more to give. @out has room for @count actions. Returns how many there are. O(n + k
 * log n) for n files and k actions.
 */
size_t decide(const struct cache_file *files, size_t count, const struct marks *marks,
	      struct action *out);

#endif
