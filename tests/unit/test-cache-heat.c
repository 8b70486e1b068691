/* SPDX-License-Identifier: MIT */
/* test-cache-heat.c - what is wanted back first, and in how many readings of a snapshot. */
#include "cache_heat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/macro.h"

/* From hot to cold. */
static const struct {
	unsigned int priority;
	bool open;
	uint64_t age_s;
} order[] = {
	{ 100, true, 0 },	{ 100, false, 0 },	{ 51, false, HEAT_UNUSED },
	{ 50, true, 86400 },	{ 50, false, 59 },	{ 50, false, 60 },
	{ 50, false, 600 },	{ 50, false, 3600 },	{ 50, false, 21600 },
	{ 50, false, 86400 },	{ 50, false, HEAT_UNUSED }, { 0, true, 0 },
	{ 0, false, HEAT_UNUSED },
};

static void priority_comes_before_use_and_use_before_age(void **state)
{
	uint32_t before = MMAPFS_SNAPSHOT_HEAT_MAX + 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		uint32_t heat = heat_of(order[i].priority, order[i].open, order[i].age_s);

		assert_true(heat < before);
		before = heat;
	}
	assert_int_equal(before, 0);
	assert_int_equal(heat_of(50, false, 60), heat_of(50, false, 599));
	assert_int_equal(heat_of(UINT32_MAX, true, 0), MMAPFS_SNAPSHOT_HEAT_MAX);
}

static const struct {
	const char *name;
	struct {
		uint32_t heat;
		uint64_t bytes;
	} parts[10];
	struct heat_bands want;
} cuts[] = {
	{ "nothing", { { 0, 0 } }, { 1, { 0 } } },
	{ "only cold", { { 0, 5 } }, { 1, { 0 } } },
	{ "only hot", { { 900, 5 } }, { 1, { 0 } } },
	{ "two", { { 900, 5 }, { 0, 1 } }, { 2, { 900, 0 } } },
	{ "the coldest is not 0", { { 900, 800 }, { 3, 800 } }, { 2, { 900, 0 } } },
	{ "small ones go together",
	  { { 1000, 1 }, { 900, 1 }, { 800, 796 }, { 10, 1 }, { 0, 1 } },
	  { 2, { 800, 0 } } },
	{ "more than there may be",
	  { { 10, 9 }, { 9, 9 }, { 8, 9 }, { 7, 9 }, { 6, 9 }, { 5, 9 }, { 4, 9 }, { 3, 9 },
	    { 2, 9 }, { 1, 9 } },
	  { 5, { 9, 7, 5, 3, 0 } } },
	{ "more than can be counted",
	  { { 10, UINT64_MAX }, { 9, UINT64_MAX }, { 0, UINT64_MAX } },
	  { 3, { 10, 9, 0 } } },
};

static void bands_have_about_as_many_bytes_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct heat_survey survey = { 0 };
		struct heat_bands bands;

		for (size_t j = 0; j < ARRAY_SIZE(cuts[i].parts); j++)
			survey.bytes[cuts[i].parts[j].heat] += cuts[i].parts[j].bytes;
		bands = heat_cut(&survey);
		if (bands.count != cuts[i].want.count)
			fail_msg("%s: %u bands", cuts[i].name, bands.count);
		for (unsigned int j = 0; j < bands.count; j++)
			if (bands.least[j] != cuts[i].want.least[j])
				fail_msg("%s: band %u from %u", cuts[i].name, j,
					 bands.least[j]);
	}
}

/* Whatever the heats: each has one band, hotter ones an earlier one, no band too much. */
static void every_heat_is_in_one_band_and_hotter_ones_come_first(void **state)
{
	(void)state;
	srandom(3);
	for (int turn = 0; turn < 200; turn++) {
		struct heat_survey survey = { 0 };
		struct heat_bands bands;
		unsigned int band, before = 0;
		int kinds = 1 + (int)(random() % 50);

		for (int i = 0; i < kinds; i++)
			survey.bytes[random() % (MMAPFS_SNAPSHOT_HEAT_MAX + 1)] =
				(uint64_t)random();
		bands = heat_cut(&survey);
		assert_in_range(bands.count, 1, HEAT_BANDS_MAX);
		for (int heat = MMAPFS_SNAPSHOT_HEAT_MAX; heat >= 0; heat--) {
			band = heat_band(&bands, (uint32_t)heat);
			assert_true(band == before || band == before + 1);
			before = band;
		}
		assert_int_equal(before, bands.count - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priority_comes_before_use_and_use_before_age),
		cmocka_unit_test(bands_have_about_as_many_bytes_each),
		cmocka_unit_test(every_heat_is_in_one_band_and_hotter_ones_come_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
