/* SPDX-License-Identifier: MIT */
/* test-cache-restart-faults.c - the last good snapshot is kept: a save that fails leaves
 * it, and what cannot be used is set aside. */
#include "restart-help.h"

#include <errno.h>
#include <sys/file.h>

#include <mmapfs.h>

#include "fake-sys.h"

/* ---- failures while saving ---- */

static const struct {
	const char *call;
	unsigned int skip;
	int error;
} save_failures[] = {
	{ "openat", 0, -EMFILE },  { "openat", 1, -ENOSPC }, { "pwrite", 0, -ENOSPC },
	{ "pwrite", 0, -EIO },	   { "fsync", 0, -EIO },     { "ftruncate", 0, -EIO },
	{ "linkat", 0, -EDQUOT },  { "renameat", 0, -EIO },
};

static void assert_names_in_place(const char *const *names, size_t count)
{
	char command[700];
	int length = snprintf(command, sizeof(command), "test \"$(ls -A '%s' | xargs)\" = '",
			      place);

	for (size_t i = 0; i < count; i++)
		length += snprintf(command + length, sizeof(command) - (size_t)length, "%s%s",
				   i ? " " : "", names[i]);
	(void)snprintf(command + length, sizeof(command) - (size_t)length, "'");
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void a_failed_save_leaves_the_old_snapshot(void **state)
{
	static const char *const names[] = { "snap", "snap.lock" };
	size_t before, after;
	char *old, *now;

	(void)state;
	open_restart();
	make_save_evict();
	old = contents(snap, &before);
	hold(&some[0]);
	for (size_t i = 0; i < ARRAY_SIZE(save_failures); i++) {
		fake_sys_install();
		fake_sys_script(save_failures[i].call, save_failures[i].skip, 1,
				save_failures[i].error);
		restart_save(restart, SAVE_ASKED);
		fake_sys_remove();
		assert_attribute("save", "failed");
		assert_attribute("save_error", mmapfs_errno_name(save_failures[i].error));
		assert_attribute("save_files", "3"); /* of the last good one */
		now = contents(snap, &after);
		assert_int_equal(before, after);
		assert_memory_equal(old, now, before);
		assert_names_in_place(names, ARRAY_SIZE(names));
		free(now);
	}
	restart_save(restart, SAVE_ASKED);
	assert_attribute("save", "done");
	assert_attribute("save_error", NULL);
	assert_attribute("save_files", "1");
	release(&some[0]);
	free(old);
}

/* Whatever the moment: the number of calls that a save makes decides how many there are. */
static void a_save_that_fails_at_any_call_leaves_the_old_snapshot(void **state)
{
	static const char *const calls[] = { "openat", "pwrite", "fsync",  "ftruncate",
					     "linkat", "renameat", "pread", "statx",
					     "fstat",  "mmap",	   "mincore" };
	size_t before, after;
	char *old, *now;

	(void)state;
	open_restart();
	make_save_evict();
	old = contents(snap, &before);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (unsigned int skip = 0;; skip++) {
			unsigned int made;

			fake_sys_install();
			fake_sys_script(calls[i], skip, 0, -EIO);
			restart_save(restart, SAVE_ASKED);
			made = fake_sys_calls(calls[i]);
			/* Not used where the save made fewer calls. */
			fake_sys_install();
			fake_sys_remove();
			if (made <= skip)
				break;
			if (restart->saved.outcome == OUTCOME_DONE)
				continue; /* of a file, which is not in then */
			/* Of the directory: the new one is there already. */
			if (!strcmp(calls[i], "fsync") && skip)
				continue;
			now = contents(snap, &after);
			if (before != after || memcmp(old, now, before) != 0)
				fail_msg("%s number %u changed it", calls[i], skip);
			free(now);
		}
		/* As it was, for the next kind of call. */
		now = contents(snap, &after);
		free(old);
		old = now;
		before = after;
	}
	free(old);
}

static void another_daemon_with_the_same_file_is_not_disturbed(void **state)
{
	char lock[400];
	int fd;

	(void)state;
	open_restart();
	(void)snprintf(lock, sizeof(lock), "%s.lock", snap);
	fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	make_some();
	restart_save(restart, SAVE_ASKED);
	assert_attribute("save", "failed");
	assert_attribute("save_error", "EBUSY");
	assert_int_equal(access(snap, F_OK), -1);
	close(fd);
	restart_save(restart, SAVE_ASKED);
	assert_attribute("save", "done");
	/* And now it is the other one who may not. */
	fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(fd);
	let_go(some, ARRAY_SIZE(some));
}

/* ---- what cannot be used ---- */

static void write_snap(const char *text)
{
	FILE *file = fopen(snap, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

/* One that says of @count files named @names below nothing that one page was resident. */
static void write_snapshot(const char *const *names, size_t count)
{
	struct mmapfs_snapshot_writer *writer;

	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, snap, &writer), 0);
	for (size_t i = 0; i < count; i++) {
		struct mmapfs_snapshot_entry entry = { .size = sizeof(entry),
						       .name = names[i],
						       .file_size = PAGE };

		assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
		assert_int_equal(mmapfs_snapshot_add_range(
					 writer, (struct mmapfs_range){ 0, PAGE }), 0);
	}
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
}

static void damaged_snapshots_are_set_aside(void **state)
{
	static const char *const damaged[] = { "", "rubbish\n", "mmapfs-snapshot 3\n",
					       "mmapfs-snapshot 1\npage-size 4096\n" };
	static const char *const names[] = { "snap",	       "snap.damaged",
					     "snap.damaged-1", "snap.damaged-2",
					     "snap.damaged-3", "snap.lock" };

	(void)state;
	open_restart();
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		write_snap(damaged[i]);
		restart_restore(restart);
		assert_attribute("restore", "failed");
		assert_attribute("restore_error", "EBADMSG");
		assert_int_equal(access(snap, F_OK), -1);
	}
	make_save_evict();
	assert_names_in_place(names, ARRAY_SIZE(names));
	restart_restore(restart);
	assert_attribute("restore", "done");
}

static void what_cannot_be_set_aside_is_not_overwritten(void **state)
{
	char name[400];

	(void)state;
	open_restart();
	for (unsigned int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "%s.damaged-%u", snap, i);
		if (i == 0)
			*strrchr(name, '-') = '\0';
		assert_int_equal(symlink("nowhere", name), 0);
	}
	write_snap("precious");
	restart_restore(restart);
	assert_attribute("restore_error", "EBADMSG");
	restart_save(restart, SAVE_ASKED);
	assert_attribute("save_error", "EEXIST");
	assert_int_equal(scratch_size(snap), strlen("precious"));
}

static void a_snapshot_of_another_source_is_set_aside(void **state)
{
	static const char *const names[] = { "snap.lock", "snap.other" };
	char beside[300], outside[300], through[300];
	const char *const foreign[] = { "a", "/", "/nowhere/a", beside, outside, through };

	(void)state;
	(void)snprintf(beside, sizeof(beside), "%s-place/snap", scratch_dir);
	(void)snprintf(outside, sizeof(outside), "%s/../passwd", scratch_dir);
	(void)snprintf(through, sizeof(through), "%s/a/./b", scratch_dir);
	open_restart();
	write_snapshot(foreign, ARRAY_SIZE(foreign));
	restart_restore(restart);
	assert_attribute("restore", "failed");
	assert_attribute("restore_error", "EXDEV");
	assert_names_in_place(names, ARRAY_SIZE(names));
}

static void files_elsewhere_are_passed_over(void **state)
{
	char own[300];
	const char *const both[] = { "/nowhere/a", own };

	(void)state;
	(void)snprintf(own, sizeof(own), "%s/gone", scratch_dir);
	open_restart();
	write_snapshot(both, ARRAY_SIZE(both));
	restart_restore(restart);
	assert_attribute("restore", "done");
	assert_attribute("restore_changed", "1");
	assert_int_equal(restart->restored.total, PAGE);
	assert_int_equal(restart->restored.done, PAGE);
}

static void an_empty_snapshot_is_of_every_source(void **state)
{
	(void)state;
	open_restart();
	write_snapshot(NULL, 0);
	restart_restore(restart);
	assert_attribute("restore", "done");
	assert_int_equal(access(snap, F_OK), 0);
}

static const struct {
	const char *call;
	int error;
	const char *outcome;
	const char *name; /* of the error */
} restore_failures[] = {
	{ "openat", -EACCES, "failed", "EACCES" }, { "pread", -EIO, "failed", "EIO" },
	{ "openat", -ENOENT, "none", NULL },	   { "openat", -ENOMEM, "memory", NULL },
};

static void a_snapshot_that_cannot_be_read_stays(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	for (size_t i = 0; i < ARRAY_SIZE(restore_failures); i++) {
		fake_sys_install();
		fake_sys_script(restore_failures[i].call, 0, 1, restore_failures[i].error);
		restart_restore(restart);
		fake_sys_remove();
		assert_attribute("restore", restore_failures[i].outcome);
		assert_attribute("restore_error", restore_failures[i].name);
		assert_int_equal(access(snap, F_OK), 0);
	}
}

static ino_t broken; /* a file with bad blocks */

static bool is_broken(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == broken;
}

static int broken_readahead(int fd, uint64_t offset, size_t length)
{
	return is_broken(fd) ? -EIO : mmapfs__sys_real.readahead(fd, offset, length);
}

static int64_t broken_pread(int fd, void *buf, size_t length, uint64_t offset)
{
	return is_broken(fd) ? -EIO : mmapfs__sys_real.pread(fd, buf, length, offset);
}

static void a_file_that_cannot_be_read_does_not_end_it(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	broken = ino_of("a");
	fake_sys_install();
	fake_sys_table()->readahead = broken_readahead;
	fake_sys_table()->pread = broken_pread;
	restart_restore(restart);
	fake_sys_remove();
	assert_attribute("restore", "done");
	assert_attribute("restore_failed", "1");
	assert_attribute("restore_error", "EIO");
	assert_attribute("restore_files", "2");
	assert_resident("a", ".............");
	assert_resident("d/c", some[2].pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_failed_save_leaves_the_old_snapshot),
		TEST(a_save_that_fails_at_any_call_leaves_the_old_snapshot),
		TEST(another_daemon_with_the_same_file_is_not_disturbed),
		TEST(damaged_snapshots_are_set_aside),
		TEST(what_cannot_be_set_aside_is_not_overwritten),
		TEST(a_snapshot_of_another_source_is_set_aside),
		TEST(files_elsewhere_are_passed_over),
		TEST(an_empty_snapshot_is_of_every_source),
		TEST(a_snapshot_that_cannot_be_read_stays),
		TEST(a_file_that_cannot_be_read_does_not_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
