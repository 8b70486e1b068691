/* SPDX-License-Identifier: MIT */
/*
 * snapshot-apply.c - make the ranges of an entry resident again, and no others.
 *
 * The pipeline is that of warm.c, with the entry's ranges for its source: readahead(2) of
 * each exact range, many under way at once, then a wait that finds what could not be read.
 * readahead(2) reads what it is told and nothing around it, whatever the advice on the
 * descriptor. The ranges are read from the snapshot each time they are walked, for there may
 * be more of them than fit in memory.
 */
#include "snapshot.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "result.h"
#include "warm.h"

struct apply {
	struct mmapfs_snapshot *snapshot;
	struct mmapfs_map *map;
	struct mmapfs__extent extent;
	struct mmapfs_snapshot_apply_opts opts;
	struct mmapfs_snapshot_apply_result out;
};

static int ranges_begin(void *ctx, struct mmapfs_map *map,
			const struct mmapfs__extent *extent)
{
	struct apply *apply = ctx;

	(void)map;
	apply->extent = *extent;
	mmapfs_snapshot_rewind_ranges(apply->snapshot);
	return 0;
}

/* The page size may have been another one where the snapshot was taken: widening can make
 * a range reach into the one before. */
static int ranges_next(void *ctx, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct apply *apply = ctx;
	struct mmapfs_range range;
	uint64_t page = mmapfs__page_size();
	uint64_t begin, end;
	int r;

	do {
		r = mmapfs_snapshot_next_range(apply->snapshot, &range);
		if (r <= 0)
			return r;
		begin = u64_max(align_down(range.offset, page), apply->extent.begin);
		end = u64_min(align_up(range.offset + range.length, page),
			      apply->extent.end);
	} while (begin >= end);
	apply->extent.begin = end;
	*ret_begin = begin;
	*ret_end = end;
	return 1;
}

static void ranges_done(void *ctx)
{
	(void)ctx;
}

/* Bytes in whole pages that are resident outside of the ranges, of which @inside bytes are
 * resident; the file's last page may be counted there only as far as the file goes. */
static int outside(struct mmapfs_map *map, uint64_t inside, uint64_t *ret)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs_residency found = MMAPFS_INIT(struct mmapfs_residency);
	uint64_t all;
	int r;

	r = mmapfs_residency(map, whole, MMAPFS_OBSERVE_READY, &found);
	if (r < 0)
		return r;
	if (!(found.valid & MMAPFS_RESIDENT))
		return -ENODATA;
	all = found.resident * found.page_size;
	inside = align_up(inside, found.page_size);
	*ret = all - u64_min(all, inside);
	return 0;
}

static int recorded_bytes(struct apply *apply)
{
	struct mmapfs_range range;
	int r;

	mmapfs_snapshot_rewind_ranges(apply->snapshot);
	while ((r = mmapfs_snapshot_next_range(apply->snapshot, &range)) > 0)
		apply->out.recorded += range.length;
	return r;
}

static void put_warm(struct apply *apply, const struct mmapfs_warm_result *warm)
{
	struct mmapfs_snapshot_apply_result *out = &apply->out;

	out->valid = warm->valid;
	out->error = warm->error;
	out->error_offset = warm->error_offset;
	out->total = warm->total;
	out->requested = warm->requested;
	out->before = warm->before;
	out->after = warm->after;
	out->missing = warm->missing;
}

static int warm(struct apply *apply)
{
	const struct mmapfs_range whole = { 0, 0 };
	const struct mmapfs__source source = {
		.begin = ranges_begin,
		.next = ranges_next,
		.done = ranges_done,
		.ctx = apply,
		.holes = true, /* that were read were resident too */
	};
	const struct mmapfs_warm_opts opts = {
		.size = sizeof(opts),
		.progress = apply->opts.progress,
		.ctx = apply->opts.ctx,
		.rate = apply->opts.rate,
		.keep_available = apply->opts.keep_available,
		.limit = apply->opts.limit,
	};
	struct mmapfs_warm_result result = MMAPFS_INIT(struct mmapfs_warm_result);
	uint64_t before = 0, after;
	int known, r;

	/* Everything that is there, for now: what the warm found inside comes off below. */
	known = outside(apply->map, 0, &before);
	r = mmapfs__warm(apply->map, whole, &source, &opts, &result);
	put_warm(apply, &result);
	before -= u64_min(before, align_up(result.before, mmapfs__page_size()));
	if (known < 0 || outside(apply->map, result.after, &after) < 0)
		apply->out.valid = 0;
	if (apply->out.valid)
		apply->out.extra = after - u64_min(after, before);
	return r;
}

static bool policy_allows(uint32_t policy, uint32_t changed)
{
	if (policy == MMAPFS_SNAPSHOT_ANY)
		return true;
	if (policy == MMAPFS_SNAPSHOT_RESIZED && changed & MMAPFS_SNAPSHOT_SIZE)
		return true;
	return !(changed & (MMAPFS_SNAPSHOT_SIZE | MMAPFS_SNAPSHOT_MTIME));
}

static int apply_entry(struct apply *apply)
{
	struct mmapfs_snapshot_entry now;
	struct stat st;
	int r;

	r = mmapfs__sys->fstat(apply->map->fd, &st);
	if (r < 0)
		return r;
	now = mmapfs__snapshot_identity(&st);
	if (apply->map->block_device) {
		r = mmapfs__map_file_size(apply->map, &now.file_size);
		/* The time of a device node says nothing about what is on the device. */
		now.mtime_ns = apply->snapshot->entry.mtime_ns;
	}
	if (r == 0)
		r = recorded_bytes(apply);
	if (r < 0)
		return r;
	apply->out.changed = mmapfs__snapshot_changed(&apply->snapshot->entry, &now);
	if (!policy_allows(apply->opts.policy, apply->out.changed)) {
		apply->out.skipped = 1;
		return 0;
	}
	return warm(apply);
}

MMAPFS_PUBLIC int mmapfs_snapshot_apply(struct mmapfs_snapshot *snapshot,
					struct mmapfs_map *map,
					const struct mmapfs_snapshot_apply_opts *opts,
					struct mmapfs_snapshot_apply_result *ret)
{
	struct apply apply = { .snapshot = snapshot, .map = map };
	int r = 0;

	if ((opts && opts->size < sizeof(opts->size)) ||
	    (ret && ret->size < sizeof(ret->size)))
		return -EINVAL;
	if (opts)
		memcpy(&apply.opts, opts, u64_min(opts->size, sizeof(*opts)));
	if (apply.opts.policy > MMAPFS_SNAPSHOT_ANY)
		return -EINVAL;
	if (!snapshot->entry.name || map->offset != 0 || !map->to_end)
		return -ENODATA;
	if (snapshot->current)
		r = apply_entry(&apply);
	else
		apply.out.skipped = 1;
	if (r < 0 && apply.out.error == 0)
		apply.out.error = r;
	if (ret)
		mmapfs__result_put(ret, &apply.out, sizeof(apply.out));
	return r;
}
