/* SPDX-License-Identifier: MIT */
/* test-pace.c - rate and budget of a warm, over its files. */
#include "pace.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/macro.h"
#include "scratch.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define NS_PER_S UINT64_C(1000000000)

/* A system with @available bytes, for budget_room(). */
static const char *system_with(uint64_t available)
{
	FILE *out;

	(void)mkdir(scratch_path("proc"), 0755);
	out = fopen(scratch_path("proc/meminfo"), "w");
	assert_non_null(out);
	assert_true(fprintf(out, "MemAvailable: %llu kB\n",
			    (unsigned long long)(available / 1024)) > 0);
	assert_int_equal(fclose(out), 0);
	return scratch_dir;
}

/* Of one file that took @taking so far and is no longer in flight afterwards. */
static bool allows(struct pace *pace, uint64_t taking, uint64_t more)
{
	uint64_t counted = 0;
	bool may = pace_allows(pace, &counted, taking, more);

	assert_int_equal(counted, taking);
	pace->in_flight -= counted;
	return may;
}

static void delay_is_what_the_rate_asks_for(void **state)
{
	static const struct {
		uint64_t rate, requested, now, delay;
	} cases[] = {
		{ 0, 100 * GIB, 0, 0 },
		{ MIB, 0, 0, 0 },
		{ MIB, MIB, 0, NS_PER_S },
		{ MIB, MIB, NS_PER_S / 4, 3 * NS_PER_S / 4 },
		{ MIB, MIB, NS_PER_S, 0 },
		{ MIB, MIB, 9 * NS_PER_S, 0 },
		{ 3, 1, 0, NS_PER_S / 3 },
		{ 1, UINT64_C(1) << 34, 0, (UINT64_C(1) << 34) * NS_PER_S },
		{ 100 * GIB, GIB, 0, NS_PER_S / 100 },
		{ UINT64_MAX, UINT64_MAX, 0, NS_PER_S },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pace pace;

		assert_int_equal(pace_begin(&pace, cases[i].rate, 0, "/nowhere", 5), 0);
		pace_finished(&pace, 0, cases[i].requested, 0);
		assert_int_equal(pace_delay_ns(&pace, 5 + cases[i].now), cases[i].delay);
	}
}

static void without_a_budget_all_is_allowed(void **state)
{
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, 0, "/nowhere", 0), 0);
	assert_true(allows(&pace, UINT64_MAX, UINT64_MAX));
	assert_false(pace.stopped);
}

static void budget_on_an_unknown_system_is_an_error(void **state)
{
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, 1, "/nowhere", 0), -ENOENT);
}

static void what_was_read_counts_although_it_is_still_available(void **state)
{
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, GIB, system_with(2 * GIB), 0), 0);
	assert_true(allows(&pace, 0, 10 * GIB));
	assert_true(allows(&pace, GIB - PACE_STEP, 10 * GIB));
	pace_finished(&pace, 0, 0, GIB - PACE_STEP);
	assert_true(allows(&pace, 0, 10 * GIB));
	/* Of the last step only what there is to read must fit. */
	assert_true(allows(&pace, PACE_STEP - MIB, MIB));
	assert_false(allows(&pace, PACE_STEP - MIB, 2 * MIB));
	assert_true(pace.stopped);
}

static void files_in_flight_count_together(void **state)
{
	uint64_t one = 0, two = 0;
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, GIB, system_with(2 * GIB), 0), 0);
	assert_true(pace_allows(&pace, &one, 400 * MIB, GIB));
	assert_true(pace_allows(&pace, &two, 400 * MIB, GIB));
	assert_int_equal(pace.in_flight, 800 * MIB);
	/* The same file again, a little further: counted once. */
	assert_true(pace_allows(&pace, &one, 500 * MIB, GIB));
	assert_int_equal(pace.in_flight, 900 * MIB);
	pace_finished(&pace, one, 0, 450 * MIB);
	assert_int_equal(pace.in_flight, 400 * MIB);
	assert_int_equal(pace.taken, 450 * MIB);
	assert_false(pace_allows(&pace, &two, 560 * MIB, GIB));
}

static void others_that_take_memory_stop_it_too(void **state)
{
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, GIB, system_with(2 * GIB), 0), 0);
	assert_true(allows(&pace, 0, 10 * GIB));
	(void)system_with(GIB);
	assert_false(allows(&pace, 0, 10 * GIB));
	/* And it does not begin again by itself. */
	(void)system_with(4 * GIB);
	assert_false(allows(&pace, 0, 10 * GIB));
	assert_false(allows(&pace, 0, 0));
}

static void nothing_to_read_needs_no_memory(void **state)
{
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, 4 * GIB, system_with(2 * GIB), 0), 0);
	assert_true(allows(&pace, 0, 0));
	assert_false(allows(&pace, 0, 1));
}

static void memory_that_cannot_be_read_any_more_is_no_room(void **state)
{
	struct pace pace;

	(void)state;
	assert_int_equal(pace_begin(&pace, 0, 1, system_with(2 * GIB), 0), 0);
	assert_int_equal(unlink(scratch_path("proc/meminfo")), 0);
	assert_false(allows(&pace, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delay_is_what_the_rate_asks_for),
		cmocka_unit_test(without_a_budget_all_is_allowed),
		cmocka_unit_test(budget_on_an_unknown_system_is_an_error),
		cmocka_unit_test(what_was_read_counts_although_it_is_still_available),
		cmocka_unit_test(files_in_flight_count_together),
		cmocka_unit_test(others_that_take_memory_stop_it_too),
		cmocka_unit_test(nothing_to_read_needs_no_memory),
		cmocka_unit_test(memory_that_cannot_be_read_any_more_is_no_room),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
