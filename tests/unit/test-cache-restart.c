/* SPDX-License-Identifier: MIT */
/* test-cache-restart.c - what was resident is so again, the hottest first and as much as
 * there is room for; and where the snapshot may be. */
#include "restart-help.h"

#include <errno.h>
#include <sys/time.h>

#include <mmapfs.h>

#include "cache.h"
#include "cache_budget.h"
#include "fake-sys.h"

/* ---- there and back ---- */

static void what_was_resident_is_so_again(void **state)
{
	struct stat st;

	(void)state;
	open_restart();
	make_save_evict();
	assert_attribute("save_files", "3");
	assert_attribute("save_unknown", "0");
	assert_int_equal(stat(snap, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	reopen();
	restart_restore(restart);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_resident(some[i].name, some[i].pages);
	assert_attribute("restore", "done");
	assert_attribute("restore_files", "3");
	assert_attribute("restore_changed", "0");
	assert_attribute("restore_failed", "0");
	assert_attribute("restore_error", NULL);
	assert_int_equal(restart->restored.done, 10 * PAGE);
	assert_int_equal(restart->restored.total, 10 * PAGE);
	assert_int_equal(restart->restored.read, 10 * PAGE);
}

static void the_snapshot_is_one_for_everybody(void **state)
{
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	struct mmapfs_snapshot *snapshot;

	(void)state;
	open_restart();
	make_save_evict();
	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, snap, NULL, &snapshot), 0);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 1);
	assert_string_equal(entry.name, scratch_path("a"));
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 1);
	assert_string_equal(entry.name, scratch_path("d/c"));
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 1);
	assert_string_equal(entry.name, scratch_path("d/e/f g"));
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 0);
	mmapfs_snapshot_close(snapshot);
}

static void changed_and_missing_files_are_left_alone(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	assert_int_equal(utimes(scratch_path("a"), NULL), 0);
	assert_int_equal(remove(scratch_path("d/e/f g")), 0);
	assert_int_equal(symlink("../a", scratch_path("d/e/f g")), 0);
	reopen();
	restart_restore(restart);
	assert_resident("a", ".............");
	assert_resident("d/c", some[2].pages);
	assert_attribute("restore", "done");
	assert_attribute("restore_files", "1");
	assert_attribute("restore_changed", "2");
}

static void a_directory_that_became_a_link_is_not_followed(void **state)
{
	char target[600];

	(void)state;
	open_restart();
	make_save_evict();
	(void)snprintf(target, sizeof(target), "%s/moved", scratch_dir);
	assert_int_equal(rename(scratch_path("d"), target), 0);
	assert_int_equal(symlink("moved", scratch_path("d")), 0);
	reopen();
	restart_restore(restart);
	assert_resident("moved/c", ".............");
	assert_attribute("restore_files", "1");
	assert_attribute("restore_changed", "2");
}

static void no_snapshot_is_how_it_begins(void **state)
{
	(void)state;
	open_restart();
	restart_restore(restart);
	assert_attribute("restore", "none");
	assert_attribute("restore_error", NULL);
	assert_attribute("save_time", "none");
}

/* ---- the order ---- */

static ino_t readahead_order[64];
static unsigned int readahead_count;

static int note_readahead(int fd, uint64_t offset, size_t length)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_true(readahead_count < ARRAY_SIZE(readahead_order));
	readahead_order[readahead_count++] = st.st_ino;
	return mmapfs__sys_real.readahead(fd, offset, length);
}

static void the_hottest_come_first(void **state)
{
	struct picture files[] = { { .name = "cold", .pages = "#" },
				   { .name = "closed", .pages = "#" },
				   { .name = "open", .pages = "#" } };
	struct inode *closed, *opened;

	(void)state;
	open_restart();
	make(files, ARRAY_SIZE(files));
	closed = inode_of("closed");
	opened = inode_of("open");
	restart_used(closed);
	opened->opens = 1;
	restart_save(restart, SAVE_ASKED);
	opened->opens = 0;
	drop(closed);
	drop(opened);
	let_go(files, ARRAY_SIZE(files));
	reopen();
	readahead_count = 0;
	fake_sys_install();
	fake_sys_table()->readahead = note_readahead;
	restart_restore(restart);
	fake_sys_remove();
	assert_int_equal(readahead_count, 3);
	assert_int_equal(readahead_order[0], ino_of("open"));
	assert_int_equal(readahead_order[1], ino_of("closed"));
	assert_int_equal(readahead_order[2], ino_of("cold"));
}

/* ---- the budget ---- */

/* One that never looks, so that only what it is told counts. */
static void no_more_is_read_than_the_budget_has_room_for(void **state)
{
	static char pages[257];
	struct picture files[] = { { .name = "a", .pages = pages },
				   { .name = "b", .pages = pages } };
	struct cache cache = { .restart = NULL };
	uint64_t room;

	(void)state;
	memset(pages, '#', sizeof(pages) - 1);
	open_restart();
	make(files, ARRAY_SIZE(files));
	restart_save(restart, SAVE_ASKED);
	let_go(files, ARRAY_SIZE(files));
	reopen();
	assert_int_equal(budget_new(&fs, 300 * PAGE, &cache.budget), 0);
	fs.cache = &cache;
	room = cache_room(&fs);
	assert_in_range(room, 257 * PAGE, 300 * PAGE);
	restart_restore(restart);
	assert_attribute("restore", "budget");
	assert_attribute("restore_files", "1");
	assert_in_range(restart->restored.read, 256 * PAGE, room);
	fs.cache = NULL;
	assert_null(budget_free(cache.budget));
}

/* ---- the place ---- */

static void without_the_option_there_is_nothing(void **state)
{
	(void)state;
	options.snapshot = NULL;
	assert_int_equal(restart_open(&fs, &restart), 0);
	assert_null(restart);
	assert_attribute("state", "off");
	assert_int_equal(control("save"), -EOPNOTSUPP);
	restart_start(restart);
	restart_stop(restart);
	assert_null(restart_close(restart));
}

static void a_place_that_cannot_be_is_refused(void **state)
{
	const struct {
		const char *dir;
		const char *name;
		int error;
	} rows[] = {
		{ scratch_dir, "snap", -EINVAL },   { scratch_dir, "d/snap", -EINVAL },
		{ scratch_dir, "d/../snap", -EINVAL }, { place, "source/snap", -EINVAL },
		{ place, "nowhere/snap", -ENOENT }, { place, "", -EISDIR },
		{ place, ".", -EISDIR },	    { place, "..", -EISDIR },
		{ place, "dir", -EINVAL },	    { place, "link", -EINVAL },
		{ place, "fifo", -EINVAL },	    { place, "taken", -EISDIR },
	};
	char path[400];

	(void)state;
	assert_int_equal(mkdir(scratch_path("d"), 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/dir", place);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/taken.lock", place);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/link", place);
	assert_int_equal(symlink("snap", path), 0);
	(void)snprintf(path, sizeof(path), "%s/fifo", place);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/source", place);
	assert_int_equal(symlink(scratch_dir, path), 0);
	options.snapshot = path;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r;

		(void)snprintf(path, sizeof(path), "%s/%s", rows[i].dir, rows[i].name);
		r = restart_open(&fs, &restart);
		if (r != rows[i].error)
			fail_msg("%s: %d", path, r);
		assert_null(restart);
	}
}

static void a_relative_place_is_that_of_the_start(void **state)
{
	char before[512];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(place), 0);
	options.snapshot = (char[]){ "snap" };
	open_restart();
	assert_int_equal(chdir(before), 0);
	assert_attribute("file", snap);
	restart_save(restart, SAVE_ASKED);
	assert_int_equal(access(snap, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_resident_is_so_again),
		TEST(the_snapshot_is_one_for_everybody),
		TEST(changed_and_missing_files_are_left_alone),
		TEST(a_directory_that_became_a_link_is_not_followed),
		TEST(no_snapshot_is_how_it_begins),
		TEST(the_hottest_come_first),
		TEST(no_more_is_read_than_the_budget_has_room_for),
		TEST(without_the_option_there_is_nothing),
		TEST(a_place_that_cannot_be_is_refused),
		TEST(a_relative_place_is_that_of_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
