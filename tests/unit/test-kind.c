/* SPDX-License-Identifier: MIT */
/* test-kind.c - what kind of filesystem, remembered by mount; residency without a map. */
#include "kind.h"

#include "page-file.h"

#include <errno.h>
#include <sys/statfs.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "probe.h"

#define PAGES 16

static uint32_t fs_magic;

static int magic_fstatfs(int any, struct statfs *st)
{
	int r = mmapfs__sys_real.fstatfs(any, st);

	st->f_type = fs_magic;
	return r;
}

static struct statx statx_of(int fd)
{
	struct statx stx;

	assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | MMAPFS_STATX_MASK,
			       &stx),
			 0);
	return stx;
}

static void kinds_are_those_of_the_magic_numbers(void **state)
{
	static const struct {
		uint32_t magic;
		enum mmapfs__fs_kind kind;
	} rows[] = {
		{ 0xef53, MMAPFS__FS_PLAIN },	      { 0x01021994, MMAPFS__FS_MEMORY },
		{ 0x794c7630, MMAPFS__FS_OVERLAY },   { 0x65735546, MMAPFS__FS_FUSE },
		{ 0x958458f6, MMAPFS__FS_HUGETLB },   { 0x2fc12fc1, MMAPFS__FS_ZFS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(mmapfs__kind_of_magic(rows[i].magic), rows[i].kind);
}

static void the_filesystem_of_a_mount_is_asked_for_once(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct statx stx = statx_of(fd);
	bool unique = stx.stx_mask & MMAPFS_STATX_MASK;
	enum mmapfs__fs_kind kind;

	(void)state;
	fake_sys_install();
	mmapfs__kind_forget();
	for (int i = 0; i < 3; i++)
		assert_int_equal(mmapfs__kind_find(fd, &stx, &kind), 0);
	assert_int_equal(fake_sys_calls("fstatfs"), unique ? 1 : 3);
	/* Without a unique id nothing is remembered: ids are used again. */
	stx.stx_mask &= ~MMAPFS_STATX_MASK;
	assert_int_equal(mmapfs__kind_find(fd, &stx, &kind), 0);
	assert_int_equal(mmapfs__kind_find(fd, &stx, &kind), 0);
	assert_int_equal(fake_sys_calls("fstatfs"), unique ? 3 : 5);
	fake_sys_remove();
	close(fd);
}

static void a_failing_fstatfs_is_forwarded_and_not_remembered(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct statx stx = statx_of(fd);
	enum mmapfs__fs_kind kind;

	(void)state;
	fake_sys_install();
	mmapfs__kind_forget();
	fake_sys_script("fstatfs", 0, 1, -EIO);
	assert_int_equal(mmapfs__kind_find(fd, &stx, &kind), -EIO);
	assert_int_equal(mmapfs__kind_find(fd, &stx, &kind), 0);
	fake_sys_remove();
	close(fd);
}

static void without_a_map_the_count_is_the_same(void **state)
{
	static const struct {
		struct mmapfs_range range; /* in pages */
		uint32_t flags;
	} rows[] = {
		{ { 0, 0 }, 0 },	{ { 0, 0 }, MMAPFS_OBSERVE_READY },
		{ { 2, 3 }, 0 },	{ { 2, 3 }, MMAPFS_OBSERVE_READY },
		{ { 15, 0 }, 0 },	{ { 99, 0 }, 0 },
		{ { 0, 99 }, 0 },
	};
	int fd = file_in(scratch_dir, PAGES * page - 7, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct statx stx = statx_of(fd);
	struct held held;

	(void)state;
	mmapfs__kind_forget();
	make_cold(fd, PAGES * page);
	held = hold(fd, PAGES * page - 7);
	hold_page(&held, 3);
	hold_page(&held, 15);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct mmapfs_residency with = { .size = sizeof(with) };
		struct mmapfs_residency without = { .size = sizeof(without) };
		struct mmapfs_range range = rows[i / 2].range;

		range.offset *= page;
		range.length *= page;
		assert_int_equal(mmapfs_residency(map, range, rows[i / 2].flags, &with), 0);
		assert_int_equal(mmapfs_residency_fd(fd, i % 2 ? &stx : NULL, range,
						     rows[i / 2].flags, &without),
				 0);
		assert_memory_equal(&with, &without, sizeof(with));
	}
	hold_done(&held);
	mmapfs_map_close(map);
	close(fd);
}

static void small_files_cost_one_call(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct mmapfs_residency found = { .size = sizeof(found) };
	struct statx stx = statx_of(fd);

	(void)state;
	if (mmapfs__feature(MMAPFS_FEATURE_CACHESTAT) <= 0)
		skip();
	assert_int_equal(mmapfs_residency_fd(fd, &stx, whole, 0, &found), 0);
	fake_sys_install();
	assert_int_equal(mmapfs_residency_fd(fd, &stx, whole, 0, &found), 0);
	assert_int_equal(fake_sys_calls("cachestat"), 1);
	assert_int_equal(fake_sys_calls("fstat") + fake_sys_calls("statx") +
				 fake_sys_calls("mmap"),
			 0);
	fake_sys_remove();
	close(fd);
}

static void a_refused_cachestat_falls_back_to_mincore(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct mmapfs_residency found = { .size = sizeof(found) };

	(void)state;
	(void)mmapfs__feature(MMAPFS_FEATURE_CACHESTAT);
	fake_sys_install();
	fake_sys_script("cachestat", 0, 0, -EPERM);
	assert_int_equal(mmapfs_residency_fd(fd, NULL, whole, 0, &found), 0);
	fake_sys_remove();
	assert_int_equal(found.method, MMAPFS_METHOD_MINCORE);
	assert_int_equal(found.reason, MMAPFS_REASON_NO_PERMISSION);
	assert_int_equal(found.valid, MMAPFS_RESIDENT);
	close(fd);
}

static void blind_filesystems_stay_unknown(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct mmapfs_residency found = { .size = sizeof(found) };

	(void)state;
	fs_magic = 0x2fc12fc1;
	fake_sys_install();
	fake_sys_table()->fstatfs = magic_fstatfs;
	mmapfs__kind_forget();
	assert_int_equal(mmapfs_residency_fd(fd, NULL, whole, 0, &found), 0);
	mmapfs__kind_forget();
	fake_sys_remove();
	assert_int_equal(found.valid, 0);
	assert_int_equal(found.reason, MMAPFS_REASON_ZFS_ARC);
	close(fd);
}

static void what_is_no_file_is_refused(void **state)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = { { "/", -EISDIR }, { "/dev/null", -ENODEV } };
	struct mmapfs_residency found = { .size = sizeof(found) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = open(rows[i].path, O_RDONLY);

		assert_int_equal(mmapfs_residency_fd(fd, NULL, whole, 0, &found),
				 rows[i].error);
		close(fd);
	}
	assert_int_equal(mmapfs_residency_fd(-1, NULL, whole, 0, &found), -EBADF);
	assert_int_equal(mmapfs_residency_fd(0, NULL, whole, 99, &found), -EINVAL);
	found.size = 3;
	assert_int_equal(mmapfs_residency_fd(0, NULL, whole, 0, &found), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_those_of_the_magic_numbers),
		cmocka_unit_test(the_filesystem_of_a_mount_is_asked_for_once),
		cmocka_unit_test(a_failing_fstatfs_is_forwarded_and_not_remembered),
		cmocka_unit_test(without_a_map_the_count_is_the_same),
		cmocka_unit_test(small_files_cost_one_call),
		cmocka_unit_test(a_refused_cachestat_falls_back_to_mincore),
		cmocka_unit_test(blind_filesystems_stay_unknown),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
