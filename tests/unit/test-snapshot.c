/* SPDX-License-Identifier: MIT */
/* test-snapshot.c - what is written is read again, and what was damaged is not. */
#include "page-file.h"

#include <errno.h>
#include <inttypes.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "snapshot-format.h"

static const char snap_name[] = "snap";

static struct mmapfs_snapshot_writer *create(void)
{
	struct mmapfs_snapshot_writer *writer;

	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path(snap_name), &writer),
			 0);
	return writer;
}

static struct mmapfs_snapshot *load(void)
{
	struct mmapfs_snapshot_damage damage = MMAPFS_INIT(struct mmapfs_snapshot_damage);
	struct mmapfs_snapshot *snapshot;
	int r;

	r = mmapfs_snapshot_load(AT_FDCWD, scratch_path(snap_name), &damage, &snapshot);
	if (r == -EBADMSG)
		fail_msg("line %" PRIu64 ": %s", damage.line, damage.reason);
	assert_int_equal(r, 0);
	return snapshot;
}

static struct mmapfs_snapshot_entry entry_of(const char *name, uint64_t pages)
{
	return (struct mmapfs_snapshot_entry){
		.size = sizeof(struct mmapfs_snapshot_entry),
		.name = name,
		.file_size = pages * page,
		.mtime_ns = 1234567890123456789,
		.dev_major = 254,
		.dev_minor = 3,
		.ino = 4711,
	};
}

static void add(struct mmapfs_snapshot_writer *writer, const char *name, uint64_t pages,
		const struct mmapfs_range *ranges, size_t count)
{
	struct mmapfs_snapshot_entry entry = entry_of(name, pages);
	size_t i;

	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	for (i = 0; i < count; i++) {
		struct mmapfs_range range = { ranges[i].offset * page,
					      ranges[i].length * page };

		assert_int_equal(mmapfs_snapshot_add_range(writer, range), 0);
	}
}

static void add_skip(struct mmapfs_snapshot_writer *writer, const char *name,
		     const char *why)
{
	const struct mmapfs_snapshot_entry entry = {
		.size = sizeof(entry),
		.name = name,
		.skipped = why,
	};

	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
}

static void assert_next(struct mmapfs_snapshot *snapshot, const char *name, uint64_t pages,
			const struct mmapfs_range *ranges, size_t count)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_range range;
	size_t i;

	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_string_equal(got.name, name);
	assert_null(got.skipped);
	assert_int_equal(got.file_size, pages * page);
	for (i = 0; i < count; i++) {
		assert_int_equal(mmapfs_snapshot_next_range(snapshot, &range), 1);
		assert_int_equal(range.offset, ranges[i].offset * page);
		assert_int_equal(range.length, ranges[i].length * page);
	}
	assert_int_equal(mmapfs_snapshot_next_range(snapshot, &range), 0);
}

static void assert_end(struct mmapfs_snapshot *snapshot)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);

	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 0);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 0);
}

/* The directory holds nothing but the snapshot, or nothing. */
static void assert_no_litter(void)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "test -z \"$(ls -A '%s' | grep -vx snap)\"",
		       scratch_dir);
	assert_int_equal(system(command), 0);
}

static const struct mmapfs_range some[] = { { 0, 2 }, { 5, 1 }, { 90, 10 } };

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

/* ---- the place ---- */

static void place_that_is_no_file_is_refused(void **state)
{
	struct mmapfs_snapshot_writer *writer;
	char link[300], fifo[300];

	(void)state;
	(void)snprintf(link, sizeof(link), "%s/link", scratch_dir);
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", scratch_dir);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, link, &writer), -ELOOP);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, fifo, &writer), -ENODEV);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, "/dev/null", &writer), -ENODEV);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_dir, &writer), -EISDIR);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, "", &writer), -ENOENT);
	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, "/nowhere/at/all", &writer),
			 -ENOENT);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(fifo), 0);
	assert_no_litter();
}

static const struct {
	const char *call;
	int error;
} create_failures[] = {
	{ "openat", -EACCES }, { "openat", -EMFILE }, { "statx", -EIO },
};

static void failed_create_is_forwarded(void **state)
{
	struct mmapfs_snapshot_writer *writer;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(create_failures); i++) {
		fake_sys_install();
		fake_sys_script(create_failures[i].call, 0, 1, create_failures[i].error);
		assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path(snap_name),
							&writer),
				 create_failures[i].error);
		fake_sys_remove();
		assert_no_litter();
	}
}

static const struct {
	const char *call;
	unsigned int skip;
	int error;
	bool unsorted;
	bool replaced; /* too late: the new snapshot is in place, but may not be durable */
} commit_failures[] = {
	{ "pwrite", 0, -ENOSPC },	 { "fsync", 0, -EIO },
	{ "fsync", 1, -EIO, false, true }, { "renameat", 0, -EACCES },
	{ "linkat", 0, -EDQUOT },
	{ "ftruncate", 0, -EIO },	 { "pwrite", 1, -ENOSPC, true },
	{ "pread", 0, -EIO, true },	 { "pwrite", 2, -EDQUOT, true },
	{ "openat", 0, -EMFILE, true },	 { "openat", 1, -EMFILE, true },
	{ "pwrite", 0, 0 },
};

static void failed_commit_leaves_the_old_snapshot(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(commit_failures); i++) {
		struct mmapfs_snapshot_writer *writer = create();
		struct mmapfs_snapshot *snapshot;
		int error = commit_failures[i].error;

		add(writer, "old", 100, some, 3);
		assert_int_equal(mmapfs_snapshot_commit(writer), 0);
		writer = create();
		add(writer, "new", 100, some, 2);
		if (commit_failures[i].unsorted)
			add(writer, "before", 100, some, 2);
		fake_sys_install();
		fake_sys_script(commit_failures[i].call, commit_failures[i].skip, 1,
				error);
		assert_int_equal(mmapfs_snapshot_commit(writer), error ? error : -EIO);
		fake_sys_remove();
		assert_no_litter();
		snapshot = load();
		if (commit_failures[i].replaced)
			assert_next(snapshot, "new", 100, some, 2);
		else
			assert_next(snapshot, "old", 100, some, 3);
		assert_end(snapshot);
		mmapfs_snapshot_close(snapshot);
	}
}

/* How many names there are beside the snapshot. */
static void assert_names_beside(int count)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "test $(ls -A '%s' | grep -cvx snap) = %d",
		       scratch_dir, count);
	assert_int_equal(system(command), 0);
}

static const struct {
	const char *call;
	int error;
	int names; /* beside the snapshot while it is written */
} nameless_failures[] = {
	{ "openat", -EOPNOTSUPP, 1 }, { "openat", -EISDIR, 1 }, { "statx", -ENOENT, 1 },
	{ "pwrite", -EINTR, 0 },
};

/* Killed meanwhile, such a writer leaves nothing behind, where the filesystem allows that. */
static void a_snapshot_has_no_name_until_it_is_whole(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(nameless_failures); i++) {
		const char *call = nameless_failures[i].call;
		struct mmapfs_snapshot_writer *writer;
		struct mmapfs_snapshot *snapshot;

		fake_sys_install();
		/* The first call is for the place. */
		fake_sys_script(call, strcmp(call, "pwrite") != 0, 1,
				nameless_failures[i].error);
		writer = create();
		add(writer, "b", 100, some, 2);
		add(writer, "a", 100, some, 3);
		assert_names_beside(nameless_failures[i].names);
		assert_int_equal(mmapfs_snapshot_commit(writer), 0);
		fake_sys_remove();
		assert_no_litter();
		snapshot = load();
		assert_next(snapshot, "a", 100, some, 3);
		assert_next(snapshot, "b", 100, some, 2);
		assert_end(snapshot);
		mmapfs_snapshot_close(snapshot);
	}
}

static void a_name_that_is_taken_is_not_overwritten(void **state)
{
	struct mmapfs_snapshot_writer *writer = create();

	(void)state;
	add(writer, "a", 100, some, 3);
	fake_sys_install();
	fake_sys_script("linkat", 0, 3, -EEXIST);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	assert_int_equal(fake_sys_calls("linkat"), 4);
	fake_sys_remove();
	mmapfs_snapshot_close(load());
	assert_no_litter();
}

static void short_writes_go_on(void **state)
{
	struct mmapfs_snapshot_writer *writer = create();

	(void)state;
	add(writer, "f", 100, some, 3);
	fake_sys_install();
	fake_sys_script("pwrite", 0, 2, -EINTR);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	fake_sys_remove();
	mmapfs_snapshot_close(load());
}

static const int load_errors[] = { -EACCES, -ENOENT, -EMFILE };

static void failed_load_is_forwarded(void **state)
{
	const char *path = scratch_path(snap_name);
	struct mmapfs_snapshot *snapshot;
	size_t i;

	(void)state;
	assert_int_equal(mmapfs_snapshot_commit(create()), 0);
	fake_sys_install();
	for (i = 0; i < ARRAY_SIZE(load_errors); i++) {
		fake_sys_script("openat", 0, 1, load_errors[i]);
		assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, path, NULL, &snapshot),
				 load_errors[i]);
	}
	fake_sys_script("pread", 0, 1, -EIO);
	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, path, NULL, &snapshot), -EIO);
	fake_sys_script("fstat", 0, 1, -EIO);
	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, path, NULL, &snapshot), -EIO);
	fake_sys_remove();
	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, "/dev/null", NULL, &snapshot),
			 -ENODEV);
	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, scratch_dir, NULL, &snapshot),
			 -EISDIR);
}

/* ---- damage ---- */

static char *text;
static size_t text_length;

static void put_text(const char *bytes, size_t length)
{
	int fd = open(scratch_path(snap_name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void get_text(void)
{
	int fd = open(scratch_path(snap_name), O_RDONLY);

	assert_true(fd >= 0);
	free(text);
	text = calloc(1, 65536);
	assert_non_null(text);
	text_length = (size_t)read(fd, text, 65535);
	assert_true(text_length > 0 && text_length < 65535);
	close(fd);
}

static void small_text(void)
{
	struct mmapfs_snapshot_writer *writer = create();

	add(writer, "/data/a", 100, some, 3);
	add(writer, "/data/b \n", 7, some, 2);
	add_skip(writer, "/data/secret", "no-permission");
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	get_text();
}

static int load_damaged(struct mmapfs_snapshot_damage *damage)
{
	struct mmapfs_snapshot *snapshot;
	int r;

	*damage = (struct mmapfs_snapshot_damage)MMAPFS_INIT(struct mmapfs_snapshot_damage);
	r = mmapfs_snapshot_load(AT_FDCWD, scratch_path(snap_name), damage, &snapshot);
	if (r == 0)
		mmapfs_snapshot_close(snapshot);
	return r;
}

static void every_changed_byte_is_refused(void **state)
{
	static const char values[] = { 0, '\n', ' ', '0', '1', '9', 'f', '%', '\xff' };
	struct mmapfs_snapshot_damage damage;
	char before;
	size_t i, j;

	(void)state;
	small_text();
	for (i = 0; i < text_length; i++) {
		before = text[i];
		for (j = 0; j < ARRAY_SIZE(values) + 8; j++) {
			text[i] = j < 8 ? (char)(before ^ 1 << j) : values[j - 8];
			if (text[i] == before)
				continue;
			put_text(text, text_length);
			assert_int_equal(load_damaged(&damage), -EBADMSG);
			assert_non_null(damage.reason);
			assert_in_range(damage.line, 1, 9);
		}
		text[i] = before;
	}
	put_text(text, text_length);
	assert_int_equal(load_damaged(&damage), 0);
}

static void every_cut_and_every_lost_byte_is_refused(void **state)
{
	struct mmapfs_snapshot_damage damage;
	char *copy;
	size_t i;

	(void)state;
	small_text();
	copy = malloc(text_length + 1);
	assert_non_null(copy);
	for (i = 0; i < text_length; i++) {
		put_text(text, i);
		assert_int_equal(load_damaged(&damage), -EBADMSG);
		memcpy(copy, text, i);
		memcpy(copy + i, text + i + 1, text_length - i - 1);
		put_text(copy, text_length - 1);
		assert_int_equal(load_damaged(&damage), -EBADMSG);
		memcpy(copy + i + 1, text + i, text_length - i);
		copy[i] = text[i];
		put_text(copy, text_length + 1);
		assert_int_equal(load_damaged(&damage), -EBADMSG);
	}
	free(copy);
}

/* The text between header and end, with the right sum: only the rules can refuse it. */
static const struct {
	const char *name;
	const char *text; /* % stands for a header, & for one of version 2 */
	uint64_t line;
	const char *reason;
} foreign[] = {
	{ "empty", "", 1, "the text ends too early" },
	{ "other file", "\x7f" "ELF", 1, "not a snapshot of mmapfs" },
	{ "version", "mmapfs-snapshot 3\n", 1, "a version that is not known" },
	{ "version", "mmapfs-snapshot 21\n", 1, "a version that is not known" },
	{ "no heat", "&file a 0 0 0:0:0 -\n", 5, "a number is missing" },
	{ "too hot", "&file a 0 0 0:0:0 1001 -\n", 5, "a number that cannot be" },
	{ "heat alone", "&file a 0 0 0:0:0 1\n", 5, "a field is missing" },
	{ "heat in version 1", "%file a 0 0 0:0:0 1 -\n", 5, "a range that cannot be" },
	{ "page size", "mmapfs-snapshot 1\npage-size 1000\n", 2,
	  "a page size that cannot be" },
	{ "time", "mmapfs-snapshot 1\npage-size 4096\ntime noon\n", 3,
	  "a time that cannot be" },
	{ "no end", "%", 5, "the text ends too early: its end line is missing" },
	{ "word", "%what\n", 5, "a line that is not known" },
	{ "order of names", "%file b 0 0 0:0:0 -\nfile a 0 0 0:0:0 -\n", 6,
	  "a name that is not in order" },
	{ "same name", "%file b 0 0 0:0:0 -\nskip b why\n", 6,
	  "a name that is not in order" },
	{ "no name", "%file  0 0 0:0:0 -\n", 5, "a word is missing" },
	{ "zero in name", "%file a%00 0 0 0:0:0 -\n", 5, "a name with a zero byte" },
	{ "half a code", "%file a%4 0 0 0:0:0 -\n", 5,
	  "a % without two digits behind it" },
	{ "order of ranges", "%file a 65536 0 0:0:0 8192+4096,4096+4096\n", 5,
	  "a range that is not in order" },
	{ "overlap", "%file a 65536 0 0:0:0 0+8192,4096+4096\n", 5,
	  "a range that is not in order" },
	{ "beyond", "%file a 8192 0 0:0:0 4096+8192\n", 5,
	  "a range beyond the end of its file" },
	{ "no page", "%file a 8192 0 0:0:0 100+4096\n", 5,
	  "a range that is not of whole pages" },
	{ "part of a page", "%file a 8192 0 0:0:0 0+100\n", 5,
	  "a range that is not of whole pages" },
	{ "empty range", "%file a 8192 0 0:0:0 0+0\n", 5, "a range that cannot be" },
	{ "huge range", "%file a 8192 0 0:0:0 4096+18446744073709551615\n", 5,
	  "a range that cannot be" },
	{ "huge number", "%file a 18446744073709551616 0 0:0:0 -\n", 5,
	  "a number that cannot be" },
	{ "zero in front", "%file a 08192 0 0:0:0 -\n", 5, "a number that cannot be" },
	{ "no number", "%file a x 0 0:0:0 -\n", 5, "a number is missing" },
	{ "counts", "%file a 0 0 0:0:0 -\nend 2 0 0 0 ", 6,
	  "the counts differ: lines are missing or too many" },
	{ "sum", "%end 0 0 0 0 0123456789abcdef\n", 5,
	  "the checksum differs: the text was changed" },
};

static void what_is_no_snapshot_is_refused_with_line_and_reason(void **state)
{
	static const char header[] = "mmapfs-snapshot %d\npage-size 4096\n"
				     "time 2026-11-22T10:00:00Z\nkernel 6.18\n";
	struct mmapfs_snapshot_damage damage;
	char buf[1024];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		const char *rest = foreign[i].text;
		bool headed = *rest == '%' || *rest == '&';
		int length = headed ? snprintf(buf, sizeof(buf), header,
					       *rest == '&' ? 2 : 1) : 0;

		(void)snprintf(buf + length, sizeof(buf) - (size_t)length, "%s",
			       rest + headed);
		put_text(buf, strlen(buf));
		assert_int_equal(load_damaged(&damage), -EBADMSG);
		if (strcmp(damage.reason, foreign[i].reason) != 0 ||
		    damage.line != foreign[i].line)
			fail_msg("%s: line %" PRIu64 ", %s", foreign[i].name, damage.line,
				 damage.reason);
	}
}

static void change_after_the_check_is_estale(void **state)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_snapshot *snapshot;
	int r;

	(void)state;
	small_text();
	snapshot = load();
	text[text_length - 3] ^= 1;
	put_text(text, text_length);
	mmapfs_snapshot_rewind(snapshot);
	while ((r = mmapfs_snapshot_next(snapshot, &got)) > 0)
		;
	assert_int_equal(r, -ESTALE);
	mmapfs_snapshot_close(snapshot);
	free(text);
	text = NULL;
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
		cmocka_unit_test(place_that_is_no_file_is_refused),
		cmocka_unit_test(failed_create_is_forwarded),
		cmocka_unit_test(failed_commit_leaves_the_old_snapshot),
		cmocka_unit_test(a_snapshot_has_no_name_until_it_is_whole),
		cmocka_unit_test(a_name_that_is_taken_is_not_overwritten),
		cmocka_unit_test(short_writes_go_on),
		cmocka_unit_test(failed_load_is_forwarded),
		cmocka_unit_test(every_changed_byte_is_refused),
		cmocka_unit_test(every_cut_and_every_lost_byte_is_refused),
		cmocka_unit_test(what_is_no_snapshot_is_refused_with_line_and_reason),
		cmocka_unit_test(change_after_the_check_is_estale),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
