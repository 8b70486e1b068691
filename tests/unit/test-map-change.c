/* SPDX-License-Identifier: MIT */
/* test-map-change.c - open maps that are resized, follow their file, or are given another
 * protection. */
#include "map.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "map-help.h"

#define PAGE mmapfs__page_size()

/* ---- resize and refresh ---- */

static void resize_grows_and_shrinks_file_and_window(void **state)
{
	static const uint64_t lengths[] = { 5000, 100000, 100001, 100000, 4096,
					    1,	  0,	  3,	  8192 };
	char path[512];
	struct mmapfs_map *map;
	uint64_t offset, kept;
	size_t i;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", scratch_path("a"));
	for (offset = 0; offset < 300; offset += 200) {
		(void)scratch_file("a", 5000);
		map = open_map(path, MMAPFS_ACCESS_WRITE, 0, offset, 0);
		kept = mmapfs_map_length(map);
		for (i = 0; i < ARRAY_SIZE(lengths); i++) {
			assert_int_equal(mmapfs_map_resize(map, lengths[i]), 0);
			assert_int_equal(mmapfs_map_length(map), lengths[i]);
			assert_int_equal(scratch_size(path), offset + lengths[i]);
			kept = u64_min(kept, lengths[i]);
			if (lengths[i] == 0)
				continue;
			assert_content(address(map), offset, kept);
			address(map)[lengths[i] - 1] = (offset + lengths[i] - 1) % 251;
		}
		mmapfs_map_close(map);
	}
}

static void window_inside_the_file_does_not_truncate_it(void **state)
{
	const char *path = scratch_file("a", 20000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 100, 10000);

	(void)state;
	assert_int_equal(mmapfs_map_resize(map, 50), 0);
	assert_int_equal(scratch_size(path), 20000);
	assert_int_equal(mmapfs_map_resize(map, 19000), 0);
	assert_int_equal(scratch_size(path), 20000);
	assert_content(address(map), 100, 19000);
	assert_int_equal(mmapfs_map_resize(map, 19900), 0);
	assert_int_equal(mmapfs_map_resize(map, 10), 0);
	assert_int_equal(scratch_size(path), 110);
	mmapfs_map_close(map);
}

static void resize_is_refused_where_it_must_be(void **state)
{
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 0);

	(void)state;
	assert_int_equal(mmapfs_map_resize(map, 10), -EACCES);
	mmapfs_map_close(map);
	map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0, 0);
	assert_int_equal(mmapfs_map_resize(map, 10), -EACCES);
	mmapfs_map_close(map);
	map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);
	assert_int_equal(mmapfs_map_resize(map, UINT64_MAX), -EFBIG);
	assert_int_equal(mmapfs__spans_add(&map->locked, 0, PAGE), 0);
	assert_int_equal(mmapfs_map_resize(map, 10), -EBUSY);
	assert_int_equal(mmapfs_map_resize(map, 10000), -EBUSY);
	mmapfs_map_close(map);
	assert_int_equal(scratch_size(path), 5000);
}

static void failing_resize_leaves_map_and_file_as_they_were(void **state)
{
	static const struct {
		const char *call;
		int error;
		unsigned int skip;
		uint64_t length;
	} rows[] = {
		{ "fstat", -EIO, 0, 100000 },
		{ "fallocate", -ENOSPC, 0, 100000 },
		{ "fallocate", -EDQUOT, 1, 100000 }, { "mremap", -ENOMEM, 0, 100000 },
		{ "mremap", -EAGAIN, 0, 100000 },    { "fstat", -EIO, 0, 100 },
		{ "ftruncate", -EIO, 0, 100 },	     { "ftruncate", -EPERM, 0, 0 },
	};
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);
	unsigned char *p = address(map);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_sys_install();
		fake_sys_script(rows[i].call, rows[i].skip, 1, rows[i].error);
		assert_int_equal(mmapfs_map_resize(map, rows[i].length), rows[i].error);
		assert_int_equal(mmapfs_map_length(map), 5000);
		assert_ptr_equal(address(map), p);
		assert_int_equal(scratch_size(path), 5000);
		assert_content(p, 0, 5000);
		fake_sys_remove();
	}
	mmapfs_map_close(map);
}

static void map_with_advice_on_a_part_still_grows(void **state)
{
	const char *path = scratch_file("a", 8 * 4096);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);

	(void)state;
	/* Two areas now: mremap says EFAULT. */
	assert_int_equal(madvise(address(map), PAGE, MADV_RANDOM), 0);
	assert_int_equal(mmapfs_map_resize(map, 64 << 20), 0);
	assert_content(address(map), 0, 8 * 4096);
	address(map)[(64 << 20) - 1] = 1;
	mmapfs_map_close(map);
}

static void map_that_cannot_grow_in_place_is_mapped_afresh(void **state)
{
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);

	(void)state;
	fake_sys_script("mremap", 0, 1, -EFAULT);
	fake_sys_script("mmap", 0, 1, -EEXIST);
	assert_int_equal(mmapfs_map_resize(map, 100000), 0);
	assert_content(address(map), 0, 5000);
	address(map)[99999] = 1;
	mmapfs_map_close(map);
	assert_int_equal(fake_sys_calls("munmap"), 2);
}

static void refresh_follows_a_file_that_others_change(void **state)
{
	static const uint64_t sizes[] = { 5000, 100000, 4096, 0, 10, 9000 };
	const char *path = scratch_file("a", 6000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 5, 0);
	size_t i;

	(void)state;
	assert_int_equal(mmapfs_map_refresh(map), 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t want = sizes[i] > 5 ? sizes[i] - 5 : 0;
		void *p;

		assert_int_equal(truncate(path, (off_t)sizes[i]), 0);
		assert_int_equal(mmapfs_map_refresh(map), 1);
		assert_int_equal(mmapfs_map_length(map), want);
		assert_int_equal(mmapfs_map_refresh(map), 0);
		assert_int_equal(mmapfs_map_addr(map, &p), want ? 0 : -ENODATA);
		if (want > 0)
			assert_int_equal(((volatile char *)p)[want - 1] & 0, 0);
	}
	mmapfs_map_close(map);
}

static void refresh_leaves_a_window_of_given_length(void **state)
{
	const char *path = scratch_file("a", 6000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 6000);

	(void)state;
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(mmapfs_map_refresh(map), 0);
	assert_int_equal(mmapfs_map_length(map), 6000);
	mmapfs_map_close(map);
}

static void clipped_window_ends_with_the_file_or_at_its_length(void **state)
{
	static const struct {
		uint64_t size, length;
	} rows[] = { { 100, 93 }, { 7, 0 }, { 6007, 6000 }, { 0, 0 }, { 9000, 6000 } };
	const char *path = scratch_file("a", 5007);
	struct mmapfs_map *map =
		open_map(path, MMAPFS_ACCESS_WRITE, MMAPFS_MAP_CLIP, 7, 6000);

	(void)state;
	assert_int_equal(mmapfs_map_length(map), 5000);
	assert_content(address(map), 7, 5000);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(truncate(path, (off_t)rows[i].size), 0);
		assert_int_equal(mmapfs_map_refresh(map), 1);
		assert_int_equal(mmapfs_map_length(map), rows[i].length);
		assert_int_equal(mmapfs_map_refresh(map), 0);
	}
	/* Resizing also changes how much it may become again. */
	assert_int_equal(mmapfs_map_resize(map, 8000), 0);
	assert_int_equal(truncate(path, 7007), 0);
	assert_int_equal(mmapfs_map_refresh(map), 1);
	assert_int_equal(mmapfs_map_length(map), 7000);
	mmapfs_map_close(map);
}

static void failing_refresh_leaves_the_map_as_it_was(void **state)
{
	const char *path = scratch_file("a", 6000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 0);

	(void)state;
	assert_int_equal(truncate(path, 60000), 0);
	fake_sys_script("fstat", 0, 1, -EIO);
	assert_int_equal(mmapfs_map_refresh(map), -EIO);
	fake_sys_script("mremap", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_map_refresh(map), -ENOMEM);
	assert_int_equal(mmapfs_map_length(map), 6000);
	assert_content(address(map), 0, 6000);
	mmapfs_map_close(map);
}

static void refresh_keeps_locks_and_forgets_those_beyond_the_end(void **state)
{
	const char *path = scratch_file("a", 8 * 4096);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 0);

	(void)state;
	assert_int_equal(mmapfs__spans_add(&map->locked, 0, 2 * PAGE), 0);
	assert_int_equal(mmapfs__spans_add(&map->locked, 4 * PAGE, 8 * PAGE), 0);
	assert_int_equal(truncate(path, (off_t)(4 * PAGE + 1)), 0);
	assert_int_equal(mmapfs_map_refresh(map), 1);
	assert_int_equal(map->locked.count, 2);
	assert_int_equal(mmapfs__spans_covered(&map->locked, 0, UINT64_MAX), 3 * PAGE);
	/* A locked mapping is never moved. */
	assert_int_equal(truncate(path, (off_t)(9 * PAGE)), 0);
	fake_sys_script("mmap", 0, 1, -EEXIST);
	assert_int_equal(mmapfs_map_refresh(map), -EBUSY);
	assert_int_equal(mmapfs_map_length(map), 4 * PAGE + 1);
	assert_int_equal(fake_sys_calls("mremap"), 0);
	mmapfs_map_close(map);
}

/* ---- protect ---- */

static void protection_follows_descriptor_and_kind(void **state)
{
	static const struct {
		uint32_t opened;
		int to;
		int want;
	} rows[] = {
		{ MMAPFS_ACCESS_READ, MMAPFS_ACCESS_READ, 0 },
		{ MMAPFS_ACCESS_READ, MMAPFS_ACCESS_WRITE, -EACCES },
		{ MMAPFS_ACCESS_READ, MMAPFS_ACCESS_COPY, -EINVAL },
		{ MMAPFS_ACCESS_WRITE, MMAPFS_ACCESS_READ, 0 },
		{ MMAPFS_ACCESS_WRITE, MMAPFS_ACCESS_WRITE, 0 },
		{ MMAPFS_ACCESS_WRITE, MMAPFS_ACCESS_COPY, -EINVAL },
		{ MMAPFS_ACCESS_COPY, MMAPFS_ACCESS_READ, 0 },
		{ MMAPFS_ACCESS_COPY, MMAPFS_ACCESS_WRITE, -EINVAL },
		{ MMAPFS_ACCESS_COPY, MMAPFS_ACCESS_COPY, 0 },
		{ MMAPFS_ACCESS_WRITE, 17, -EINVAL },
	};
	const char *path = scratch_file("a", 5000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map = open_map(path, rows[i].opened, 0, 0, 0);

		if (mmapfs_map_protect(map, (enum mmapfs_access)rows[i].to) !=
		    rows[i].want)
			fail_msg("row %zu", i);
		mmapfs_map_close(map);
	}
}

static void protection_can_be_taken_and_given_back(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	map = open_map(scratch_file("a", 5000), MMAPFS_ACCESS_WRITE, MMAPFS_MAP_LAZY, 0,
		       0);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_READ), 0);
	assert_int_equal(mmapfs_write(map, 0, "x", 1), -EACCES);
	assert_int_equal(address(map)[0], 0);
	assert_int_equal(mmapfs_map_resize(map, 10), -EACCES);
	fake_sys_script("mprotect", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_WRITE), -ENOMEM);
	assert_int_equal(mmapfs_write(map, 0, "x", 1), -EACCES);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_WRITE), 0);
	address(map)[0] = 9;
	mmapfs_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resize_grows_and_shrinks_file_and_window),
		TEST(window_inside_the_file_does_not_truncate_it),
		TEST(resize_is_refused_where_it_must_be),
		TEST(failing_resize_leaves_map_and_file_as_they_were),
		TEST(map_with_advice_on_a_part_still_grows),
		TEST(map_that_cannot_grow_in_place_is_mapped_afresh),
		TEST(refresh_follows_a_file_that_others_change),
		TEST(refresh_leaves_a_window_of_given_length),
		TEST(clipped_window_ends_with_the_file_or_at_its_length),
		TEST(failing_refresh_leaves_the_map_as_it_was),
		TEST(refresh_keeps_locks_and_forgets_those_beyond_the_end),
		TEST(protection_follows_descriptor_and_kind),
		TEST(protection_can_be_taken_and_given_back),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
