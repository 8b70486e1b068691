/* SPDX-License-Identifier: MIT */
/* test-watch-cache.c - what watch makes of the metrics of a mount, look after look. */
#include "watch_cache.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static const char *metrics(uint64_t opens, uint64_t evicted)
{
	static char text[512];

	(void)snprintf(text, sizeof(text),
		       "mmapfs_opens_total{data_path=\"passthrough\"} %" PRIu64 "\n"
		       "mmapfs_opens_total{data_path=\"mapped\"} 0\n"
		       "mmapfs_evicted_pages_total %" PRIu64 "\n"
		       "mmapfs_locked_bytes 4096\n",
		       opens, evicted);
	return text;
}

static void assert_cell(const struct watch_cache *cache, enum cache_figure figure,
			uint64_t number)
{
	assert_int_equal(cache->cells[figure].state, CELL_KNOWN);
	assert_int_equal(cache->cells[figure].number, number);
}

static void assert_none(const struct watch_cache *cache, enum cache_figure figure)
{
	assert_int_equal(cache->cells[figure].state, CELL_NONE);
}

static void the_first_look_has_nothing_to_compare_with(void **state)
{
	struct watch_cache cache = { .root = "/mnt" };

	(void)state;
	watch_cache_take(&cache, metrics(1000, 1000), 5 * SECOND);
	assert_cell(&cache, CACHE_LOCKED, 4096);
	assert_none(&cache, CACHE_DROPPED);
	assert_none(&cache, CACHE_OPENS);
	assert_none(&cache, CACHE_BUDGET);
	assert_none(&cache, CACHE_USED);
}

static void changes_are_since_the_last_look_and_rates_per_second(void **state)
{
	struct watch_cache cache = { .root = "/mnt" };

	(void)state;
	watch_cache_take(&cache, metrics(1000, 1000), 5 * SECOND);
	watch_cache_take(&cache, metrics(1031, 1007), 7 * SECOND);
	assert_cell(&cache, CACHE_DROPPED, 7);
	assert_cell(&cache, CACHE_OPENS, 16); /* 15.5 */
	watch_cache_take(&cache, metrics(1031, 1007), 7 * SECOND);
	assert_cell(&cache, CACHE_DROPPED, 0);
	assert_none(&cache, CACHE_OPENS); /* in no time at all */
}

static void own_opens_are_not_counted(void **state)
{
	struct watch_cache cache = { .root = "/mnt" };

	(void)state;
	watch_cache_take(&cache, metrics(1000, 1000), 1 * SECOND);
	watch_cache_take_rates(&cache, metrics(1500, 1005), 2 * SECOND);
	watch_cache_take(&cache, metrics(1502, 1006), 3 * SECOND);
	assert_cell(&cache, CACHE_OPENS, 2);
	assert_cell(&cache, CACHE_DROPPED, 6); /* all of it since the look */
}

static void counters_of_another_mount_are_not_compared(void **state)
{
	struct watch_cache cache = { .root = "/mnt" };

	(void)state;
	watch_cache_take(&cache, metrics(1000, 1000), 1 * SECOND);
	watch_cache_take(&cache, metrics(5, 0), 2 * SECOND);
	assert_none(&cache, CACHE_DROPPED);
	assert_none(&cache, CACHE_OPENS);
	watch_cache_take(&cache, metrics(8, 2), 3 * SECOND);
	assert_cell(&cache, CACHE_DROPPED, 2);
	assert_cell(&cache, CACHE_OPENS, 3);
}

static void a_mount_that_began_later_is_another_one(void **state)
{
	struct watch_cache cache = { .root = "/mnt" };
	char text[600];

	(void)state;
	watch_cache_take(&cache, metrics(10, 10), 1 * SECOND);
	(void)snprintf(text, sizeof(text), "mmapfs_start_time_seconds 7\n%s", metrics(20, 20));
	watch_cache_take(&cache, text, 2 * SECOND);
	assert_none(&cache, CACHE_DROPPED);
	assert_none(&cache, CACHE_OPENS);
	assert_cell(&cache, CACHE_LOCKED, 4096);
	(void)snprintf(text, sizeof(text), "mmapfs_start_time_seconds 7\n%s", metrics(21, 22));
	watch_cache_take(&cache, text, 3 * SECOND);
	assert_cell(&cache, CACHE_OPENS, 1);
	assert_cell(&cache, CACHE_DROPPED, 2);
}

static void what_is_not_told_is_none_and_not_compared_later(void **state)
{
	struct watch_cache cache = { .root = "/mnt" };

	(void)state;
	watch_cache_take(&cache, "mmapfs_budget_bytes 7\nmmapfs_budget_used_bytes 5\n", SECOND);
	assert_cell(&cache, CACHE_BUDGET, 7);
	assert_cell(&cache, CACHE_USED, 5);
	for (unsigned int i = 0; i < CACHE_FIGURES; i++)
		if (i != CACHE_BUDGET && i != CACHE_USED)
			assert_none(&cache, i);
	watch_cache_take(&cache, metrics(8, 2), 2 * SECOND);
	assert_none(&cache, CACHE_DROPPED);
	assert_none(&cache, CACHE_OPENS);
	assert_none(&cache, CACHE_BUDGET);
}

static void work_takes_a_tenth_of_the_time(void **state)
{
	(void)state;
	assert_int_equal(watch_cache_rest(100, 100), 100);
	assert_int_equal(watch_cache_rest(100, 110), 200);
	assert_int_equal(watch_cache_rest(0, 3 * SECOND), 30 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_look_has_nothing_to_compare_with),
		cmocka_unit_test(changes_are_since_the_last_look_and_rates_per_second),
		cmocka_unit_test(own_opens_are_not_counted),
		cmocka_unit_test(counters_of_another_mount_are_not_compared),
		cmocka_unit_test(a_mount_that_began_later_is_another_one),
		cmocka_unit_test(what_is_not_told_is_none_and_not_compared_later),
		cmocka_unit_test(work_takes_a_tenth_of_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
