/* SPDX-License-Identifier: MIT */
/*
 * cache_save.c - write down which ranges of the tree are resident.
 *
 * A file of which nothing is in the page cache costs one open and one cachestat(2) and does
 * not come into the snapshot, so that this has the size of what is cached, not of the tree.
 * A save that nobody asked for works in short bursts with longer rests.
 */
#include "cache_restart_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"
#include "cache_heat.h"
#include "ctl_private.h"
#include "log.h"

#define NS_PER_MS UINT64_C(1000000)

/* With these a fifth of one processor, or of the disk, at most. */
#define BURST_NS (10 * NS_PER_MS)
#define RESTS_PER_BURST 4

/* systemd kills what has not ended after 90 s. */
#define LAST_SAVE_NS (20 * 1000 * NS_PER_MS)

#define NAME_SIZE 4098 /* one byte more than snapshots have room for */

struct save {
	struct restart *restart;
	struct mmapfs_snapshot_writer *writer;
	const struct ctl_tree *tree;
	enum save_kind kind;
	uint64_t start_ns;
	uint64_t burst_ns; /* when it began */
	uint64_t unknown;
	const char *dir; /* that the walk is in, below the source */
	char name[NAME_SIZE];
};

/* ---- between two files ---- */

static void rest(struct save *save)
{
	uint64_t worked = restart_now_ns() - save->burst_ns;

	if (worked < BURST_NS)
		return;
	restart_pause(save->restart, worked * RESTS_PER_BURST);
	save->burst_ns = restart_now_ns();
}

static int go_on(struct save *save)
{
	if (save->kind == SAVE_INTERVAL)
		rest(save);
	if (save->kind == SAVE_LAST)
		return restart_now_ns() - save->start_ns > LAST_SAVE_NS ? -ETIME : 0;
	return restart_ends(save->restart) ? -ECANCELED : 0;
}

static void tell(struct save *save)
{
	struct restart *restart = save->restart;
	struct mmapfs_snapshot_info info = MMAPFS_INIT(info);

	(void)mmapfs_snapshot_written(save->writer, &info);
	SCOPE_LOCK(&restart->mutex);
	restart->saved.files = info.files;
	restart->saved.bytes = info.bytes;
	restart->saved.unknown = save->unknown;
}

/* ---- one file ---- */

static bool is_open(struct inode *inode)
{
	SCOPE_LOCK(inode_lock(inode));

	return inode->opens > 0;
}

/* A file that the kernel has forgotten, or never asked for, has not been used for long. */
static uint32_t heat(struct fs *fs, int fd, const struct stat *st, unsigned int priority)
{
	struct inode *inode = inode_find(fs->inodes, fd, st);
	uint32_t result;

	if (!inode)
		return heat_of(priority, false, HEAT_UNUSED);
	result = heat_of(priority, is_open(inode), restart_unused_s(inode));
	inode_unref(fs->inodes, inode, 1);
	return result;
}

static bool nothing_is_cached(struct mmapfs_map *map)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs_residency found = MMAPFS_INIT(found);

	return mmapfs_residency(map, whole, 0, &found) == 0 &&
	       (found.valid & MMAPFS_OCCUPIED) && !found.occupied;
}

/* Nothing of an entry without ranges could be restored. */
static int add_map(struct save *save, struct mmapfs_map *map)
{
	struct mmapfs_snapshot_info before = MMAPFS_INIT(before);
	struct mmapfs_snapshot_info after = MMAPFS_INIT(after);
	int r;

	(void)mmapfs_snapshot_written(save->writer, &before);
	r = mmapfs_snapshot_add(save->writer, save->name, map);
	if (r < 0)
		return r;
	(void)mmapfs_snapshot_written(save->writer, &after);
	if (r == 1 || after.ranges == before.ranges)
		(void)mmapfs_snapshot_drop_entry(save->writer);
	return r == 1 ? -ENODATA : 0;
}

/* Takes @fd. */
static int add_fd(struct save *save, int fd, const struct stat *st, unsigned int priority)
{
	uint32_t how_hot = heat(save->restart->fs, fd, st, priority);
	struct mmapfs_map *map;
	int r = region_map_fd(NULL, fd, MMAPFS_ACCESS_READ, &map);

	if (r < 0)
		return r;
	if (!nothing_is_cached(map)) {
		(void)mmapfs_snapshot_set_heat(save->writer, how_hot);
		r = add_map(save, map);
	}
	mmapfs_map_close(map);
	return r;
}

static void enter(void *ctx, const char *path)
{
	struct save *save = ctx;

	save->dir = path;
}

/* A name that is cut is too long for a snapshot as well, which will say so. Returns the path
 * below the source. */
static const char *set_name(struct save *save, const char *name)
{
	const char *source = save->restart->fs->source;
	int skip = snprintf(save->name, sizeof(save->name), "%s/",
			    strcmp(source, "/") ? source : "");
	char *path = save->name + skip;

	(void)snprintf(path, sizeof(save->name) - (size_t)skip, "%s%s%s", save->dir,
		       *save->dir ? "/" : "", name);
	return path;
}

static int save_file(void *ctx, int dir_fd, const char *name, const struct stat *st)
{
	struct save *save = ctx;
	struct treatment treatment;
	int fd, r;

	r = go_on(save);
	if (r < 0 || !st->st_size)
		return r;
	treatment = cache_treatment(save->restart->fs, set_name(save, name));
	if (treatment.never == NEVER_CACHE)
		return 0;
	fd = ctl_walk_open(save->tree, dir_fd, name, st, O_RDONLY);
	if (fd == -ENOENT || fd == -ESTALE || fd == -ELOOP)
		return 0; /* gone since it was found */
	if (fd == -EMFILE || fd == -ENFILE)
		return fd;
	/* A file that cannot be read is just not in; an error of the writing comes again with
	 * the commit. */
	if (fd < 0 || add_fd(save, fd, st, treatment.priority) < 0)
		save->unknown++;
	tell(save);
	return 0;
}

/* ---- all of it ---- */

static int walk(struct save *save)
{
	struct fs *fs = save->restart->fs;
	const struct creds_user root = { .uid = 0 };
	const struct ctl_stop stop = { .fs = fs, .at_end = save->kind == SAVE_LAST };
	const struct ctl_tree tree = { .dir = inode_root(fs->inodes), .stop = &stop,
				       .user = &root, .enter = enter };
	uint64_t unread = 0;
	int r;

	save->tree = &tree;
	r = ctl_walk(&tree, save_file, save, &unread);
	save->unknown += unread;
	return r;
}

static int write_snapshot(struct save *save)
{
	struct restart *restart = save->restart;
	int r;

	if (restart->blocked)
		return -EEXIST;
	if (!restart_lock(restart, 0))
		return -EBUSY;
	/* Which parts of files are read is nobody else's business. */
	creds_umask(077);
	r = mmapfs_snapshot_create(restart->dir_fd, restart->name, &save->writer);
	if (r < 0)
		return r;
	r = mmapfs_snapshot_set_heat(save->writer, 0);
	if (r == 0)
		r = walk(save);
	if (r < 0) {
		save->writer = mmapfs_snapshot_abort(save->writer);
		return r;
	}
	tell(save);
	return mmapfs_snapshot_commit(save->writer);
}

static const char *reason(int error)
{
	switch (error) {
	case -EBUSY:
		return "another mmapfs uses it";
	case -EEXIST:
		return "what is there is no snapshot of this source and could not be set aside";
	case -ETIME:
		return "it took too long";
	default:
		return strerror(-error);
	}
}

/* Once, not with every interval. */
static void complain(const struct restart *restart, int error, int error_before)
{
	if (error != error_before)
		log_line(LOG_WARNING, "cannot save what is resident: %s; '%s' stays as it is",
			 reason(error), restart->path);
}

static void set_outcome(struct restart *restart, enum restart_outcome outcome)
{
	SCOPE_LOCK(&restart->mutex);

	restart->saved.outcome = outcome;
}

void restart_save(struct restart *restart, enum save_kind kind)
{
	const uint64_t now = restart_now_ns();
	struct save save = { .restart = restart, .kind = kind, .start_ns = now,
			     .burst_ns = now };
	const struct save_status before = restart->saved;
	bool cancelled;
	int r;

	set_outcome(restart, OUTCOME_RUNNING);
	r = write_snapshot(&save);
	cancelled = r == -ECANCELED || r == -EINTR;
	if (r < 0 && !cancelled)
		complain(restart, r, before.error);
	if (!cancelled)
		metrics_add(&restart->fs->metrics, METRIC_SAVES + (r < 0), 1);
	if (r == 0)
		metrics_set(&restart->fs->metrics, METRIC_SAVE_TIME, (uint64_t)time(NULL));
	SCOPE_LOCK(&restart->mutex);
	if (r < 0)
		restart->saved = before;
	else
		restart->saved.time_s = (int64_t)time(NULL);
	restart->saved.error = cancelled ? 0 : r;
	restart->saved.outcome = cancelled ? OUTCOME_CANCELLED :
				 r < 0	   ? OUTCOME_FAILED :
					     OUTCOME_DONE;
}
