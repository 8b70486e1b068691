/* SPDX-License-Identifier: MIT */
/*
 * cache_warm.c - the warmer: reads in what the policy wants warm, when the mount or a policy
 * begins and when a file appears, one file after the other.
 *
 * A file is read as a whole or not at all: what is missing of it must fit into the budget,
 * and all that one walk reads into RAM. A file that was only written to is not new: else one
 * byte would bring a large cold file back, against the budget.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"
#include "cache_treat_private.h"
#include "ctl_private.h"
#include "log.h"
#include "ticker.h"

static const struct mmapfs_range whole = { 0, 0 };

static void close_mapp(struct mmapfs_map **map)
{
	mmapfs_map_close(*map);
}

static uint64_t ram_size(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * ctl_page_size();
}

/* ---- one file ---- */

/* Bytes that would have to be read in. Where residency is unknown, all. */
static uint64_t missing_bytes(struct mmapfs_map *map)
{
	struct mmapfs_residency found = MMAPFS_INIT(found);
	struct stat st;
	uint64_t missing = mmapfs_map_length(map);

	if (mmapfs_residency(map, whole, MMAPFS_OBSERVE_READY, &found) == 0 &&
	    (found.valid & MMAPFS_RESIDENT))
		missing = (found.pages - found.resident) * found.page_size;
	/* Holes are not read. */
	if (fstat(mmapfs_map_fd(map), &st) == 0)
		missing = u64_min(missing, (uint64_t)st.st_blocks * 512);
	return missing;
}

/* A file that is being read. */
struct reading {
	struct policy_keeper *keeper;
	struct inode *inode;
};

/* The budget is not to forget the file, of which it may not have seen a page yet. */
static int progress(void *ctx, uint64_t done, uint64_t total)
{
	const struct reading *reading = ctx;

	(void)done;
	(void)total;
	cache_reading(reading->keeper->fs, reading->inode, 0);
	return walker_should_stop(reading->keeper->warmer);
}

static int read_in(struct policy_keeper *keeper, struct inode *inode, struct mmapfs_map *map)
{
	struct mmapfs_warm_opts opts = MMAPFS_INIT(opts);
	struct mmapfs_warm_result result = MMAPFS_INIT(result);
	struct reading reading = { keeper, inode };
	int r;

	opts.progress = progress;
	opts.ctx = &reading;
	r = mmapfs_warm(map, whole, &opts, &result);
	metrics_add(&keeper->fs->metrics, METRIC_WARMED, ctl_pages_of(result.requested));
	keeper->walk_read += result.requested;
	if (r >= 0)
		tally_add(&keeper->warmed, result.requested);
	return r;
}

static bool has_room(struct policy_keeper *keeper, uint64_t bytes)
{
	const uint64_t ram = ram_size();

	return bytes <= cache_room(keeper->fs) && bytes <= ram - u64_min(ram, keeper->walk_read);
}

static int warm(struct policy_keeper *keeper, struct inode *inode)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	uint64_t missing;
	int r = region_open_map(keeper->fs, inode, MMAPFS_ACCESS_READ, &map);

	if (r < 0 || !mmapfs_map_length(map))
		return r;
	missing = missing_bytes(map);
	if (!has_room(keeper, missing)) {
		shortage_add(&keeper->no_room, missing);
		return 0;
	}
	if (missing)
		cache_reading(keeper->fs, inode, missing);
	return read_in(keeper, inode, map);
}

static void warm_inode(struct policy_keeper *keeper, struct inode *inode)
{
	int r = warm(keeper, inode);

	if (r < 0 && r != -ECANCELED && r != -ESTALE)
		keeper_failed(keeper, r);
}

/* ---- which are new ---- */

static int64_t ns_of(struct statx_timestamp time)
{
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Was it made, or moved here, since the last walk? Only written to: no. Where the time of
 * birth is not known: yes. */
static bool has_appeared(const struct policy_keeper *keeper, const struct walker_found *found)
{
	const int64_t since = walker_new_since(keeper->warmer);
	struct statx stx;

	if (!walker_is_new(keeper->warmer, found->st))
		return false;
	if (statx(found->dir_fd, found->name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
		  &stx) < 0)
		return false;
	return !(stx.stx_mask & STATX_BTIME) || ns_of(stx.stx_btime) >= since ||
	       ns_of(stx.stx_mtime) < since;
}

/* ---- for the walker ---- */

static uint64_t woken(void *ctx)
{
	struct policy_keeper *keeper = ctx;

	keeper->walk_read = 0;
	return TICKER_NEVER;
}

static bool is_wanted(void *ctx)
{
	struct policy_keeper *keeper = ctx;

	return atomic_load(&keeper->wants) & POLICY_WARMS;
}

static bool queued(void *ctx, struct inode *inode)
{
	atomic_fetch_and(&inode->marks, (unsigned char)~INODE_APPEARED);
	if (inode_treatment(inode).warm)
		warm_inode(ctx, inode);
	return false;
}

static void begin(void *ctx, bool all)
{
	struct policy_keeper *keeper = ctx;

	keeper->walk_read = 0;
	/* Else it comes upon what is new only, and what it leaves out is in addition. */
	if (all)
		shortage_begin(&keeper->no_room);
}

static void found(void *ctx, const struct walker_found *found)
{
	struct policy_keeper *keeper = ctx;
	struct inode *inode = NULL;
	int fd, r;

	if (!found->st->st_size ||
	    !treatment_unpack(keeper_find(keeper, found->path, found->name)).warm ||
	    (!found->all && !has_appeared(keeper, found)))
		return;
	fd = ctl_walk_open(found->tree, found->dir_fd, found->name, found->st, O_PATH);
	if (fd < 0)
		return;
	r = inode_get(keeper->fs->inodes, fd, found->st, &inode);
	close(fd);
	if (r < 0) {
		keeper_failed(keeper, r);
		return;
	}
	warm_inode(keeper, inode);
	inode_unref(keeper->fs->inodes, inode, 1);
}

static void end(void *ctx, bool complete)
{
	struct policy_keeper *keeper = ctx;
	struct treat_count left_out;

	(void)complete;
	if (!shortage_end(&keeper->no_room))
		return;
	left_out = tally_get(&keeper->no_room.known);
	log_line(LOG_WARNING, "policy: %" PRIu64 " files, %" PRIu64 " bytes, are to be warm and are not: they do not fit into the budget, or RAM",
		 left_out.files, left_out.bytes);
}

const struct walker_ops warmer_ops = {
	.woken = woken,
	.is_wanted = is_wanted,
	.queued = queued,
	.begin = begin,
	.found = found,
	.end = end,
};
