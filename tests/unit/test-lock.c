/* SPDX-License-Identifier: MIT */
/* test-lock.c - locked pages, the limit, and what is left locked after a failure. */
#include "control-help.h"

#include <sys/mman.h>

/* Bytes the kernel says this process has locked. */
static uint64_t vmlck(void)
{
	char status[8192];
	const char *line;

	assert_true(mmapfs__sys_real.read_text("/proc/self/status", status,
					       sizeof(status)) > 0);
	line = strstr(status, "VmLck:");
	assert_non_null(line);
	return strtoull(line + 6, NULL, 10) * 1024;
}

struct list {
	struct mmapfs_range at[8];
	size_t count;
};

static int note(void *ctx, uint64_t offset, uint64_t length)
{
	struct list *list = ctx;

	assert_true(list->count < ARRAY_SIZE(list->at));
	list->at[list->count++] = (struct mmapfs_range){ offset, length };
	return 0;
}

static void assert_locked(struct mmapfs_map *map, const struct mmapfs_range *expected,
			  size_t count)
{
	struct list list = { .count = 0 };
	uint64_t sum = 0;

	assert_int_equal(mmapfs_locked(map, note, &list), 0);
	assert_int_equal(list.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(list.at[i].offset, expected[i].offset);
		assert_int_equal(list.at[i].length, expected[i].length);
		sum += expected[i].length;
	}
	assert_int_equal(vmlck(), sum);
}

static int no_capability(int capability)
{
	(void)capability;
	return 0;
}

static uint64_t fake_limit;

static int limit_is(int resource, struct rlimit *ret)
{
	assert_int_equal(resource, RLIMIT_MEMLOCK);
	ret->rlim_cur = fake_limit;
	ret->rlim_max = fake_limit;
	return 0;
}

static void limit_to(uint64_t bytes)
{
	fake_limit = bytes;
	fake_sys_table()->has_capability = no_capability;
	fake_sys_table()->getrlimit = limit_is;
}

static void lock_brings_in_and_holds_the_range(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_range expected = page_range(4, 8);
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(64));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
	assert_int_equal(mmapfs_lock(map, page_range(4, 8), &result), 0);
	assert_int_equal(result.need, pages(8));
	assert_int_equal(result.in_use, 0);
	assert_int_equal(result.locked, pages(8));
	assert_locked(map, &expected, 1);
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
	assert_int_equal(help_occupied(map, page_range(4, 8)), 8);
	mmapfs_map_close(map);
	assert_int_equal(vmlck(), 0);
}

static void locking_again_needs_only_the_rest(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_range expected = page_range(2, 10);
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(16));
	map = help_map(MMAPFS_ACCESS_READ);
	limit_to(pages(10));
	assert_int_equal(mmapfs_lock(map, page_range(2, 6), NULL), 0);
	assert_int_equal(mmapfs_lock(map, page_range(4, 8), &result), 0);
	assert_int_equal(result.need, pages(4));
	assert_int_equal(result.in_use, pages(6));
	assert_int_equal(result.limit, pages(10));
	assert_int_equal(result.locked, pages(8));
	assert_int_equal(mmapfs_lock(map, page_range(2, 10), &result), 0);
	assert_int_equal(result.need, 0);
	assert_int_equal(result.locked, pages(10));
	assert_locked(map, &expected, 1);
	mmapfs_map_close(map);
}

static void lock_over_limit_returns_enomem(void **state)
{
	static const struct {
		uint64_t limit, count;
		int result;
	} cases[] = {
		{ 4, 4, 0 },	  { 4, 5, -ENOMEM }, { 1, 2, -ENOMEM },
		{ 0, 1, -EPERM }, { 0, 0, -EPERM },
	};

	(void)state;
	help_file(pages(8));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_lock_result result = { .size = sizeof(result), .need = 1 };
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);
		int r;

		fake_sys_install();
		limit_to(pages(cases[i].limit));
		r = mmapfs_lock(map, page_range(0, cases[i].count), &result);
		assert_int_equal(r, cases[i].result);
		assert_int_equal(fake_sys_calls("mlock2"), r == 0);
		if (r != -EPERM) {
			assert_int_equal(result.need, pages(cases[i].count));
			assert_int_equal(result.limit, pages(cases[i].limit));
		} else {
			assert_int_equal(result.need, 1);
		}
		assert_int_equal(result.locked, r == 0 ? pages(cases[i].count) : 0);
		mmapfs_map_close(map);
	}
}

static int64_t half_used(const char *path, char *buf, size_t size)
{
	assert_string_equal(path, "/proc/self/status");
	return snprintf(buf, size,
			"Name:\tx\nVmPin:\t 0 kB\nVmLck:\t      16 kB\nVmRSS:\t1 kB\n");
}

static void what_others_locked_counts_against_the_limit(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	limit_to(pages(2) + 16384);
	fake_sys_table()->read_text = half_used;
	assert_int_equal(mmapfs_lock(map, page_range(0, 3), &result), -ENOMEM);
	assert_int_equal(result.in_use, 16384);
	assert_int_equal(result.need, pages(3));
	assert_int_equal(mmapfs_lock(map, page_range(0, 2), &result), 0);
	mmapfs_map_close(map);
}

static void capability_and_infinity_mean_no_limit(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	limit_to(0);
	fake_sys_table()->has_capability = mmapfs__sys_real.has_capability;
	fake_sys_table()->mlock2 = mmapfs__sys_real.mlock2;
	if (mmapfs__sys->has_capability(14 /* CAP_IPC_LOCK */) == 1) {
		assert_int_equal(mmapfs_lock(map, WHOLE, &result), 0);
		assert_int_equal(result.limit, UINT64_MAX);
	}
	limit_to(RLIM_INFINITY);
	assert_int_equal(mmapfs_lock(map, WHOLE, &result), 0);
	assert_int_equal(result.limit, UINT64_MAX);
	mmapfs_map_close(map);
}

static void failure_leaves_nothing_more_locked(void **state)
{
	static const struct {
		const char *call;
		unsigned int times;
		int error;
		int64_t read; /* 1: not scripted */
		int result;
	} cases[] = {
		{ "mlock2", 1, -ENOMEM, 1, -ENOMEM },
		{ "mlock2", 1, -EAGAIN, 1, -EAGAIN },
		{ "mlock2", 1, -EPERM, 1, -EPERM },
		{ "mlock2", 1, -EINVAL, 1, -EINVAL },
		{ "madvise", 1, -EFAULT, -EIO, -EIO },
		{ "madvise", 1, -EFAULT, 0, -ESTALE },
		{ "madvise", 2, -EFAULT, 1, -EIO },
		{ "madvise", 1, -EHWPOISON, 1, -EIO },
		{ "madvise", 1, -ENOMEM, 1, -ENOMEM },
		{ "lseek", 1, -EIO, 1, -EIO },
		{ "fstat", 1, -EIO, 1, -EIO },
	};

	(void)state;
	help_file(pages(16));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_range before = page_range(4, 2);
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);

		assert_int_equal(mmapfs_lock(map, before, NULL), 0);
		fake_sys_install();
		fake_sys_script(cases[i].call, 0, cases[i].times, cases[i].error);
		if (cases[i].read != 1)
			fake_sys_script("pread", 0, 1, cases[i].read);
		assert_int_equal(mmapfs_lock(map, WHOLE, NULL), cases[i].result);
		fake_sys_remove();
		assert_locked(map, &before, 1);
		mmapfs_map_close(map);
	}
}

static void address_space_that_runs_out_is_forwarded(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);
	fake_sys_script("mmap", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), -ENOMEM);
	assert_locked(map, NULL, 0);
	fake_sys_script("getrlimit", 0, 1, -EPERM);
	fake_sys_table()->has_capability = no_capability;
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), -EPERM);
	mmapfs_map_close(map);
}

static void unlock_of_the_middle_leaves_two_ranges(void **state)
{
	struct mmapfs_range expected[2] = { page_range(0, 3), page_range(5, 3) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), 0);
	assert_int_equal(mmapfs_unlock(map, page_range(3, 2)), 0);
	assert_locked(map, expected, 2);
	assert_int_equal(mmapfs_unlock(map, page_range(3, 2)), 0);
	assert_locked(map, expected, 2);
	fake_sys_script("munlock", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_unlock(map, page_range(6, 1)), -ENOMEM);
	assert_locked(map, expected, 2);
	assert_int_equal(mmapfs_unlock(map, WHOLE), 0);
	assert_locked(map, NULL, 0);
	mmapfs_map_close(map);
}

static void unlock_reaches_beyond_a_new_end(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), 0);
	assert_int_equal(truncate(help_path, 1), 0);
	assert_int_equal(mmapfs_unlock(map, WHOLE), 0);
	assert_locked(map, NULL, 0);
	mmapfs_map_close(map);
}

static void window_reports_ranges_relative_to_its_start(void **state)
{
	struct mmapfs_range expected = { 0, pages(2) };
	struct list list = { .count = 0 };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map_window(MMAPFS_ACCESS_READ, 0, pages(2) + 100, pages(2));
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), 0);
	assert_int_equal(mmapfs_locked(map, note, &list), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.at[0].offset, expected.offset);
	assert_int_equal(list.at[0].length, expected.length);
	assert_int_equal(vmlck(), pages(3)); /* whole pages, both edges cut one */
	mmapfs_map_close(map);
}

static int stop(void *ctx, uint64_t offset, uint64_t length)
{
	(void)ctx, (void)offset, (void)length;
	return 7;
}

static void walk_of_locked_ranges_can_be_stopped(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_locked(map, stop, NULL), 0);
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), 0);
	assert_int_equal(mmapfs_locked(map, stop, NULL), 7);
	mmapfs_map_close(map);
}

static void assert_holes_stay_holes(const char *path)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct mmapfs_map *map;
	struct stat before, after;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)pages(1024)), 0);
	help_write(fd, pages(2), pages(512));
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(mmapfs_map_from_fd(fd, NULL, &map), 0);
	assert_int_equal(mmapfs_lock(map, WHOLE, &result), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_blocks, before.st_blocks);
	assert_int_equal(result.need, pages(1024));
	assert_int_equal(result.locked, pages(2));
	assert_int_equal(help_occupied(map, WHOLE), 2);
	mmapfs_map_close(map);
}

static void lock_of_a_sparse_file_fills_no_holes(void **state)
{
	(void)state;
	assert_holes_stay_holes(help_path);
}

static void lock_of_a_sparse_file_on_tmpfs_fills_no_holes(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/dev/shm/mmapfs-test-lock-%d", (int)getpid());
	assert_holes_stay_holes(path);
	unlink(path);
}

static void range_beyond_the_end_needs_nothing(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	limit_to(0);
	assert_int_equal(mmapfs_lock(map, page_range(2, 1), &result), 0);
	assert_int_equal(result.need, 0);
	assert_int_equal(result.locked, 0);
	assert_locked(map, NULL, 0);
	mmapfs_map_close(map);
}

static void without_mlock_onfault_nothing_is_locked(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_MLOCK_ONFAULT), 0);
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), -EOPNOTSUPP);
	assert_locked(map, NULL, 0);
	mmapfs_map_close(map);
}

static void without_populate_pages_are_locked_by_copying(void **state)
{
	static const struct {
		const char *call;
		int64_t answer; /* 1: not scripted */
		int result;
	} cases[] = {
		{ "process_vm_readv", 1, 0 },	   { "process_vm_readv", -EFAULT, -EIO },
		{ "process_vm_readv", 100, -EIO }, { "process_vm_readv", -EPERM, -EPERM },
		{ "pread", -EIO, -EIO },	   { "pread", 0, -ESTALE },
	};

	(void)state;
	help_file(pages(20) + 100);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_lock_result result = { .size = sizeof(result) };
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);

		fake_sys_install();
		assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_POPULATE), 0);
		if (cases[i].answer != 1)
			fake_sys_script(cases[i].call, 0, 1, cases[i].answer);
		assert_int_equal(mmapfs_lock(map, WHOLE, &result), cases[i].result);
		assert_int_equal(result.locked, cases[i].result == 0 ? pages(21) : 0);
		assert_int_equal(fake_sys_calls("madvise"), 0);
		fake_sys_remove();
		assert_int_equal(vmlck(), cases[i].result == 0 ? pages(21) : 0);
		mmapfs_map_close(map);
	}
}

static void without_pagemap_locked_pages_are_counted_by_mincore(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	fake_sys_script("openat", 0, 1, -ENOENT);
	assert_int_equal(mmapfs_lock(map, page_range(1, 3), &result), 0);
	assert_int_equal(result.locked, pages(3));
	mmapfs_map_close(map);
}

static void lock_that_cannot_be_verified_still_holds(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_range expected = page_range(0, 2);
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	fake_sys_script("openat", 0, 1, -ENOENT);
	fake_sys_script("mmap", 0, 1, -ENOMEM); /* the oracle */
	assert_int_equal(mmapfs_lock(map, WHOLE, &result), 0);
	assert_int_equal(result.locked, 0);
	assert_locked(map, &expected, 1);
	mmapfs_map_close(map);
}

static void without_proc_own_locks_are_counted(void **state)
{
	struct mmapfs_lock_result result = { .size = sizeof(result) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, page_range(0, 1), NULL), 0);
	fake_sys_script("read_text", 0, 1, -ENOENT);
	assert_int_equal(mmapfs_lock(map, page_range(1, 1), &result), 0);
	assert_int_equal(result.in_use, pages(1));
	mmapfs_map_close(map);
}

static void older_caller_gets_the_part_it_knows(void **state)
{
	struct mmapfs_lock_result result = {
		.size = offsetof(struct mmapfs_lock_result, limit), .limit = 77
	};
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, WHOLE, &result), 0);
	assert_int_equal(result.need, pages(2));
	assert_int_equal(result.limit, 77);
	mmapfs_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lock_brings_in_and_holds_the_range),
		TEST(locking_again_needs_only_the_rest),
		TEST(lock_over_limit_returns_enomem),
		TEST(what_others_locked_counts_against_the_limit),
		TEST(capability_and_infinity_mean_no_limit),
		TEST(failure_leaves_nothing_more_locked),
		TEST(address_space_that_runs_out_is_forwarded),
		TEST(unlock_of_the_middle_leaves_two_ranges),
		TEST(unlock_reaches_beyond_a_new_end),
		TEST(window_reports_ranges_relative_to_its_start),
		TEST(walk_of_locked_ranges_can_be_stopped),
		TEST(lock_of_a_sparse_file_fills_no_holes),
		TEST(lock_of_a_sparse_file_on_tmpfs_fills_no_holes),
		TEST(range_beyond_the_end_needs_nothing),
		TEST(without_mlock_onfault_nothing_is_locked),
		TEST(without_populate_pages_are_locked_by_copying),
		TEST(without_pagemap_locked_pages_are_counted_by_mincore),
		TEST(lock_that_cannot_be_verified_still_holds),
		TEST(without_proc_own_locks_are_counted),
		TEST(older_caller_gets_the_part_it_knows),
	};

	return cmocka_run_group_tests(tests, help_begin, help_end);
}
