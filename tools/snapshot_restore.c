/* SPDX-License-Identifier: MIT */
/* snapshot_restore.c - apply an entry of a snapshot to a file, plain or on a mount. */
#include "snapshot_restore.h"

#include <errno.h>
#include <stdbool.h>

#include "snapshot_name.h"
#include "target.h"

static bool policy_allows(uint32_t policy, uint32_t changed)
{
	if (policy == MMAPFS_SNAPSHOT_ANY)
		return true;
	if (policy == MMAPFS_SNAPSHOT_RESIZED && changed & MMAPFS_SNAPSHOT_SIZE)
		return true;
	return !(changed & (MMAPFS_SNAPSHOT_SIZE | MMAPFS_SNAPSHOT_MTIME));
}

/* The inode number of a file on a mount may be another one at the next mount. */
static uint32_t changes(const struct mmapfs_snapshot_entry *entry, const struct stat *st)
{
	struct mmapfs_snapshot_entry now = snapshot_identity(st);
	uint32_t changed = 0;

	changed |= now.file_size != entry->file_size ? MMAPFS_SNAPSHOT_SIZE : 0;
	changed |= now.mtime_ns != entry->mtime_ns ? MMAPFS_SNAPSHOT_MTIME : 0;
	return changed;
}

/* The caller's progress, counted over all ranges. */
struct progress {
	const struct mmapfs_snapshot_apply_opts *opts;
	uint64_t done; /* bytes of the ranges before */
};

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
	const struct progress *progress = ctx;

	if (!progress->opts->progress)
		return 0;
	return progress->opts->progress(progress->opts->ctx, progress->done + done,
					progress->done + total);
}

static void add_warmed(struct mmapfs_snapshot_apply_result *sum,
		       const struct mmapfs_warm_result *warmed)
{
	sum->valid &= warmed->valid;
	sum->total += warmed->total;
	sum->requested += warmed->requested;
	sum->before += warmed->before;
	sum->after += warmed->after;
	sum->missing += warmed->missing;
}

static int warm_range(struct target *target, struct mmapfs_range range,
		      struct progress *progress, struct mmapfs_snapshot_apply_result *ret)
{
	const struct mmapfs_warm_opts opts = {
		.size = sizeof(opts),
		.progress = on_progress,
		.ctx = progress,
		.rate = progress->opts->rate,
		.keep_available = progress->opts->keep_available,
	};
	struct mmapfs_warm_result warmed = MMAPFS_INIT(struct mmapfs_warm_result);
	int r;

	r = target_warm(target, range, &opts, &warmed);
	add_warmed(ret, &warmed);
	progress->done += range.length;
	if (r == 0 && on_progress(progress, 0, 0) != 0)
		r = -ECANCELED;
	if (r < 0) {
		ret->error = r;
		ret->error_offset = warmed.error_offset;
	}
	return r;
}

/* Lost: many ranges under way at once. */
static int restore_on_mount(struct target *target, struct mmapfs_snapshot *snapshot,
			    const struct mmapfs_snapshot_entry *entry,
			    const struct mmapfs_snapshot_apply_opts *opts,
			    struct mmapfs_snapshot_apply_result *ret)
{
	struct progress progress = { .opts = opts };
	uint64_t size = (uint64_t)target->st.st_size;
	struct mmapfs_range range;
	int r;

	ret->changed = changes(entry, &target->st);
	ret->skipped = !policy_allows(opts->policy, ret->changed);
	ret->valid = !ret->skipped;
	while ((r = mmapfs_snapshot_next_range(snapshot, &range)) > 0) {
		ret->recorded += range.length;
		if (ret->skipped || ret->error < 0 || range.offset >= size)
			continue;
		(void)warm_range(target, range, &progress, ret);
	}
	return r < 0 ? r : ret->error;
}

int snapshot_restore(struct target *target, struct mmapfs_snapshot *snapshot,
		     const struct mmapfs_snapshot_entry *entry,
		     const struct mmapfs_snapshot_apply_opts *opts,
		     struct mmapfs_snapshot_apply_result *ret)
{
	struct mmapfs_map *map;
	int r;

	if (target->on_mount)
		return restore_on_mount(target, snapshot, entry, opts, ret);
	r = target_map(target, &map);
	return r < 0 ? r : mmapfs_snapshot_apply(snapshot, map, opts, ret);
}
