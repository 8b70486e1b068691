/* SPDX-License-Identifier: MIT */
/*
 * fuzz-list.c - mmapctl's --files-from: the first byte '0' is -0, the rest the list. What is
 * walked has to be what a plain split of the list gives.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "select.h"

#define NAMES_MAX 4096

/* What is still expected: names are met in their order, each as a file, an error or a skip. */
struct expected {
	char *names[NAMES_MAX];
	bool two[NAMES_MAX]; /* has a NUL inside: may only be refused */
	size_t count, at;
	bool overflow;
};

void fuzz_begin(void)
{
	/* Where no short name is a file, but for "f". */
	check(chdir("/proc/self") == 0);
}

static void met(struct expected *expected, const char *name, bool refused)
{
	if (expected->overflow)
		return;
	check(expected->at < expected->count);
	check(refused || !expected->two[expected->at]);
	check(strcmp(expected->names[expected->at++], name) == 0);
}

static int on_candidate(void *ctx, const struct candidate *candidate)
{
	check(candidate->operand && !candidate->dir);
	met(ctx, candidate->name, false);
	return 0;
}

static void on_error(void *ctx, const char *op, const char *path, int error)
{
	check(op && error < 0);
	met(ctx, path, true);
}

static void on_skip(void *ctx, const char *path, const char *what)
{
	check(what && *what);
	met(ctx, path, false);
}

static bool on_stop(void *ctx)
{
	(void)ctx;
	return false;
}

static void expect(struct expected *expected, const char *name, size_t length)
{
	if (length == 0)
		return;
	if (expected->count == NAMES_MAX) {
		expected->overflow = true;
		return;
	}
	expected->two[expected->count] = memchr(name, 0, length) != NULL;
	expected->names[expected->count++] = fuzz_text(name, length);
}

static void expect_all(struct expected *expected, const char *list, size_t length, char end)
{
	const char *stop = list + length, *mark;

	while (list < stop && (mark = memchr(list, end, (size_t)(stop - list)))) {
		expect(expected, list, (size_t)(mark - list));
		list = mark + 1;
	}
	expect(expected, list, (size_t)(stop - list));
}

static int file_with(const char *data, size_t length)
{
	int fd = memfd_create("list", MFD_CLOEXEC);

	check(fd >= 0);
	check(write(fd, data, length) == (ssize_t)length);
	return fd;
}

enum verdict fuzz_input(const char *data, size_t length)
{
	static const struct select_ops ops = { on_candidate, on_error, on_skip, on_stop };
	static struct expected expected;
	struct select_options options = { .max_size = UINT64_MAX, .no_recursion = true };
	char path[64];
	int fd;

	if (length == 0)
		return REJECTED;
	expected.count = expected.at = 0;
	expected.overflow = false;
	options.nul = data[0] == '0';
	expect_all(&expected, data + 1, length - 1, options.nul ? 0 : '\n');
	fd = file_with(data + 1, length - 1);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	options.files_from = path;
	check(select_walk(&options, NULL, 0, &ops, &expected) == 0);
	check(expected.overflow || expected.at == expected.count);
	(void)close(fd);
	for (size_t i = 0; i < expected.count; i++)
		free(expected.names[i]);
	return expected.count ? ACCEPTED : REJECTED;
}
