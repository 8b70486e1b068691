/* SPDX-License-Identifier: MIT */
/* pace.h - keep a warm within a rate and a memory budget, over all its files. */
#ifndef MMAPCTL_PACE_H
#define MMAPCTL_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "budget.h"

/* What may have been asked of the disk between two looks at memory. */
#define PACE_STEP (UINT64_C(48) << 20)

/** Shared by all threads; the caller serialises. */
struct pace {
	uint64_t rate;	  /* bytes per second over all files; 0: any */
	uint64_t keep;	  /* bytes of memory to leave; 0: any */
	const char *root; /* see budget_room(); "" */
	uint64_t start_ns;
	uint64_t requested; /* bytes, of the files that are finished */
	uint64_t start_room;
	uint64_t taken;		 /* bytes that finished files brought in */
	uint64_t in_flight;	 /* and those that are not finished yet */
	bool stopped;		 /* the budget is used up */
	struct budget_room room; /* as last read */
};

/** Begin. Errors of budget_room() when there is a budget to keep. */
int pace_begin(struct pace *pace, uint64_t rate, uint64_t keep, const char *root,
	       uint64_t now_ns);

/** Nanoseconds to wait at @now_ns before the next file, so that the rate holds. */
uint64_t pace_delay_ns(const struct pace *pace, uint64_t now_ns);

/**
 * Look at memory: may @more bytes of a file be read in, after it took @taking? @counted
 * is the file's own, 0 at first: what of it has been counted. What was read in counts as
 * used, although the kernel could give it back: it is what the user wants to keep. Once
 * false it stays false. Unknown memory is no room.
 */
bool pace_allows(struct pace *pace, uint64_t *counted, uint64_t taking, uint64_t more);

/** A file is finished, of which @counted was counted until now. */
void pace_finished(struct pace *pace, uint64_t counted, uint64_t requested,
		   uint64_t taken);

#endif
