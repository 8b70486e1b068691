/* SPDX-License-Identifier: MIT */
/*
 * cache_restore.c - make resident what a snapshot says was, hottest first.
 *
 * The snapshot is read once to see what there is, and once for each band of heat. Where there
 * are many small files, several threads read a band, each through a reader of the snapshot of
 * its own, and each takes the next file that nobody has taken: most of the time of a small
 * file is waiting for the disk.
 */
#include "cache_restore_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"
#include "log.h"

#define PATIENCE_MS 30000 /* for the daemon of the mount before, which is still saving */
#define KEEP_SHARE 20	  /* of the memory one part stays available */
#define ASIDE_MAX 100	  /* snapshots set aside under one name */

#define THREADS_MAX 8
/* So many small files for each thread, or it is not worth having. */
#define FILES_PER_THREAD 32

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
		restore->small_files += restore_is_small(restore, (uint64_t)bytes);
		restore->status.total += (uint64_t)bytes;
	}
	(void)mmapfs_snapshot_info(restore->snapshot, &info);
	return r == 0 && !below && info.files ? -EXDEV : r;
}

/* ---- one entry ---- */

static void count_done(struct restorer *restorer, uint64_t bytes, bool unwanted)
{
	struct restore *restore = restorer->restore;
	SCOPE_LOCK(&restore->mutex);

	restore->under_way -= restorer->file_done;
	restorer->file_done = 0;
	restore->status.done += bytes;
	restore->status.unwanted += unwanted;
	restore_tell(restore);
}

static int restore_entry(struct restorer *restorer, const struct mmapfs_snapshot_entry *entry)
{
	struct fs *fs = restorer->restore->restart->fs;
	const char *path = path_below(fs->source, entry->name);
	bool unwanted;
	int64_t bytes;
	int r = 0;

	if (restart_ends(restorer->restore->restart))
		return -ECANCELED;
	bytes = path ? entry_bytes(restorer->snapshot) : 0;
	if (bytes <= 0)
		return (int)bytes;
	unwanted = cache_treatment(fs, path).never == NEVER_CACHE;
	if (!unwanted)
		r = restore_file(restorer, path, (uint64_t)bytes);
	if (r == 0)
		count_done(restorer, (uint64_t)bytes, unwanted);
	return r;
}

/* ---- one band ---- */

/* The number among those of the band of the next entry that nobody has; none is left for who
 * comes after an end. */
static uint64_t claim(struct restore *restore)
{
	SCOPE_LOCK(&restore->mutex);

	return restore->result < 0 ? UINT64_MAX : restore->claimed++;
}

static void end_with(struct restore *restore, int r)
{
	SCOPE_LOCK(&restore->mutex);

	if (restore->result == 0)
		restore->result = r;
}

static int read_band(struct restorer *restorer)
{
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	struct restore *restore = restorer->restore;
	uint64_t mine = claim(restore), at = 0;
	int r = 0;

	mmapfs_snapshot_rewind(restorer->snapshot);
	while (mine != UINT64_MAX &&
	       (r = mmapfs_snapshot_next(restorer->snapshot, &entry)) > 0) {
		if (entry.skipped ||
		    heat_band(&restore->bands, entry.heat) != restorer->band || at++ != mine)
			continue;
		r = restore_entry(restorer, &entry);
		if (r < 0)
			break;
		mine = claim(restore);
	}
	return r < 0 ? r : 0;
}

static void *run(void *arg)
{
	struct restorer *restorer = arg;

	end_with(restorer->restore, read_band(restorer));
	return NULL;
}

/* With as many of the @count restorers as threads are to be had for. */
static void run_all(struct restorer *restorers, size_t count)
{
	size_t started = 1;

	while (started < count &&
	       pthread_create(&restorers[started].thread, NULL, run, &restorers[started]) == 0)
		started++;
	(void)run(&restorers[0]);
	for (size_t i = 1; i < started; i++)
		(void)pthread_join(restorers[i].thread, NULL);
}

/* ---- all of it ---- */

static size_t threads_for(const struct restore *restore)
{
	return u64_min(1 + restore->small_files / FILES_PER_THREAD, THREADS_MAX);
}

/* At least one; returns how many there are. */
static size_t prepare(struct restore *restore, struct restorer *restorers)
{
	const size_t wanted = threads_for(restore);
	size_t count;

	for (count = 0; count < wanted; count++) {
		restorers[count].restore = restore;
		restorers[count].dir_fd = -1;
		restorers[count].snapshot = restore->snapshot;
		if (count && mmapfs_snapshot_dup(restore->snapshot,
						 &restorers[count].snapshot) < 0)
			break;
	}
	return count;
}

static void dismiss(struct restorer *restorers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i)
			(void)mmapfs_snapshot_close(restorers[i].snapshot);
		if (restorers[i].dir_fd >= 0)
			close(restorers[i].dir_fd);
	}
}

static int restore_bands(struct restore *restore)
{
	_cleanup_free_ struct restorer *restorers = calloc(THREADS_MAX, sizeof(*restorers));
	size_t count;

	if (!restorers)
		return -ENOMEM;
	count = prepare(restore, restorers);
	for (unsigned int band = 0; restore->result == 0 && band < restore->bands.count; band++) {
		for (size_t i = 0; i < count; i++)
			restorers[i].band = band;
		restore->claimed = 0;
		run_all(restorers, count);
	}
	dismiss(restorers, count);
	return restore->result;
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
	return restore->root_fd < 0 ? restore->root_fd : restore_bands(restore);
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
	restore_tell(restore);
	report(restore, r);
	if (restore->root_fd >= 0)
		close(restore->root_fd);
	(void)mmapfs_snapshot_close(restore->snapshot);
	pthread_rwlock_destroy(&restore->turns);
	pthread_mutex_destroy(&restore->mutex);
}

static uint64_t memory_share(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * ctl_page_size() / KEEP_SHARE;
}

/* Else a large file would wait until no small one is left. */
static void init_turns(pthread_rwlock_t *turns)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	(void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(turns, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void restart_restore(struct restart *restart)
{
	static const struct creds_user root = { .uid = 0 };
	struct fs *fs = restart->fs;
	struct restore restore = { .restart = restart, .root_fd = -1, .stop = { .fs = fs },
				   .keep = memory_share(), .unchecked = UINT64_MAX };
	int r;

	restore.tree = (struct ctl_tree){ .dir = inode_root(fs->inodes),
					  .stop = &restore.stop, .user = &root };
	pthread_mutex_init(&restore.mutex, NULL);
	init_turns(&restore.turns);
	restore.room = cache_room(fs);
	restore.status.outcome = OUTCOME_RUNNING;
	restore_tell(&restore);
	/* The daemon of the mount before may be saving what it has just seen. */
	(void)restart_lock(restart, PATIENCE_MS);
	r = restart_ends(restart) ? -ECANCELED : load(&restore);
	if (r == 0)
		r = restore_all(&restore);
	if (r == -EXDEV)
		refuse(restart, "other", "it is of another source");
	finish(&restore, r);
}
