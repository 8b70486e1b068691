/* SPDX-License-Identifier: MIT */
/* test-snapshot-place.c - where a snapshot may be, and that whatever fails there leaves
 * the old one and no litter. */
#include "snapshot-help.h"

#include <errno.h>

#include "base/macro.h"
#include "fake-sys.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(place_that_is_no_file_is_refused),
		cmocka_unit_test(failed_create_is_forwarded),
		cmocka_unit_test(failed_commit_leaves_the_old_snapshot),
		cmocka_unit_test(a_snapshot_has_no_name_until_it_is_whole),
		cmocka_unit_test(a_name_that_is_taken_is_not_overwritten),
		cmocka_unit_test(short_writes_go_on),
		cmocka_unit_test(failed_load_is_forwarded),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
