/* SPDX-License-Identifier: MIT */
/*
 * stay-mapped.c - find the mappings of a file among all processes that may be looked at.
 *
 * This reads /proc by stdio and not through core/sys.c: it is no operation on the file,
 * what cannot be read is simply not known, and there is no errno of it that anybody acts
 * upon.
 */
#include "stay.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/macro.h"

/* Reading the maps of a process takes tens of microseconds. */
#define PROCESSES_MAX 4096

/* A line of /proc/PID/maps. */
struct vma {
	uint64_t begin;
	uint64_t end;
	uint64_t offset; /* in the file */
	char dev[32];
	unsigned long long ino;
};

struct search {
	struct mmapfs_map *map;
	const struct mmapfs__extent *extent;
	struct vma like; /* dev and ino as /proc shows this file */
	struct mmapfs__spans *ret;
};

/* Returns non-zero to stop. */
typedef int (*vma_fn)(struct search *search, const struct vma *vma);

static void cleanup_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static void cleanup_closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool vma_parse(const char *line, struct vma *ret)
{
	unsigned long long begin, end, offset;

	if (sscanf(line, "%llx-%llx %*4s %llx %31s %llu", &begin, &end, &offset, ret->dev,
		   &ret->ino) != 5)
		return false;
	ret->begin = begin;
	ret->end = end;
	ret->offset = offset;
	return true;
}

static int for_each_vma(struct search *search, const char *pid, vma_fn fn)
{
	_cleanup_(cleanup_fclosep) FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	char path[NAME_MAX + sizeof("/proc//maps")]; /* @pid may be any name, for all gcc knows */
	size_t size = 0;
	struct vma vma;
	int r;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (getline(&line, &size, f) > 0) {
		if (!vma_parse(line, &vma))
			continue;
		r = fn(search, &vma);
		if (r != 0)
			return r;
	}
	return 0;
}

static int vma_identify(struct search *search, const struct vma *vma)
{
	if (search->like.begin < vma->begin || search->like.begin >= vma->end)
		return 0;
	memcpy(search->like.dev, vma->dev, sizeof(vma->dev));
	search->like.ino = vma->ino;
	return 1;
}

/*
 * How /proc names this file. Not what fstat says: on btrfs, overlayfs and FUSE the device
 * differs. So a page of it is mapped for a moment and looked up.
 */
static int identify(struct search *search)
{
	void *page;
	int r;

	r = mmapfs__sys->mmap(NULL, mmapfs__page_size(), PROT_NONE, MAP_SHARED,
			      search->map->fd, search->extent->begin, &page);
	if (r < 0)
		return r;
	search->like.begin = (uintptr_t)page;
	r = for_each_vma(search, "self", vma_identify);
	(void)mmapfs__sys->munmap(page, mmapfs__page_size());
	return r;
}

/* Add the part of @vma between the addresses @begin and @end. */
static int add_part(struct search *search, const struct vma *vma, uint64_t begin,
		    uint64_t end)
{
	uint64_t from, to;

	begin = u64_max(begin, vma->begin);
	end = u64_min(end, vma->end);
	if (begin >= end)
		return 0;
	from = u64_max(vma->offset + (begin - vma->begin), search->extent->begin);
	to = u64_min(vma->offset + (end - vma->begin), search->extent->end);
	if (from >= to)
		return 0;
	return mmapfs__spans_add(search->ret, from, to);
}

static bool is_same_file(const struct search *search, const struct vma *vma)
{
	return vma->ino == search->like.ino && strcmp(vma->dev, search->like.dev) == 0;
}

static int vma_of_other(struct search *search, const struct vma *vma)
{
	if (!is_same_file(search, vma))
		return 0;
	return add_part(search, vma, 0, UINT64_MAX);
}

/* The map's own shared memory has been released; its private memory has not. */
static int vma_of_self(struct search *search, const struct vma *vma)
{
	uint64_t own = (uintptr_t)search->map->base;
	int r;

	if (!search->map->base || search->map->access == MMAPFS_ACCESS_COPY)
		return vma_of_other(search, vma);
	if (!is_same_file(search, vma))
		return 0;
	r = add_part(search, vma, 0, own);
	if (r < 0)
		return r;
	return add_part(search, vma, own + search->map->base_length, UINT64_MAX);
}

static bool is_pid(const char *name)
{
	return isdigit((unsigned char)name[0]);
}

static int search_others(struct search *search)
{
	_cleanup_(cleanup_closedirp) DIR *proc = opendir("/proc");
	long own = (long)getpid();
	const struct dirent *entry;
	int r;

	if (!proc)
		return 0;
	for (int n = 0; n < PROCESSES_MAX && (entry = readdir(proc));) {
		if (!is_pid(entry->d_name) || strtol(entry->d_name, NULL, 10) == own)
			continue;
		n++;
		r = for_each_vma(search, entry->d_name, vma_of_other);
		if (r < 0)
			return r;
	}
	return 0;
}

int mmapfs__stay_mapped(struct mmapfs_map *map, const struct mmapfs__extent *extent,
			struct mmapfs__spans *ret)
{
	struct search search = { .map = map, .extent = extent, .ret = ret };
	int r;

	r = identify(&search);
	if (r <= 0)
		return r;
	r = for_each_vma(&search, "self", vma_of_self);
	if (r < 0)
		return r;
	return search_others(&search);
}
