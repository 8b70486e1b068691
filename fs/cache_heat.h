/* SPDX-License-Identifier: MIT */
/*
 * cache_heat.h - how soon a file is wanted back after a restart, and in which order files
 * are read in. Pure. Model.
 *
 * Heat orders by the priority that the policy gives, then by the last sign of use in coarse
 * steps. A snapshot is sorted by name, so it is read once for each of a few bands of heat,
 * from hot to cold: memory does not grow with it, and within a band neighbours stay
 * neighbours.
 */
#ifndef MMAPFS_FS_CACHE_HEAT_H
#define MMAPFS_FS_CACHE_HEAT_H

#include <stdbool.h>
#include <stdint.h>

#include <mmapfs.h>

/* As an age: the mount has seen no use of it. */
#define HEAT_UNUSED UINT64_MAX

/* Of a file of that @priority that is open, or was last used @age_s seconds ago. */
uint32_t heat_of(unsigned int priority, bool open, uint64_t age_s);

#define HEAT_BANDS_MAX 8

/* How many bytes there are of each heat. */
struct heat_survey {
	uint64_t bytes[MMAPFS_SNAPSHOT_HEAT_MAX + 1];
};

/* From hot to cold; each band goes from its `least` up to where the one before it begins. */
struct heat_bands {
	unsigned int count;
	uint32_t least[HEAT_BANDS_MAX];
};

/* Cut into bands of about as many bytes each; one of no bytes is none. The last reaches down
 * to 0. */
struct heat_bands heat_cut(const struct heat_survey *survey);

/* The band that @heat is in, from 0. */
unsigned int heat_band(const struct heat_bands *bands, uint32_t heat);

#endif
