/* SPDX-License-Identifier: MIT */
/* macro.h - attributes and small arithmetic that every layer uses. */
#ifndef MMAPFS_BASE_MACRO_H
#define MMAPFS_BASE_MACRO_H

#include <stddef.h>
#include <stdint.h>

#define MMAPFS_PUBLIC __attribute__((visibility("default")))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* @unit is a power of two. */
static inline uint64_t align_down(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1);
}

/* Saturates at the last multiple of @unit instead of wrapping round to 0. */
static inline uint64_t align_up(uint64_t value, uint64_t unit)
{
	uint64_t sum;

	if (__builtin_add_overflow(value, unit - 1, &sum))
		return align_down(UINT64_MAX, unit);
	return align_down(sum, unit);
}

/* a + b, or UINT64_MAX where that would wrap. */
static inline uint64_t add_saturated(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

#endif
