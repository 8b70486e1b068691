/* SPDX-License-Identifier: MIT */
/* test-cache-restart.c - what was resident is so again, and the last good snapshot is kept. */
#include "fs-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/time.h>
#include <time.h>

#include <mmapfs.h>

#include "base/macro.h"
#include "cache.h"
#include "cache_budget.h"
#include "cache_restart_private.h"
#include "ctl_private.h"
#include "fake-sys.h"

static char place[280]; /* the directory of the snapshot, outside of the source */
static char snap[300];
static struct options options;
static struct restart *restart;

/* ---- fixture ---- */

static int setup(void **state)
{
	if (fs_setup(state))
		return -1;
	(void)snprintf(place, sizeof(place), "%s-place", scratch_dir);
	(void)snprintf(snap, sizeof(snap), "%s/snap", place);
	if (mkdir(place, 0700))
		return -1;
	options = (struct options){ .snapshot = snap };
	fs.options = &options;
	fs.source = scratch_dir;
	restart = NULL;
	return 0;
}

static int teardown(void **state)
{
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	if (restart)
		restart->started = false; /* nothing is saved */
	restart_close(restart);
	if (nftw(place, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS))
		return -1;
	return fs_teardown(state);
}

static void open_restart(void)
{
	assert_int_equal(restart_open(&fs, &restart), 0);
	assert_non_null(restart);
}

/* As at the end of a mount and the start of the next. */
static void reopen(void)
{
	restart->started = false;
	restart = restart_close(restart);
	open_restart();
}

static int control(const char *value)
{
	struct ctl_words words;

	assert_int_equal(ctl_words_split(value, strlen(value), CTL_VALUE_MAX, &words), 0);
	return restart_control(restart, &words);
}

/* Value of @key in the attribute, or NULL. Static. */
static const char *attribute(const char *key)
{
	static char value[512];
	struct ctl_text text = { 0 };
	char line[64], *at;

	assert_int_equal(restart_print(restart, &text), 0);
	assert_int_equal(ctl_text_printf(&text, "%c", 0), 0);
	(void)snprintf(line, sizeof(line), "%s=", key);
	at = text.data;
	while (at && strncmp(at, line, strlen(line))) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (at)
		(void)snprintf(value, sizeof(value), "%.*s",
			       (int)strcspn(at + strlen(line), "\n"), at + strlen(line));
	ctl_text_free(&text);
	return at ? value : NULL;
}

static void assert_attribute(const char *key, const char *want)
{
	const char *got = attribute(key);

	if (!want != !got || (want && strcmp(want, got) != 0))
		fail_msg("%s is %s, not %s", key, got ? got : "missing", want ? want : "missing");
}

/* Wait until it is @want. */
static void await(const char *key, const char *want)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000; i++) {
		const char *got = attribute(key);

		if (got && strcmp(got, want) == 0)
			return;
		(void)nanosleep(&pause, NULL);
	}
	assert_attribute(key, want);
}

/* ---- files of which a picture says what is resident: "##..#" ---- */

struct picture {
	const char *name;
	const char *pages;
	char *addr;
};

static void evict(const char *name)
{
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

/* Map it, and touch what is to be resident: so it stays, and nothing comes along. */
static void hold(struct picture *picture)
{
	const size_t length = strlen(picture->pages) * PAGE;
	int fd = open(scratch_path(picture->name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	picture->addr = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(picture->addr != MAP_FAILED);
	close(fd);
	assert_int_equal(madvise(picture->addr, length, MADV_RANDOM), 0);
	for (size_t i = 0; picture->pages[i]; i++)
		if (picture->pages[i] == '#')
			assert_int_equal(madvise(picture->addr + i * PAGE, PAGE,
						 MADV_POPULATE_READ), 0);
}

static void release(struct picture *picture)
{
	assert_int_equal(munmap(picture->addr, strlen(picture->pages) * PAGE), 0);
	picture->addr = NULL;
}

static void make(struct picture *pictures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)scratch_file(pictures[i].name, strlen(pictures[i].pages) * PAGE);
		evict(pictures[i].name);
		hold(&pictures[i]);
	}
}

static void let_go(struct picture *pictures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		release(&pictures[i]);
		evict(pictures[i].name);
	}
}

static void assert_resident(const char *name, const char *want)
{
	const size_t pages = strlen(want);
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	unsigned char vec[256];
	char got[257] = "";
	void *addr = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(fd >= 0 && addr != MAP_FAILED && pages < sizeof(got));
	close(fd);
	assert_int_equal(mincore(addr, pages * PAGE, vec), 0);
	assert_int_equal(munmap(addr, pages * PAGE), 0);
	for (size_t i = 0; i < pages; i++)
		got[i] = vec[i] & 1 ? '#' : '.';
	assert_string_equal(got, want);
}

static struct picture some[] = {
	{ .name = "a", .pages = "##..........#" },
	{ .name = "b", .pages = "............." },
	{ .name = "d/c", .pages = "...######...." },
	{ .name = "d/e/f g", .pages = "#" },
};

static void make_some(void)
{
	assert_int_equal(mkdir(scratch_path("d"), 0755), 0);
	assert_int_equal(mkdir(scratch_path("d/e"), 0755), 0);
	make(some, ARRAY_SIZE(some));
}

static void make_save_evict(void)
{
	make_some();
	restart_save(restart, SAVE_ASKED);
	assert_attribute("save", "done");
	let_go(some, ARRAY_SIZE(some));
}

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

static ino_t ino_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(scratch_path(name), &st), 0);
	return st.st_ino;
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

static char *contents(const char *path, size_t *ret)
{
	FILE *file = fopen(path, "re");
	char *data = malloc(65536);

	assert_non_null(file);
	assert_non_null(data);
	*ret = fread(data, 1, 65536, file);
	(void)fclose(file);
	return data;
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

/* ---- the thread ---- */

static void at_the_start_it_restores_and_at_the_end_it_saves(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	reopen();
	restart_start(restart);
	await("restore", "done");
	assert_resident("d/c", some[2].pages);
	await("state", "idle");
	hold(&some[0]);
	evict("d/c");
	evict("d/e/f g");
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	restart = restart_close(restart);
	atomic_store(&fs.stopping, false);
	release(&some[0]);
	evict("a");
	open_restart();
	restart_restore(restart);
	assert_resident("a", some[0].pages);
	assert_resident("d/c", ".............");
}

static void a_mount_that_never_came_up_saves_nothing(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	assert_int_equal(unlink(snap), 0);
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	restart = restart_close(restart);
	assert_int_equal(access(snap, F_OK), -1);
}

static void it_saves_on_request_and_at_intervals(void **state)
{
	(void)state;
	open_restart();
	restart_start(restart);
	await("state", "idle");
	make_some();
	assert_int_equal(control("save"), 0);
	await("save", "done");
	await("state", "idle");
	assert_int_equal(unlink(snap), 0);
	assert_int_equal(control("interval 1"), 0);
	assert_attribute("interval", "1");
	while (access(snap, F_OK) < 0)
		(void)usleep(1000);
	assert_int_equal(control("interval 0"), 0);
	let_go(some, ARRAY_SIZE(some));
}

static void until_the_mount_is_up_a_restore_is_queued(void **state)
{
	(void)state;
	open_restart();
	assert_attribute("state", "queued");
	assert_int_equal(control("save"), -EBUSY);
	assert_int_equal(control("restore"), -EBUSY);
	restart_start(restart);
	await("state", "idle");
	assert_int_equal(control("save"), 0);
	await("save", "done");
}

/* Two pages a second, so that it certainly lasts. */
static void start_slowly(void)
{
	make_save_evict();
	reopen();
	atomic_store(&restart->rate, 2 * PAGE);
	restart_start(restart);
	await("state", "restoring");
}

static void a_restore_can_be_cancelled(void **state)
{
	(void)state;
	open_restart();
	start_slowly();
	assert_int_equal(control("save"), -EBUSY);
	assert_int_equal(control("restore"), -EBUSY);
	assert_int_equal(control("cancel"), 0);
	await("state", "idle");
	assert_attribute("restore", "cancelled");
	assert_true(restart->restored.done < restart->restored.total);
	/* Which was somebody's wish: what is resident at the end is saved. */
	assert_int_equal(control("cancel"), 0);
	assert_int_equal(control("rate 0"), 0);
	assert_int_equal(control("restore"), 0);
	await("restore", "done");
	assert_int_equal(restart->restored.done, restart->restored.total);
}

/* Or the half that was not read in yet would be forgotten. */
static void a_mount_that_ends_while_it_restores_keeps_the_snapshot(void **state)
{
	size_t before, after;
	char *old, *now;

	(void)state;
	open_restart();
	start_slowly();
	old = contents(snap, &before);
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	assert_attribute("restore", "cancelled");
	restart = restart_close(restart);
	now = contents(snap, &after);
	assert_int_equal(before, after);
	assert_memory_equal(old, now, before);
	free(old);
	free(now);
}

static void the_rate_is_kept_over_small_files(void **state)
{
	struct timespec begin, end;
	int64_t ms;

	(void)state;
	open_restart();
	make_save_evict();
	atomic_store(&restart->rate, 20 * PAGE);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	restart_restore(restart);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	assert_attribute("restore", "done");
	assert_true(ms >= 490); /* ten pages */
}

static void a_save_waits_for_nobody_but_a_restore_does(void **state)
{
	char lock[400];
	int fd;

	(void)state;
	open_restart();
	make_save_evict();
	reopen();
	(void)snprintf(lock, sizeof(lock), "%s.lock", snap);
	fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	restart_start(restart);
	await("state", "waiting");
	close(fd);
	await("restore", "done");
}

static void bad_words_are_refused(void **state)
{
	static const char *const bad[] = { "", "saves", "save now", "interval", "interval -1",
					   "interval 1x", "interval 86401", "rate",
					   "rate fast", "rate 1 2", "cancel save" };

	(void)state;
	open_restart();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(control(bad[i]), -EINVAL);
	assert_int_equal(control("rate 1M"), 0);
	assert_attribute("rate", "1048576");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_resident_is_so_again),
		TEST(the_snapshot_is_one_for_everybody),
		TEST(changed_and_missing_files_are_left_alone),
		TEST(a_directory_that_became_a_link_is_not_followed),
		TEST(no_snapshot_is_how_it_begins),
		TEST(the_hottest_come_first),
		TEST(no_more_is_read_than_the_budget_has_room_for),
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
		TEST(without_the_option_there_is_nothing),
		TEST(a_place_that_cannot_be_is_refused),
		TEST(a_relative_place_is_that_of_the_start),
		TEST(at_the_start_it_restores_and_at_the_end_it_saves),
		TEST(a_mount_that_never_came_up_saves_nothing),
		TEST(until_the_mount_is_up_a_restore_is_queued),
		TEST(it_saves_on_request_and_at_intervals),
		TEST(a_restore_can_be_cancelled),
		TEST(a_mount_that_ends_while_it_restores_keeps_the_snapshot),
		TEST(the_rate_is_kept_over_small_files),
		TEST(a_save_waits_for_nobody_but_a_restore_does),
		TEST(bad_words_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
