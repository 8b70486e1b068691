/* SPDX-License-Identifier: MIT */
/* descriptors.h - many descriptors at once: closing them, and a table for each thread. */
#ifndef MMAPCTL_DESCRIPTORS_H
#define MMAPCTL_DESCRIPTORS_H

#include <stddef.h>

/* Close @count descriptors, whose order in @list is lost. */
void descriptors_close(int *list, size_t count);

/*
 * A descriptor table of the calling thread's own. Threads that share one take its lock for
 * each file they open, count references to each file they use, and get numbers that are
 * mixed up, so that closing takes a system call for each.
 *
 * What /proc/self/fd shows is the table of the process's first thread.
 */
struct own_descriptors {
	int process; /* a pidfd; -1: the table is shared, the kernel not being willing */
};

void own_descriptors_begin(struct own_descriptors *own);
void own_descriptors_end(struct own_descriptors *own);

/* What is @fd to the first thread of the process, in the calling thread's table. Close it
 * with own_descriptors_return(). Errors: pidfd_getfd(2). */
int own_descriptors_borrow(const struct own_descriptors *own, int fd);
void own_descriptors_return(const struct own_descriptors *own, int fd);

#endif
