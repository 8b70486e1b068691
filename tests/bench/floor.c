/* SPDX-License-Identifier: MIT */
/*
 * floor.c - the least that counting a tree of small files costs on this kernel.
 *
 * For each file in the directories directly below a directory: openat, statx, cachestat,
 * close; no order, no output, no care. What it takes is the kernel's time, which no tool that
 * counts by cachestat can stay below: bench-residency.py prints it beside the tools.
 *
 * Usage: floor THREADS DIRECTORY
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

#define CLOSE_AT 32

struct entry {
	unsigned long long ino;
	long long offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static const char *root;
static char **directories;
static size_t count;
static atomic_size_t next;
static atomic_ullong files, resident;
static _Thread_local unsigned long long files_here, resident_here;

static int by_inode(const void *a, const void *b)
{
	const struct entry *const *left = a, *const *right = b;

	return (*left)->ino < (*right)->ino ? -1 : 1;
}

static void look(int dir, const char *name)
{
	struct { unsigned long long offset, length; } range = { 0, 0 };
	struct { unsigned long long cached, dirty, writeback, evicted, recent; } found = { 0 };
	struct statx stx;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);

	(void)statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
	(void)syscall(SYS_cachestat, fd, &range, &found, 0);
	resident_here += found.cached;
	files_here++;
}

static void look_at_all(int dir, char *listing, long length)
{
	const struct entry *list[4096];
	size_t n = 0;

	for (long at = 0; at < length;) {
		const struct entry *entry = (const void *)(listing + at);

		at += entry->length;
		if (entry->type == DT_REG)
			list[n++] = entry;
	}
	qsort(list, n, sizeof(*list), by_inode);
	for (size_t i = 0; i < n; i++) {
		look(dir, list[i]->name);
		if (i % CLOSE_AT == CLOSE_AT - 1 || i == n - 1)
			(void)close_range((unsigned int)dir + 1, ~0U, 0);
	}
}

static void *work(void *arg)
{
	static _Thread_local char listing[65536] __attribute__((aligned(16)));
	size_t i;
	long n;

	(void)unshare(CLONE_FILES);
	while ((i = next++) < count) {
		int dir = open(directories[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		while ((n = getdents64(dir, listing, sizeof(listing))) > 0)
			look_at_all(dir, listing, n);
		(void)close(dir);
	}
	files += files_here;
	resident += resident_here;
	return arg;
}

static void list_directories(void)
{
	struct dirent *entry;
	DIR *dir = opendir(root);

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		directories = reallocarray(directories, count + 1, sizeof(*directories));
		if (!directories ||
		    asprintf(&directories[count++], "%s/%s", root, entry->d_name) < 0)
			abort();
	}
	if (dir)
		closedir(dir);
}

int main(int argc, char **argv)
{
	unsigned int threads = argc == 3 ? (unsigned int)atoi(argv[1]) : 0;
	pthread_t thread[64];

	if (threads < 1 || threads > 64) {
		fprintf(stderr, "Usage: floor THREADS DIRECTORY\n");
		return 1;
	}
	root = argv[2];
	list_directories();
	for (unsigned int i = 1; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, NULL) != 0)
			abort();
	work(NULL);
	for (unsigned int i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("%llu files, %llu pages resident\n", (unsigned long long)files,
	       (unsigned long long)resident);
	return 0;
}
