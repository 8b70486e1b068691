/* SPDX-License-Identifier: MIT */
/* who.h - add up page cache events by process, action and file. */
#ifndef MMAPCTL_WHO_H
#define MMAPCTL_WHO_H

#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "trace.h"

#define WHO_RANGES_MAX 32

/** What one process did to one file. */
struct who {
	struct trace_file file;
	char comm[TRACE_COMM_MAX];
	pid_t pid;
	enum trace_action action;
	uint64_t bytes;
	size_t range_count;
	uint64_t more; /* bytes outside `ranges`, when there were too many */
	struct mmapfs_range ranges[WHO_RANGES_MAX]; /* adjacent ones are joined */
};

/** All that happened in an interval. Begins zeroed. */
struct actors {
	struct who *list;
	size_t count;
	size_t last;	  /* the one that was added to last */
	uint64_t dropped; /* events that had no room */
};

/** Add @event. When it can be kept no longer it is counted as dropped. */
void actors_add(struct actors *actors, const struct trace_event *event);

/** Sort each one's ranges and join those that touch. */
void actors_finish(struct actors *actors);

/** Forget all; keeps memory. */
void actors_clear(struct actors *actors);
void actors_free(struct actors *actors);

/** "0+4096 8192+8192 ..." into @buf. Returns @buf. */
const char *who_ranges(const struct who *who, char *buf, size_t size);

#endif
