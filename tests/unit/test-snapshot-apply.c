/* SPDX-License-Identifier: MIT */
/* test-snapshot-apply.c - exactly what was recorded is resident again. */
#include "page-file.h"

#include <errno.h>
#include <inttypes.h>

#include "base/macro.h"
#include "fake-sys.h"

#define PAGES 2048
#define SIZE (PAGES * page - 100)

static int fd;
static struct mmapfs_map *map;
static struct mmapfs_snapshot *snapshot;
static struct mmapfs_snapshot_entry entry;
static unsigned char *wanted; /* a byte a page */

static int fixture_setup(void **state)
{
	(void)state;
	fd = file_in(scratch_dir, SIZE, true);
	make_cold(fd, SIZE);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	wanted = calloc(PAGES, 1);
	assert_non_null(wanted);
	return 0;
}

static int fixture_teardown(void **state)
{
	(void)state;
	snapshot = mmapfs_snapshot_close(snapshot);
	map = mmapfs_map_close(map);
	free(wanted);
	return close(fd);
}

/* Stop at the one entry of the snapshot. */
static void load(void)
{
	struct mmapfs_snapshot_damage damage = MMAPFS_INIT(struct mmapfs_snapshot_damage);

	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, scratch_path("snap"), &damage,
					      &snapshot),
			 0);
	entry = (struct mmapfs_snapshot_entry)MMAPFS_INIT(struct mmapfs_snapshot_entry);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 1);
}

/* Let the `wanted` pages be resident, record them, and make the file cold again. */
static void take_snapshot(void)
{
	struct held held = hold(fd, PAGES * page);
	struct mmapfs_snapshot_writer *writer;
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (wanted[i])
			hold_page(&held, i);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path("snap"), &writer),
			 0);
	assert_int_equal(mmapfs_snapshot_add(writer, "f", map), 0);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	hold_done(&held);
	make_cold(fd, SIZE);
	load();
}

static struct mmapfs_snapshot_apply_result apply(uint32_t policy, int want)
{
	struct mmapfs_snapshot_apply_opts opts = { .size = sizeof(opts),
						   .policy = policy };
	struct mmapfs_snapshot_apply_result res =
		MMAPFS_INIT(struct mmapfs_snapshot_apply_result);

	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, &opts, &res), want);
	return res;
}

static void assert_resident(void)
{
	unsigned char *got = naive_mincore(fd, SIZE);

	assert_memory_equal(got, wanted, PAGES);
	free(got);
}

/* A quarter of the pages, in runs of all kinds, the cut last one among them. */
static uint64_t want_some(void)
{
	uint64_t i, bytes = 0;

	srandom(1);
	for (i = 0; i < PAGES; i++)
		wanted[i] = random() % 4 == 0;
	memset(wanted + 1000, 1, 600);
	wanted[PAGES - 1] = 1;
	for (i = 0; i < PAGES; i++)
		bytes += wanted[i] * page;
	return bytes - 100;
}

static void exactly_the_ranges_are_resident_again(void **state)
{
	uint64_t bytes = want_some();
	struct mmapfs_snapshot_apply_result res;

	(void)state;
	take_snapshot();
	res = apply(MMAPFS_SNAPSHOT_UNCHANGED, 0);
	assert_resident();
	assert_int_equal(res.valid, 1);
	assert_int_equal(res.changed, 0);
	assert_int_equal(res.skipped, 0);
	assert_int_equal(res.error, 0);
	assert_int_equal(res.recorded, bytes);
	assert_int_equal(res.total, bytes);
	assert_int_equal(res.requested, bytes);
	assert_int_equal(res.before, 0);
	assert_int_equal(res.after, bytes);
	assert_int_equal(res.missing, 0);
	assert_int_equal(res.extra, 0);
}

static void what_is_there_is_not_read(void **state)
{
	struct mmapfs_snapshot_apply_result res;
	struct held held;

	(void)state;
	wanted[3] = wanted[4] = wanted[5] = wanted[900] = 1;
	take_snapshot();
	held = hold(fd, PAGES * page);
	hold_page(&held, 4);
	hold_page(&held, 70);
	wanted[70] = 1;
	fake_sys_install();
	res = apply(MMAPFS_SNAPSHOT_UNCHANGED, 0);
	assert_int_equal(fake_sys_calls("readahead"), 3);
	assert_int_equal(fake_sys_calls("pread"), 0);
	fake_sys_remove();
	assert_resident();
	assert_int_equal(res.total, 4 * page);
	assert_int_equal(res.before, page);
	assert_int_equal(res.requested, 3 * page);
	assert_int_equal(res.after, 4 * page);
	assert_int_equal(res.extra, 0);
	hold_done(&held);
}

/* What the file has become, and which policies still apply the ranges. */
static const struct {
	int64_t size_change;
	bool touch;
	uint32_t changed;
	bool applied[3];
} changes[] = {
	{ 0, false, 0, { true, true, true } },
	{ 0, true, MMAPFS_SNAPSHOT_MTIME, { false, false, true } },
	{ 1, false, MMAPFS_SNAPSHOT_SIZE | MMAPFS_SNAPSHOT_MTIME, { false, true, true } },
	{ -1, false, MMAPFS_SNAPSHOT_SIZE | MMAPFS_SNAPSHOT_MTIME, { false, true, true } },
};

static void policy_decides_about_changed_files(void **state)
{
	size_t i;
	uint32_t policy;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		(void)fixture_teardown(NULL);
		(void)fixture_setup(NULL);
		wanted[7] = wanted[PAGES - 2] = wanted[PAGES - 1] = 1;
		take_snapshot();
		if (changes[i].size_change != 0)
			assert_int_equal(ftruncate(fd, (off_t)(SIZE + 100) +
							       changes[i].size_change *
								       (off_t)page),
					 0);
		if (changes[i].touch)
			assert_int_equal(futimens(fd, NULL), 0);
		/* Truncation leaves its zeroed tail page resident, and dirty. */
		map = mmapfs_map_close(map);
		map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
		make_cold(fd, SIZE + 2 * page);
		for (policy = 0; policy < 3; policy++) {
			struct mmapfs_snapshot_apply_result res = apply(policy, 0);
			uint64_t total = 3 * page - 100;

			if (changes[i].size_change < 0)
				total = 2 * page;
			assert_int_equal(res.changed, changes[i].changed);
			assert_int_equal(res.recorded, 3 * page - 100);
			assert_int_equal(res.skipped, !changes[i].applied[policy]);
			if (res.skipped) {
				assert_int_equal(res.total, 0);
				assert_int_equal(naive_count(fd, SIZE), 0);
				continue;
			}
			/* A cut last page that has grown is a whole one now. */
			if (changes[i].size_change > 0)
				total += 100;
			assert_int_equal(res.total, total);
			assert_int_equal(res.after, total);
			assert_int_equal(res.missing, 0);
		}
	}
}

static void unreadable_page_is_eio_and_the_rest_is_read(void **state)
{
	struct mmapfs_snapshot_apply_result res;

	(void)state;
	wanted[3] = wanted[500] = 1;
	take_snapshot();
	fake_sys_install();
	fake_sys_script("readahead", 0, 0, -EIO);
	fake_sys_script("pread", 0, 2, -EIO);
	res = apply(MMAPFS_SNAPSHOT_UNCHANGED, -EIO);
	fake_sys_table()->pread = mmapfs__sys_real.pread;
	fake_sys_remove();
	wanted[3] = 0;
	assert_resident();
	assert_int_equal(res.error, -EIO);
	assert_int_equal(res.error_offset, 3 * page);
	assert_int_equal(res.total, 2 * page);
	assert_int_equal(res.after, page);
	assert_int_equal(res.missing, page);
}

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	++*(unsigned int *)ctx;
	return 1;
}

static void progress_can_cancel(void **state)
{
	unsigned int calls = 0;
	struct mmapfs_snapshot_apply_opts opts = {
		.size = sizeof(opts),
		.progress = cancel,
		.ctx = &calls,
	};
	struct mmapfs_snapshot_apply_result res =
		MMAPFS_INIT(struct mmapfs_snapshot_apply_result);

	(void)state;
	memset(wanted, 1, PAGES);
	take_snapshot();
	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, &opts, &res), -ECANCELED);
	assert_int_equal(calls, 1);
	assert_int_equal(res.error, -ECANCELED);
	assert_int_equal(res.total, SIZE);
}

static void no_more_than_the_limit_is_read(void **state)
{
	struct mmapfs_snapshot_apply_opts opts = { .size = sizeof(opts),
						   .limit = 3 * page };
	struct mmapfs_snapshot_apply_result res =
		MMAPFS_INIT(struct mmapfs_snapshot_apply_result);
	struct held held;

	(void)state;
	wanted[3] = wanted[10] = wanted[11] = 1;
	wanted[700] = wanted[PAGES - 1] = 1;
	take_snapshot();
	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, &opts, &res), -EDQUOT);
	wanted[700] = wanted[PAGES - 1] = 0;
	assert_resident();
	assert_int_equal(res.error, -EDQUOT);
	assert_int_equal(res.requested, 3 * page);
	assert_int_equal(res.missing, 2 * page - 100);
	/* What is there already does not count; the last page is a cut one. */
	held = hold(fd, PAGES * page);
	hold_page(&held, 3);
	hold_page(&held, 10);
	hold_page(&held, 11);
	opts.limit = 2 * page - 100;
	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, &opts, &res), 0);
	hold_done(&held);
	assert_int_equal(res.requested, 2 * page - 100);
	assert_int_equal(res.missing, 0);
}

static void bad_calls_are_refused(void **state)
{
	struct mmapfs_snapshot_apply_opts opts = { .size = sizeof(opts), .policy = 3 };
	struct mmapfs_map *part = map_of(fd, page, 0, MMAPFS_MAP_LAZY);

	(void)state;
	wanted[3] = 1;
	take_snapshot();
	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, &opts, NULL), -EINVAL);
	assert_int_equal(mmapfs_snapshot_apply(snapshot, part, NULL, NULL), -ENODATA);
	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, NULL, NULL), 0);
	assert_resident();
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 0);
	assert_int_equal(mmapfs_snapshot_apply(snapshot, map, NULL, NULL), -ENODATA);
	mmapfs_map_close(part);
}

/* Memory must not be allocated for holes that were data when the snapshot was taken. */
static void holes_of_memory_filesystems_stay_holes(void **state)
{
	struct mmapfs_snapshot_apply_result res;
	struct stat st;

	(void)state;
	if (access("/dev/shm", W_OK) < 0)
		skip();
	(void)fixture_teardown(NULL);
	fd = file_in("/dev/shm", SIZE, false);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	wanted = calloc(PAGES, 1);
	assert_non_null(wanted);
	put_data(fd, 10 * page, 5);
	{
		struct mmapfs_snapshot_writer *writer;

		assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path("snap"),
							&writer),
				 0);
		assert_int_equal(mmapfs_snapshot_add(writer, "f", map), 0);
		assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	}
	load();
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	res = apply(MMAPFS_SNAPSHOT_ANY, 0);
	assert_int_equal(res.total, 5 * page);
	assert_int_equal(res.after, 0);
	assert_int_equal(res.missing, 5 * page);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
}

static void skipped_entry_does_nothing(void **state)
{
	const struct mmapfs_snapshot_entry skipped = {
		.size = sizeof(skipped),
		.name = "f",
		.skipped = "no-permission",
	};
	struct mmapfs_snapshot_writer *writer;
	struct mmapfs_snapshot_apply_result res;

	(void)state;
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path("snap"), &writer),
			 0);
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &skipped), 0);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	load();
	res = apply(MMAPFS_SNAPSHOT_ANY, 0);
	assert_int_equal(res.skipped, 1);
	assert_resident();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(exactly_the_ranges_are_resident_again),
		TEST(what_is_there_is_not_read),
		TEST(policy_decides_about_changed_files),
		TEST(unreadable_page_is_eio_and_the_rest_is_read),
		TEST(progress_can_cancel),
		TEST(no_more_than_the_limit_is_read),
		TEST(bad_calls_are_refused),
		TEST(holes_of_memory_filesystems_stay_holes),
		TEST(skipped_entry_does_nothing),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
