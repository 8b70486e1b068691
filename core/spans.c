/* SPDX-License-Identifier: MIT */
/* spans.c - a sorted set of disjoint, non-adjacent [begin, end) spans, in one array. */
#include "spans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

static int reserve(struct mmapfs__spans *spans, size_t count)
{
	size_t capacity = spans->capacity ? spans->capacity * 2 : 8;
	struct mmapfs__span *at;

	if (count <= spans->capacity)
		return 0;
	at = reallocarray(spans->at, capacity, sizeof(*at));
	if (!at)
		return -ENOMEM;
	spans->at = at;
	spans->capacity = capacity;
	return 0;
}

/* Index of the first span that ends at or after @offset; count when there is none. */
static size_t first_ending_from(const struct mmapfs__spans *spans, uint64_t offset)
{
	size_t low = 0;
	size_t high = spans->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (spans->at[middle].end < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Let the spans [first, last) become the @count ones at @with; there is room. */
static void replace(struct mmapfs__spans *spans, size_t first, size_t last,
		    const struct mmapfs__span *with, size_t count)
{
	memmove(spans->at + first + count, spans->at + last,
		(spans->count - last) * sizeof(*spans->at));
	if (count > 0)
		memcpy(spans->at + first, with, count * sizeof(*with));
	spans->count = spans->count - (last - first) + count;
}

int mmapfs__spans_add(struct mmapfs__spans *spans, uint64_t begin, uint64_t end)
{
	struct mmapfs__span whole = { begin, end };
	size_t first, last;
	int r;

	if (begin >= end)
		return 0;
	r = reserve(spans, spans->count + 1);
	if (r < 0)
		return r;
	/* Touching counts as overlapping, so that neighbours melt into one span. */
	first = last = first_ending_from(spans, begin);
	for (; last < spans->count && spans->at[last].begin <= end; last++) {
		whole.begin = u64_min(whole.begin, spans->at[last].begin);
		whole.end = u64_max(whole.end, spans->at[last].end);
	}
	replace(spans, first, last, &whole, 1);
	return 0;
}

int mmapfs__spans_remove(struct mmapfs__spans *spans, uint64_t begin, uint64_t end)
{
	struct mmapfs__span rest[2];
	size_t first, last, count = 0;
	int r;

	if (begin >= end)
		return 0;
	first = last = first_ending_from(spans, begin + 1);
	while (last < spans->count && spans->at[last].begin < end)
		last++;
	if (first == last)
		return 0;
	if (spans->at[first].begin < begin)
		rest[count++] = (struct mmapfs__span){ spans->at[first].begin, begin };
	if (spans->at[last - 1].end > end)
		rest[count++] = (struct mmapfs__span){ end, spans->at[last - 1].end };
	/* Only a split needs memory: removal to the end of everything cannot fail. */
	if (count > last - first) {
		r = reserve(spans, spans->count + 1);
		if (r < 0)
			return r;
	}
	replace(spans, first, last, rest, count);
	return 0;
}

uint64_t mmapfs__spans_covered(const struct mmapfs__spans *spans, uint64_t begin,
			       uint64_t end)
{
	uint64_t sum = 0;
	size_t i;

	if (begin >= end)
		return 0;
	for (i = first_ending_from(spans, begin); i < spans->count; i++) {
		if (spans->at[i].begin >= end)
			break;
		sum += u64_min(spans->at[i].end, end) -
		       u64_max(spans->at[i].begin, begin);
	}
	return sum;
}

void mmapfs__spans_clear(struct mmapfs__spans *spans)
{
	free(spans->at);
	*spans = (struct mmapfs__spans){ 0 };
}
