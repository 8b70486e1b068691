/* SPDX-License-Identifier: MIT */
/*
 * cache_pace.h - when to look again: often when a little time may fill the cache, seldom
 * when nothing happens, never so often that looking is what the machine does. Pure.
 * Model.
 *
 * A quick look is one at the files in use, which are few. It comes before the room that
 * is left can be used up at the rate of growth last seen, and before the room and the
 * slack can be used up at the highest rate ever seen: a burst out of nothing passes the
 * limit by no more than the slack. Where nothing has happened for a while it comes ever later,
 * but for files in use that could pass the limit by more than the slack: they may begin to grow
 * without a sign. A full look is one at all known files.
 */
#ifndef MMAPFS_FS_CACHE_PACE_H
#define MMAPFS_FS_CACHE_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t rate;	    /* of growth, bytes a second, falling off where it ends */
	uint64_t peak;	    /* the highest lately */
	uint64_t grown;	    /* bytes, in the window that has not ended, */
	uint64_t window_ns; /* so long so far */
	uint64_t idle_ns;   /* since there was growth, or a sign of use */
	uint64_t full_ms;   /* between two full looks */
	unsigned int held; /* looks in a row that found too much and could not evict it */
};

void pace_init(struct pace *pace);

struct pace_quick {
	uint64_t room;	     /* bytes below the high mark */
	uint64_t slack;	     /* bytes by which it may be passed for a moment */
	uint64_t grown;	     /* bytes, since the last quick look */
	uint64_t elapsed_ns; /* since then */
	uint64_t growable;   /* bytes that files in use could yet bring, read to the end */
	uint64_t cost_ns;    /* what this look took, without evicting */
	bool signs;	     /* a file was opened or closed since then */
	bool over;	     /* there is still too much, */
	bool held;	     /* and nothing of it would go */
};

/* Milliseconds until the next quick look. */
uint64_t pace_quick(struct pace *pace, const struct pace_quick *look);

/* No sooner than this many milliseconds, even if an open asks for it. */
uint64_t pace_least(const struct pace_quick *look);

/* Will a program that begins to read now go unnoticed for longer than when in use? Then
 * an open is a reason to look at once. */
bool pace_is_idle(const struct pace *pace);

struct pace_full {
	bool changed;  /* it differed from what was known */
	bool in_use;   /* there are open files */
	bool pressure; /* something waits for memory (PSI) */
};

/* Milliseconds until the next full look begins. */
uint64_t pace_full(struct pace *pace, const struct pace_full *look);

/* A full look at many files is made in slices of this many nanoseconds, or a little more,
 * so that quick looks come in between. */
#define PACE_SLICE_NS UINT64_C(5000000)

/* Milliseconds until the next slice, after one that took @cost_ns. */
uint64_t pace_slice(uint64_t cost_ns);

#endif
