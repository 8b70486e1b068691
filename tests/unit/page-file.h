/* SPDX-License-Identifier: MIT */
/*
 * page-file.h - files whose resident pages a test chooses, and keeps while it looks.
 *
 * Idle pages may be evicted behind a test's back within seconds, pages in somebody's page
 * tables are not: so a struct held keeps a mapping in which just those pages are present.
 */
#ifndef PAGE_FILE_H
#define PAGE_FILE_H

#include "scratch.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <mmapfs.h>

#include "base/macro.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static uint64_t page; /* bytes */

/* For cmocka's group setup; scratch_teardown is its counterpart. */
static inline int page_setup(void **state)
{
	page = (uint64_t)sysconf(_SC_PAGESIZE);
	return scratch_setup(state);
}

/* An unlinked file of @size bytes in @dir: all data when @data, else all hole. */
static inline int file_in(const char *dir, uint64_t size, bool data)
{
	static char block[1 << 20];
	char path[300];
	uint64_t at, n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	memset(block, 'x', sizeof(block));
	for (at = 0; data && at < size; at += n) {
		n = size - at < sizeof(block) ? size - at : sizeof(block);
		assert_int_equal(pwrite(fd, block, n, (off_t)at), n);
	}
	return fd;
}

/* Write @pages pages of data at @offset. */
static inline void put_data(int fd, uint64_t offset, uint64_t pages)
{
	char block[65536];
	uint64_t i;

	assert_true(page <= sizeof(block));
	memset(block, 'y', sizeof(block));
	for (i = 0; i < pages; i++)
		assert_int_equal(pwrite(fd, block, page, (off_t)(offset + i * page)),
				 page);
}

/* mincore of the file in a mapping of the test's own, one byte a page. */
static inline unsigned char *naive_mincore(int fd, uint64_t size)
{
	size_t pages = (size_t)((size + page - 1) / page);
	unsigned char *vec = calloc(pages + 1, 1);
	void *base;
	size_t i;

	assert_non_null(vec);
	if (pages == 0)
		return vec;
	base = mmap(NULL, size, PROT_NONE, MAP_SHARED, fd, 0);
	assert_true(base != MAP_FAILED);
	assert_int_equal(mincore(base, size, vec), 0);
	assert_int_equal(munmap(base, size), 0);
	for (i = 0; i < pages; i++)
		vec[i] &= 1;
	return vec;
}

static inline uint64_t naive_count(int fd, uint64_t size)
{
	unsigned char *vec = naive_mincore(fd, size);
	uint64_t i, sum = 0;

	for (i = 0; i * page < size; i++)
		sum += vec[i];
	free(vec);
	return sum;
}

/* Nothing of the file is resident afterwards; of one that no address space has room for, only
 * the beginning is looked at. */
static inline void make_cold(int fd, uint64_t size)
{
	unsigned int tries;

	for (tries = 0; tries < 100; tries++) {
		assert_int_equal(fdatasync(fd), 0);
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		if (naive_count(fd, sizeof(void *) > 4 ? size : u64_min(size, 1 << 30)) == 0)
			return;
		usleep(10000);
	}
	fail_msg("the file does not get cold");
}

struct held {
	char *base;
	uint64_t offset, size; /* of what is mapped, in the file */
};

/* Pages are brought in one by one: nothing is read around them. */
static inline struct held hold_from(int fd, uint64_t offset, uint64_t size)
{
	struct held held = { .offset = offset, .size = size };

	assert_true(size <= SIZE_MAX);
	held.base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	assert_true(held.base != MAP_FAILED);
	assert_int_equal(madvise(held.base, size, MADV_RANDOM), 0);
	return held;
}

static inline struct held hold(int fd, uint64_t size)
{
	return hold_from(fd, 0, size);
}

/* Page @index of the file. */
static inline void hold_page(struct held *held, uint64_t index)
{
	(void)*(volatile char *)(held->base + (index * page - held->offset));
}

static inline void hold_done(struct held *held)
{
	assert_int_equal(munmap(held->base, held->size), 0);
}

/* A map of a duplicate of @fd. */
static inline struct mmapfs_map *map_of(int fd, uint64_t offset, uint64_t length,
					uint32_t flags)
{
	struct mmapfs_map_opts opts = {
		.size = sizeof(opts),
		.offset = offset,
		.length = length,
		.flags = flags,
	};
	struct mmapfs_map *map;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	assert_true(own >= 0);
	assert_int_equal(mmapfs_map_from_fd(own, &opts, &map), 0);
	return map;
}

static const struct mmapfs_range whole = { 0, 0 };

#endif
