/* SPDX-License-Identifier: MIT */
/*
 * snapshot-combine.c - union, intersection, subtraction and difference of two snapshots.
 *
 * Both are sorted, and so are the ranges of each file: two streams are merged, twice over.
 */
#include "snapshot.h"

#include <errno.h>

#include "base/macro.h"

enum { IN_A = 1, IN_B = 2, IN_BOTH = 3 };

struct side {
	struct mmapfs_snapshot *snapshot;
	struct mmapfs_snapshot_entry entry;
	bool more;	    /* `entry` is one */
	bool here;	    /* it is the file the merge is at */
	uint64_t page_size; /* 0: take ranges as they are, else cut them ... */
	uint64_t limit;	    /* ... at this size of the file, in whole pages */
	uint64_t begin, end; /* the current range, or what is left of it */
};

static int advance(struct side *side)
{
	int r;

	side->entry = (struct mmapfs_snapshot_entry)MMAPFS_INIT(
		struct mmapfs_snapshot_entry);
	r = mmapfs_snapshot_next(side->snapshot, &side->entry);
	side->more = r > 0;
	return r < 0 ? r : 0;
}

/* ---- ranges ---- */

/* Let [begin, end) be the next range; at the end both are UINT64_MAX. */
static int next_range(struct side *side)
{
	struct mmapfs_range range;
	int r;

	side->begin = side->end = UINT64_MAX;
	r = side->here ? mmapfs_snapshot_next_range(side->snapshot, &range) : 0;
	if (r <= 0)
		return r;
	/* What is cut behind the limit is all that follows. */
	if (side->page_size > 0 && range.offset >= side->limit)
		return 0;
	side->begin = range.offset;
	side->end = range.offset + range.length;
	if (side->page_size > 0)
		side->end = u64_min(align_up(side->end, side->page_size), side->limit);
	return 0;
}

/* [begin, end) of the file is in those snapshots that @where says. */
typedef int (*piece_fn)(void *ctx, unsigned int where, uint64_t begin, uint64_t end);

/* The first boundary behind @at. */
static uint64_t boundary(const struct side *side, uint64_t at)
{
	return side->begin > at ? side->begin : side->end;
}

static int step_to(struct side *side, uint64_t at)
{
	if (side->begin < at)
		side->begin = at;
	return side->begin >= side->end && side->end != UINT64_MAX ? next_range(side) : 0;
}

/* Cut the ranges of both sides into pieces that are in one, or in both, as a whole. */
static int sweep(struct side *a, struct side *b, piece_fn fn, void *ctx)
{
	uint64_t at, next;
	unsigned int where;
	int r;

	r = next_range(a);
	if (r == 0)
		r = next_range(b);
	while (r == 0 && (at = u64_min(a->begin, b->begin)) != UINT64_MAX) {
		next = u64_min(boundary(a, at), boundary(b, at));
		where = (a->begin == at ? IN_A : 0) | (b->begin == at ? IN_B : 0);
		r = fn(ctx, where, at, next);
		if (r == 0)
			r = step_to(a, next);
		if (r == 0)
			r = step_to(b, next);
	}
	return r;
}

/* ---- files ---- */

/* One file, in those of @a and @b that are `here`. */
typedef int (*file_fn)(void *ctx, struct side *a, struct side *b);

static int walk(struct side *a, struct side *b, file_fn fn, void *ctx)
{
	int r;

	mmapfs_snapshot_rewind(a->snapshot);
	mmapfs_snapshot_rewind(b->snapshot);
	r = advance(a);
	if (r == 0)
		r = advance(b);
	while (r == 0 && (a->more || b->more)) {
		int order = !a->more ? 1 : !b->more ? -1 :
			    mmapfs__snapshot_compare(a->entry.name, b->entry.name);

		a->here = order <= 0;
		b->here = order >= 0;
		r = fn(ctx, a, b);
		if (r == 0 && a->here)
			r = advance(a);
		if (r == 0 && b->here)
			r = advance(b);
	}
	return r;
}

/* ---- combine ---- */

struct combine {
	enum mmapfs_snapshot_op op;
	struct mmapfs_snapshot_writer *writer;
};

static int put_piece(void *ctx, unsigned int where, uint64_t begin, uint64_t end)
{
	static const bool wanted[][4] = {
		[MMAPFS_SNAPSHOT_UNION] = { false, true, true, true },
		[MMAPFS_SNAPSHOT_INTERSECT] = { false, false, false, true },
		[MMAPFS_SNAPSHOT_SUBTRACT] = { false, true, false, false },
	};
	const struct combine *combine = ctx;
	const struct mmapfs_range range = { begin, end - begin };

	return wanted[combine->op][where] ?
		       mmapfs_snapshot_add_range(combine->writer, range) : 0;
}

/* The entry of the result: the file as it was last. NULL: the result has no such file. */
static const struct mmapfs_snapshot_entry *result_of(enum mmapfs_snapshot_op op,
						     const struct side *a,
						     const struct side *b)
{
	const struct mmapfs_snapshot_entry *known, *other;

	if (!a->here)
		return op == MMAPFS_SNAPSHOT_UNION ? &b->entry : NULL;
	if (!b->here)
		return op != MMAPFS_SNAPSHOT_INTERSECT ? &a->entry : NULL;
	if (a->entry.skipped || b->entry.skipped) {
		known = a->entry.skipped ? &b->entry : &a->entry;
		other = a->entry.skipped ? &a->entry : &b->entry;
		return op == MMAPFS_SNAPSHOT_UNION ? known : other;
	}
	return a->entry.mtime_ns > b->entry.mtime_ns ? &a->entry : &b->entry;
}

static int combine_file(void *ctx, struct side *a, struct side *b)
{
	struct combine *combine = ctx;
	const struct mmapfs_snapshot_entry *found = result_of(combine->op, a, b);
	struct mmapfs_snapshot_entry entry;
	int r;

	if (!found)
		return 0;
	entry = *found;
	if (a->here && b->here)
		entry.heat = (uint32_t)u64_max(a->entry.heat, b->entry.heat);
	r = mmapfs_snapshot_add_entry(combine->writer, &entry);
	if (r < 0 || entry.skipped)
		return r;
	a->limit = b->limit = entry.file_size;
	return sweep(a, b, put_piece, combine);
}

MMAPFS_PUBLIC int mmapfs_snapshot_combine(struct mmapfs_snapshot *a,
					  struct mmapfs_snapshot *b,
					  enum mmapfs_snapshot_op op,
					  struct mmapfs_snapshot_writer *writer)
{
	uint64_t page_size = a->in.header.page_size;
	struct combine combine = { op, writer };
	struct side side_a = { .snapshot = a, .page_size = page_size };
	struct side side_b = { .snapshot = b, .page_size = page_size };

	if (op > MMAPFS_SNAPSHOT_SUBTRACT)
		return -EINVAL;
	if (page_size != b->in.header.page_size ||
	    (writer->started && writer->header.page_size != page_size))
		return -EXDEV;
	writer->header.page_size = page_size;
	if (!writer->started)
		writer->header.heat |= a->in.header.heat || b->in.header.heat;
	return walk(&side_a, &side_b, combine_file, &combine);
}

/* ---- diff ---- */

struct diff {
	mmapfs_snapshot_delta_fn fn;
	mmapfs_snapshot_differ_fn range_fn;
	void *ctx;
	struct mmapfs_snapshot_delta delta;
};

static int count_piece(void *ctx, unsigned int where, uint64_t begin, uint64_t end)
{
	struct diff *diff = ctx;
	uint64_t length = end - begin;

	if (where == IN_BOTH) {
		diff->delta.both += length;
		return 0;
	}
	*(where == IN_A ? &diff->delta.only_a : &diff->delta.only_b) += length;
	return diff->range_fn ? diff->range_fn(diff->ctx, diff->delta.name, where, begin,
					       length) : 0;
}

static int diff_file(void *ctx, struct side *a, struct side *b)
{
	struct diff *diff = ctx;
	int r = 0;

	diff->delta = (struct mmapfs_snapshot_delta){
		.size = sizeof(diff->delta),
		.name = a->here ? a->entry.name : b->entry.name,
		.a = a->here ? &a->entry : NULL,
		.b = b->here ? &b->entry : NULL,
		.valid = !(a->here && a->entry.skipped) && !(b->here && b->entry.skipped),
	};
	if (a->here && b->here && diff->delta.valid)
		diff->delta.changed = mmapfs__snapshot_changed(&a->entry, &b->entry);
	if (diff->delta.valid)
		r = sweep(a, b, count_piece, diff);
	return r != 0 ? r : diff->fn(diff->ctx, &diff->delta);
}

MMAPFS_PUBLIC int mmapfs_snapshot_diff(struct mmapfs_snapshot *a,
				       struct mmapfs_snapshot *b,
				       mmapfs_snapshot_delta_fn fn,
				       mmapfs_snapshot_differ_fn range_fn, void *ctx)
{
	struct diff diff = { .fn = fn, .range_fn = range_fn, .ctx = ctx };
	struct side side_a = { .snapshot = a };
	struct side side_b = { .snapshot = b };

	return walk(&side_a, &side_b, diff_file, &diff);
}
