/* SPDX-License-Identifier: MIT */
/* map-help.h - what the tests of maps share: opening them, looking at their bytes, and a
 * fresh table of system calls for each test. */
#ifndef MAP_HELP_H
#define MAP_HELP_H

#include <mmapfs.h>

#include "fake-sys.h"
#include "scratch.h"

static inline int setup(void **state)
{
	(void)state;
	fake_sys_install();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	fake_sys_remove();
	return 0;
}

static inline struct mmapfs_map_opts options(uint32_t access, uint32_t flags,
					     uint64_t offset, uint64_t length)
{
	return (struct mmapfs_map_opts){
		.size = sizeof(struct mmapfs_map_opts),
		.access = access,
		.flags = flags,
		.offset = offset,
		.length = length,
		.mode = 0600,
	};
}

static inline int try_open(const char *path, uint32_t access, uint32_t flags,
			   uint64_t offset, uint64_t length, struct mmapfs_map **ret)
{
	struct mmapfs_map_opts opts = options(access, flags, offset, length);

	return mmapfs_map_open(AT_FDCWD, path, &opts, ret);
}

static inline struct mmapfs_map *open_map(const char *path, uint32_t access,
					  uint32_t flags, uint64_t offset,
					  uint64_t length)
{
	struct mmapfs_map *map = NULL;

	assert_int_equal(try_open(path, access, flags, offset, length, &map), 0);
	assert_non_null(map);
	return map;
}

static inline unsigned char *address(struct mmapfs_map *map)
{
	void *p = NULL;

	assert_int_equal(mmapfs_map_addr(map, &p), 0);
	assert_non_null(p);
	return p;
}

/* The bytes that scratch_file() writes, from file offset @at on. */
static inline void assert_content(const unsigned char *bytes, uint64_t at,
				  uint64_t length)
{
	uint64_t i;

	for (i = 0; i < length; i++)
		if (bytes[i] != (at + i) % 251)
			fail_msg("byte %llu of the file is wrong",
				 (unsigned long long)(at + i));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
