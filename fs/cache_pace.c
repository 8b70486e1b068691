/* SPDX-License-Identifier: MIT */
/* cache_pace.c - when to look again. */
#include "cache_pace.h"

#include <math.h>

#include "base/macro.h"

#define MS UINT64_C(1000000) /* in nanoseconds */
#define SECOND (1000 * MS)

/* Taken for the highest rate of growth until a higher one was seen, which is forgotten in
 * about so many looks. */
#define PEAK_FIRST (UINT64_C(1) << 30)
#define PEAK_LOOKS 1024

#define WINDOW (20 * MS)

/* More than disks and memory give: files that had pages before they were opened. */
#define RATE_MAX 0x1p34

#define QUICK_MIN 2 /* milliseconds */
#define QUICK_MAX 1000
/* Doubled with every look that finds that nothing goes. */
#define HELD_FIRST UINT64_C(10)
#define HELD_DOUBLINGS 7

/* Idle for so many times as long as the pause between looks, at least. */
#define IDLE_SHARE 16
#define IDLE_MIN (SECOND)

/* Files that could grow too much are looked at so often all the same (milliseconds), if that
 * takes no more than one part in so many of the time of one CPU. */
#define IDLE_WATCHED 20
#define IDLE_COST_SHARE 200

/* A look takes at most one part in so many of the time of one CPU. */
#define QUICK_SHARE 10
#define FULL_SHARE 20

#define FULL_PRESSED 250 /* milliseconds */
#define FULL_FIRST 1000
#define FULL_MAX 10000
#define FULL_MAX_UNUSED 30000

void pace_init(struct pace *pace)
{
	*pace = (struct pace){ .peak = PEAK_FIRST, .full_ms = FULL_FIRST };
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return u64_max(min, u64_min(value, max));
}

/* Milliseconds until @bytes have been read in at @rate. */
static uint64_t time_for(uint64_t bytes, uint64_t rate)
{
	const double time = rate ? (double)bytes * 1000 / (double)rate : QUICK_MAX;

	return time < QUICK_MAX ? (uint64_t)time : QUICK_MAX;
}

static uint64_t rate_of(uint64_t bytes, uint64_t ns)
{
	return (uint64_t)fmin((double)bytes * (double)SECOND / (double)ns, RATE_MAX);
}

/* The kernel reads ahead in gulps, so a rate is one over a window. One that ends is
 * forgotten by halves: programs read, compute, and read again. */
static void note_growth(struct pace *pace, const struct pace_quick *look)
{
	pace->grown += look->grown;
	pace->window_ns = add_saturated(pace->window_ns, look->elapsed_ns);
	pace->rate = u64_max(pace->rate, rate_of(pace->grown, WINDOW));
	if (pace->window_ns >= WINDOW) {
		pace->rate =
			u64_max(rate_of(pace->grown, pace->window_ns), pace->rate / 2);
		pace->grown = 0;
		pace->window_ns = 0;
	}
	pace->peak -= (pace->peak - PEAK_FIRST) / PEAK_LOOKS;
	pace->peak = u64_max(pace->rate, pace->peak);
	pace->idle_ns = look->grown || look->signs
				? 0
				: add_saturated(pace->idle_ns, look->elapsed_ns);
}

bool pace_is_idle(const struct pace *pace)
{
	return pace->idle_ns > IDLE_MIN;
}

uint64_t pace_least(const struct pace_quick *look)
{
	return u64_max(QUICK_MIN, look->cost_ns * (QUICK_SHARE - 1) / MS);
}

/* Milliseconds, at least; @delay: when in use. */
static uint64_t idle_pause(const struct pace *pace, const struct pace_quick *look,
			   uint64_t delay)
{
	const uint64_t pause = pace->idle_ns / IDLE_SHARE / MS;
	const uint64_t watched = u64_max(delay, u64_max(IDLE_WATCHED,
							look->cost_ns * IDLE_COST_SHARE / MS));

	if (look->growable <= add_saturated(look->room, look->slack))
		return pause;
	return u64_min(pause, watched);
}

uint64_t pace_quick(struct pace *pace, const struct pace_quick *look)
{
	uint64_t floor = 0, delay;

	note_growth(pace, look);
	pace->held = look->held ? pace->held + 1 : 0;
	delay = look->over ? 0
			   : u64_min(time_for(look->room, pace->rate),
				     time_for(add_saturated(look->room, look->slack),
					      pace->peak));
	if (pace_is_idle(pace))
		floor = idle_pause(pace, look, delay);
	if (pace->held)
		floor = u64_max(floor,
				HELD_FIRST << u64_min(pace->held - 1, HELD_DOUBLINGS));
	floor = u64_max(u64_min(floor, QUICK_MAX), pace_least(look));
	return u64_max(floor, delay);
}

uint64_t pace_full(struct pace *pace, const struct pace_full *look)
{
	const uint64_t max = look->pressure ? FULL_FIRST
			     : look->in_use ? FULL_MAX
					    : FULL_MAX_UNUSED;
	const uint64_t min = look->pressure ? FULL_PRESSED : FULL_FIRST;

	pace->full_ms = look->changed ? min : clamp(pace->full_ms * 2, min, max);
	return pace->full_ms;
}

uint64_t pace_slice(uint64_t cost_ns)
{
	return cost_ns * (FULL_SHARE - 1) / MS;
}
