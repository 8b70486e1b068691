/* SPDX-License-Identifier: MIT */
/* restart-help.h - what the tests of the warm restart share: a place for its snapshot,
 * what it says of itself, and files of which a picture says what is resident. */
#ifndef RESTART_HELP_H
#define RESTART_HELP_H

#include <time.h>

#include "base/macro.h"
#include "cache_restart_private.h"
#include "ctl_private.h"
#include "fs-fixture.h"

static char place[280]; /* the directory of the snapshot, outside of the source */
static char snap[300];
static struct options options;
static struct restart *restart;

/* ---- fixture ---- */

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void open_restart(void)
{
	assert_int_equal(restart_open(&fs, &restart), 0);
	assert_non_null(restart);
}

/* As at the end of a mount and the start of the next. */
static inline void reopen(void)
{
	restart->started = false;
	restart = restart_close(restart);
	open_restart();
}

static inline int control(const char *value)
{
	struct ctl_words words;

	assert_int_equal(ctl_words_split(value, strlen(value), CTL_VALUE_MAX, &words), 0);
	return restart_control(restart, &words);
}

/* Value of @key in the attribute, or NULL. Static. */
static inline const char *attribute(const char *key)
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

static inline void assert_attribute(const char *key, const char *want)
{
	const char *got = attribute(key);

	if (!want != !got || (want && strcmp(want, got) != 0))
		fail_msg("%s is %s, not %s", key, got ? got : "missing", want ? want : "missing");
}

/* Wait until it is @want. */
static inline void await(const char *key, const char *want)
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

static inline void evict(const char *name)
{
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

/* Map it, and touch what is to be resident: so it stays, and nothing comes along. */
static inline void hold(struct picture *picture)
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

static inline void release(struct picture *picture)
{
	assert_int_equal(munmap(picture->addr, strlen(picture->pages) * PAGE), 0);
	picture->addr = NULL;
}

static inline void make(struct picture *pictures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)scratch_file(pictures[i].name, strlen(pictures[i].pages) * PAGE);
		evict(pictures[i].name);
		hold(&pictures[i]);
	}
}

static inline void let_go(struct picture *pictures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		release(&pictures[i]);
		evict(pictures[i].name);
	}
}

static inline void assert_resident(const char *name, const char *want)
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

static inline void make_some(void)
{
	assert_int_equal(mkdir(scratch_path("d"), 0755), 0);
	assert_int_equal(mkdir(scratch_path("d/e"), 0755), 0);
	make(some, ARRAY_SIZE(some));
}

static inline void make_save_evict(void)
{
	make_some();
	restart_save(restart, SAVE_ASKED);
	assert_attribute("save", "done");
	let_go(some, ARRAY_SIZE(some));
}

/* ---- looking at files ---- */

static inline ino_t ino_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(scratch_path(name), &st), 0);
	return st.st_ino;
}

static inline char *contents(const char *path, size_t *ret)
{
	FILE *file = fopen(path, "re");
	char *data = malloc(65536);

	assert_non_null(file);
	assert_non_null(data);
	*ret = fread(data, 1, 65536, file);
	(void)fclose(file);
	return data;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
