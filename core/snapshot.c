/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - read a snapshot: first all of it, to be sure, then entry by entry.
 *
 * Memory does not grow with the snapshot, so the second reading is a reading of the file
 * again; that nobody has written to it since is checked with every buffer.
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "result.h"
#include "sys.h"

static int64_t ctime_of(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static int64_t fetch(void *ctx, char *bytes, size_t length, uint64_t offset)
{
	struct mmapfs_snapshot *snapshot = ctx;
	struct stat st;
	int64_t n;
	int r;

	n = mmapfs__snapshot_read(snapshot->fd, bytes, length, offset);
	if (n < 0 || !snapshot->checked)
		return n;
	r = mmapfs__sys->fstat(snapshot->fd, &st);
	if (r < 0)
		return r;
	if ((uint64_t)st.st_size != snapshot->size ||
	    ctime_of(&st) != snapshot->ctime_ns)
		return -ESTALE;
	return n;
}

static int check_file(struct mmapfs_snapshot *snapshot)
{
	struct stat st;
	int r;

	r = mmapfs__sys->fstat(snapshot->fd, &st);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENODEV;
	snapshot->size = (uint64_t)st.st_size;
	snapshot->ctime_ns = ctime_of(&st);
	return 0;
}

static void forget_entry(struct mmapfs_snapshot *snapshot)
{
	snapshot->current = false;
	snapshot->entry = (struct mmapfs_snapshot_entry){ .size = 0 };
}

static int begin(struct mmapfs_snapshot *snapshot)
{
	const struct mmapfs__snapshot_header header = snapshot->in.header;
	int r;

	forget_entry(snapshot);
	mmapfs__snapshot_in_init(&snapshot->in, fetch, snapshot);
	r = mmapfs__snapshot_in_header(&snapshot->in);
	/* What it said of itself when it was checked is true though it cannot be read now. */
	if (r < 0 && snapshot->checked)
		snapshot->in.header = header;
	return r;
}

static int check_text(struct mmapfs_snapshot *snapshot,
		      struct mmapfs_snapshot_damage *damage)
{
	struct mmapfs_snapshot_damage found = { .size = sizeof(found) };
	struct mmapfs_snapshot_entry entry;
	int r;

	r = begin(snapshot);
	while (r >= 0) {
		r = mmapfs__snapshot_in_record(&snapshot->in, &entry);
		if (r == 0)
			break;
	}
	if (r == -EBADMSG && damage) {
		found.reason = snapshot->in.problem;
		found.line = snapshot->in.place.line;
		mmapfs__result_put(damage, &found, sizeof(found));
	}
	snapshot->counts = snapshot->in.place.counts;
	return r;
}

static int load(struct mmapfs_snapshot *snapshot, struct mmapfs_snapshot_damage *damage)
{
	int r;

	r = check_file(snapshot);
	if (r == 0)
		r = check_text(snapshot, damage);
	if (r < 0)
		return r;
	snapshot->checked = true;
	r = begin(snapshot);
	/* It was a header a moment ago. */
	return r == -EBADMSG ? -ESTALE : r;
}

MMAPFS_PUBLIC int mmapfs_snapshot_load(int dirfd, const char *path,
				       struct mmapfs_snapshot_damage *damage,
				       struct mmapfs_snapshot **ret)
{
	struct mmapfs_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int r;

	if (!snapshot)
		return -ENOMEM;
	/* O_NONBLOCK: a FIFO must not make us wait before fstat can refuse it. */
	snapshot->fd = mmapfs__sys->openat(
		dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	r = snapshot->fd < 0 ? snapshot->fd : load(snapshot, damage);
	if (r < 0) {
		(void)mmapfs_snapshot_close(snapshot);
		return r;
	}
	*ret = snapshot;
	return 0;
}

MMAPFS_PUBLIC int mmapfs_snapshot_dup(const struct mmapfs_snapshot *snapshot,
				      struct mmapfs_snapshot **ret)
{
	struct mmapfs_snapshot *copy = calloc(1, sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	copy->size = snapshot->size;
	copy->ctime_ns = snapshot->ctime_ns;
	copy->counts = snapshot->counts;
	copy->checked = true;
	/* Sharing the file position does no harm: it is never used. */
	copy->fd = mmapfs__sys->fcntl(snapshot->fd, F_DUPFD_CLOEXEC, 0);
	r = copy->fd < 0 ? copy->fd : begin(copy);
	if (r < 0) {
		(void)mmapfs_snapshot_close(copy);
		return r == -EBADMSG ? -ESTALE : r;
	}
	*ret = copy;
	return 0;
}

MMAPFS_PUBLIC struct mmapfs_snapshot *
mmapfs_snapshot_close(struct mmapfs_snapshot *snapshot)
{
	if (!snapshot)
		return NULL;
	if (snapshot->fd >= 0)
		(void)mmapfs__sys->close(snapshot->fd);
	free(snapshot);
	return NULL;
}

MMAPFS_PUBLIC int mmapfs_snapshot_info(const struct mmapfs_snapshot *snapshot,
				       struct mmapfs_snapshot_info *ret)
{
	const struct mmapfs_snapshot_info info = {
		.size = sizeof(info),
		.kernel = snapshot->in.header.kernel,
		.page_size = snapshot->in.header.page_size,
		.time_s = snapshot->in.header.time_s,
		.files = snapshot->counts.files,
		.skipped = snapshot->counts.skipped,
		.ranges = snapshot->counts.ranges,
		.bytes = snapshot->counts.bytes,
	};

	if (ret->size < sizeof(ret->size))
		return -EINVAL;
	mmapfs__result_put(ret, &info, sizeof(info));
	return 0;
}

MMAPFS_PUBLIC int mmapfs_snapshot_next(struct mmapfs_snapshot *snapshot,
				       struct mmapfs_snapshot_entry *ret)
{
	int r;

	if (ret->size < sizeof(ret->size))
		return -EINVAL;
	forget_entry(snapshot);
	r = mmapfs__snapshot_in_record(&snapshot->in, &snapshot->entry);
	if (r <= 0)
		return r == -EBADMSG ? -ESTALE : r;
	snapshot->current = !snapshot->entry.skipped;
	mmapfs__result_put(ret, &snapshot->entry, sizeof(snapshot->entry));
	return 1;
}

MMAPFS_PUBLIC int mmapfs_snapshot_next_range(struct mmapfs_snapshot *snapshot,
					     struct mmapfs_range *ret)
{
	int r = 0;

	if (snapshot->current)
		r = mmapfs__snapshot_in_range(&snapshot->in, ret);
	return r == -EBADMSG ? -ESTALE : r;
}

MMAPFS_PUBLIC void mmapfs_snapshot_rewind(struct mmapfs_snapshot *snapshot)
{
	/* An error comes back with the next entry: nothing has been stepped over. */
	(void)begin(snapshot);
}

MMAPFS_PUBLIC void mmapfs_snapshot_rewind_ranges(struct mmapfs_snapshot *snapshot)
{
	if (snapshot->current)
		mmapfs__snapshot_in_again(&snapshot->in);
}

uint32_t mmapfs__snapshot_changed(const struct mmapfs_snapshot_entry *a,
				  const struct mmapfs_snapshot_entry *b)
{
	uint32_t changed = 0;

	if (a->file_size != b->file_size)
		changed |= MMAPFS_SNAPSHOT_SIZE;
	if (a->mtime_ns != b->mtime_ns)
		changed |= MMAPFS_SNAPSHOT_MTIME;
	if (a->ino != 0 && b->ino != 0 &&
	    (a->ino != b->ino || a->dev_major != b->dev_major ||
	     a->dev_minor != b->dev_minor))
		changed |= MMAPFS_SNAPSHOT_INODE;
	return changed;
}
