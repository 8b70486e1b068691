/* SPDX-License-Identifier: MIT */
/* test-tools-select.c - which files are found by operands, trees, lists, globs, processes. */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/macro.h"
#include "select.h"

/* What a walk said, sorted: "path" of files, "!path" of errors, "-path: what" of skips. */
struct said {
	const struct select_options *options;
	char *lines[64];
	size_t count;
	unsigned int stop_after; /* 0: never */
};

static void add(struct said *said, const char *mark, const char *path, const char *rest)
{
	char line[512];

	/* Below the scratch directory only what follows matters. */
	if (strncmp(path, scratch_dir, strlen(scratch_dir)) == 0)
		path += strlen(scratch_dir) + (path[strlen(scratch_dir)] == '/');
	snprintf(line, sizeof(line), "%s%s%s", mark, path, rest);
	assert_true(said->count < ARRAY_SIZE(said->lines));
	said->lines[said->count++] = strdup(line);
}

static int on_candidate(void *ctx, const struct candidate *candidate)
{
	struct said *said = ctx;
	struct found found;
	char *path = NULL;
	size_t capacity = 0;
	int r;

	assert_int_equal(candidate_path(candidate, &path, &capacity), 0);
	r = select_open(said->options, candidate, &found);
	if (r == VERDICT_FOUND) {
		add(said, "", path, "");
		close(found.fd);
	} else if (r == VERDICT_SKIP) {
		add(said, "-", path, "");
	} else if (r < 0) {
		add(said, "!", path, "");
	}
	free(path);
	return 0;
}

static void on_error(void *ctx, const char *op, const char *path, int error)
{
	char rest[64];

	snprintf(rest, sizeof(rest), ": %s %d", op, -error);
	add(ctx, "!", path, rest);
}

static void on_skip(void *ctx, const char *path, const char *what)
{
	char rest[64];

	snprintf(rest, sizeof(rest), ": %s", what);
	add(ctx, "-", path, rest);
}

static bool on_stop(void *ctx)
{
	struct said *said = ctx;

	return said->stop_after > 0 && said->count >= said->stop_after;
}

static const struct select_ops ops = {
	.candidate = on_candidate,
	.error = on_error,
	.skip = on_skip,
	.stop = on_stop,
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Walk @operand (of the scratch directory; NULL: none) and compare, ignoring the order. */
static void expect(struct select_options *options, const char *operand, const char *want)
{
	struct said said = { .options = options };
	char path[300], all[4096] = "";
	char *operands[] = { path };

	if (options->max_size == 0)
		options->max_size = UINT64_MAX;
	snprintf(path, sizeof(path), "%s/%s", scratch_dir, operand ? operand : "");
	assert_int_equal(select_walk(options, operands, operand ? 1 : 0, &ops, &said), 0);
	qsort(said.lines, said.count, sizeof(said.lines[0]), compare);
	for (size_t i = 0; i < said.count; i++) {
		strcat(strcat(all, i ? "|" : ""), said.lines[i]);
		free(said.lines[i]);
	}
	assert_string_equal(all, want);
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(scratch_path(name), 0755), 0);
}

static void make_link(const char *to, const char *name)
{
	assert_int_equal(symlink(to, scratch_path(name)), 0);
}

static void make_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(strlen(scratch_path(name)) < sizeof(address.sun_path));
	strcpy(address.sun_path, scratch_path(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

/*
 * t/a.c 100 bytes, t/b.h 5000, t/empty, t/fifo, t/sock, t/link -> a.c, t/loop -> .,
 * t/gone -> nowhere, t/sub/c.c 1, t/sub/deep/d.c 1; out.c 1 outside, t/dirlink -> ../other
 * with other/x.c
 */
static int setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	make_dir("t");
	make_dir("t/sub");
	make_dir("t/sub/deep");
	make_dir("other");
	scratch_file("t/a.c", 100);
	scratch_file("t/b.h", 5000);
	scratch_file("t/empty", 0);
	scratch_file("t/sub/c.c", 1);
	scratch_file("t/sub/deep/d.c", 1);
	scratch_file("other/x.c", 1);
	assert_int_equal(mkfifo(scratch_path("t/fifo"), 0644), 0);
	make_socket("t/sock");
	make_link("a.c", "t/link");
	make_link(".", "t/loop");
	make_link("nowhere", "t/gone");
	make_link("../other", "t/dirlink");
	return 0;
}

#define SKIPPED "-t/fifo: a FIFO|-t/sock: a socket"

static void trees_are_entered_and_fifos_skipped(void **state)
{
	struct select_options options = { 0 };

	(void)state;
	expect(&options, "t",
	       SKIPPED "|t/a.c|t/b.h|t/empty|t/sub/c.c|t/sub/deep/d.c");
}

static void operands_of_every_kind(void **state)
{
	static const struct {
		const char *operand, *want;
	} rows[] = {
		{ "t/a.c", "t/a.c" },
		{ "t/link", "t/link" },
		{ "t/fifo", "-t/fifo: a FIFO" },
		{ "t/sock", "-t/sock: a socket" },
		{ "t/none", "!t/none: open 2" },
		{ "t/gone", "!t/gone: open 2" },
		{ "t/a.c/x", "!t/a.c/x: open 20" },
		{ "t/dirlink", "t/dirlink/x.c" },
		{ "t/sub/", "t/sub/c.c|t/sub/deep/d.c" },
		{ "t/sub/deep/../c.c", "t/sub/deep/../c.c" },
	};
	struct select_options options = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect(&options, rows[i].operand, rows[i].want);
}

static void links_are_followed_as_told(void **state)
{
	struct select_options all = { .follow = FOLLOW_ALL };
	struct select_options none = { .follow = FOLLOW_NONE };

	(void)state;
	expect(&all, "t",
	       "-t/fifo: a FIFO|-t/gone: a symbolic link that leads nowhere|-t/sock: a socket|"
	       "t/a.c|t/b.h|t/dirlink/x.c|t/empty|t/link|t/sub/c.c|t/sub/deep/d.c");
	expect(&none, "t/link", "-t/link: a symbolic link");
	expect(&none, "t/dirlink", "-t/dirlink: a symbolic link");
}

static void globs_choose_by_name_or_whole_path(void **state)
{
	const char *c[] = { "*.c" }, *h_or_empty[] = { "*.h", "e*" }, *deep[] = { "*/deep/*" };
	const char *sub[] = { "sub" };
	struct {
		struct select_globs include, exclude;
		const char *want;
	} rows[] = {
		{ { c, 1 }, { NULL, 0 }, "t/a.c|t/sub/c.c|t/sub/deep/d.c" },
		{ { h_or_empty, 2 }, { NULL, 0 }, "t/b.h|t/empty" },
		{ { NULL, 0 }, { c, 1 }, "t/b.h|t/empty" },
		{ { NULL, 0 }, { sub, 1 }, "t/a.c|t/b.h|t/empty" },
		{ { deep, 1 }, { NULL, 0 }, "t/sub/deep/d.c" },
		{ { c, 1 }, { deep, 1 }, "t/a.c|t/sub/c.c" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct select_options options = { .include = rows[i].include,
						  .exclude = rows[i].exclude };
		char want[256];

		snprintf(want, sizeof(want), "%s|%s", SKIPPED, rows[i].want);
		expect(&options, "t", want);
	}
}

static void sizes_choose(void **state)
{
	struct select_options small = { .max_size = 100 }, large = { .min_size = 101 };

	(void)state;
	expect(&small, "t", SKIPPED "|t/a.c|t/empty|t/sub/c.c|t/sub/deep/d.c");
	expect(&large, "t", SKIPPED "|t/b.h");
}

static void directories_can_be_left_alone(void **state)
{
	struct select_options options = { .no_recursion = true };

	(void)state;
	expect(&options, "t", "-t: a directory");
}

static void write_list(const char *name, const char *text, size_t length)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static void lists_of_names(void **state)
{
	static const struct {
		const char *tail;
		bool nul;
		const char *want;
	} rows[] = {
		{ "\n", false, "t/a.c|t/b.h" },
		{ "", false, "t/a.c|t/b.h" }, /* no newline at the end */
		{ "\n\n\n", false, "t/a.c|t/b.h" },
		{ "", true, "t/a.c|t/b.h" },
	};
	struct select_options options = { 0 };
	char text[1024], list[300];

	(void)state;
	snprintf(list, sizeof(list), "%s/list", scratch_dir);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int length = snprintf(text, sizeof(text), "%s/t/a.c\n%s/t/b.h%s", scratch_dir,
				      scratch_dir, rows[i].tail);

		for (char *p = text; rows[i].nul && *p; p++)
			*p = *p == '\n' ? 0 : *p;
		write_list("list", text, (size_t)length);
		options.files_from = list;
		options.nul = rows[i].nul;
		expect(&options, NULL, rows[i].want);
	}
	assert_int_equal(unlink(list), 0);
	expect(&options, NULL, "!list: read 2");
}

/* As of `find -print0` where -0 was forgotten: the first name alone would be taken. */
static void names_with_a_nul_inside_are_refused(void **state)
{
	struct select_options options = { 0 };
	char text[1024], list[300];
	int length;

	(void)state;
	snprintf(list, sizeof(list), "%s/list", scratch_dir);
	length = snprintf(text, sizeof(text), "%s/t/a.c%c%s/t/b.h%c\n%s/t/b.h%c", scratch_dir, 0,
			  scratch_dir, 0, scratch_dir, 0);
	write_list("list", text, (size_t)length);
	options.files_from = list;
	expect(&options, NULL, "!t/a.c: open 22|!t/b.h: open 22");
	assert_int_equal(unlink(list), 0);
}

static void one_byte_names_and_newlines_are_names(void **state)
{
	struct select_options options = { 0 };

	(void)state;
	make_dir("odd");
	scratch_file("odd/\n", 1);
	scratch_file("odd/\xff", 1);
	scratch_file("odd/ ", 1);
	expect(&options, "odd", "odd/\n|odd/ |odd/\xff");
}

/* Names of 200 bytes: the path is far longer than the kernel takes at once. */
#define DEPTH 100

static void make_deep(void)
{
	char name[201];
	int at = open(scratch_dir, O_RDONLY | O_DIRECTORY), next;

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(mkdirat(at, "deep", 0755), 0);
	next = openat(at, "deep", O_RDONLY | O_DIRECTORY);
	close(at);
	at = next;
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(mkdirat(at, name, 0755), 0);
		/* So that the walk has to come back from below. */
		assert_int_equal(mkdirat(at, "side", 0755), 0);
		next = openat(at, "side/f", O_WRONLY | O_CREAT, 0644);
		assert_true(next >= 0);
		close(next);
		next = openat(at, name, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
}

static int count_candidate(void *ctx, const struct candidate *candidate)
{
	struct select_options options = { .max_size = UINT64_MAX };
	struct found found;
	unsigned int *count = ctx;

	assert_int_equal(select_open(&options, candidate, &found), VERDICT_FOUND);
	close(found.fd);
	++*count;
	return 0;
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static void fail_on_error(void *ctx, const char *op, const char *path, int error)
{
	(void)ctx;
	(void)path;
	fail_msg("%s: %d", op, error);
}

static void very_deep_trees_need_few_descriptors(void **state)
{
	static const struct select_ops count_ops = {
		.candidate = count_candidate,
		.error = fail_on_error,
		.skip = on_skip,
		.stop = never,
	};
	struct select_options options = { .max_size = UINT64_MAX };
	struct rlimit before, few;
	char path[300], command[400];
	char *operands[] = { path };
	unsigned int count = 0;

	(void)state;
	make_deep();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	snprintf(path, sizeof(path), "%s/deep", scratch_dir);
	assert_int_equal(select_walk(&options, operands, 1, &count_ops, &count), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(count, DEPTH);
	/* Too deep for the teardown. */
	snprintf(command, sizeof(command), "rm -r -- '%s'", path);
	assert_int_equal(system(command), 0);
}

static void a_walk_can_be_stopped(void **state)
{
	struct select_options options = { .max_size = UINT64_MAX };
	struct said said = { .options = &options, .stop_after = 1 };
	char path[300];
	char *operands[] = { path, path, path };

	(void)state;
	snprintf(path, sizeof(path), "%s/t", scratch_dir);
	assert_int_equal(select_walk(&options, operands, 3, &ops, &said), -EINTR);
	/* At most one listing of the directory. */
	assert_true(said.count >= 1 && said.count < 9);
	for (size_t i = 0; i < said.count; i++)
		free(said.lines[i]);
}

static bool has_line(const struct said *said, const char *line)
{
	for (size_t i = 0; i < said->count; i++)
		if (strcmp(said->lines[i], line) == 0)
			return true;
	return false;
}

static void files_of_a_process_mapped_or_open(void **state)
{
	pid_t pid = getpid();
	struct select_options options = { .pids = &pid, .pid_count = 1, .max_size = UINT64_MAX };
	struct said said = { .options = &options };
	int open_fd = open(scratch_file("opened", 5), O_RDONLY);
	int mapped_fd = open(scratch_file("mapped file", 5), O_RDONLY);
	void *base = mmap(NULL, 5, PROT_READ, MAP_SHARED, mapped_fd, 0);

	(void)state;
	assert_true(base != MAP_FAILED);
	close(mapped_fd);
	/* Opened through /proc, so it is found also when its name is gone. */
	assert_int_equal(unlink(scratch_path("opened")), 0);
	assert_int_equal(select_walk(&options, NULL, 0, &ops, &said), 0);
	assert_true(has_line(&said, "mapped file"));
	assert_true(has_line(&said, "opened (deleted)"));
	munmap(base, 5);
	close(open_fd);
	for (size_t i = 0; i < said.count; i++)
		free(said.lines[i]);
}

static void no_such_process_is_an_error(void **state)
{
	pid_t pid = 0x3ffffff;
	struct select_options options = { .pids = &pid, .pid_count = 1 };

	(void)state;
	expect(&options, NULL,
	       "!/proc/67108863/fd: list 2|!/proc/67108863/maps: read 2");
}

static void files_seen_before_are_known(void **state)
{
	struct seen *seen = seen_new();

	(void)state;
	for (uint64_t i = 1; i <= 10000; i++)
		assert_false(seen_before(seen, 7, i * 64));
	for (uint64_t i = 1; i <= 10000; i++)
		assert_true(seen_before(seen, 7, i * 64));
	assert_false(seen_before(seen, 8, 64));
	assert_false(seen_is_full(seen));
	seen_free(seen);
}

static void what_was_seen_is_bounded(void **state)
{
	struct seen *seen = seen_new();
	uint64_t i;

	(void)state;
	for (i = 1; !seen_is_full(seen); i++)
		assert_false(seen_before(seen, 7, i));
	assert_in_range(i, 100000, 1000000);
	/* Not forgotten, and nothing new is said to have been seen. */
	assert_true(seen_before(seen, 7, 1));
	for (i = 0; i < 1000; i++)
		assert_false(seen_before(seen, 9, 1));
	seen_free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees_are_entered_and_fifos_skipped),
		cmocka_unit_test(operands_of_every_kind),
		cmocka_unit_test(links_are_followed_as_told),
		cmocka_unit_test(globs_choose_by_name_or_whole_path),
		cmocka_unit_test(sizes_choose),
		cmocka_unit_test(directories_can_be_left_alone),
		cmocka_unit_test(lists_of_names),
		cmocka_unit_test(names_with_a_nul_inside_are_refused),
		cmocka_unit_test(one_byte_names_and_newlines_are_names),
		cmocka_unit_test(very_deep_trees_need_few_descriptors),
		cmocka_unit_test(a_walk_can_be_stopped),
		cmocka_unit_test(files_of_a_process_mapped_or_open),
		cmocka_unit_test(no_such_process_is_an_error),
		cmocka_unit_test(files_seen_before_are_known),
		cmocka_unit_test(what_was_seen_is_bounded),
	};

	return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
