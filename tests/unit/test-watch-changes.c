/* SPDX-License-Identifier: MIT */
/* test-watch-changes.c - the changes of one round, in order of their size. */
#include "watch_changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct watch_figures figures(uint64_t resident, uint64_t dirty)
{
	return (struct watch_figures){ .valid = MMAPFS_RESIDENT | MMAPFS_DIRTY,
				       .resident = resident,
				       .dirty = dirty };
}

static void assert_order(const struct watch_changes *changes, const char *expected)
{
	char got[64] = "";

	for (size_t i = 0; i < changes->count; i++)
		(void)snprintf(got + i, sizeof(got) - i, "%s", changes->list[i].file->path);
	assert_string_equal(got, expected);
}

static void the_largest_comes_first(void **state)
{
	const struct watch_figures none = { 0 };
	char names[][2] = { "a", "b", "c", "d", "e", "f" };
	struct watched files[6] = { { 0 } };
	const struct watch_change cases[] = {
		{ &files[0], 0, "changed", figures(5, 0), figures(5, 2) },
		{ &files[1], 0, "changed", figures(9, 0), figures(2, 0) }, /* 7 less */
		{ &files[2], 0, "new", none, figures(8, 0) },
		{ &files[3], 0, "changed", figures(5, 9), figures(5, 1) },
		{ &files[4], 0, "gone", figures(100, 0), none },
		{ &files[5], 0, "changed", figures(1, 0), figures(8, 0) }, /* 7 more */
	};
	struct watch_changes changes = { 0 };

	(void)state;
	for (size_t i = 0; i < 6; i++)
		files[i].path = names[i];
	watch_changes_sort(&changes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(watch_changes_add(&changes, &cases[i]), 0);
	assert_order(&changes, "abcdef");
	watch_changes_sort(&changes);
	assert_order(&changes, "ecbfda");
	watch_changes_free(&changes);
}

static void ranges_of_one_file_stay_in_order(void **state)
{
	char name[] = "a";
	struct watched file = { .path = name };
	struct watch_changes changes = { 0 };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(watch_changes_add(&changes,
						   &(struct watch_change){
							   .file = &file,
							   .range = 4 - i,
							   .event = "changed",
							   .now = figures(3, 0) }),
				 0);
	watch_changes_sort(&changes);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(changes.list[i].range, i);
	watch_changes_free(&changes);
}

static void files_are_counted_not_their_ranges(void **state)
{
	struct watched files[300] = { { 0 } };
	struct watch_changes changes = { 0 };

	(void)state;
	assert_int_equal(watch_changes_files(&changes), 0);
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(watch_changes_add(&changes,
						   &(struct watch_change){
							   .file = &files[i / 2],
							   .range = i % 2 }),
				 0);
	assert_int_equal(changes.count, 600);
	assert_int_equal(watch_changes_files(&changes), 300);
	watch_changes_clear(&changes);
	assert_int_equal(watch_changes_files(&changes), 0);
	watch_changes_free(&changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_comes_first),
		cmocka_unit_test(ranges_of_one_file_stay_in_order),
		cmocka_unit_test(files_are_counted_not_their_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
