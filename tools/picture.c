/* SPDX-License-Identifier: MIT */
/* picture.c - equal parts of a file, drawn by how much of each is resident. */
#include "picture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macro.h"

/* As the attribute user.mmapfs.map. */
static const char ramp[] = ".:-=+*#%@";

int picture_init(struct picture *picture, uint64_t begin, uint64_t end, size_t cells)
{
	*picture = (struct picture){ .begin = begin, .end = u64_max(begin, end), .cells = cells };
	picture->resident = calloc(cells, sizeof(*picture->resident));
	return picture->resident ? 0 : -ENOMEM;
}

void picture_done(struct picture *picture)
{
	free(picture->resident);
	picture->resident = NULL;
}

uint64_t picture_edge(const struct picture *picture, size_t cell)
{
	uint64_t length = picture->end - picture->begin;

	/* Without the product, which could overflow. */
	return picture->begin + length / picture->cells * cell +
	       length % picture->cells * cell / picture->cells;
}

/* The cell that has the byte at @offset. */
static size_t cell_of(const struct picture *picture, uint64_t offset)
{
	size_t low = 0, high = picture->cells;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (picture_edge(picture, middle) <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

void picture_add(struct picture *picture, uint64_t offset, uint64_t length)
{
	uint64_t end = u64_min(add_saturated(offset, length), picture->end);

	offset = u64_max(offset, picture->begin);
	if (offset >= end)
		return;
	for (size_t cell = cell_of(picture, offset); cell < picture->cells; cell++) {
		uint64_t from = u64_max(offset, picture_edge(picture, cell));
		uint64_t to = u64_min(end, picture_edge(picture, cell + 1));

		if (picture_edge(picture, cell) >= end)
			break;
		if (from < to)
			picture->resident[cell] += to - from;
	}
}

char picture_char(const struct picture *picture, size_t cell)
{
	uint64_t whole = picture_edge(picture, cell + 1) - picture_edge(picture, cell);
	uint64_t part = picture->resident[cell];
	size_t steps = sizeof(ramp) - 2;

	if (whole == 0)
		return ' ';
	if (part == 0)
		return ramp[0];
	if (part >= whole)
		return ramp[steps];
	/* The steps between none and all, evenly. */
	return ramp[1 + (size_t)((double)part / (double)whole * (double)(steps - 1))];
}
