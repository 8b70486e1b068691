/* SPDX-License-Identifier: MIT */
/* descriptors.c - many descriptors at once: closing them, and a table for each thread. */
#include "descriptors.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The thread sanitizer takes descriptors for the process's: the same number in two tables
 * would be a race to it. */
#if defined(__SANITIZE_THREAD__)
#define SHARED_ALWAYS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHARED_ALWAYS 1
#endif
#endif
#ifndef SHARED_ALWAYS
#define SHARED_ALWAYS 0
#endif

/* Nearly sorted as they are: the kernel gives the lowest number that is free. */
static void sort_few(int *list, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t k = i; k > 0 && list[k - 1] > list[k]; k--) {
			int other = list[k];

			list[k] = list[k - 1];
			list[k - 1] = other;
		}
}

/* A system call for each run of them instead of one for each file saves a sixth of the
 * time of a tree of small files. */
void descriptors_close(int *list, size_t count)
{
	size_t begin, end;

	sort_few(list, count);
	for (begin = 0; begin < count; begin = end) {
		end = begin + 1;
		while (end < count && list[end] == list[end - 1] + 1)
			end++;
		/* Before Linux 5.9 there is no such call. */
		if (close_range((unsigned int)list[begin], (unsigned int)list[end - 1], 0) == 0)
			continue;
		for (size_t i = begin; i < end; i++)
			(void)close(list[i]);
	}
}

/* glibc before 2.36 has no names for these; Linux has them since 5.3 and 5.6. */
static int pidfd_of_process(void)
{
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static int get_descriptor(int process, int fd)
{
	int own = (int)syscall(SYS_pidfd_getfd, process, fd, 0);

	return own < 0 ? -errno : own;
}

void own_descriptors_begin(struct own_descriptors *own)
{
	int probe;

	own->process = SHARED_ALWAYS ? -1 : pidfd_of_process();
	if (own->process < 0)
		return;
	/* Some containers forbid it. */
	probe = get_descriptor(own->process, own->process);
	if (probe >= 0)
		(void)close(probe);
	if (probe >= 0 && unshare(CLONE_FILES) == 0)
		return;
	(void)close(own->process);
	own->process = -1;
}

void own_descriptors_end(struct own_descriptors *own)
{
	if (own->process >= 0)
		(void)close(own->process);
	own->process = -1;
}

int own_descriptors_borrow(const struct own_descriptors *own, int fd)
{
	return own->process < 0 ? fd : get_descriptor(own->process, fd);
}

void own_descriptors_return(const struct own_descriptors *own, int fd)
{
	if (own->process >= 0 && fd >= 0)
		(void)close(fd);
}
