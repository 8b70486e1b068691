/* SPDX-License-Identifier: MIT */
/*
 * cache-sim.h - opens of whole files, replayed against the decision of the budget and against
 * plain LRU of whole files with the same budget.
 */
#ifndef CACHE_SIM_H
#define CACHE_SIM_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache_decide.h"

struct sim_trace {
	size_t files;
	size_t opens;
	size_t capacity;
	uint64_t *size;	 /* of each file */
	uint32_t *order; /* the file of each open */
};

/* Shares of the bytes of all opens that were resident. */
struct sim_ratios {
	double lru;
	double ours;
};

/* ---- traces ---- */

static inline void *sim_array(size_t count, size_t size)
{
	void *array = calloc(count ? count : 1, size);

	if (!array)
		abort();
	return array;
}

static inline struct sim_trace sim_new(size_t files, uint64_t size)
{
	struct sim_trace trace = { .files = files,
				   .size = sim_array(files, sizeof(uint64_t)) };

	for (size_t i = 0; i < files; i++)
		trace.size[i] = size;
	return trace;
}

static inline void sim_free(struct sim_trace *trace)
{
	free(trace->size);
	free(trace->order);
}

static inline void sim_open(struct sim_trace *trace, size_t file)
{
	if (trace->opens == trace->capacity) {
		trace->capacity = trace->capacity ? trace->capacity * 2 : 1024;
		trace->order = realloc(trace->order, trace->capacity * sizeof(uint32_t));
		if (!trace->order)
			abort();
	}
	trace->order[trace->opens++] = (uint32_t)file;
}

/* xorshift64: the same numbers everywhere. */
static inline uint64_t sim_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* In [0, 1). */
static inline double sim_uniform(uint64_t *state)
{
	return (double)(sim_random(state) >> 11) * 0x1p-53;
}

/* @opens opens of the files from @first on, @count of them, by Zipf's law: that of rank r as
 * often as r^-@skew. Which file has which rank is chosen by @seed. */
static inline void sim_add_zipf(struct sim_trace *trace, size_t first, size_t count,
				double skew, size_t opens, uint64_t seed)
{
	double *sums = sim_array(count, sizeof(double)), total = 0;
	uint32_t *of_rank = sim_array(count, sizeof(uint32_t));

	for (size_t i = 0; i < count; i++) {
		const size_t j = sim_random(&seed) % (i + 1);

		sums[i] = total += pow((double)i + 1, -skew);
		of_rank[i] = of_rank[j];
		of_rank[j] = (uint32_t)(first + i);
	}
	for (size_t i = 0; i < opens; i++) {
		const double point = sim_uniform(&seed) * total;
		size_t low = 0, high = count - 1;

		while (low < high) {
			const size_t middle = (low + high) / 2;

			if (sums[middle] < point)
				low = middle + 1;
			else
				high = middle;
		}
		sim_open(trace, of_rank[low]);
	}
	free(sums);
	free(of_rank);
}

#define SIM_FILES_MAX (1 << 20)

/* Lines "FILE SIZE", FILE being a number: what a program opened, in this order. */
static inline int sim_read(FILE *in, struct sim_trace *ret)
{
	struct sim_trace trace = sim_new(SIM_FILES_MAX, 0);
	size_t highest = 0;
	unsigned long file;
	unsigned long long size;

	while (fscanf(in, "%lu %llu", &file, &size) == 2 && file < SIM_FILES_MAX) {
		trace.size[file] = size;
		highest = file > highest ? file : highest;
		sim_open(&trace, file);
	}
	trace.files = highest + 1;
	*ret = trace;
	return feof(in) && trace.opens ? 0 : -1;
}

/* ---- plain LRU ---- */

static inline size_t sim_oldest(const uint64_t *used_at, const uint64_t *resident, size_t files,
				size_t but)
{
	size_t oldest = files;

	for (size_t i = 0; i < files; i++) {
		if (i != but && resident[i] &&
		    (oldest == files || used_at[i] < used_at[oldest]))
			oldest = i;
	}
	return oldest;
}

static inline double sim_lru(const struct sim_trace *trace, uint64_t budget)
{
	uint64_t *used_at = sim_array(trace->files, sizeof(uint64_t));
	uint64_t *resident = sim_array(trace->files, sizeof(uint64_t));
	uint64_t used = 0, hits = 0, total = 0;

	for (size_t i = 0; i < trace->opens; i++) {
		const size_t file = trace->order[i];
		size_t oldest;

		total += trace->size[file];
		hits += resident[file];
		used += trace->size[file] - resident[file];
		resident[file] = trace->size[file];
		used_at[file] = i;
		while (used > budget &&
		       (oldest = sim_oldest(used_at, resident, trace->files, file)) !=
			       trace->files) {
			used -= resident[oldest];
			resident[oldest] = 0;
		}
	}
	free(used_at);
	free(resident);
	return (double)hits / (double)total;
}

/* ---- the budget ---- */

struct sim_cache {
	struct cache_file *files;
	struct action *actions;
	struct marks marks;
	double turn;
};

static inline uint64_t sim_use(struct sim_cache *cache, const struct sim_trace *trace, size_t i)
{
	struct cache_file *file = &cache->files[trace->order[i]];
	const uint64_t hit = file->resident;
	const uint64_t miss = trace->size[trace->order[i]] - hit;

	file->heat = heat_used(file->heat, cache->turn);
	file->used_at = i;
	file->resident += miss;
	cache->marks.used += miss;
	cache->turn += (double)miss / (double)cache->marks.high;
	if (miss)
		file->heat = heat_seen(file->heat, cache->turn);
	return hit;
}

static inline void sim_evict(struct sim_cache *cache, size_t files)
{
	const size_t count = decide(cache->files, files, &cache->marks, cache->actions);

	for (size_t i = 0; i < count; i++) {
		struct cache_file *file = &cache->files[cache->actions[i].file];

		file->resident -= cache->actions[i].bytes;
		cache->marks.used -= cache->actions[i].bytes;
		if (!file->resident)
			file->heat = HEAT_NONE; /* forgotten */
	}
}

static inline double sim_ours(const struct sim_trace *trace, uint64_t budget)
{
	struct sim_cache cache = {
		.files = sim_array(trace->files, sizeof(struct cache_file)),
		.actions = sim_array(trace->files, sizeof(struct action)),
		.marks = { .high = budget, .low = budget - budget / 20, .granule = 2 << 20 },
	};
	uint64_t hits = 0, total = 0;

	for (size_t i = 0; i < trace->files; i++)
		cache.files[i].heat = HEAT_NONE;
	for (size_t i = 0; i < trace->opens; i++) {
		total += trace->size[trace->order[i]];
		hits += sim_use(&cache, trace, i);
		sim_evict(&cache, trace->files);
	}
	free(cache.files);
	free(cache.actions);
	return (double)hits / (double)total;
}

static inline struct sim_ratios sim_run(const struct sim_trace *trace, uint64_t budget)
{
	return (struct sim_ratios){ sim_lru(trace, budget), sim_ours(trace, budget) };
}

#endif
