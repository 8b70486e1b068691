/* SPDX-License-Identifier: MIT */
/* test-mount-helper.c - the command lines that mount(8) gives to mount.mmapfs. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "mount_helper.h"

#define ARGS_MAX 16

static int parse(const char *const *words, bool root, struct mount_helper *ret)
{
	static char *argv[ARGS_MAX + 1];
	int argc = 0;

	for (; words[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	argv[argc] = NULL;
	return mount_helper_parse(argc, argv, root, ret);
}

static void it_is_known_by_its_name(void **state)
{
	(void)state;
	assert_true(mount_helper_is("mount.mmapfs"));
	assert_true(mount_helper_is("/sbin/mount.mmapfs"));
	assert_false(mount_helper_is("mmapfs"));
	assert_false(mount_helper_is("/usr/mount.d/mmapfs"));
}

static void the_words_of_mount_become_those_of_mmapfs(void **state)
{
	static const struct {
		const char *words[ARGS_MAX];
		bool root;
		const char *options;
	} rows[] = {
		{ { "mount.mmapfs", "src", "mnt", NULL }, true, "suid,dev" },
		{ { "mount.mmapfs", "src", "mnt", NULL }, false, "rw" },
		{ { "mount.mmapfs", "src", "mnt", "-o", "rw,nosuid", NULL }, true,
		  "suid,dev,rw,nosuid" },
		{ { "mount.mmapfs", "src", "mnt", "-n", "-s", "-v", "-o", "ro", "-o", "lock=a\\,b",
		    "-t", "fuse.mmapfs", NULL }, true, "suid,dev,ro,lock=a\\,b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mount_helper helper;

		assert_int_equal(parse(rows[i].words, rows[i].root, &helper), 0);
		assert_false(helper.fake);
		assert_string_equal(helper.argv[0], "mmapfs");
		assert_string_equal(helper.argv[1], "src");
		assert_string_equal(helper.argv[2], "mnt");
		assert_string_equal(helper.argv[3], "-o");
		assert_string_equal(helper.argv[4], rows[i].options);
		assert_null(helper.argv[5]);
		mount_helper_free(&helper);
	}
}

static void a_fake_mount_is_not_the_foreground(void **state)
{
	struct mount_helper helper;

	(void)state;
	assert_int_equal(parse((const char *[]){ "mount.mmapfs", "src", "mnt", "-f", NULL }, true,
			       &helper), 0);
	assert_true(helper.fake);
	assert_string_equal(helper.argv[4], "suid,dev");
	mount_helper_free(&helper);
}

static void wrong_usage_is_refused(void **state)
{
	static const char *const rows[][ARGS_MAX] = {
		{ "mount.mmapfs", NULL },
		{ "mount.mmapfs", "src", NULL },
		{ "mount.mmapfs", "a", "b", "c", NULL },
		{ "mount.mmapfs", "a", "b", "-o", NULL },
		{ "mount.mmapfs", "a", "b", "-N", "1", NULL },
	};
	int null = open("/dev/null", O_WRONLY), saved = dup(2);

	(void)state;
	(void)fflush(stderr);
	(void)dup2(null, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mount_helper helper;

		assert_int_equal(parse(rows[i], true, &helper), -EINVAL);
		mount_helper_free(&helper);
	}
	(void)dup2(saved, 2);
	close(saved);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_known_by_its_name),
		cmocka_unit_test(the_words_of_mount_become_those_of_mmapfs),
		cmocka_unit_test(a_fake_mount_is_not_the_foreground),
		cmocka_unit_test(wrong_usage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
