/* SPDX-License-Identifier: MIT */
/* mappers.h - which processes have a file mapped, and how much of it they use and lock. */
#ifndef MMAPCTL_MAPPERS_H
#define MMAPCTL_MAPPERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapper {
	pid_t pid;
	char name[32];	 /* as in /proc/PID/comm */
	uint64_t mapped; /* bytes of addresses */
	uint64_t rss;	 /* bytes of them in its page tables */
	uint64_t locked; /* bytes that its mlock keeps */
};

struct mappers {
	struct mapper *list;
	size_t count;
	size_t unreadable; /* processes that could not be looked at */
	size_t looked_at;
};

/* Find them among all processes that may be looked at, this one left out. @fd is the file.
 * Errors: mmap(2) of one page of it; -ENODATA for an empty file; -ENOMEM. */
int mappers_find(int fd, struct mappers *ret);
void mappers_done(struct mappers *mappers);

#endif
