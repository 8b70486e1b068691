/* SPDX-License-Identifier: MIT */
/*
 * cache_restore_file.c - make resident what a snapshot says was of one file.
 *
 * A file that is no longer as it was is left alone. The pace is that of the option, over all
 * files; the budget is asked before each file and while it is read, and no more is asked of
 * the disk than there was room for.
 */
#include "cache_restore_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"

/* Files up to this size are read in several at a time; a larger one fills a queue. */
#define SMALL_BYTES (UINT64_C(1) << 20)
/* But with a rate none that would take longer than one part in so many of a second. */
#define SMALL_SHARE 16

/* What is read in between two questions to the budget; more for huge files, where each
 * question costs a look at all that was asked for. */
#define PORTION_BYTES (UINT64_C(256) << 20)
#define PORTIONS_MAX 16

/* Of small files so many bytes are read in from one look at what memory is available to the
 * next: reading /proc/meminfo takes longer than some of them. */
#define MEMORY_BYTES (UINT64_C(8) << 20)

bool restore_is_small(const struct restore *restore, uint64_t bytes)
{
	const uint64_t rate = atomic_load(&restore->restart->rate);

	return bytes <= SMALL_BYTES && (!rate || bytes <= rate / SMALL_SHARE);
}

/* ---- how far it is ---- */

void restore_tell(struct restore *restore)
{
	struct restart *restart = restore->restart;
	SCOPE_LOCK(&restart->mutex);

	restart->restored = restore->status;
	restart->restored.done += restore->under_way;
}

static int progress(void *ctx, uint64_t done, uint64_t total)
{
	struct restorer *restorer = ctx;
	struct restore *restore = restorer->restore;
	SCOPE_LOCK(&restore->mutex);

	(void)total;
	restore->under_way += done - restorer->file_done;
	restorer->file_done = done;
	restore_tell(restore);
	return restore->result < 0 || restart_ends(restore->restart);
}

static void count_failed(struct restore *restore, int error)
{
	SCOPE_LOCK(&restore->mutex);

	restore->status.failed++;
	if (!restore->status.error)
		restore->status.error = error;
}

static void count_changed(struct restore *restore)
{
	SCOPE_LOCK(&restore->mutex);

	restore->status.changed++;
}

/* ---- reading in ---- */

static uint64_t occupied(struct mmapfs_map *map)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs_residency found = MMAPFS_INIT(found);

	if (mmapfs_residency(map, whole, 0, &found) < 0 || !(found.valid & MMAPFS_OCCUPIED))
		return 0;
	return found.occupied * found.page_size;
}

/* What came of one file. */
struct applied {
	uint64_t asked; /* bytes, of the disk */
	uint64_t missing;
	bool skipped;
};

/* Bytes that must stay available, or 0: not to be looked at for this file of @bytes. */
static uint64_t memory_to_keep(struct restore *restore, uint64_t bytes)
{
	SCOPE_LOCK(&restore->mutex);

	restore->unchecked = add_saturated(restore->unchecked, bytes);
	if (restore->unchecked < MEMORY_BYTES)
		return 0;
	restore->unchecked = 0;
	return restore->keep;
}

/* Read in no more than @limit bytes (0: any number) of a file that is to have @bytes. */
static int apply(struct restorer *restorer, struct mmapfs_map *map, uint64_t bytes,
		 uint64_t limit, struct applied *applied)
{
	struct mmapfs_snapshot_apply_opts opts = MMAPFS_INIT(opts);
	struct mmapfs_snapshot_apply_result result = MMAPFS_INIT(result);
	struct restart *restart = restorer->restore->restart;
	struct metrics *metrics = &restart->fs->metrics;
	int r;

	opts.progress = progress;
	opts.ctx = restorer;
	opts.rate = atomic_load(&restart->rate);
	opts.keep_available = memory_to_keep(restorer->restore, bytes);
	opts.policy = MMAPFS_SNAPSHOT_UNCHANGED;
	opts.limit = limit;
	r = mmapfs_snapshot_apply(restorer->snapshot, map, &opts, &result);
	applied->asked += result.requested;
	applied->missing = result.valid ? result.missing : 0;
	applied->skipped = result.skipped;
	metrics_add(metrics, METRIC_RESTORED, result.requested);
	metrics_add(metrics, METRIC_WARMED, ctl_pages_of(result.requested));
	return r;
}

/*
 * How much may be asked of the disk now, of which @missing bytes are promised to this file and
 * announced to the budget. A look of the budget may come between what it was told and the
 * reading of it, and finds room that is spoken for: so the sum has a limit too.
 */
static uint64_t take_room(struct restore *restore, struct inode *inode, uint64_t missing,
			  uint64_t *ret_promised)
{
	struct fs *fs = restore->restart->fs;
	SCOPE_LOCK(&restore->mutex);
	const uint64_t taken = restore->status.read + restore->promised;
	const uint64_t room =
		u64_min(cache_room(fs), restore->room - u64_min(restore->room, taken));

	*ret_promised = u64_min(room, missing);
	restore->promised += *ret_promised;
	cache_reading(fs, inode, *ret_promised);
	return room;
}

static void settle(struct restore *restore, uint64_t promised, uint64_t read)
{
	SCOPE_LOCK(&restore->mutex);

	restore->promised -= promised;
	restore->status.read += read;
}

/* The budget is asked again after each portion: the whole file may be more than there is room
 * for, and others read too. -EDQUOT: there is no more room. */
static int apply_in_budget(struct restorer *restorer, struct inode *inode,
			   struct mmapfs_map *map, uint64_t bytes, struct applied *applied)
{
	const uint64_t portion = u64_max(PORTION_BYTES, bytes / PORTIONS_MAX);
	uint64_t missing = bytes - u64_min(bytes, occupied(map));
	uint64_t before, promised, room;
	int r;

	do {
		room = take_room(restorer->restore, inode, u64_min(missing, portion), &promised);
		if (!room && missing)
			return -EDQUOT;
		before = applied->asked;
		r = apply(restorer, map, bytes, u64_max(u64_min(room, portion), 1),
			  applied);
		settle(restorer->restore, promised, applied->asked - before);
		missing -= u64_min(missing, applied->asked - before);
	} while (r == -EDQUOT && applied->asked > before && applied->asked < bytes);
	return r;
}

static int apply_all(struct restorer *restorer, struct inode *inode, struct mmapfs_map *map,
		     uint64_t bytes, struct applied *applied)
{
	int r;

	if (cache_room(restorer->restore->restart->fs) != UINT64_MAX)
		return apply_in_budget(restorer, inode, map, bytes, applied);
	r = apply(restorer, map, bytes, 0, applied);
	settle(restorer->restore, 0, applied->asked);
	return r;
}

/* What was @asked for since @start_ns is due when the rate allows it: files together, each too
 * small for a pace of its own, or read in at the same time, do not pass it. */
static void keep_rate(struct restore *restore, uint64_t start_ns, uint64_t asked)
{
	const uint64_t rate = atomic_load(&restore->restart->rate);
	uint64_t due, now;

	if (!rate)
		return;
	pthread_mutex_lock(&restore->mutex);
	due = u64_max(restore->due_ns, start_ns) +
	      (uint64_t)((double)asked / (double)rate * 1e9);
	restore->due_ns = due;
	pthread_mutex_unlock(&restore->mutex);
	now = restart_now_ns();
	if (due > now)
		restart_pause(restore->restart, due - now);
}

static void begin_turn(struct restore *restore, uint64_t bytes)
{
	if (restore_is_small(restore, bytes))
		pthread_rwlock_rdlock(&restore->turns);
	else
		pthread_rwlock_wrlock(&restore->turns);
}

static void count_applied(struct restore *restore, const struct applied *applied)
{
	SCOPE_LOCK(&restore->mutex);

	if (applied->skipped)
		restore->status.changed++;
	else
		restore->status.files++;
	restore->status.missing += applied->missing;
}

/* Negative errno: the restore ends here. */
static int restore_map(struct restorer *restorer, struct inode *inode, struct mmapfs_map *map,
		       uint64_t bytes)
{
	struct restore *restore = restorer->restore;
	struct applied applied = { .asked = 0 };
	uint64_t start_ns;
	int r;

	begin_turn(restore, bytes);
	start_ns = restart_now_ns();
	r = apply_all(restorer, inode, map, bytes, &applied);
	pthread_rwlock_unlock(&restore->turns);
	if (r == -ECANCELED || r == -EDQUOT || r == -ENOMEM)
		return r;
	if (r < 0)
		count_failed(restore, r);
	else
		count_applied(restore, &applied);
	keep_rate(restore, start_ns, applied.asked);
	return 0;
}

/* ---- from a name to its file ---- */

/* Snapshots are sorted: mostly it is the directory of the file before. */
static int open_dir(struct restorer *restorer, const char *path, size_t length)
{
	_cleanup_free_ char *parts = NULL;

	if (restorer->dir_fd >= 0 && strlen(restorer->dir) == length &&
	    !memcmp(restorer->dir, path, length))
		return restorer->dir_fd;
	if (restorer->dir_fd >= 0)
		close(steal_fd(&restorer->dir_fd));
	parts = strndup(path, length);
	if (!parts || length >= sizeof(restorer->dir))
		return parts ? -ENAMETOOLONG : -ENOMEM;
	memcpy(restorer->dir, parts, length + 1);
	restorer->dir_fd = ctl_open_below(restorer->restore->tree.user,
					  restorer->restore->root_fd, parts);
	return restorer->dir_fd;
}

static int open_file(struct restorer *restorer, const char *path, struct stat *ret_st)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int dir_fd = open_dir(restorer, path, slash ? (size_t)(slash - path) : 0);

	if (dir_fd < 0)
		return dir_fd;
	if (fstatat(dir_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOENT;
	return ctl_walk_open(&restorer->restore->tree, dir_fd, name, ret_st, O_RDONLY);
}

/* Takes @fd. Negative errno: the restore ends here. */
static int restore_fd(struct restorer *restorer, int fd, const struct stat *st, uint64_t bytes)
{
	struct inode_table *table = restorer->restore->restart->fs->inodes;
	struct inode *inode = NULL;
	struct mmapfs_map *map;
	int r;

	r = inode_get(table, fd, st, &inode);
	if (r < 0)
		close(fd);
	else
		r = region_map_fd(NULL, fd, MMAPFS_ACCESS_READ, &map);
	if (r < 0) {
		count_failed(restorer->restore, r);
		r = 0;
	} else {
		r = restore_map(restorer, inode, map, bytes);
		mmapfs_map_close(map);
	}
	inode_unref(table, inode, 1);
	return r;
}

int restore_file(struct restorer *restorer, const char *path, uint64_t bytes)
{
	struct stat st;
	int fd;

	fd = open_file(restorer, path, &st);
	if (fd >= 0)
		return restore_fd(restorer, fd, &st, bytes);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ESTALE)
		count_changed(restorer->restore);
	else
		count_failed(restorer->restore, fd);
	return 0;
}
