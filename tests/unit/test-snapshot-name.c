/* SPDX-License-Identifier: MIT */
/* test-snapshot-name.c - what mmapctl calls files in a snapshot. */
#include "snapshot_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/macro.h"

static const struct {
	const char *cwd, *path, *name;
} names[] = {
	{ "/home/u", "a", "/home/u/a" },
	{ "/home/u", "./a//b/./c", "/home/u/a/b/c" },
	{ "/home/u", "/a", "/a" },
	{ "/home/u", "//a/b/", "/a/b" },
	{ "/home/u", "../a", "/home/u/../a" },
	{ "/home/u", ".", "/home/u" },
	{ "/", "a", "/a" },
	{ "/", "/", "/" },
	{ "/", ".", "/" },
	{ NULL, "a", "a" },
	{ NULL, "./a", "a" },
	{ NULL, "./", "." },
	{ NULL, "../a", "../a" },
	{ NULL, "/a/./b", "/a/b" },
	{ NULL, ".a/..b", ".a/..b" },
};

static void names_are_absolute_and_clean(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		char *name = snapshot_name(names[i].cwd, names[i].path);

		assert_non_null(name);
		assert_string_equal(name, names[i].name);
		free(name);
	}
}

static const struct {
	const char *path;
	bool temporary;
} paths[] = {
	{ ".mmapfs-0123abcd", true },  { "/a/.mmapfs-0123abcd", true },
	{ "mmapfs-0123abcd", false },  { ".mmapfs-0123abc", false },
	{ ".mmapfs-0123abcde", false }, { ".mmapfs-0123abcX", false },
	{ ".mmapfs-0123abcd/a", false }, { "", false },
};

static void only_temporary_snapshots_are_left_out(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(snapshot_is_temporary(paths[i].path), paths[i].temporary);
}

static const struct {
	const char *name, *wanted;
	bool matches;
} matches[] = {
	{ "/a/b", "/a", true },	  { "/a/b", "/a/", true },  { "/a/b", "/a/b", true },
	{ "/ab", "/a", false },	  { "/a", "/a/b", false },  { "/a/b", "/", true },
	{ "a/b", "a", true },
};

static void name_matches_itself_and_what_is_below(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(matches); i++) {
		char *wanted = (char *)(uintptr_t)matches[i].wanted;

		assert_int_equal(snapshot_name_matches(matches[i].name, &wanted, 1),
				 matches[i].matches);
		assert_true(snapshot_name_matches(matches[i].name, NULL, 0));
	}
}

static void changes_have_words(void **state)
{
	(void)state;
	assert_string_equal(snapshot_change_name(0), "no");
	assert_string_equal(snapshot_change_name(MMAPFS_SNAPSHOT_SIZE |
						 MMAPFS_SNAPSHOT_MTIME),
			    "size+mtime");
	assert_string_equal(snapshot_change_name(MMAPFS_SNAPSHOT_INODE), "inode");
	assert_string_equal(snapshot_change_name(8), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_absolute_and_clean),
		cmocka_unit_test(only_temporary_snapshots_are_left_out),
		cmocka_unit_test(name_matches_itself_and_what_is_below),
		cmocka_unit_test(changes_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
