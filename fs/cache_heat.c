/* SPDX-License-Identifier: MIT */
/* cache_heat.c - the order in which files are read in after a restart. */
#include "cache_heat.h"

#include "base/macro.h"

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Upper ends of the steps of age; one more for an open file, one for an unused one. */
static const uint64_t ages_s[] = { MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, HEAT_UNUSED };

#define STEPS (ARRAY_SIZE(ages_s) + 2)

static uint32_t step_of(bool open, uint64_t age_s)
{
	uint32_t step = STEPS - 2;

	if (open)
		return STEPS - 1;
	for (size_t i = 0; i < ARRAY_SIZE(ages_s); i++, step--) {
		if (age_s < ages_s[i])
			return step;
	}
	return 0;
}

uint32_t heat_of(unsigned int priority, bool open, uint64_t age_s)
{
	uint64_t heat = (uint64_t)priority * STEPS + step_of(open, age_s);

	return (uint32_t)u64_min(heat, MMAPFS_SNAPSHOT_HEAT_MAX);
}

struct heat_bands heat_cut(const struct heat_survey *survey)
{
	struct heat_bands bands = { .count = 0 };
	uint64_t total = 0, sum = 0, share;

	for (uint32_t heat = 0; heat <= MMAPFS_SNAPSHOT_HEAT_MAX; heat++)
		total = add_saturated(total, survey->bytes[heat]);
	share = total / HEAT_BANDS_MAX;
	for (uint32_t heat = MMAPFS_SNAPSHOT_HEAT_MAX; heat > 0; heat--) {
		sum = add_saturated(sum, survey->bytes[heat]);
		if (!survey->bytes[heat] || sum <= share ||
		    bands.count == HEAT_BANDS_MAX - 1)
			continue;
		bands.least[bands.count++] = heat;
		sum = 0;
	}
	/* What is left over goes down to the coldest. */
	if (!bands.count || sum || survey->bytes[0])
		bands.count++;
	bands.least[bands.count - 1] = 0;
	return bands;
}

unsigned int heat_band(const struct heat_bands *bands, uint32_t heat)
{
	unsigned int band = 0;

	while (band + 1 < bands->count && heat < bands->least[band])
		band++;
	return band;
}
