/* SPDX-License-Identifier: MIT */
/* watch_cache.h - the whole cache of a mount, as watch shows it. */
#ifndef MMAPCTL_WATCH_CACHE_H
#define MMAPCTL_WATCH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "out.h"
#include "watch_table.h"

/* Figures from the mount's metrics, in the order of their columns. */
enum cache_figure {
	CACHE_LOCKED = 0, /* bytes */
	CACHE_BUDGET,	  /* bytes */
	CACHE_USED,	  /* bytes of the budget */
	CACHE_DROPPED,	  /* pages that the mount evicted since the last look */
	CACHE_OPENS,	  /* a second, since the last look */
	CACHE_FIGURES,
};

/* One mount, and what was seen of it the last time. Zeroed but for `root`: nothing yet. */
struct watch_cache {
	const char *root;
	bool gone;			  /* it could not be read, which has been said */
	struct cell cells[CACHE_FIGURES]; /* of the last look */
	struct watch_figures pages;	  /* of the last measurement */

	/* private */
	uint64_t began; /* the mount, in seconds since 1970: another one counts anew */
	bool known[CACHE_FIGURES];
	uint64_t total[CACHE_FIGURES];
	uint64_t rated_ns; /* when counting for rates began; 0: not yet */
};

/* Is @path the root of a mounted mmapfs that tells its metrics? */
bool watch_cache_is_root(const char *path);

/*
 * Look at the mount, for its `cells`. What it does not tell, or has no earlier value to be
 * compared with, is CELL_NONE. Errors: those of mount_root_get(); all is as it was then.
 */
int watch_cache_look(struct watch_cache *cache, uint64_t now_ns);

/* What was counted since the look is our own doing: let rates begin anew. */
int watch_cache_begin_rates(struct watch_cache *cache, uint64_t now_ns);

/* The same from the text of the metrics; no system calls, for tests. */
void watch_cache_take(struct watch_cache *cache, const char *metrics, uint64_t now_ns);
void watch_cache_take_rates(struct watch_cache *cache, const char *metrics, uint64_t now_ns);

/*
 * Let the mount measure all of its files, which takes the longer the more there are. What
 * cannot be known of all of them is not valid. Errors: those of mount_root_get(); -EPROTO.
 */
int watch_cache_measure(const struct watch_cache *cache, struct watch_figures *ret);

/* When work that took from @begin_ns to @end_ns may be done again, so that it takes a tenth
 * of the time at most. */
uint64_t watch_cache_rest(uint64_t begin_ns, uint64_t end_ns);

#endif
