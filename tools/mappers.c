/* SPDX-License-Identifier: MIT */
/* mappers.c - which processes have a file mapped, from /proc. */
#include "mappers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

/* How /proc names the file. Not what fstat says: on btrfs, overlayfs and FUSE the device
 * differs. */
struct identity {
	char dev[32];
	unsigned long long ino;
};

struct vma {
	unsigned long long begin, end;
	struct identity file;
};

static void cleanup_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static void cleanup_closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static bool vma_parse(const char *line, struct vma *ret)
{
	return sscanf(line, "%llx-%llx %*4s %*x %31s %llu", &ret->begin, &ret->end,
		      ret->file.dev, &ret->file.ino) == 4;
}

static bool same_file(const struct identity *a, const struct identity *b)
{
	return a->ino == b->ino && strcmp(a->dev, b->dev) == 0;
}

static int identify_at(uintptr_t address, struct identity *ret)
{
	_cleanup_(cleanup_fclosep) FILE *file = fopen("/proc/self/maps", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	struct vma vma;

	while (file && getline(&line, &size, file) > 0)
		if (vma_parse(line, &vma) && address >= vma.begin && address < vma.end) {
			*ret = vma.file;
			return 0;
		}
	return -ENOENT;
}

/* Map a page for a moment and look it up. */
static int identify(int fd, struct identity *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *base = mmap(NULL, page, PROT_NONE, MAP_SHARED, fd, 0);
	int r;

	if (base == MAP_FAILED)
		return -errno;
	r = identify_at((uintptr_t)base, ret);
	(void)munmap(base, page);
	return r;
}

/* Is the file among the mappings of @pid? -errno when that cannot be read. */
static int has_file(const char *pid, const struct identity *identity)
{
	_cleanup_(cleanup_fclosep) FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	struct vma vma;
	char path[300];

	(void)snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (getline(&line, &size, file) > 0)
		if (vma_parse(line, &vma) && same_file(&vma.file, identity))
			return 1;
	return ferror(file) ? -EACCES : 0;
}

static void add_line(struct mapper *mapper, const char *line)
{
	unsigned long long kib;

	if (sscanf(line, "Rss: %llu", &kib) == 1)
		mapper->rss += kib * 1024;
	else if (sscanf(line, "Locked: %llu", &kib) == 1)
		mapper->locked += kib * 1024;
}

static void measure(const char *pid, const struct identity *identity, struct mapper *mapper)
{
	_cleanup_(cleanup_fclosep) FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	bool ours = false;
	size_t size = 0;
	struct vma vma;
	char path[300];

	(void)snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) > 0) {
		if (!vma_parse(line, &vma)) {
			if (ours)
				add_line(mapper, line);
			continue;
		}
		ours = same_file(&vma.file, identity);
		if (ours)
			mapper->mapped += vma.end - vma.begin;
	}
}

static void read_name(const char *pid, struct mapper *mapper)
{
	_cleanup_(cleanup_fclosep) FILE *file = NULL;
	char path[300];

	(void)snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(mapper->name, sizeof(mapper->name), file))
		mapper->name[0] = 0;
	mapper->name[strcspn(mapper->name, "\n")] = 0;
}

static int add(struct mappers *mappers, const char *pid, const struct identity *identity)
{
	struct mapper *list, *mapper;

	list = reallocarray(mappers->list, mappers->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	mappers->list = list;
	mapper = &list[mappers->count++];
	*mapper = (struct mapper){ .pid = (pid_t)strtol(pid, NULL, 10) };
	read_name(pid, mapper);
	measure(pid, identity, mapper);
	return 0;
}

static int look_at(struct mappers *mappers, const char *pid, const struct identity *identity)
{
	int r = has_file(pid, identity);

	if (r == -ENOENT || r == -ESRCH)
		return 0; /* gone since it was listed */
	mappers->looked_at++;
	if (r < 0)
		mappers->unreadable++;
	return r > 0 ? add(mappers, pid, identity) : 0;
}

int mappers_find(int fd, struct mappers *ret)
{
	_cleanup_(cleanup_closedirp) DIR *proc = opendir("/proc");
	struct identity identity;
	const struct dirent *entry;
	long own = (long)getpid();
	int r;

	*ret = (struct mappers){ 0 };
	if (!proc)
		return -errno;
	r = identify(fd, &identity);
	while (r == 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    strtol(entry->d_name, NULL, 10) != own)
			r = look_at(ret, entry->d_name, &identity);
	return r;
}

void mappers_done(struct mappers *mappers)
{
	free(mappers->list);
	mappers->list = NULL;
	mappers->count = 0;
}
