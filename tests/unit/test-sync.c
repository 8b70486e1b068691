/* SPDX-License-Identifier: MIT */
/* test-sync.c - which call writes back, and what becomes of its error. */
#include "control-help.h"

static void stored_byte_is_written_back(void **state)
{
	struct mmapfs_map *map;
	void *addr;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_WRITE);
	assert_int_equal(mmapfs_map_addr(map, &addr), 0);
	((char *)addr)[5] = 'x';
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC), 0);
	assert_int_equal(help_dirty(map), 0);
	mmapfs_map_close(map);
}

static void each_level_makes_its_own_call(void **state)
{
	static const struct {
		uint32_t access, flags;
		enum mmapfs_sync_level level;
		const char *call;
	} cases[] = {
		{ MMAPFS_ACCESS_WRITE, 0, MMAPFS_SYNC, "msync" },
		/* Without a mapping there are no stores through one. */
		{ MMAPFS_ACCESS_WRITE, MMAPFS_MAP_LAZY, MMAPFS_SYNC, "fdatasync" },
		/* msync would silently be nothing. */
		{ MMAPFS_ACCESS_READ, 0, MMAPFS_SYNC, "fdatasync" },
		{ MMAPFS_ACCESS_COPY, 0, MMAPFS_SYNC, "fdatasync" },
		{ MMAPFS_ACCESS_WRITE, 0, MMAPFS_SYNC_ASYNC, "sync_file_range" },
		{ MMAPFS_ACCESS_READ, 0, MMAPFS_SYNC_ASYNC, "sync_file_range" },
		{ MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, MMAPFS_SYNC_INVALIDATE, "msync" },
	};
	static const char *const calls[] = { "msync", "fdatasync", "sync_file_range" };

	(void)state;
	help_file(pages(4));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map;

		fake_sys_install();
		map = help_map_window(cases[i].access, cases[i].flags, 0, 0);
		assert_int_equal(mmapfs_sync(map, WHOLE, cases[i].level), 0);
		for (size_t c = 0; c < ARRAY_SIZE(calls); c++)
			assert_int_equal(fake_sys_calls(calls[c]),
					 strcmp(calls[c], cases[i].call) == 0);
		mmapfs_map_close(map);
	}
}

static void write_back_errors_stay_and_refusals_do_not(void **state)
{
	static const struct {
		enum mmapfs_sync_level level;
		uint32_t access;
		const char *call;
		int error;
		bool sticky;
	} cases[] = {
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -EIO, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -ENOSPC, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -EDQUOT, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -EROFS, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -ENOMEM, false },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -EBUSY, false },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_WRITE, "msync", -EINVAL, false },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_READ, "fdatasync", -EIO, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_READ, "fdatasync", -ENOSPC, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_READ, "fdatasync", -EDQUOT, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_READ, "fdatasync", -EROFS, true },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_READ, "fdatasync", -EINTR, false },
		{ MMAPFS_SYNC, MMAPFS_ACCESS_READ, "fdatasync", -EINVAL, false },
		{ MMAPFS_SYNC_ASYNC, MMAPFS_ACCESS_READ, "sync_file_range", -EIO, true },
		{ MMAPFS_SYNC_ASYNC, MMAPFS_ACCESS_READ, "sync_file_range", -ENOSPC,
		  true },
		{ MMAPFS_SYNC_ASYNC, MMAPFS_ACCESS_READ, "sync_file_range", -ENOMEM,
		  false },
		{ MMAPFS_SYNC_ASYNC, MMAPFS_ACCESS_READ, "sync_file_range", -ESPIPE,
		  false },
		{ MMAPFS_SYNC_ASYNC, MMAPFS_ACCESS_READ, "sync_file_range", -ENOSYS,
		  false },
		{ MMAPFS_SYNC_INVALIDATE, MMAPFS_ACCESS_READ, "msync", -EBUSY, false },
		{ MMAPFS_SYNC_INVALIDATE, MMAPFS_ACCESS_READ, "msync", -ENOMEM, false },
		{ MMAPFS_SYNC_INVALIDATE, MMAPFS_ACCESS_READ, "msync", -EIO, false },
	};

	(void)state;
	help_file(pages(4));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map = help_map(cases[i].access);

		fake_sys_install();
		fake_sys_script(cases[i].call, 0, 1, cases[i].error);
		assert_int_equal(mmapfs_sync(map, WHOLE, cases[i].level), cases[i].error);
		assert_int_equal(mmapfs_sync_error(map),
				 cases[i].sticky ? cases[i].error : 0);
		fake_sys_remove();
		fake_sys_install();
		assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC),
				 cases[i].sticky ? cases[i].error : 0);
		mmapfs_map_close(map);
	}
}

static void error_is_shared_by_all_maps_of_the_file_until_forgotten(void **state)
{
	struct mmapfs_map *a, *b;

	(void)state;
	help_file(pages(4));
	a = help_map(MMAPFS_ACCESS_READ);
	b = help_map_window(MMAPFS_ACCESS_WRITE, 0, pages(1), pages(1));
	fake_sys_script("fdatasync", 0, 1, -ENOSPC);
	assert_int_equal(mmapfs_sync(a, WHOLE, MMAPFS_SYNC), -ENOSPC);
	assert_int_equal(mmapfs_sync_error(b), -ENOSPC);
	assert_int_equal(mmapfs_sync(b, WHOLE, MMAPFS_SYNC), -ENOSPC);
	assert_int_equal(fake_sys_calls("msync"), 1); /* done all the same */

	mmapfs_map_close(a);
	assert_int_equal(mmapfs_sync_error(b), -ENOSPC);
	mmapfs_sync_forget_error(b);
	assert_int_equal(mmapfs_sync_error(b), 0);
	assert_int_equal(mmapfs_sync(b, WHOLE, MMAPFS_SYNC), 0);
	mmapfs_map_close(b);
}

static void error_ends_with_the_last_map(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	fake_sys_script("fdatasync", 0, 1, -EIO);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC), -EIO);
	mmapfs_map_close(map);
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC), 0);
	mmapfs_map_close(map);
}

static void first_of_two_errors_is_returned(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	fake_sys_script("fdatasync", 0, 1, -EIO);
	fake_sys_script("fdatasync", 0, 1, -ENOSPC);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC), -EIO);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC), -EIO);
	mmapfs_map_close(map);
}

static void invalidate_of_a_locked_page_is_busy(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, page_range(1, 1), NULL), 0);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC_INVALIDATE), -EBUSY);
	assert_int_equal(mmapfs_sync(map, page_range(2, 1), MMAPFS_SYNC_INVALIDATE), 0);
	mmapfs_map_close(map);
}

static void unknown_level_is_invalid(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(1));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_sync(map, WHOLE, (enum mmapfs_sync_level)3), -EINVAL);
	assert_int_equal(mmapfs_sync(map, WHOLE, (enum mmapfs_sync_level) - 1), -EINVAL);
	mmapfs_map_close(map);
}

static void range_beyond_the_end_is_nothing_to_do(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_WRITE);
	assert_int_equal(mmapfs_sync(map, page_range(2, 1), MMAPFS_SYNC), 0);
	assert_int_equal(fake_sys_calls("msync"), 0);
	mmapfs_map_close(map);
}

/* Also what the file no longer has: the kernel is entered once, not to ask for its end. */
static void file_that_shrank_is_synced_with_one_call(void **state)
{
	static const struct {
		enum mmapfs_sync_level level;
		const char *call;
	} cases[] = {
		{ MMAPFS_SYNC, "msync" },
		{ MMAPFS_SYNC_ASYNC, "sync_file_range" },
		{ MMAPFS_SYNC_INVALIDATE, "msync" },
	};
	struct mmapfs_map *map;
	void *addr;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_WRITE);
	assert_int_equal(mmapfs_map_addr(map, &addr), 0);
	((char *)addr)[5] = 'x';
	assert_int_equal(ftruncate(mmapfs_map_fd(map), (off_t)pages(1)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_sys_install();
		assert_int_equal(mmapfs_sync(map, WHOLE, cases[i].level), 0);
		assert_int_equal(mmapfs_sync(map, page_range(2, 1), cases[i].level), 0);
		assert_int_equal(fake_sys_calls(cases[i].call), 2);
		assert_int_equal(fake_sys_calls("fstat"), 0);
	}
	assert_int_equal(help_dirty(map), 0);
	mmapfs_map_close(map);
}

static void window_that_ends_where_files_do_is_written(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(1));
	map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, INT64_MAX - 10, 10);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC_ASYNC), 0);
	assert_int_equal(mmapfs_sync(map, WHOLE, MMAPFS_SYNC), 0);
	mmapfs_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stored_byte_is_written_back),
		TEST(each_level_makes_its_own_call),
		TEST(write_back_errors_stay_and_refusals_do_not),
		TEST(error_is_shared_by_all_maps_of_the_file_until_forgotten),
		TEST(error_ends_with_the_last_map),
		TEST(first_of_two_errors_is_returned),
		TEST(invalidate_of_a_locked_page_is_busy),
		TEST(unknown_level_is_invalid),
		TEST(range_beyond_the_end_is_nothing_to_do),
		TEST(file_that_shrank_is_synced_with_one_call),
		TEST(window_that_ends_where_files_do_is_written),
	};

	return cmocka_run_group_tests(tests, help_begin, help_end);
}
