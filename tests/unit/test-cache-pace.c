/* SPDX-License-Identifier: MIT */
/* test-cache-pace.c - often where a little time may fill the cache, seldom where not. */
#include "cache_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/macro.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define MS UINT64_C(1000000)

/* One look after @elapsed milliseconds in which @grown MiB came. */
static uint64_t after(struct pace *pace, uint64_t elapsed, uint64_t grown, uint64_t room)
{
	const struct pace_quick look = { .room = room * MIB,
					 .slack = 50 * MIB,
					 .grown = grown * MIB,
					 .elapsed_ns = elapsed * MS };

	return pace_quick(pace, &look);
}

static void comes_before_the_room_is_used_up(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace);
	/* 1000 MiB/s, 100 MiB of room: 100 ms, were it not for the peak. */
	assert_int_equal(after(&pace, 20, 20, 100), 100);
	assert_int_equal(after(&pace, 20, 20, 50), 50);
	assert_int_equal(after(&pace, 20, 20, 0), 2);
}

static void faster_than_ever_comes_sooner_from_then_on(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace);
	assert_int_equal(after(&pace, 100, 0, 50), 97); /* 100 MiB at 1 GiB/s */
	(void)after(&pace, 20, 80, 50);			/* 4000 MiB/s */
	for (int i = 0; i < 12; i++)
		(void)after(&pace, 20, 0, 50);
	assert_in_range(after(&pace, 20, 0, 50), 25, 26); /* 100 MiB at nearly 4000 MiB/s */
	for (int i = 0; i < 20000; i++)
		(void)after(&pace, 20, 1, 1000);
	assert_in_range(after(&pace, 20, 0, 50), 95, 97);
}

static void gulp_is_no_rate(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace);
	/* 8 MiB at once, as the kernel reads ahead, are 400 MiB/s over the window. */
	assert_int_equal(after(&pace, 1, 8, 20), 50);
}

static void absurd_growth_is_bounded(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace);
	(void)after(&pace, 20, 1000000, 50);
	assert_int_equal(pace.peak, 16 * GIB);
	assert_in_range(after(&pace, 0, UINT64_MAX / MIB, UINT64_MAX / MIB), 2, 1000);
}

static void idle_files_are_looked_at_less_and_less(void **state)
{
	struct pace pace;
	uint64_t delay = 0, before = 0;

	(void)state;
	pace_init(&pace);
	assert_false(pace_is_idle(&pace));
	for (int i = 0; i < 200; i++) {
		delay = after(&pace, delay, 0, 0);
		assert_true(delay >= before);
		before = delay;
	}
	assert_int_equal(after(&pace, 0, 0, 50), 1000);
	assert_true(pace_is_idle(&pace));
	assert_int_equal(delay, 1000);
	/* One sign of use, and it is as awake as ever. */
	(void)pace_quick(&pace, &(struct pace_quick){ .slack = 50 * MIB, .signs = true });
	assert_false(pace_is_idle(&pace));
	assert_int_equal(after(&pace, 1, 0, 0), 48);
}

static void idle_files_that_could_pass_the_limit_are_watched(void **state)
{
	/* Of 100 MiB below the limit, 50 MiB are left, and as many may be too much. */
	struct pace_quick fits = { .room = 50 * MIB, .slack = 50 * MIB, .growable = 100 * MIB,
				   .elapsed_ns = 1000 * MS };
	struct pace_quick grows = fits, costs = fits, small = fits;
	struct pace pace;

	(void)state;
	pace_init(&pace);
	for (int i = 0; i < 20; i++)
		(void)pace_quick(&pace, &fits);
	assert_true(pace_is_idle(&pace));
	assert_int_equal(pace_quick(&pace, &fits), 1000);
	grows.growable++;
	assert_int_equal(pace_quick(&pace, &grows), 97); /* 100 MiB at 1 GiB/s */
	costs.growable = UINT64_MAX;
	costs.cost_ns = 2 * MS;
	assert_int_equal(pace_quick(&pace, &costs), 400);
	small.room = small.slack = MIB;
	assert_int_equal(pace_quick(&pace, &small), 20);
}

static void what_cannot_go_is_not_asked_all_the_time(void **state)
{
	const struct pace_quick over = { .slack = 50 * MIB, .over = true };
	const struct pace_quick held = { .slack = 50 * MIB, .over = true, .held = true };
	static const uint64_t expected[] = { 10, 20, 40, 80, 160, 320, 640, 1000, 1000 };
	struct pace pace;

	(void)state;
	pace_init(&pace);
	assert_int_equal(pace_quick(&pace, &over), 2);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(pace_quick(&pace, &held), expected[i]);
	assert_int_equal(after(&pace, 1, 0, 0), 48);
}

static void costly_look_is_followed_by_a_long_pause(void **state)
{
	const struct pace_quick look = { .cost_ns = 100 * MS };
	struct pace pace;

	(void)state;
	pace_init(&pace);
	assert_int_equal(pace_quick(&pace, &look), 900);
	assert_int_equal(pace_least(&look), 900);
	assert_int_equal(pace_least(&(struct pace_quick){ .cost_ns = 1000 }), 2);
	assert_int_equal(pace_slice(5 * MS), 95);
}

static void full_looks_follow_change_and_pressure(void **state)
{
	const struct pace_full quiet = { 0 }, used = { .in_use = true };
	const struct pace_full changed = { .changed = true, .in_use = true };
	const struct pace_full pressed = { .pressure = true };
	const struct pace_full both = { .pressure = true, .changed = true };
	const struct {
		const struct pace_full *look;
		uint64_t expected;
	} steps[] = {
		{ &used, 2000 },    { &used, 4000 },	{ &used, 8000 },   { &used, 10000 },
		{ &used, 10000 },   { &changed, 1000 }, { &quiet, 2000 },  { &quiet, 4000 },
		{ &quiet, 8000 },   { &quiet, 16000 },	{ &quiet, 30000 }, { &quiet, 30000 },
		{ &pressed, 1000 }, { &both, 250 },	{ &pressed, 500 }, { &pressed, 1000 },
		{ &used, 2000 },
	};
	struct pace pace;

	(void)state;
	pace_init(&pace);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		assert_int_equal(pace_full(&pace, steps[i].look), steps[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_before_the_room_is_used_up),
		cmocka_unit_test(faster_than_ever_comes_sooner_from_then_on),
		cmocka_unit_test(gulp_is_no_rate),
		cmocka_unit_test(absurd_growth_is_bounded),
		cmocka_unit_test(idle_files_are_looked_at_less_and_less),
		cmocka_unit_test(idle_files_that_could_pass_the_limit_are_watched),
		cmocka_unit_test(what_cannot_go_is_not_asked_all_the_time),
		cmocka_unit_test(costly_look_is_followed_by_a_long_pause),
		cmocka_unit_test(full_looks_follow_change_and_pressure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
