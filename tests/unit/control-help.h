/* SPDX-License-Identifier: MIT */
/* control-help.h - files in a private directory, and maps of them. */
#ifndef CONTROL_HELP_H
#define CONTROL_HELP_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <mmapfs.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "map.h"
#include "probe.h"

#define MIB (UINT64_C(1) << 20)
#define WHOLE ((struct mmapfs_range){ 0, 0 })

static char help_dir[256];
static char help_path[300]; /* the file of the test that runs */

static inline uint64_t pages(uint64_t n)
{
	return n * mmapfs__page_size();
}

static inline struct mmapfs_range page_range(uint64_t first, uint64_t count)
{
	return (struct mmapfs_range){ pages(first), pages(count) };
}

/* A directory on a disk filesystem: on tmpfs nothing is ever dirty or evicted. */
static inline int help_begin(void **state)
{
	const char *parent = getenv("TMPDIR");

	(void)state;
	snprintf(help_dir, sizeof(help_dir), "%s/mmapfs-test-XXXXXX",
		 parent ? parent : "/var/tmp");
	if (!mkdtemp(help_dir))
		return -1;
	snprintf(help_path, sizeof(help_path), "%s/file", help_dir);
	return 0;
}

static inline int help_end(void **state)
{
	(void)state;
	unlink(help_path);
	return rmdir(help_dir);
}

/* Each test has a new inode and a fresh table with no script. */
static inline int help_setup(void **state)
{
	(void)state;
	unlink(help_path);
	fake_sys_install();
	return 0;
}

static inline int help_teardown(void **state)
{
	(void)state;
	fake_sys_remove();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, help_setup, help_teardown)

static inline void help_write(int fd, uint64_t length, uint64_t offset)
{
	char *data = malloc(length);

	assert_non_null(data);
	memset(data, 'd', length);
	assert_int_equal(pwrite(fd, data, length, (off_t)offset), length);
	free(data);
}

/* A file of @length bytes written at once, clean on return. Returns its path. */
static inline const char *help_file(uint64_t length)
{
	int fd = open(help_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (length > 0)
		help_write(fd, length, 0);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	return help_path;
}

static inline struct mmapfs_map *help_map_window(uint32_t access, uint32_t flags,
						 uint64_t offset, uint64_t length)
{
	struct mmapfs_map_opts opts = { .size = sizeof(opts),
					.access = access,
					.flags = flags,
					.offset = offset,
					.length = length };
	struct mmapfs_map *map = NULL;

	assert_int_equal(mmapfs_map_open(AT_FDCWD, help_path, &opts, &map), 0);
	return map;
}

static inline struct mmapfs_map *help_map(uint32_t access)
{
	return help_map_window(access, 0, 0, 0);
}

/* In the page tables of the map, where nothing but an evict of ours takes them from. */
static inline void help_populate(struct mmapfs_map *map)
{
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_POPULATE_READ, 0), 0);
}

static inline uint64_t help_occupied(struct mmapfs_map *map, struct mmapfs_range range)
{
	struct mmapfs_residency count = { .size = sizeof(count) };

	assert_int_equal(mmapfs_residency(map, range, 0, &count), 0);
	assert_true(count.valid & MMAPFS_OCCUPIED);
	return count.occupied;
}

static inline uint64_t help_dirty(struct mmapfs_map *map)
{
	struct mmapfs_residency count = { .size = sizeof(count) };

	assert_int_equal(mmapfs_residency(map, WHOLE, 0, &count), 0);
	assert_true(count.valid & MMAPFS_DIRTY);
	return count.dirty;
}

#endif
