/* SPDX-License-Identifier: MIT */
/*
 * cache_restore.c - make resident what a snapshot says was, hottest first.
 *
 * The snapshot is read once to see what there is, and once for each band of heat. A file
 * that is no longer as it was is left alone. The pace is that of the option, over all files;
 * the budget is asked before each file and while it is read, and no more is asked of the
 * disk than there was room for.
 */
#include "cache_restart_private.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"
#include "cache_heat.h"
#include "ctl_private.h"
#include "log.h"

#define PATIENCE_MS 30000 /* for the daemon of the mount before, which is still saving */
#define KEEP_SHARE 20	  /* of the memory one part stays available */
#define ASIDE_MAX 100	  /* snapshots set aside under one name */

/* What is read in between two questions to the budget; more for huge files, where each
 * question costs a look at all that was asked for. */
#define PORTION_BYTES (UINT64_C(256) << 20)
#define PORTIONS_MAX 16

struct restore {
	struct restart *restart;
	struct mmapfs_snapshot *snapshot;
	struct ctl_stop stop;
	struct ctl_tree tree;
	struct heat_bands bands;
	int root_fd;
	int dir_fd;	       /* of the files that are read in now, or -1 */
	char dir[PATH_MAX];    /* its path below the source */
	uint64_t file_done;    /* bytes of the file that is being read in */
	uint64_t keep;	       /* bytes that stay available */
	uint64_t room;	       /* that the budget had at the start */
	struct restore_status status;
};

/* ---- what the snapshot says ---- */

/* The path below the source, or NULL: it is not below, or not where it seems to be. */
static const char *path_below(const char *source, const char *name)
{
	size_t length = strcmp(source, "/") ? strlen(source) : 0;
	const char *path = name + length + 1;

	if (strncmp(name, source, length) || name[length] != '/')
		return NULL;
	for (const char *part = path; part; part = strchr(part, '/')) {
		size_t n;

		part += *part == '/';
		n = strcspn(part, "/");
		if (!n || (n <= 2 && !strncmp(part, "..", n)))
			return NULL;
	}
	return path;
}

/* Bytes in the ranges of the current entry. Negative errno. */
static int64_t entry_bytes(struct mmapfs_snapshot *snapshot)
{
	struct mmapfs_range range;
	uint64_t bytes = 0;
	int r;

	while ((r = mmapfs_snapshot_next_range(snapshot, &range)) > 0)
		bytes = add_saturated(bytes, range.length);
	mmapfs_snapshot_rewind_ranges(snapshot);
	return r < 0 ? r : (int64_t)u64_min(bytes, INT64_MAX);
}

static int survey(struct restore *restore, struct heat_survey *ret)
{
	struct mmapfs_snapshot_info info = MMAPFS_INIT(info);
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	uint64_t below = 0;
	int r;

	while ((r = mmapfs_snapshot_next(restore->snapshot, &entry)) > 0) {
		int64_t bytes = entry_bytes(restore->snapshot);

		if (bytes < 0 || restart_ends(restore->restart))
			return bytes < 0 ? (int)bytes : -ECANCELED;
		if (!path_below(restore->restart->fs->source, entry.name))
			continue;
		below++;
		ret->bytes[entry.heat] += (uint64_t)bytes;
		restore->status.total += (uint64_t)bytes;
	}
	(void)mmapfs_snapshot_info(restore->snapshot, &info);
	return r == 0 && !below && info.files ? -EXDEV : r;
}

/* ---- one file ---- */

static void tell(struct restore *restore)
{
	struct restart *restart = restore->restart;
	SCOPE_LOCK(&restart->mutex);

	restart->restored = restore->status;
	restart->restored.done += restore->file_done;
}

static int progress(void *ctx, uint64_t done, uint64_t total)
{
	struct restore *restore = ctx;

	(void)total;
	restore->file_done = done;
	tell(restore);
	return restart_ends(restore->restart);
}

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

/* Read in no more than @limit bytes (0: any number). */
static int apply(struct restore *restore, struct mmapfs_map *map, uint64_t limit,
		 struct applied *applied)
{
	struct mmapfs_snapshot_apply_opts opts = MMAPFS_INIT(opts);
	struct mmapfs_snapshot_apply_result result = MMAPFS_INIT(result);
	struct metrics *metrics = &restore->restart->fs->metrics;
	int r;

	opts.progress = progress;
	opts.ctx = restore;
	opts.rate = atomic_load(&restore->restart->rate);
	opts.keep_available = restore->keep;
	opts.policy = MMAPFS_SNAPSHOT_UNCHANGED;
	opts.limit = limit;
	r = mmapfs_snapshot_apply(restore->snapshot, map, &opts, &result);
	applied->asked += result.requested;
	applied->missing = result.valid ? result.missing : 0;
	applied->skipped = result.skipped;
	metrics_add(metrics, METRIC_RESTORED, result.requested);
	metrics_add(metrics, METRIC_WARMED, ctl_pages_of(result.requested));
	return r;
}

/*
 * How much more may be asked of the disk, after @asked bytes of this file; UINT64_MAX: any
 * number. A look of the budget may come between what it was told and the reading of it, and
 * finds room that is spoken for: so the sum has a limit too.
 */
static uint64_t room_left(const struct restore *restore, uint64_t asked)
{
	const uint64_t room = cache_room(restore->restart->fs);
	const uint64_t read = restore->status.read + asked;

	if (room == UINT64_MAX)
		return room;
	return u64_min(room, restore->room - u64_min(restore->room, read));
}

/*
 * The budget is told before, and asked again after each portion: the whole file may be more
 * than there is room for, and others read too. -EDQUOT: there is no more room.
 */
static int apply_in_budget(struct restore *restore, struct inode *inode,
			   struct mmapfs_map *map, uint64_t bytes,
			   struct applied *applied)
{
	struct fs *fs = restore->restart->fs;
	const uint64_t portion = u64_max(PORTION_BYTES, bytes / PORTIONS_MAX);
	uint64_t missing = bytes - u64_min(bytes, occupied(map));
	uint64_t before, room;
	int r;

	do {
		room = room_left(restore, applied->asked);
		if (room == UINT64_MAX)
			return apply(restore, map, 0, applied);
		if (!room && missing)
			return -EDQUOT;
		before = applied->asked;
		room = u64_min(room, portion);
		cache_reading(fs, inode, u64_min(room, missing));
		r = apply(restore, map, u64_max(room, 1), applied);
		missing -= u64_min(missing, applied->asked - before);
	} while (r == -EDQUOT && applied->asked > before && applied->asked < bytes);
	return r;
}

/* Not so soon after @start_ns that files together, each too small for a pace of its own,
 * pass the rate. */
static void keep_rate(struct restore *restore, uint64_t start_ns, uint64_t asked)
{
	const uint64_t rate = atomic_load(&restore->restart->rate);
	const uint64_t spent = restart_now_ns() - start_ns;
	uint64_t due;

	if (!rate)
		return;
	due = (uint64_t)((double)asked / (double)rate * 1e9);
	if (due > spent)
		restart_pause(restore->restart, due - spent);
}

static void count_failed(struct restore *restore, int error)
{
	restore->status.failed++;
	if (!restore->status.error)
		restore->status.error = error;
}

/* Negative errno: the restore ends here. */
static int restore_map(struct restore *restore, struct inode *inode,
		       struct mmapfs_map *map, uint64_t bytes)
{
	const uint64_t start_ns = restart_now_ns();
	struct applied applied = { .asked = 0 };
	int r;

	r = apply_in_budget(restore, inode, map, bytes, &applied);
	restore->status.read += applied.asked;
	if (r == -ECANCELED || r == -EDQUOT || r == -ENOMEM)
		return r;
	if (r < 0)
		count_failed(restore, r);
	else if (applied.skipped)
		restore->status.changed++;
	else
		restore->status.files++;
	if (r == 0)
		restore->status.missing += applied.missing;
	keep_rate(restore, start_ns, applied.asked);
	return 0;
}

/* ---- from a name to its file ---- */

/* Snapshots are sorted: mostly it is the directory of the file before. */
static int open_dir(struct restore *restore, const char *path, size_t length)
{
	_cleanup_free_ char *parts = NULL;

	if (restore->dir_fd >= 0 && strlen(restore->dir) == length &&
	    !memcmp(restore->dir, path, length))
		return restore->dir_fd;
	if (restore->dir_fd >= 0)
		close(steal_fd(&restore->dir_fd));
	parts = strndup(path, length);
	if (!parts || length >= sizeof(restore->dir))
		return parts ? -ENAMETOOLONG : -ENOMEM;
	memcpy(restore->dir, parts, length + 1);
	restore->dir_fd = ctl_open_below(restore->tree.user, restore->root_fd, parts);
	return restore->dir_fd;
}

static int open_file(struct restore *restore, const char *path, struct stat *ret_st)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int dir_fd = open_dir(restore, path, slash ? (size_t)(slash - path) : 0);

	if (dir_fd < 0)
		return dir_fd;
	if (fstatat(dir_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOENT;
	return ctl_walk_open(&restore->tree, dir_fd, name, ret_st, O_RDONLY);
}

/* Takes @fd. Negative errno: the restore ends here. */
static int restore_fd(struct restore *restore, int fd, const struct stat *st,
		      uint64_t bytes)
{
	struct inode_table *table = restore->restart->fs->inodes;
	struct inode *inode = NULL;
	struct mmapfs_map *map;
	int r;

	r = inode_get(table, fd, st, &inode);
	if (r < 0)
		close(fd);
	else
		r = region_map_fd(NULL, fd, MMAPFS_ACCESS_READ, &map);
	if (r < 0) {
		count_failed(restore, r);
		r = 0;
	} else {
		r = restore_map(restore, inode, map, bytes);
		mmapfs_map_close(map);
	}
	inode_unref(table, inode, 1);
	return r;
}

static int restore_file(struct restore *restore, const char *path, uint64_t bytes)
{
	struct stat st;
	int fd;

	fd = open_file(restore, path, &st);
	if (fd >= 0)
		return restore_fd(restore, fd, &st, bytes);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ESTALE)
		restore->status.changed++;
	else
		count_failed(restore, fd);
	return 0;
}

static int restore_entry(struct restore *restore, const struct mmapfs_snapshot_entry *entry)
{
	const char *path = path_below(restore->restart->fs->source, entry->name);
	int64_t bytes;
	int r = 0;

	if (restart_ends(restore->restart))
		return -ECANCELED;
	bytes = path ? entry_bytes(restore->snapshot) : 0;
	if (bytes <= 0)
		return (int)bytes;
	if (cache_treatment(restore->restart->fs, path).never == NEVER_CACHE)
		restore->status.unwanted++;
	else
		r = restore_file(restore, path, (uint64_t)bytes);
	if (r < 0)
		return r;
	restore->file_done = 0;
	restore->status.done += (uint64_t)bytes;
	tell(restore);
	return 0;
}

static int restore_band(struct restore *restore, unsigned int band)
{
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	int r;

	mmapfs_snapshot_rewind(restore->snapshot);
	while ((r = mmapfs_snapshot_next(restore->snapshot, &entry)) > 0) {
		if (entry.skipped || heat_band(&restore->bands, entry.heat) != band)
			continue;
		r = restore_entry(restore, &entry);
		if (r < 0)
			break;
	}
	return r;
}

static int restore_all(struct restore *restore)
{
	struct heat_survey found = { 0 };
	int r;

	r = survey(restore, &found);
	if (r < 0)
		return r;
	restore->bands = heat_cut(&found);
	restore->root_fd = inode_open(restore->restart->fs->inodes, restore->tree.dir,
				      O_RDONLY | O_DIRECTORY);
	if (restore->root_fd < 0)
		return restore->root_fd;
	for (unsigned int band = 0; r == 0 && band < restore->bands.count; band++)
		r = restore_band(restore, band);
	return r;
}

/* ---- what cannot be used ---- */

/* Out of the way of the next save, for somebody to look at. */
static int set_aside(struct restart *restart, const char *suffix, char **ret)
{
	for (unsigned int n = 0; n < ASIDE_MAX; n++) {
		_cleanup_free_ char *name = NULL;
		int length = n ? asprintf(&name, "%s.%s-%u", restart->name, suffix, n)
			       : asprintf(&name, "%s.%s", restart->name, suffix);

		if (length < 0)
			return -ENOMEM;
		/* Nobody else does this: we have the lock. */
		if (faccessat(restart->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (renameat(restart->dir_fd, restart->name, restart->dir_fd, name) < 0)
			return -errno;
		*ret = steal_ptr(name);
		return 0;
	}
	return -EEXIST;
}

static void refuse(struct restart *restart, const char *suffix, const char *why)
{
	_cleanup_free_ char *name = NULL;
	int r = restart->locked ? set_aside(restart, suffix, &name) : -EBUSY;

	restart->blocked = r < 0;
	if (r < 0)
		log_line(LOG_WARNING, "cannot use the snapshot '%s': %s; it cannot be renamed "
				      "either (%s), so nothing will be saved",
			 restart->path, why, strerror(-r));
	else
		log_line(LOG_WARNING, "cannot use the snapshot '%s': %s; it is '%s' now",
			 restart->path, why, name);
}

/* Negative errno; -ENOENT where there is none, which is how it begins. */
static int load(struct restore *restore)
{
	struct mmapfs_snapshot_damage damage = MMAPFS_INIT(damage);
	struct restart *restart = restore->restart;
	char why[256];
	int r;

	r = mmapfs_snapshot_load(restart->dir_fd, restart->name, &damage, &restore->snapshot);
	if (r == -EBADMSG) {
		(void)snprintf(why, sizeof(why), "line %" PRIu64 ": %s", damage.line,
			       damage.reason);
		refuse(restart, "damaged", why);
	}
	return r;
}

/* ---- how it ended ---- */

static enum restart_outcome outcome_of(const struct restart *restart, int r)
{
	switch (r) {
	case 0:
		return OUTCOME_DONE;
	case -ENOENT:
		return OUTCOME_NONE;
	case -ECANCELED:
	case -EINTR:
		return atomic_load(&restart->fs->stopping) ? OUTCOME_STOPPED
							   : OUTCOME_CANCELLED;
	case -EDQUOT:
		return OUTCOME_BUDGET;
	case -ENOMEM:
		return OUTCOME_MEMORY;
	default:
		return OUTCOME_FAILED;
	}
}

static void report(const struct restore *restore, int r)
{
	static const char *const why[] = {
		[OUTCOME_DONE] = "",
		[OUTCOME_CANCELLED] = ": cancelled",
		[OUTCOME_STOPPED] = ": the mount ended",
		[OUTCOME_BUDGET] = ": the budget is used up",
		[OUTCOME_MEMORY] = ": memory is getting scarce",
	};
	const struct restore_status *status = &restore->status;
	const char *path = restore->restart->path;

	if (status->outcome == OUTCOME_NONE || r == -EBADMSG || r == -EXDEV)
		return; /* normal, or said already */
	if (status->outcome == OUTCOME_FAILED)
		log_line(LOG_WARNING, "cannot restore from '%s': %s", path, strerror(-r));
	else
		log_line(LOG_INFO, "restored %" PRIu64 " of %" PRIu64 " bytes, %" PRIu64
				   " files, from '%s'%s",
			 status->done, status->total, status->files, path,
			 why[status->outcome]);
}

static void finish(struct restore *restore, int r)
{
	restore->status.outcome = outcome_of(restore->restart, r);
	if (restore->status.outcome == OUTCOME_FAILED)
		restore->status.error = r;
	tell(restore);
	report(restore, r);
	if (restore->root_fd >= 0)
		close(restore->root_fd);
	if (restore->dir_fd >= 0)
		close(restore->dir_fd);
	(void)mmapfs_snapshot_close(restore->snapshot);
}

static uint64_t memory_to_keep(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * ctl_page_size() / KEEP_SHARE;
}

void restart_restore(struct restart *restart)
{
	static const struct creds_user root = { .uid = 0 };
	struct fs *fs = restart->fs;
	struct restore restore = { .restart = restart, .root_fd = -1, .dir_fd = -1,
				   .stop = { .fs = fs }, .keep = memory_to_keep() };
	int r;

	restore.tree = (struct ctl_tree){ .dir = inode_root(fs->inodes),
					  .stop = &restore.stop, .user = &root };
	restore.room = cache_room(fs);
	restore.status.outcome = OUTCOME_RUNNING;
	tell(&restore);
	/* The daemon of the mount before may be saving what it has just seen. */
	(void)restart_lock(restart, PATIENCE_MS);
	r = restart_ends(restart) ? -ECANCELED : load(&restore);
	if (r == 0)
		r = restore_all(&restore);
	if (r == -EXDEV)
		refuse(restart, "other", "it is of another source");
	finish(&restore, r);
}
