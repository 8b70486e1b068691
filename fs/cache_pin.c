/* SPDX-License-Identifier: MIT */
/*
 * cache_pin.c - the treater: keeps locked what the policy wants locked, and lets go of the
 * pages of what it wants never cached.
 *
 * A file is locked as a whole or not at all, in the order in which files are found, within
 * the mount's lock limit. A pin is a file whose lock is the policy's doing. It goes when no
 * name of the file asks for it any more: a walk marks the pins that it sees, and at its end
 * those without a mark go. A file that somebody locked or unlocked by hand is left alone
 * until the policy is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_treat_private.h"
#include "ctl_private.h"
#include "log.h"
#include "ticker.h"

#define LOCK_PIECE (UINT64_C(64) << 20) /* between two looks whether to stop */
#define PINS_MAX 32768	   /* a process may have 65530 mappings */
#define PIN_SHARE 2	   /* of the descriptors, one in so many is for pins and inodes */
#define GONE_MS 1000	   /* between two looks for pins without a name */

static const struct mmapfs_range whole = { 0, 0 };

void pins_init(struct pins *pins)
{
	struct rlimit limit;

	pins->max = PINS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		pins->max = u64_min(pins->max, limit.rlim_cur / PIN_SHARE);
}

/* The locks themselves end with the inodes. */
void pins_free(struct policy_keeper *keeper)
{
	struct pins *pins = &keeper->pins;

	for (size_t i = 0; i < pins->count; i++)
		inode_unref(keeper->fs->inodes, pins->list[i], 1);
	free(pins->list);
	*pins = (struct pins){ 0 };
}

static void mark(struct inode *inode, unsigned char mark)
{
	atomic_fetch_or(&inode->marks, mark);
}

static void unmark(struct inode *inode, unsigned char mark)
{
	atomic_fetch_and(&inode->marks, (unsigned char)~mark);
}

static bool is_marked(struct inode *inode, unsigned char mark)
{
	return atomic_load(&inode->marks) & mark;
}

/* ---- the list ---- */

static int add_pin(struct policy_keeper *keeper, struct inode *inode)
{
	struct pins *pins = &keeper->pins;
	size_t capacity = pins->capacity ? pins->capacity * 2 : 64;
	struct inode **list;

	if (is_marked(inode, INODE_TREATED))
		return 0;
	/* A pin has a descriptor, and so have inodes where there are no file handles. */
	if (pins->count + inode_descriptors(keeper->fs->inodes) >= pins->max)
		return -EMFILE;
	if (pins->count == pins->capacity) {
		list = reallocarray(pins->list, capacity, sizeof(*list));
		if (!list)
			return -ENOMEM;
		pins->list = list;
		pins->capacity = capacity;
	}
	inode_ref(keeper->fs->inodes, inode);
	pins->list[pins->count++] = inode;
	mark(inode, INODE_TREATED);
	atomic_fetch_add(&keeper->locked.files, 1);
	return 0;
}

/* The last pin takes its place. */
static void remove_pin_at(struct policy_keeper *keeper, size_t i)
{
	struct pins *pins = &keeper->pins;
	struct inode *inode = pins->list[i];

	pins->list[i] = pins->list[--pins->count];
	unmark(inode, INODE_TREATED | INODE_SEEN);
	atomic_fetch_sub(&keeper->locked.files, 1);
	inode_unref(keeper->fs->inodes, inode, 1);
}

static void unlock_pin_at(struct policy_keeper *keeper, size_t i)
{
	struct inode *inode = keeper->pins.list[i];
	const uint64_t before = region_locked(inode, 0, UINT64_MAX);

	if (!is_marked(inode, INODE_BY_HAND))
		(void)region_unlock(keeper->fs, inode, whole);
	atomic_fetch_sub(&keeper->locked.bytes, before);
	remove_pin_at(keeper, i);
	/* What it leaves may be room for others. */
	if (atomic_load(&keeper->refused.known.files))
		walker_walk_soon(keeper->treater);
}

static void unlock_pin(struct policy_keeper *keeper, struct inode *inode)
{
	for (size_t i = 0; is_marked(inode, INODE_TREATED); i++) {
		if (keeper->pins.list[i] == inode)
			unlock_pin_at(keeper, i);
	}
}

/* Exactly: somebody may have locked or unlocked by hand what was a pin. */
static void count_pins(struct policy_keeper *keeper)
{
	struct treat_count count = { .files = keeper->pins.count };

	for (size_t i = 0; i < keeper->pins.count; i++)
		count.bytes += region_locked(keeper->pins.list[i], 0, UINT64_MAX);
	tally_set(&keeper->locked, count);
}

/* Deleted, or its last name taken by another file: nobody can ask for it any more. */
static bool is_nameless(struct policy_keeper *keeper, struct inode *inode)
{
	struct stat st;
	int r = inode_stat(keeper->fs->inodes, inode, &st);

	return r == -ESTALE || (r == 0 && !st.st_nlink);
}

static void drop_nameless(struct policy_keeper *keeper)
{
	for (size_t i = keeper->pins.count; i--;) {
		if (is_nameless(keeper, keeper->pins.list[i]))
			unlock_pin_at(keeper, i);
	}
}

/* ---- one file ---- */

/* Bytes of @inode, which has @size, that would be locked. */
static uint64_t pages_size(const struct inode *inode, uint64_t size)
{
	const struct byte_span span = region_pages(inode, whole, size);

	return span.end - span.begin;
}

static bool has_room(const struct fs *fs, uint64_t bytes)
{
	const uint64_t used = atomic_load(&fs->locked_bytes);

	return used <= fs->lock_limit && bytes <= fs->lock_limit - used;
}

static int lock_pieces(struct policy_keeper *keeper, struct inode *inode, uint64_t size)
{
	struct mmapfs_range piece = { 0, LOCK_PIECE };
	int r = 0;

	for (; r >= 0 && piece.offset < size; piece.offset += LOCK_PIECE) {
		if (walker_should_stop(keeper->treater))
			return -EINTR;
		r = region_lock(keeper->fs, inode, piece);
	}
	return r;
}

/* Errors: -ENOMEM and -EMFILE, it is refused by a limit. */
static int lock_file(struct policy_keeper *keeper, struct inode *inode, uint64_t size)
{
	const uint64_t have = region_locked(inode, 0, UINT64_MAX);
	const uint64_t want = pages_size(inode, size);
	int r;

	if (have == want)
		return 0;
	if (want > have && !has_room(keeper->fs, want - have))
		return -ENOMEM;
	r = add_pin(keeper, inode);
	if (r < 0)
		return r;
	r = lock_pieces(keeper, inode, size);
	/* What was locked before stays so when the file cannot be locked as it has grown. */
	if (r < 0 && r != -EINTR && !have)
		unlock_pin(keeper, inode);
	return r;
}

static void keep_locked(struct policy_keeper *keeper, struct inode *inode)
{
	const uint64_t before = region_locked(inode, 0, UINT64_MAX);
	uint64_t after;
	struct stat st;
	int r = inode_stat(keeper->fs->inodes, inode, &st);

	if (r < 0 || !st.st_nlink || !st.st_size) {
		unlock_pin(keeper, inode);
		return;
	}
	r = lock_file(keeper, inode, (uint64_t)st.st_size);
	mark(inode, INODE_SEEN);
	after = region_locked(inode, 0, UINT64_MAX);
	atomic_fetch_add(&keeper->locked.bytes, after - before);
	if (r == -ENOMEM || r == -EMFILE)
		shortage_add(&keeper->refused,
			     pages_size(inode, (uint64_t)st.st_size) - after);
	else if (r < 0 && r != -EINTR && r != -ESTALE)
		keeper_failed(keeper, r);
}

static bool is_open(struct inode *inode)
{
	return atomic_load(&inode->data_path) != DATA_PATH_UNDECIDED;
}

static void close_mapp(struct mmapfs_map **map)
{
	mmapfs_map_close(*map);
}

/* Pages that are yet to be written; and mapped ones, be it by a read that was answered a
 * moment ago and has not put its view back. */
static bool may_go_later(const struct evict_sums *sums)
{
	return sums->stayed[MMAPFS_STAY_DIRTY] || sums->stayed[MMAPFS_STAY_WRITEBACK] ||
	       sums->stayed[MMAPFS_STAY_MAPPED];
}

/* Returns true when pages stayed that may go later. */
static bool drop_pages(struct policy_keeper *keeper, struct inode *inode)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct evict_sums sums = { 0 };
	int r = region_open_map(keeper->fs, inode, MMAPFS_ACCESS_READ, &map);

	if (r >= 0 && mmapfs_map_length(map))
		r = ctl_evict_map(keeper->fs, inode, map, whole, 0, &sums);
	if (r < 0) {
		if (r != -ESTALE)
			keeper_failed(keeper, r);
		return false;
	}
	if (may_go_later(&sums))
		return true;
	tally_add(&keeper->dropped, 0);
	return false;
}

/* Returns true when it is to be done once more. */
static bool treat(struct policy_keeper *keeper, struct inode *inode)
{
	const struct treatment treatment = inode_treatment(inode);

	if (is_marked(inode, INODE_BY_HAND))
		mark(inode, INODE_SEEN);
	else if (treatment.lock)
		keep_locked(keeper, inode);
	else if (is_marked(inode, INODE_TREATED))
		unlock_pin(keeper, inode);
	region_renew_advice(inode);
	return treatment.never == NEVER_CACHE && !is_open(inode) && drop_pages(keeper, inode);
}

/* ---- for the walker ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Not with each of thousands of files that are removed in a row. */
static uint64_t look_for_nameless(struct policy_keeper *keeper)
{
	const uint64_t now = now_ms();
	const uint64_t due = keeper->pins.gone_checked_ms + GONE_MS;

	if (!atomic_load(&keeper->names_gone))
		return TICKER_NEVER;
	if (now < due)
		return due - now;
	atomic_store(&keeper->names_gone, false);
	drop_nameless(keeper);
	keeper->pins.gone_checked_ms = now_ms();
	return TICKER_NEVER;
}

static uint64_t woken(void *ctx)
{
	struct policy_keeper *keeper = ctx;

	if (atomic_exchange(&keeper->reload_wanted, false))
		(void)treat_reload(keeper);
	return look_for_nameless(keeper);
}

static bool is_wanted(void *ctx)
{
	struct policy_keeper *keeper = ctx;

	return (atomic_load(&keeper->wants) & POLICY_LOCKS) || keeper->pins.count;
}

static bool queued(void *ctx, struct inode *inode)
{
	return treat(ctx, inode);
}

static void begin(void *ctx, bool all)
{
	struct policy_keeper *keeper = ctx;
	const bool renewed = atomic_exchange(&keeper->renewed, false);

	(void)all; /* pins are looked at by every walk */
	for (size_t i = 0; i < keeper->pins.count; i++)
		unmark(keeper->pins.list[i],
		       renewed ? INODE_SEEN | INODE_BY_HAND : INODE_SEEN);
	shortage_begin(&keeper->refused);
}

/* Unless it is to be locked, only a file that the mount knows has a treatment to be kept. */
static struct inode *inode_of(struct policy_keeper *keeper, const struct walker_found *found,
			      bool lock)
{
	_cleanup_close_ int fd = ctl_walk_open(found->tree, found->dir_fd, found->name, found->st,
					       O_PATH);
	struct inode_table *inodes = keeper->fs->inodes;
	struct inode *inode = NULL;
	int r;

	if (fd < 0)
		return NULL;
	if (!lock)
		return inode_find(inodes, fd, found->st);
	r = inode_get(inodes, fd, found->st, &inode);
	if (r < 0)
		keeper_failed(keeper, r);
	return r < 0 ? NULL : inode;
}

static void found(void *ctx, const struct walker_found *found)
{
	struct policy_keeper *keeper = ctx;
	const bool lock = treatment_unpack(keeper_find(keeper, found->path, found->name)).lock;
	struct inode *inode;

	if (!(lock && found->st->st_size) && !found->all &&
	    !walker_is_new(keeper->treater, found->st))
		return;
	inode = inode_of(keeper, found, lock);
	if (!inode)
		return;
	(void)keeper_name(keeper, inode, found->st, found->path, found->name);
	/* Another of its names may ask for it: if none does, it shows at the end. */
	if (lock || found->st->st_nlink == 1)
		(void)treat(keeper, inode);
	inode_unref(keeper->fs->inodes, inode, 1);
}

static uint64_t lock_limit(const struct fs *fs)
{
	struct mmapfs_probe probe = MMAPFS_INIT(probe);

	return mmapfs_probe(&probe) < 0 ? fs->lock_limit
					: u64_min(fs->lock_limit, probe.memlock_limit);
}

static void tell_refused(struct policy_keeper *keeper)
{
	const struct treat_count refused = tally_get(&keeper->refused.known);

	log_line(LOG_WARNING, "policy: %" PRIu64 " files, %" PRIu64 " bytes, are to be locked and are not: %" PRIu64 " bytes in %zu files are; the limits are %" PRIu64 " bytes (lock_limit, RLIMIT_MEMLOCK) and %zu files (RLIMIT_NOFILE)",
		 refused.files, refused.bytes, (uint64_t)atomic_load(&keeper->fs->locked_bytes),
		 keeper->pins.count, lock_limit(keeper->fs), keeper->pins.max);
}

static void end(void *ctx, bool complete)
{
	struct policy_keeper *keeper = ctx;

	for (size_t i = keeper->pins.count; complete && i--;) {
		struct inode *inode = keeper->pins.list[i];

		if (is_marked(inode, INODE_SEEN))
			continue;
		atomic_store(&inode->treatment, 0); /* of a name that it no longer has */
		unlock_pin_at(keeper, i);
	}
	drop_nameless(keeper);
	count_pins(keeper);
	if (shortage_end(&keeper->refused))
		tell_refused(keeper);
}

const struct walker_ops treater_ops = {
	.woken = woken,
	.is_wanted = is_wanted,
	.queued = queued,
	.begin = begin,
	.found = found,
	.end = end,
};
