/* SPDX-License-Identifier: MIT */
/* test-watch-table.c - what watch remembers of files. */
#include "watch_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/macro.h"

static void names_are_found_again_in_order(void **state)
{
	struct watch_table *table = watch_table_new(2);
	char path[32];
	bool is_new;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct watched *file;

		(void)snprintf(path, sizeof(path), "file%d", i);
		file = watch_table_get(table, path, &is_new);
		assert_non_null(file);
		assert_true(is_new);
		assert_int_equal(file->figures[1].resident, 0);
		file->figures[1].resident = (uint64_t)i;
	}
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(path, sizeof(path), "file%d", i);
		assert_int_equal(
			watch_table_get(table, path, &is_new)->figures[1].resident, i);
		assert_false(is_new);
		assert_string_equal(watch_table_at(table, (size_t)i)->path, path);
	}
	assert_int_equal(watch_table_count(table), 3000);
	watch_table_free(table);
}

static void files_over_the_limit_are_counted(void **state)
{
	struct watch_table *table = watch_table_new(1);
	char path[32];
	bool is_new;

	(void)state;
	for (int i = 0; i < WATCH_FILES_MAX + 3; i++) {
		(void)snprintf(path, sizeof(path), "%d", i);
		if (i < WATCH_FILES_MAX)
			assert_non_null(watch_table_get(table, path, &is_new));
		else
			assert_null(watch_table_get(table, path, &is_new));
	}
	assert_int_equal(watch_table_refused(table), 3);
	assert_non_null(watch_table_get(table, "5", &is_new));
	watch_table_free(table);
}

static void events_find_their_file(void **state)
{
	struct watch_table *table = watch_table_new(1);
	struct trace_file key = { 8, 1, 77 };
	struct watched *file;
	bool is_new;

	(void)state;
	file = watch_table_get(table, "a", &is_new);
	file->trace = key;
	assert_null(watch_table_by_trace(table, &key));
	file->traceable = true;
	assert_ptr_equal(watch_table_by_trace(table, &key), file);
	file->gone = true;
	assert_null(watch_table_by_trace(table, &key));
	file->gone = false;
	key.dev_minor = 2;
	assert_null(watch_table_by_trace(table, &key));
	watch_table_free(table);
}

static void only_known_figures_are_compared(void **state)
{
	static const struct {
		struct watch_figures was, now;
		bool differ;
	} cases[] = {
		{ { 0 }, { 0 }, false },
		{ { MMAPFS_RESIDENT, 1, 0, 0 }, { MMAPFS_RESIDENT, 1, 0, 0 }, false },
		{ { MMAPFS_RESIDENT, 1, 0, 0 }, { MMAPFS_RESIDENT, 2, 0, 0 }, true },
		{ { MMAPFS_RESIDENT, 1, 0, 0 }, { MMAPFS_RESIDENT, 1, 5, 5 }, false },
		{ { MMAPFS_RESIDENT, 1, 0, 0 }, { 0, 0, 0, 0 }, true },
		{ { MMAPFS_DIRTY, 0, 1, 0 }, { MMAPFS_DIRTY, 0, 0, 0 }, true },
		{ { MMAPFS_EVICTED, 0, 0, 1 }, { MMAPFS_EVICTED, 0, 0, 2 }, true },
		{ { MMAPFS_WRITEBACK, 0, 0, 0 }, { 0, 0, 0, 0 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(watch_figures_differ(&cases[i].was, &cases[i].now),
				 cases[i].differ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_again_in_order),
		cmocka_unit_test(files_over_the_limit_are_counted),
		cmocka_unit_test(events_find_their_file),
		cmocka_unit_test(only_known_figures_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
