/* SPDX-License-Identifier: MIT */
/* scratch.h - a directory of the test's own, on a real disk, and files in it. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* The thread sanitizer delivers signals in its own way and keeps most of the address space. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

static char scratch_dir[256];

/* Not /tmp, which may be tmpfs. For cmocka's group setup. */
static inline int scratch_setup(void **state)
{
	const char *parent = getenv("TMPDIR");

	(void)state;
	(void)snprintf(scratch_dir, sizeof(scratch_dir), "%s/mmapfs-test-XXXXXX",
		       parent ? parent : "/var/tmp");
	return mkdtemp(scratch_dir) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
				     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int scratch_teardown(void **state)
{
	(void)state;
	return nftw(scratch_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Path of @name in the directory. Static: good until the next call. */
static inline const char *scratch_path(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", scratch_dir, name);
	return path;
}

/* (Re)make file @name of @size bytes, byte i being i % 251; returns its path. */
static inline const char *scratch_file(const char *name, size_t size)
{
	const char *path = scratch_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	unsigned char *bytes = malloc(size + 1);
	size_t i;

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i % 251);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	free(bytes);
	close(fd);
	return path;
}

static inline uint64_t scratch_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

#endif
