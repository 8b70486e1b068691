/* SPDX-License-Identifier: MIT */
/*
 * snapshot-write.c - write a snapshot beside its place, and put it there in one step.
 *
 * As long as names come in order nothing is held back. If they do not, the text is sorted
 * at the end (snapshot-sort.c).
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "observe.h"
#include "result.h"

#define TEMP_TRIES 100

int mmapfs__snapshot_write(int fd, const char *bytes, size_t length, uint64_t offset)
{
	while (length > 0) {
		int64_t n = mmapfs__sys->pwrite(fd, bytes, length, offset);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		bytes += n;
		length -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int64_t mmapfs__snapshot_read(int fd, char *bytes, size_t length, uint64_t offset)
{
	int64_t n;

	do {
		n = mmapfs__sys->pread(fd, bytes, length, offset);
	} while (n == -EINTR);
	return n;
}

static int store(void *ctx, const char *bytes, size_t length, uint64_t offset)
{
	const struct mmapfs_snapshot_writer *writer = ctx;

	return mmapfs__snapshot_write(writer->fd, bytes, length, offset);
}

/* ---- create ---- */

static void next_name(char ret[32])
{
	static uint32_t counter;
	uint32_t n = __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
	uint64_t seed = mmapfs__sys->now_ns() ^ (uint64_t)getpid() << 32;

	(void)snprintf(ret, 32, ".mmapfs-%08x",
		       (unsigned int)((seed ^ seed >> 32) + n * 2654435761u));
}

/* A file without a name is gone when its writer is killed. It gets one by way of /proc. */
static int open_nameless(struct mmapfs_snapshot_writer *writer)
{
	struct statx stx;

	if (mmapfs__sys->statx(AT_FDCWD, "/proc/self/fd", AT_STATX_DONT_SYNC, STATX_TYPE,
			       &stx) < 0)
		return -EOPNOTSUPP;
	return mmapfs__sys->openat(writer->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
				   0666);
}

int mmapfs__snapshot_temp(struct mmapfs_snapshot_writer *writer, char ret_name[32],
			  int *ret_fd)
{
	int fd = open_nameless(writer);
	int i;

	ret_name[0] = '\0';
	/* EISDIR is the answer of kernels that do not know O_TMPFILE. */
	if (fd == -EOPNOTSUPP || fd == -EISDIR)
		fd = -EEXIST;
	for (i = 0; i < TEMP_TRIES && fd == -EEXIST; i++) {
		next_name(ret_name);
		fd = mmapfs__sys->openat(writer->dir_fd, ret_name,
					 O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	}
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* What is to be renamed needs a name. */
static int name_temp(struct mmapfs_snapshot_writer *writer)
{
	char from[32], name[32];
	int r = -EEXIST;
	int i;

	if (writer->temp[0] != '\0')
		return 0;
	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", writer->fd);
	for (i = 0; i < TEMP_TRIES && r == -EEXIST; i++) {
		next_name(name);
		r = mmapfs__sys->linkat(from, writer->dir_fd, name);
	}
	if (r == 0)
		memcpy(writer->temp, name, sizeof(name));
	return r;
}

/* What is renamed over is gone: that must be no device, and no link that the user meant
 * to be followed. */
static int check_place(struct mmapfs_snapshot_writer *writer)
{
	struct statx stx;
	int r;

	r = mmapfs__sys->statx(writer->dir_fd, writer->name,
			       AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE,
			       &stx);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (S_ISDIR(stx.stx_mode))
		return -EISDIR;
	if (S_ISLNK(stx.stx_mode))
		return -ELOOP;
	return S_ISREG(stx.stx_mode) ? 0 : -ENODEV;
}

/* Split @path into an open directory and a name. */
static int open_place(struct mmapfs_snapshot_writer *writer, int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = NULL;
	int fd;

	writer->name = strdup(slash ? slash + 1 : path);
	dir = !slash ? strdup(".") : slash == path ? strdup("/") :
				     strndup(path, (size_t)(slash - path));
	if (!writer->name || !dir)
		return -ENOMEM;
	if (writer->name[0] == '\0')
		return path[0] == '\0' ? -ENOENT : -EISDIR;
	fd = mmapfs__sys->openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	writer->dir_fd = fd;
	return check_place(writer);
}

static void describe_machine(struct mmapfs__snapshot_header *header)
{
	header->page_size = mmapfs__page_size();
	header->time_s = (int64_t)time(NULL);
	if (mmapfs__sys->read_text("/proc/sys/kernel/osrelease", header->kernel,
				   sizeof(header->kernel)) < 0)
		header->kernel[0] = '\0';
	header->kernel[strcspn(header->kernel, "\n")] = '\0';
}

MMAPFS_PUBLIC int mmapfs_snapshot_create(int dirfd, const char *path,
					 struct mmapfs_snapshot_writer **ret)
{
	struct mmapfs_snapshot_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	writer->fd = writer->dir_fd = -1;
	describe_machine(&writer->header);
	r = open_place(writer, dirfd, path);
	if (r == 0)
		r = mmapfs__snapshot_temp(writer, writer->temp, &writer->fd);
	if (r < 0) {
		writer->temp[0] = '\0';
		(void)mmapfs_snapshot_abort(writer);
		return r;
	}
	mmapfs__snapshot_out_init(&writer->out, store, writer, writer->header.page_size);
	*ret = writer;
	return 0;
}

/* ---- add ---- */

/* Late, because combining snapshots of another machine changes the page size. */
static void start(struct mmapfs_snapshot_writer *writer)
{
	if (writer->started)
		return;
	writer->started = true;
	writer->out.page_size = writer->header.page_size;
	writer->out.heat = writer->header.heat;
	mmapfs__snapshot_out_header(&writer->out, &writer->header);
	writer->body = writer->out.base + writer->out.have;
}

static int end_record(struct mmapfs_snapshot_writer *writer)
{
	start(writer);
	return writer->out.open ? mmapfs__snapshot_out_end(&writer->out)
				: writer->out.error;
}

MMAPFS_PUBLIC int mmapfs_snapshot_set_heat(struct mmapfs_snapshot_writer *writer,
					   uint32_t heat)
{
	if (heat > MMAPFS_SNAPSHOT_HEAT_MAX)
		return -EINVAL;
	if (writer->started && !writer->header.heat)
		return -EBUSY;
	writer->header.heat = true;
	writer->heat = heat;
	return 0;
}

MMAPFS_PUBLIC int mmapfs_snapshot_add_entry(struct mmapfs_snapshot_writer *writer,
					    const struct mmapfs_snapshot_entry *entry)
{
	struct mmapfs_snapshot_entry known = { .size = sizeof(known) };
	int r;

	if (entry->size < offsetof(struct mmapfs_snapshot_entry, heat))
		return -EINVAL;
	memcpy(&known, entry, u64_min(entry->size, sizeof(known)));
	r = end_record(writer);
	if (r < 0)
		return r;
	writer->has_entry = false;
	r = mmapfs__snapshot_out_begin(&writer->out, &known);
	if (r < 0)
		return r;
	writer->has_entry = true;
	if (mmapfs__snapshot_compare(writer->last, entry->name) >= 0)
		writer->unsorted = true;
	memmove(writer->last, entry->name, strlen(entry->name) + 1);
	return 0;
}

MMAPFS_PUBLIC int mmapfs_snapshot_add_range(struct mmapfs_snapshot_writer *writer,
					    struct mmapfs_range range)
{
	return mmapfs__snapshot_out_range(&writer->out, range.offset, range.length);
}

MMAPFS_PUBLIC int mmapfs_snapshot_drop_entry(struct mmapfs_snapshot_writer *writer)
{
	if (!writer->has_entry)
		return -ENODATA;
	mmapfs__snapshot_out_undo(&writer->out);
	writer->has_entry = false;
	return 0;
}

static int64_t ns_of(int64_t s, uint32_t ns)
{
	int64_t value;

	if (__builtin_mul_overflow(s, INT64_C(1000000000), &value) ||
	    __builtin_add_overflow(value, ns, &value))
		return s < 0 ? -INT64_MAX : INT64_MAX;
	return value;
}

struct mmapfs_snapshot_entry mmapfs__snapshot_identity(const struct stat *st)
{
	return (struct mmapfs_snapshot_entry){
		.size = sizeof(struct mmapfs_snapshot_entry),
		.file_size = (uint64_t)st->st_size,
		.mtime_ns = ns_of(st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec),
		.dev_major = major(st->st_dev),
		.dev_minor = minor(st->st_dev),
		.ino = st->st_ino,
	};
}

struct add {
	struct mmapfs_snapshot_writer *writer;
	uint64_t eof;
};

static int add_run(void *ctx, uint64_t begin, uint64_t end)
{
	struct add *add = ctx;

	end = u64_min(end, add->eof);
	return mmapfs__snapshot_out_range(&add->writer->out, begin, end - begin);
}

static int add_skipped(struct mmapfs_snapshot_writer *writer, const char *name,
		       uint32_t reason)
{
	const struct mmapfs_snapshot_entry entry = {
		.size = sizeof(entry),
		.name = name,
		.skipped = mmapfs_reason_name(reason != MMAPFS_REASON_NONE ?
						      reason :
						      MMAPFS_REASON_NO_PERMISSION),
	};
	int r;

	r = mmapfs_snapshot_add_entry(writer, &entry);
	return r < 0 ? r : 1;
}

/* All of the ranges, or nothing of the entry. */
static int add_known(struct mmapfs_snapshot_writer *writer, const char *name,
		     struct mmapfs__observer *observer,
		     const struct mmapfs__extent *extent, const struct stat *st)
{
	struct mmapfs_snapshot_entry entry = mmapfs__snapshot_identity(st);
	struct add add = { writer, extent->eof };
	int r;

	entry.name = name;
	entry.heat = writer->heat;
	if (observer->map->block_device)
		r = mmapfs__map_file_size(observer->map, &entry.file_size);
	else
		r = 0;
	if (r == 0)
		r = mmapfs_snapshot_add_entry(writer, &entry);
	if (r < 0)
		return r;
	/* A file that shrank between the two looks. */
	add.eof = u64_min(add.eof, entry.file_size);
	r = mmapfs__observer_runs(observer, extent->begin,
				  u64_min(extent->end,
					  align_up(add.eof, mmapfs__page_size())),
				  true, add_run, &add);
	if (r == 0)
		r = end_record(writer);
	if (r < 0)
		(void)mmapfs_snapshot_drop_entry(writer);
	return r;
}

MMAPFS_PUBLIC int mmapfs_snapshot_add(struct mmapfs_snapshot_writer *writer,
				      const char *name, struct mmapfs_map *map)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs__observer observer;
	struct mmapfs__extent extent;
	struct stat st;
	int r;

	r = mmapfs__sys->fstat(map->fd, &st);
	if (r == 0)
		r = mmapfs__map_extent(map, whole, &extent);
	if (r < 0)
		return r;
	mmapfs__observer_init(&observer, map);
	r = mmapfs__observer_truthful(&observer);
	if (r > 0)
		r = add_known(writer, name, &observer, &extent, &st);
	else if (r == 0)
		r = add_skipped(writer, name, observer.reason);
	mmapfs__observer_done(&observer);
	return r;
}

MMAPFS_PUBLIC int mmapfs_snapshot_written(const struct mmapfs_snapshot_writer *writer,
					  struct mmapfs_snapshot_info *ret)
{
	const struct mmapfs_snapshot_info info = {
		.size = sizeof(info),
		.kernel = writer->header.kernel,
		.page_size = writer->header.page_size,
		.time_s = writer->header.time_s,
		.files = writer->out.counts.files,
		.skipped = writer->out.counts.skipped,
		.ranges = writer->out.counts.ranges,
		.bytes = writer->out.counts.bytes,
	};

	if (ret->size < sizeof(ret->size))
		return -EINVAL;
	mmapfs__result_put(ret, &info, sizeof(info));
	return 0;
}

/* ---- commit ---- */

static int put_in_place(struct mmapfs_snapshot_writer *writer)
{
	uint64_t length;
	int r;

	r = mmapfs__snapshot_out_finish(&writer->out, &length);
	/* What was taken back may reach farther than what came after it. */
	if (r == 0)
		r = mmapfs__sys->ftruncate(writer->fd, length);
	if (r == 0)
		r = mmapfs__sys->fsync(writer->fd);
	if (r == 0)
		r = name_temp(writer);
	if (r == 0)
		r = mmapfs__sys->renameat(writer->dir_fd, writer->temp, writer->name);
	if (r < 0)
		return r;
	writer->temp[0] = '\0';
	return mmapfs__sys->fsync(writer->dir_fd);
}

MMAPFS_PUBLIC int mmapfs_snapshot_commit(struct mmapfs_snapshot_writer *writer)
{
	int r;

	r = end_record(writer);
	if (r == 0 && writer->unsorted) {
		r = mmapfs__snapshot_out_flush(&writer->out);
		if (r == 0)
			r = mmapfs__snapshot_sort(writer);
		if (r == 0)
			r = end_record(writer);
	}
	if (r == 0)
		r = put_in_place(writer);
	(void)mmapfs_snapshot_abort(writer);
	return r;
}

MMAPFS_PUBLIC struct mmapfs_snapshot_writer *
mmapfs_snapshot_abort(struct mmapfs_snapshot_writer *writer)
{
	if (!writer)
		return NULL;
	if (writer->fd >= 0)
		(void)mmapfs__sys->close(writer->fd);
	if (writer->temp[0] != '\0')
		(void)mmapfs__sys->unlinkat(writer->dir_fd, writer->temp);
	if (writer->dir_fd >= 0)
		(void)mmapfs__sys->close(writer->dir_fd);
	free(writer->name);
	free(writer);
	return NULL;
}
