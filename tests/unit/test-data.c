/* SPDX-License-Identifier: MIT */
/* test-data.c - where the data of a file is, on real filesystems and on lying ones. */
#include "page-file.h"

#include <errno.h>

#include "base/macro.h"
#include "data.h"
#include "fake-sys.h"

struct want {
	uint64_t begin, end; /* pages */
};

static void assert_data(struct mmapfs_map *map, struct mmapfs_range range,
			const struct want *want, size_t count)
{
	struct mmapfs__extent extent;
	struct mmapfs__data data;
	uint64_t begin, end;
	size_t i;

	assert_int_equal(mmapfs__map_extent(map, range, &extent), 0);
	assert_int_equal(mmapfs__data_init(&data, map, &extent), 0);
	for (i = 0; i < count; i++) {
		assert_int_equal(mmapfs__data_next(&data, &begin, &end), 1);
		assert_int_equal(begin, want[i].begin * page);
		assert_int_equal(end, want[i].end * page);
	}
	assert_int_equal(mmapfs__data_next(&data, &begin, &end), 0);
	assert_int_equal(mmapfs__data_next(&data, &begin, &end), 0);
	mmapfs__data_done(&data);
}

static void full_file_is_one_piece(void **state)
{
	const struct want want[] = { { 0, 17 } };
	int fd = file_in(scratch_dir, 16 * page + 1, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	assert_data(map, whole, want, 1);
	mmapfs_map_close(map);
	close(fd);
}

static void empty_and_sparse_files_have_none(void **state)
{
	static const uint64_t sizes[] = { 0, 1, UINT64_C(1) << 40 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fd = file_in(scratch_dir, sizes[i], false);
		struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

		assert_data(map, whole, NULL, 0);
		mmapfs_map_close(map);
		close(fd);
	}
}

static void pieces_are_cut_at_the_range(void **state)
{
	const struct want all[] = { { 2, 4 }, { 10, 11 }, { 100, 116 } };
	const struct want some[] = { { 3, 4 }, { 10, 11 }, { 100, 102 } };
	const struct mmapfs_range range = { 3 * page, 98 * page + 1 };
	int fd = file_in(scratch_dir, 200 * page, false);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	put_data(fd, 2 * page, 2);
	put_data(fd, 10 * page, 1);
	put_data(fd, 100 * page, 16);
	assert_data(map, whole, all, 3);
	assert_data(map, range, some, 3);
	mmapfs_map_close(map);
	close(fd);
}

static void data_beyond_4_gib_is_found(void **state)
{
	const uint64_t at = 5 * GIB;
	const struct want want[] = { { at / page, at / page + 3 } };
	int fd = file_in(scratch_dir, 6 * GIB, false);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	put_data(fd, at, 3);
	assert_data(map, whole, want, 1);
	mmapfs_map_close(map);
	close(fd);
}

/* A filesystem with blocks smaller than a page: data at these bytes only. */
static const struct {
	int64_t begin, end;
} small_blocks[] = {
	{ 512, 1024 },
	{ 2048, 2560 },
	{ 8192, 8193 },
	{ 12800, 20480 },
};

static int64_t small_block_lseek(int fd, int64_t offset, int whence)
{
	size_t i;

	(void)fd;
	for (i = 0; i < ARRAY_SIZE(small_blocks); i++) {
		if (offset >= small_blocks[i].end)
			continue;
		if (whence == SEEK_DATA)
			return offset < small_blocks[i].begin ? small_blocks[i].begin
							      : offset;
		return offset < small_blocks[i].begin ? offset : small_blocks[i].end;
	}
	return whence == SEEK_DATA ? -ENXIO : 10 * 4096;
}

static void small_blocks_are_widened_and_merged(void **state)
{
	const struct want want[] = { { 0, 1 }, { 2, 5 } };
	int fd = file_in(scratch_dir, 10 * page, false);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	if (page != 4096)
		skip();
	fake_sys_install();
	fake_sys_table()->lseek = small_block_lseek;
	assert_data(map, whole, want, 2);
	fake_sys_remove();
	mmapfs_map_close(map);
	close(fd);
}

/* Says that data begins before, and ends at, where it was asked. */
static int64_t nonsense_lseek(int fd, int64_t offset, int whence)
{
	(void)fd;
	(void)whence;
	return offset > 0 ? offset - 1 : 0;
}

static void nonsense_answers_do_not_loop(void **state)
{
	const struct want want[] = { { 0, 10 } };
	int fd = file_in(scratch_dir, 10 * page, false);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	fake_sys_install();
	fake_sys_table()->lseek = nonsense_lseek;
	assert_data(map, whole, want, 1);
	fake_sys_remove();
	mmapfs_map_close(map);
	close(fd);
}

static void without_support_all_is_data(void **state)
{
	static const int errors[] = { -EINVAL, -EOPNOTSUPP, -ENOSYS };
	const struct want want[] = { { 0, 10 } };
	int fd = file_in(scratch_dir, 10 * page, false);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		fake_sys_install();
		fake_sys_script("lseek", 0, 0, errors[i]);
		assert_data(map, whole, want, 1);
		fake_sys_remove();
	}
	mmapfs_map_close(map);
	close(fd);
}

static void errors_are_forwarded(void **state)
{
	int fd = file_in(scratch_dir, 10 * page, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs__extent extent;
	struct mmapfs__data data;
	uint64_t begin, end;
	unsigned int skip_calls;

	(void)state;
	assert_int_equal(mmapfs__map_extent(map, whole, &extent), 0);
	for (skip_calls = 0; skip_calls < 2; skip_calls++) {
		fake_sys_install();
		assert_int_equal(mmapfs__data_init(&data, map, &extent), 0);
		fake_sys_script("lseek", skip_calls, 1, -EIO);
		assert_int_equal(mmapfs__data_next(&data, &begin, &end), -EIO);
		mmapfs__data_done(&data);
		fake_sys_remove();
	}
	/* The descriptor was opened by the test, so its position may be shared. */
	fake_sys_install();
	fake_sys_script("openat", 0, 1, -EMFILE);
	assert_int_equal(mmapfs__data_init(&data, map, &extent), -EMFILE);
	fake_sys_remove();
	mmapfs_map_close(map);
	close(fd);
}

static void truncation_between_the_calls_ends_the_walk(void **state)
{
	int fd = file_in(scratch_dir, 10 * page, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	fake_sys_install();
	fake_sys_script("lseek", 1, 1, -ENXIO);
	assert_data(map, whole, NULL, 0);
	fake_sys_remove();
	mmapfs_map_close(map);
	close(fd);
}

static void file_position_stays(void **state)
{
	const struct want want[] = { { 0, 10 } };
	int fd = file_in(scratch_dir, 10 * page, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	assert_int_equal(lseek(fd, 123, SEEK_SET), 123);
	assert_data(map, whole, want, 1);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 123);
	mmapfs_map_close(map);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_file_is_one_piece),
		cmocka_unit_test(empty_and_sparse_files_have_none),
		cmocka_unit_test(pieces_are_cut_at_the_range),
		cmocka_unit_test(data_beyond_4_gib_is_found),
		cmocka_unit_test(small_blocks_are_widened_and_merged),
		cmocka_unit_test(nonsense_answers_do_not_loop),
		cmocka_unit_test(without_support_all_is_data),
		cmocka_unit_test(errors_are_forwarded),
		cmocka_unit_test(truncation_between_the_calls_ends_the_walk),
		cmocka_unit_test(file_position_stays),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
