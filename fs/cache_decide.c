/* SPDX-License-Identifier: MIT */
/* cache_decide.c - which files of a full cache give up how much. */
#include "cache_decide.h"

#include "base/macro.h"

/* Turns in which a use comes to count half. */
#define HALF_LIFE 0.5

/* No file is hotter than one that is used 2^this times at once: so many half-lives later,
 * a file that was everybody's is as cold as one just read. */
#define LEAD_MAX 6.0

/* ---- heat ---- */

double heat_used(double heat, double turn)
{
	const double now = turn / HALF_LIFE;
	const double more = fmax(heat, now), less = fmin(heat, now);

	return fmin(more + log2(1 + exp2(less - more)), now + LEAD_MAX);
}

double heat_seen(double heat, double turn)
{
	return fmax(heat, turn / HALF_LIFE);
}

/* ---- the decision ---- */

static uint64_t to_give(const struct cache_file *file)
{
	return file->never ? 0 : file->resident - u64_min(file->resident, file->kept);
}

/* Does file number @a go before file number @b? Never both ways round. */
static bool goes_first(const struct cache_file *files, size_t a, size_t b)
{
	const struct cache_file *x = &files[a], *y = &files[b];

	if (x->priority != y->priority)
		return x->priority < y->priority;
	if (x->heat != y->heat)
		return x->heat < y->heat;
	if (x->used_at != y->used_at)
		return x->used_at < y->used_at;
	return a < b;
}

/* Let heap[at] sink to its place in a heap whose top goes first. */
static void sink(const struct cache_file *files, struct action *heap, size_t count,
		 size_t at)
{
	const struct action sinking = heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < count &&
		    goes_first(files, heap[child + 1].file, heap[child].file))
			child++;
		if (child >= count || !goes_first(files, heap[child].file, sinking.file))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = sinking;
}

/* All that has something to give, as a heap. Returns how many. */
static size_t candidates(const struct cache_file *files, size_t count,
			 struct action *heap)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		const uint64_t bytes = to_give(&files[i]);

		if (bytes)
			heap[found++] = (struct action){ i, bytes, files[i].sync };
	}
	for (size_t i = found / 2; i > 0; i--)
		sink(files, heap, found, i - 1);
	return found;
}

/* The @taken last actions of an array of @count stand in reverse: make them its first. */
static void bring_forward(struct action *actions, size_t count, size_t taken)
{
	for (size_t i = 0; i < count / 2 && i < taken; i++) {
		const struct action last = actions[count - 1 - i];

		actions[count - 1 - i] = actions[i];
		actions[i] = last;
	}
}

size_t decide(const struct cache_file *files, size_t count, const struct marks *marks,
	      struct action *out)
{
	uint64_t need = marks->used > marks->high ? marks->used - marks->low : 0;
	const size_t found = need ? candidates(files, count, out) : 0;
	size_t left = found;

	/* What is taken off the top goes to the place that the heap gives up. */
	while (need && left) {
		struct action first = out[0];

		first.bytes = u64_min(first.bytes, align_up(need, marks->granule));
		need -= u64_min(need, first.bytes);
		out[0] = out[--left];
		sink(files, out, left, 0);
		out[left] = first;
	}
	bring_forward(out, found, found - left);
	return found - left;
}
