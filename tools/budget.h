/* SPDX-License-Identifier: MIT */
/* budget.h - how much memory can still be had before something runs short. */
#ifndef MMAPCTL_BUDGET_H
#define MMAPCTL_BUDGET_H

#include <stdint.h>

/** What can be had, and what sets the bound. */
struct budget_room {
	uint64_t bytes;
	char bound[64]; /* "MemAvailable", "cgroup v2 /a/b", "cgroup v1 /a/b" */
};

/**
 * Read the room below @root ("" for the system; a directory with proc and sys in it for a
 * test): the least of MemAvailable and of the room in each memory cgroup from this
 * process's own up to the root. Page cache that a cgroup could give back counts as room,
 * as it does in MemAvailable. Errors: -ENODATA where neither can be read; those of
 * open(2).
 */
int budget_room(const char *root, struct budget_room *ret);

#endif
