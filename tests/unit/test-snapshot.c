/* SPDX-License-Identifier: MIT */
/* test-snapshot.c - what is written is read again, in order, with heat, and of maps. */
#include "snapshot-help.h"

#include <errno.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "snapshot-format.h"

/* ---- writing and reading ---- */

static void what_is_written_is_read_again(void **state)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_snapshot_info info = MMAPFS_INIT(struct mmapfs_snapshot_info);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;

	(void)state;
	add(writer, "/a", 100, some, 3);
	add(writer, "/a/b c%\n\xff", 7, NULL, 0);
	add_skip(writer, "/secret", "no-permission");
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_int_equal(mmapfs_snapshot_info(snapshot, &info), 0);
	assert_int_equal(info.page_size, page);
	assert_true(info.time_s > 1600000000);
	assert_true(info.kernel[0] >= '0' && info.kernel[0] <= '9');
	assert_int_equal(info.files, 2);
	assert_int_equal(info.skipped, 1);
	assert_int_equal(info.ranges, 3);
	assert_int_equal(info.bytes, 13 * page);
	assert_next(snapshot, "/a", 100, some, 3);
	assert_next(snapshot, "/a/b c%\n\xff", 7, NULL, 0);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_string_equal(got.name, "/secret");
	assert_string_equal(got.skipped, "no-permission");
	assert_end(snapshot);
	mmapfs_snapshot_rewind(snapshot);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_int_equal(got.mtime_ns, 1234567890123456789);
	assert_int_equal(got.dev_major, 254);
	assert_int_equal(got.dev_minor, 3);
	assert_int_equal(got.ino, 4711);
	mmapfs_snapshot_close(snapshot);
	assert_no_litter();
}

static void two_readers_do_not_disturb_each_other(void **state)
{
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *one, *two;

	(void)state;
	add(writer, "a", 100, some, 3);
	add(writer, "b", 7, some, 2);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	one = load();
	assert_next(one, "a", 100, some, 3);
	fake_sys_install();
	fake_sys_script("fcntl", 0, 1, -EMFILE);
	assert_int_equal(mmapfs_snapshot_dup(one, &two), -EMFILE);
	fake_sys_remove();
	assert_int_equal(mmapfs_snapshot_dup(one, &two), 0);
	assert_next(two, "a", 100, some, 3);
	assert_next(one, "b", 7, some, 2);
	mmapfs_snapshot_close(one);
	assert_next(two, "b", 7, some, 2);
	assert_end(two);
	mmapfs_snapshot_close(two);
}

static void empty_snapshot_is_one(void **state)
{
	struct mmapfs_snapshot *snapshot;

	(void)state;
	assert_int_equal(mmapfs_snapshot_commit(create()), 0);
	snapshot = load();
	assert_end(snapshot);
	mmapfs_snapshot_close(snapshot);
}

/* More ranges than any buffer has room for. */
static void ranges_can_be_read_twice(void **state)
{
	struct mmapfs_snapshot_entry entry = entry_of("f", 200000);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;
	struct mmapfs_range range;
	uint64_t i, turn;

	(void)state;
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	for (i = 0; i < 100000; i++) {
		range = (struct mmapfs_range){ 2 * i * page, page };
		assert_int_equal(mmapfs_snapshot_add_range(writer, range), 0);
	}
	add(writer, "g", 100, some, 3);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 1);
	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < 100000; i++) {
			assert_int_equal(mmapfs_snapshot_next_range(snapshot, &range), 1);
			assert_int_equal(range.offset, 2 * i * page);
		}
		mmapfs_snapshot_rewind_ranges(snapshot);
	}
	assert_next(snapshot, "g", 100, some, 3);
	assert_end(snapshot);
	mmapfs_snapshot_close(snapshot);
}

static void adjacent_ranges_are_joined(void **state)
{
	const struct mmapfs_range parts[] = { { 1, 1 }, { 2, 3 }, { 5, 1 }, { 8, 1 } };
	const struct mmapfs_range joined[] = { { 1, 5 }, { 8, 1 } };
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;

	(void)state;
	add(writer, "f", 10, parts, 4);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_next(snapshot, "f", 10, joined, 2);
	mmapfs_snapshot_close(snapshot);
}

static const struct mmapfs_range bad_ranges[] = {
	{ 0, 0 }, { 1, 1 }, { 0, 1 }, { 10, 1 }, { 9, 2 }, { UINT64_MAX, 2 }, { 3, 1 },
};

static void bad_range_is_einval(void **state)
{
	struct mmapfs_snapshot_entry entry = entry_of("f", 10);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_range range = { 0, page };
	size_t i;

	(void)state;
	assert_int_equal(mmapfs_snapshot_add_range(writer, range), -EINVAL);
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	for (i = 0; i < ARRAY_SIZE(bad_ranges); i++) {
		range = bad_ranges[i];
		if (i >= 3)
			range = (struct mmapfs_range){ range.offset * page,
						       range.length * page };
		if (i == 6) { /* before the last */
			range.offset = 4 * page;
			assert_int_equal(mmapfs_snapshot_add_range(writer, range), 0);
			range.offset = 3 * page;
		}
		assert_int_equal(mmapfs_snapshot_add_range(writer, range), -EINVAL);
	}
	assert_null(mmapfs_snapshot_abort(writer));
	assert_null(mmapfs_snapshot_abort(NULL));
	assert_no_litter();
}

static void names_have_a_limit(void **state)
{
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;
	struct mmapfs_snapshot_entry entry = entry_of("", 1);
	char name[4097];

	(void)state;
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), -EINVAL);
	memset(name, '\xc3', sizeof(name) - 1);
	name[4096] = '\0';
	entry.name = name;
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), -ENAMETOOLONG);
	name[4095] = '\0';
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_next(snapshot, name, 1, NULL, 0);
	mmapfs_snapshot_close(snapshot);
}

/* ---- order ---- */

static void slash_sorts_before_everything(void **state)
{
	static const char *const sorted[] = { "a", "a/b", "a/c", "a b", "a-b", "ab", "b" };
	size_t i;

	(void)state;
	for (i = 0; i + 1 < ARRAY_SIZE(sorted); i++) {
		assert_true(mmapfs__snapshot_compare(sorted[i], sorted[i + 1]) < 0);
		assert_true(mmapfs__snapshot_compare(sorted[i + 1], sorted[i]) > 0);
		assert_int_equal(mmapfs__snapshot_compare(sorted[i], sorted[i]), 0);
	}
}

/* Two runs and more; every name twice, and the first of the two counts. */
static void unsorted_names_are_sorted(void **state)
{
	const struct mmapfs_range later = { 50, 1 };
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;
	char name[32];
	unsigned int i;

	(void)state;
	for (i = 0; i < 80000; i++) {
		/* 7919 has no divisor in common with 40000: every number comes twice. */
		(void)snprintf(name, sizeof(name), "dir/%05u", i * 7919u % 40000u);
		add(writer, name, 100, i < 40000 ? some : &later, i < 40000 ? 3 : 1);
	}
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	assert_no_litter();
	snapshot = load();
	for (i = 0; i < 40000; i++) {
		(void)snprintf(name, sizeof(name), "dir/%05u", i);
		assert_next(snapshot, name, 100, some, 3);
	}
	assert_end(snapshot);
	mmapfs_snapshot_close(snapshot);
}

static void dropped_entry_leaves_no_trace(void **state)
{
	struct mmapfs_snapshot_entry entry = entry_of("b", 200000);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;
	uint64_t i;

	(void)state;
	assert_int_equal(mmapfs_snapshot_drop_entry(writer), -ENODATA);
	add(writer, "a", 100, some, 3);
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	for (i = 0; i < 100000; i++) /* far beyond the buffer */
		assert_int_equal(mmapfs_snapshot_add_range(
					 writer, (struct mmapfs_range){ 2 * i * page,
									page }),
				 0);
	assert_int_equal(mmapfs_snapshot_drop_entry(writer), 0);
	assert_int_equal(mmapfs_snapshot_drop_entry(writer), -ENODATA);
	add(writer, "c", 7, NULL, 0);
	assert_int_equal(mmapfs_snapshot_drop_entry(writer), 0);
	add(writer, "d", 100, some, 3);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_next(snapshot, "a", 100, some, 3);
	assert_next(snapshot, "d", 100, some, 3);
	assert_end(snapshot);
	mmapfs_snapshot_close(snapshot);
}

/* ---- heat ---- */

static void add_hot(struct mmapfs_snapshot_writer *writer, const char *name, uint32_t heat)
{
	struct mmapfs_snapshot_entry entry = entry_of(name, 7);

	entry.heat = heat;
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
}

static void assert_heat(struct mmapfs_snapshot *snapshot, const char *name, uint32_t heat)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);

	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_string_equal(got.name, name);
	assert_int_equal(got.ino, 4711);
	assert_int_equal(got.heat, heat);
}

static void assert_first_line(const char *line)
{
	FILE *file = fopen(scratch_path(snap_name), "re");
	char got[64];

	assert_non_null(file);
	assert_non_null(fgets(got, sizeof(got), file));
	assert_string_equal(got, line);
	(void)fclose(file);
}

/* Out of order, so that it has to survive the sorting. */
static void heat_is_kept_by_version_2(void **state)
{
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;

	(void)state;
	assert_int_equal(mmapfs_snapshot_set_heat(writer, 0), 0);
	add_hot(writer, "c", MMAPFS_SNAPSHOT_HEAT_MAX);
	add_hot(writer, "a", 5);
	add_hot(writer, "b", 0);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	assert_first_line("mmapfs-snapshot 2\n");
	snapshot = load();
	assert_heat(snapshot, "a", 5);
	assert_heat(snapshot, "b", 0);
	assert_heat(snapshot, "c", MMAPFS_SNAPSHOT_HEAT_MAX);
	assert_end(snapshot);
	mmapfs_snapshot_close(snapshot);
}

static void heat_of_a_map_is_the_one_set_last(void **state)
{
	int fd = file_in(scratch_dir, 4 * page, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;

	(void)state;
	assert_int_equal(mmapfs_snapshot_set_heat(writer, 17), 0);
	assert_int_equal(mmapfs_snapshot_add(writer, "a", map), 0);
	assert_int_equal(mmapfs_snapshot_set_heat(writer, 3), 0);
	assert_int_equal(mmapfs_snapshot_add(writer, "b", map), 0);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_int_equal(got.heat, 17);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_int_equal(got.heat, 3);
	mmapfs_snapshot_close(snapshot);
	mmapfs_map_close(map);
	close(fd);
}

static void version_1_tells_no_heat(void **state)
{
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot_entry hot = entry_of("b", 7);
	struct mmapfs_snapshot *snapshot;

	(void)state;
	assert_int_equal(mmapfs_snapshot_set_heat(writer, MMAPFS_SNAPSHOT_HEAT_MAX + 1),
			 -EINVAL);
	add_hot(writer, "a", 5);
	assert_int_equal(mmapfs_snapshot_set_heat(writer, 5), -EBUSY);
	hot.heat = MMAPFS_SNAPSHOT_HEAT_MAX + 1;
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &hot), -EINVAL);
	/* A caller that was compiled before there was heat: what lies behind is not his. */
	hot.size = offsetof(struct mmapfs_snapshot_entry, heat);
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &hot), 0);
	hot.size--;
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &hot), -EINVAL);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	assert_first_line("mmapfs-snapshot 1\n");
	snapshot = load();
	assert_heat(snapshot, "a", 0);
	assert_heat(snapshot, "b", 0);
	assert_end(snapshot);
	mmapfs_snapshot_close(snapshot);
}

/* ---- from maps ---- */

static void resident_pages_of_a_map_are_recorded(void **state)
{
	const struct mmapfs_range runs[] = { { 3, 2 }, { 40, 1 } };
	int fd = file_in(scratch_dir, 64 * page, true);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;
	struct mmapfs_map *map;
	struct held held;

	(void)state;
	make_cold(fd, 64 * page);
	held = hold(fd, 64 * page);
	hold_page(&held, 3);
	hold_page(&held, 4);
	hold_page(&held, 40);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	assert_int_equal(mmapfs_snapshot_add(writer, "f", map), 0);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_next(snapshot, "f", 64, runs, 2);
	mmapfs_snapshot_close(snapshot);
	mmapfs_map_close(map);
	hold_done(&held);
	close(fd);
}

/* mincore that lies as it does to those who may not know. */
static int lying_mincore(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 1, (length + page - 1) / page);
	return 0;
}

static void unknown_residency_is_recorded_as_skipped(void **state)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	int fd = file_in(scratch_dir, 4 * page, true);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_snapshot_writer *writer = create();
	struct mmapfs_snapshot *snapshot;

	(void)state;
	fake_sys_install();
	fake_sys_table()->mincore = lying_mincore;
	fake_sys_script("cachestat", 0, 0, -EPERM);
	assert_int_equal(mmapfs_snapshot_add(writer, "f", map), 1);
	fake_sys_remove();
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	snapshot = load();
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_string_equal(got.name, "f");
	assert_string_equal(got.skipped, "no-permission");
	mmapfs_snapshot_close(snapshot);
	mmapfs_map_close(map);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(two_readers_do_not_disturb_each_other),
		cmocka_unit_test(empty_snapshot_is_one),
		cmocka_unit_test(ranges_can_be_read_twice),
		cmocka_unit_test(adjacent_ranges_are_joined),
		cmocka_unit_test(bad_range_is_einval),
		cmocka_unit_test(names_have_a_limit),
		cmocka_unit_test(slash_sorts_before_everything),
		cmocka_unit_test(unsorted_names_are_sorted),
		cmocka_unit_test(dropped_entry_leaves_no_trace),
		cmocka_unit_test(heat_is_kept_by_version_2),
		cmocka_unit_test(heat_of_a_map_is_the_one_set_last),
		cmocka_unit_test(version_1_tells_no_heat),
		cmocka_unit_test(resident_pages_of_a_map_are_recorded),
		cmocka_unit_test(unknown_residency_is_recorded_as_skipped),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
