/* SPDX-License-Identifier: MIT */
/* pace.c - the arithmetic of rate and budget over the files of one warm. */
#include "pace.h"

#include <stddef.h>

#include "base/macro.h"

#define NS_PER_S UINT64_C(1000000000)

int pace_begin(struct pace *pace, uint64_t rate, uint64_t keep, const char *root,
	       uint64_t now_ns)
{
	int r = 0;

	*pace = (struct pace){
		.rate = rate, .keep = keep, .root = root, .start_ns = now_ns
	};
	if (keep)
		r = budget_room(root, &pace->room);
	pace->start_room = pace->room.bytes;
	return r;
}

/* Without the product, which might not fit. */
static uint64_t ns_for(uint64_t bytes, uint64_t rate)
{
	return bytes / rate * NS_PER_S +
	       (uint64_t)((double)(bytes % rate) * (double)NS_PER_S / (double)rate);
}

uint64_t pace_delay_ns(const struct pace *pace, uint64_t now_ns)
{
	uint64_t due;

	if (!pace->rate)
		return 0;
	due = add_saturated(pace->start_ns, ns_for(pace->requested, pace->rate));
	return due > now_ns ? due - now_ns : 0;
}

static void count(struct pace *pace, uint64_t *counted, uint64_t taking)
{
	pace->in_flight -= u64_min(pace->in_flight, *counted);
	pace->in_flight = add_saturated(pace->in_flight, taking);
	*counted = taking;
}

bool pace_allows(struct pace *pace, uint64_t *counted, uint64_t taking, uint64_t more)
{
	uint64_t taken, room;

	count(pace, counted, taking);
	taken = add_saturated(pace->taken, pace->in_flight);
	if (!pace->keep || more == 0)
		return !pace->stopped;
	if (pace->stopped || budget_room(pace->root, &pace->room) < 0) {
		pace->stopped = true;
		return false;
	}
	room = u64_min(pace->room.bytes,
		       pace->start_room - u64_min(pace->start_room, taken));
	pace->stopped = room < add_saturated(pace->keep, u64_min(more, PACE_STEP));
	return !pace->stopped;
}

void pace_finished(struct pace *pace, uint64_t counted, uint64_t requested,
		   uint64_t taken)
{
	count(pace, &counted, 0);
	pace->requested = add_saturated(pace->requested, requested);
	pace->taken = add_saturated(pace->taken, taken);
}
