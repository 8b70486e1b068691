/* SPDX-License-Identifier: MIT */
/*
 * meta.c - the system calls of a metadata workload, and nothing else, timed.
 *
 *   meta WORK DIRECTORY COUNT
 *
 * Prints seconds. The files of DIRECTORY are NN/FILE, a hundred to a directory, as `make`
 * makes them. Programs such as find cost time of their own, which hides a part of the
 * filesystem's; here is none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PER_DIRECTORY 100
#define BLOCK 4096

static const char *top;
static long count;

static void fail(const char *what, const char *name)
{
	fprintf(stderr, "meta: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct name {
	char text[4096];
};

static struct name file_name(long i)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "%s/%04ld/f%07ld", top, i / PER_DIRECTORY, i);
	return name;
}

static struct name directory_name(long i)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "%s/%04ld", top, i / PER_DIRECTORY);
	return name;
}

static void make_directories(void)
{
	for (long i = 0; i < count; i += PER_DIRECTORY) {
		struct name name = directory_name(i);

		if (mkdir(name.text, 0755) < 0 && errno != EEXIST)
			fail("mkdir", name.text);
	}
}

static void create_file(long i, size_t size)
{
	static char block[BLOCK];
	struct name name = file_name(i);
	int fd = open(name.text, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || (size && write(fd, block, size) != (ssize_t)size))
		fail("create", name.text);
	close(fd);
}

static void stat_file(long i)
{
	struct name name = file_name(i);
	struct stat st;

	if (lstat(name.text, &st) < 0)
		fail("stat", name.text);
}

static void read_file(long i)
{
	static char block[BLOCK];
	struct name name = file_name(i);
	int fd = open(name.text, O_RDONLY);

	if (fd < 0 || read(fd, block, sizeof(block)) < 0)
		fail("read", name.text);
	close(fd);
}

static void unlink_file(long i)
{
	struct name name = file_name(i);

	if (unlink(name.text) < 0)
		fail("unlink", name.text);
}

/* As find and ls -l do: each directory to its end, then its files. */
static void list(void)
{
	for (long i = 0; i < count; i += PER_DIRECTORY) {
		struct name name = directory_name(i);
		DIR *dir = opendir(name.text);

		if (!dir)
			fail("opendir", name.text);
		while (readdir(dir))
			;
		closedir(dir);
		for (long f = i; f < i + PER_DIRECTORY && f < count; f++)
			stat_file(f);
	}
}

static void each(void (*work)(long i))
{
	for (long i = 0; i < count; i++)
		work(i);
}

static void create_empty(long i)
{
	create_file(i, 0);
}

static void make_file(long i)
{
	create_file(i, BLOCK);
}

/* One file, the same attribute again and again; DIRECTORY is the file. */
static void get_attribute(const char *name)
{
	char value[65536];

	for (long i = 0; i < count; i++) {
		if (getxattr(top, name, value, sizeof(value)) < 0 && errno != ENODATA)
			fail("getxattr", top);
	}
}

static double timed(void (*work)(void))
{
	double begin = now();

	work();
	return now() - begin;
}

static void do_make(void)
{
	make_directories();
	each(make_file);
}

static void do_stat(void)
{
	each(stat_file);
}

static void do_read(void)
{
	each(read_file);
}

static void do_create(void)
{
	each(create_empty);
}

static void do_unlink(void)
{
	each(unlink_file);
}

static void remove_directories(void)
{
	for (long i = 0; i < count; i += PER_DIRECTORY)
		(void)rmdir(directory_name(i).text);
}

static double run(const char *work)
{
	double seconds;

	if (strcmp(work, "make") == 0)
		return timed(do_make);
	if (strcmp(work, "list") == 0)
		return timed(list);
	if (strcmp(work, "stat") == 0) {
		list(); /* attributes that are asked for right after a listing are at hand */
		return timed(do_stat);
	}
	if (strcmp(work, "stat-cold") == 0)
		return timed(do_stat);
	if (strcmp(work, "read") == 0)
		return timed(do_read);
	if (strcmp(work, "create") == 0 || strcmp(work, "create-unlink") == 0) {
		make_directories();
		seconds = timed(do_create);
		if (strcmp(work, "create") == 0)
			return seconds;
		seconds += timed(do_unlink);
		remove_directories();
		return seconds;
	}
	if (strncmp(work, "getxattr:", 9) == 0) {
		seconds = now();
		get_attribute(work + 9);
		return now() - seconds;
	}
	fprintf(stderr, "meta: unknown work '%s'\n", work);
	exit(2);
}

int main(int argc, char **argv)
{
	if (argc != 4 || (count = atol(argv[3])) <= 0) {
		fprintf(stderr, "Usage: meta WORK DIRECTORY COUNT\n");
		return 2;
	}
	top = argv[2];
	printf("%.6f\n", run(argv[1]));
	return 0;
}
