/* SPDX-License-Identifier: MIT */
/*
 * fault-operations.h - the operations of <mmapfs.h> as test-fault-matrix.c tries them, and
 * what is true of each however it ends.
 */
#ifndef FAULT_OPERATIONS_H
#define FAULT_OPERATIONS_H

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include <mmapfs.h>

#include "fake-sys.h"
#include "probe.h"
#include "scratch.h"

#define FILE_PAGES 8
#define WHOLE ((struct mmapfs_range){ 0, 0 })
#define FUSE_MAGIC 0x65735546

/* ---- the kernel of this test ---- */

static struct mmapfs__sys scripted; /* as fake_sys_install() made it */

/* Closed, and said that it could not be: what the kernel does. */
static int close_anyway(int fd)
{
	int r = scripted.close(fd);

	if (r < 0)
		(void)mmapfs__sys_real.close(fd);
	return r;
}

/* Nobody can do anything about it, so only what is done next counts. */
static int munmap_anyway(void *addr, size_t length)
{
	int r = scripted.munmap(addr, length);

	if (r < 0)
		(void)mmapfs__sys_real.munmap(addr, length);
	return r;
}

static int openat_named(int dirfd, const char *path, int flags, mode_t mode)
{
	int r = scripted.openat(dirfd, path, flags, mode);

	if (r < 0 || (flags & O_TMPFILE) != O_TMPFILE)
		return r;
	(void)close(r);
	return -EOPNOTSUPP;
}

static int fstatfs_fuse(int fd, struct statfs *st)
{
	int r = scripted.fstatfs(fd, st);

	if (r == 0)
		st->f_type = FUSE_MAGIC;
	return r;
}

static int has_no_capability(int capability)
{
	int r = scripted.has_capability(capability);

	return r < 0 ? r : 0;
}

static void no_sleep(uint64_t ns)
{
	(void)ns;
}

static void install(void)
{
	fake_sys_install();
	scripted = *fake_sys_table();
	fake_sys_table()->sleep_ns = no_sleep;
	fake_sys_table()->close = close_anyway;
	fake_sys_table()->munmap = munmap_anyway;
}

/* ---- files ---- */

static char now[200]; /* the fault that is being tried */
static struct mmapfs_map *map;
static struct mmapfs_snapshot *snapshot;
static int file_fd;
static char quick_dir[64]; /* of the snapshots: on a tmpfs, where nothing waits for a disk */
static char snapshot_path[96], combined_path[96];

static void require(bool holds, const char *what, int64_t r)
{
	if (!holds)
		fail_msg("%s: %s (%" PRId64 ")", now, what, r);
}

static uint64_t page(void)
{
	return mmapfs__page_size();
}

static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)(offset % 251);
}

static struct mmapfs_map *new_map(const char *name, uint32_t access, uint32_t flags)
{
	const struct mmapfs_map_opts opts = { .size = sizeof(opts), .access = access,
					      .flags = flags };
	struct mmapfs_map *ret = NULL;

	assert_int_equal(mmapfs_map_open(AT_FDCWD, scratch_path(name), &opts, &ret), 0);
	return ret;
}

/* A file with a hole in its middle, of which nothing is in RAM. */
static void begin_file(void)
{
	const char *path = scratch_path("file");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t half = FILE_PAGES / 2 * page();

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(FILE_PAGES * page())), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)half,
				   (off_t)page()), 0);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void begin_read(void)
{
	begin_file();
	map = new_map("file", MMAPFS_ACCESS_READ, 0);
}

static void begin_write(void)
{
	begin_file();
	map = new_map("file", MMAPFS_ACCESS_WRITE, 0);
}

static void begin_copy(void)
{
	begin_file();
	map = new_map("file", MMAPFS_ACCESS_COPY, 0);
}

static void begin_lazy(void)
{
	begin_file();
	map = new_map("file", MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY);
}

static void begin_locked(void)
{
	begin_read();
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), 0);
}

static void begin_grown(void)
{
	begin_read();
	assert_int_equal(truncate(scratch_path("file"), (off_t)(2 * FILE_PAGES * page())), 0);
}

static void begin_fd(void)
{
	begin_file();
	file_fd = open(scratch_path("file"), O_RDWR | O_CLOEXEC);
	assert_true(file_fd >= 0);
}

static void begin_control(void)
{
	begin_fd();
	/* What a mount answers is stored; only the kind of filesystem is put on. */
	assert_int_equal(fsetxattr(file_fd, "user.mmapfs.version", "1", 1, 0), 0);
	assert_int_equal(fsetxattr(file_fd, "user.mmapfs.stat", "x=1", 3, 0), 0);
}

static void end(void)
{
	map = mmapfs_map_close(map);
	snapshot = mmapfs_snapshot_close(snapshot);
	if (file_fd >= 0)
		close(file_fd);
	file_fd = -1;
}

/* ---- operations: mapping ---- */

static int64_t open_and_close(uint32_t access, uint32_t flags)
{
	const struct mmapfs_map_opts opts = { .size = sizeof(opts), .access = access,
					      .flags = flags, .length = FILE_PAGES * page(),
					      .mode = 0600 };
	struct mmapfs_map *opened = NULL;
	void *addr;
	int r = mmapfs_map_open(AT_FDCWD, scratch_path("file"), &opts, &opened);

	assert_true((r == 0) == (opened != NULL));
	if (r == 0)
		r = mmapfs_map_addr(opened, &addr);
	if (r == 0)
		assert_int_equal(*(volatile unsigned char *)addr, byte_at(0));
	(void)mmapfs_map_close(opened);
	return r;
}

static int64_t run_open(void)
{
	return open_and_close(MMAPFS_ACCESS_READ, MMAPFS_MAP_NOATIME);
}

static int64_t run_open_lazy(void)
{
	return open_and_close(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY);
}

static int64_t run_open_grow(void)
{
	return open_and_close(MMAPFS_ACCESS_WRITE, MMAPFS_MAP_CREATE | MMAPFS_MAP_GROW);
}

static int64_t run_create(void)
{
	const struct mmapfs_map_opts opts = { .size = sizeof(opts),
					      .access = MMAPFS_ACCESS_WRITE,
					      .flags = MMAPFS_MAP_CREATE | MMAPFS_MAP_GROW,
					      .length = page(), .mode = 0600 };
	struct mmapfs_map *created = NULL;
	int r;

	(void)unlink(scratch_path("new"));
	r = mmapfs_map_open(AT_FDCWD, scratch_path("new"), &opts, &created);
	(void)mmapfs_map_close(created);
	return r;
}

static int64_t run_from_fd(void)
{
	struct mmapfs_map *taken = NULL;
	int fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
	int r = mmapfs_map_from_fd(fd, NULL, &taken);

	if (r < 0)
		assert_int_equal(close(fd), 0); /* still ours */
	(void)mmapfs_map_close(taken);
	return r;
}

static int64_t run_anonymous(void)
{
	struct mmapfs_map *memory = NULL;
	int r = mmapfs_map_anonymous("fault", page(), &memory);

	(void)mmapfs_map_close(memory);
	return r;
}

static int64_t run_close(void)
{
	map = mmapfs_map_close(map);
	return 0;
}

static int64_t resize_to(uint64_t length)
{
	uint64_t before = mmapfs_map_length(map);
	void *addr;
	int r = mmapfs_map_resize(map, length);

	require(mmapfs_map_length(map) == (r < 0 ? before : length), "another length", r);
	require(mmapfs_map_addr(map, &addr) == 0, "no address", r);
	assert_int_equal(*(volatile unsigned char *)addr, byte_at(0));
	return r;
}

static int64_t run_grow(void)
{
	return resize_to(4 * FILE_PAGES * page());
}

static int64_t run_shrink(void)
{
	return resize_to(2 * page());
}

static int64_t run_refresh(void)
{
	return mmapfs_map_refresh(map);
}

static int64_t run_protect(void)
{
	int r = mmapfs_map_protect(map, MMAPFS_ACCESS_READ);

	return r < 0 ? r : mmapfs_map_protect(map, MMAPFS_ACCESS_WRITE);
}

/* ---- operations: looking ---- */

static int64_t run_residency(void)
{
	struct mmapfs_residency count = MMAPFS_INIT(count);
	int r = mmapfs_residency(map, WHOLE, MMAPFS_OBSERVE_READY, &count);

	if (r == 0)
		assert_true(count.resident <= count.pages && count.occupied <= count.pages);
	return r;
}

static int64_t run_residency_fd(void)
{
	struct mmapfs_residency count = MMAPFS_INIT(count);

	return mmapfs_residency_fd(file_fd, NULL, WHOLE, MMAPFS_OBSERVE_READY, &count);
}

static int in_the_file(void *ctx, uint64_t offset, uint64_t length)
{
	(void)ctx;
	assert_true(length > 0 && offset + length <= FILE_PAGES * page());
	return 0;
}

static int64_t run_ranges(void)
{
	return mmapfs_ranges(map, WHOLE, MMAPFS_OBSERVE_READY, in_the_file, NULL);
}

static int64_t run_folios(void)
{
	struct mmapfs_folios folios = MMAPFS_INIT(folios);

	return mmapfs_folios(map, WHOLE, &folios);
}

static int64_t run_probe(void)
{
	struct mmapfs_probe probe = MMAPFS_INIT(probe);

	mmapfs__probe_reset();
	return mmapfs_probe(&probe);
}

/* ---- operations: acting ---- */

static int64_t run_warm(void)
{
	const struct mmapfs_warm_opts opts = { .size = sizeof(opts), .rate = 1 << 30,
					       .keep_available = 1 };
	struct mmapfs_warm_result result = MMAPFS_INIT(result);
	int r = mmapfs_warm(map, WHOLE, &opts, &result);

	if (r == 0 && result.valid)
		require(result.after + result.missing <= FILE_PAGES * page(), "too much",
			(int64_t)result.after);
	return r;
}

static int64_t run_evict(void)
{
	struct mmapfs_evict_result result = MMAPFS_INIT(result);
	uint64_t stayed = 0;
	int r;

	mmapfs_sync_forget_error(map);
	r = mmapfs_evict(map, WHOLE, MMAPFS_EVICT_SYNC, &result);
	for (int i = 0; i < MMAPFS_STAY_COUNT; i++)
		stayed += result.stayed[i];
	if (r == 0 && result.valid)
		require(stayed == result.after, "reasons do not add up", (int64_t)stayed);
	return r;
}

static int64_t evict_resident(void)
{
	(void)mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_POPULATE_READ, 0);
	return run_evict();
}

static int nothing_locked(void *ctx, uint64_t offset, uint64_t length)
{
	(void)ctx;
	(void)offset;
	(void)length;
	return 1;
}

static int64_t run_lock(void)
{
	struct mmapfs_lock_result result = MMAPFS_INIT(result);
	int r = mmapfs_lock(map, WHOLE, &result);

	if (r < 0)
		require(mmapfs_locked(map, nothing_locked, NULL) == 0, "left locked", r);
	return r < 0 ? r : mmapfs_unlock(map, WHOLE);
}

static int64_t run_lock_by_limit(void)
{
	fake_sys_table()->has_capability = has_no_capability;
	return run_lock();
}

static int64_t run_unlock_part(void)
{
	return mmapfs_unlock(map, (struct mmapfs_range){ page(), page() });
}

static int64_t run_sync(void)
{
	int r = 0;

	mmapfs_sync_forget_error(map);
	for (int level = MMAPFS_SYNC; r == 0 && level <= MMAPFS_SYNC_INVALIDATE; level++)
		r = mmapfs_sync(map, WHOLE, (enum mmapfs_sync_level)level);
	return r;
}

/* Each word by itself, so that a word that this kernel lacks does not hide the others. */
static int64_t run_advise(void)
{
	int first = 0;

	for (int i = 0; i < MMAPFS_ADVICE_COUNT; i++) {
		uint32_t kinds = mmapfs_advice_kinds((enum mmapfs_advice)i);
		int r;

		if (kinds & MMAPFS_ADVICE_DESTRUCTIVE)
			continue;
		r = mmapfs_advise(map, WHOLE, (enum mmapfs_advice)i, 0);
		assert_true(r <= 0);
		if (r < 0 && r != -EINVAL && !first)
			first = r;
	}
	return first;
}

static int64_t run_read(void)
{
	unsigned char buf[3000];
	int64_t n = mmapfs_read(map, 100, buf, sizeof(buf));

	for (int64_t i = 0; i < n; i++)
		require(buf[i] == byte_at(100 + (uint64_t)i), "wrong bytes", i);
	return n;
}

static int64_t run_write(void)
{
	unsigned char buf[3000];
	int64_t n;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = byte_at(100 + i);
	n = mmapfs_write(map, 100, buf, sizeof(buf));
	assert_true(n <= (int64_t)sizeof(buf));
	return n;
}

/* ---- operations: snapshots ---- */

static unsigned int files_in(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned int count = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.' || strncmp(entry->d_name, ".mmapfs", 7) == 0;
	closedir(dir);
	return count;
}

static int add_by_hand(struct mmapfs_snapshot_writer *writer, const char *name)
{
	const struct mmapfs_snapshot_entry entry = { .size = sizeof(entry), .name = name,
						     .file_size = page() };
	int r = mmapfs_snapshot_add_entry(writer, &entry);

	return r < 0 ? r
		     : mmapfs_snapshot_add_range(writer, (struct mmapfs_range){ 0, page() });
}

/* Out of order, so that it has to be sorted. */
static int64_t save(void)
{
	struct mmapfs_snapshot_writer *writer = NULL;
	int r = mmapfs_snapshot_create(AT_FDCWD, snapshot_path, &writer);

	if (r < 0)
		return r;
	r = add_by_hand(writer, "z");
	if (r >= 0)
		r = mmapfs_snapshot_add(writer, "file", map);
	if (r >= 0)
		return mmapfs_snapshot_commit(writer);
	(void)mmapfs_snapshot_abort(writer);
	return r;
}

static void begin_save(void)
{
	begin_read();
	assert_int_equal(save(), 0);
}

/* Whatever happened, the snapshot is all of the old or all of the new one. */
static void check_snapshot(void)
{
	struct mmapfs_snapshot_info info = MMAPFS_INIT(info);
	struct mmapfs_snapshot *loaded = NULL;
	const struct mmapfs__sys *in_force = mmapfs__sys;

	mmapfs__sys = &mmapfs__sys_real;
	require(mmapfs_snapshot_load(AT_FDCWD, snapshot_path, NULL, &loaded) == 0,
		"the snapshot is lost", 0);
	require(mmapfs_snapshot_info(loaded, &info) == 0 && info.files + info.skipped == 2,
		"another snapshot", (int64_t)info.files);
	(void)mmapfs_snapshot_close(loaded);
	mmapfs__sys = in_force;
}

static int64_t run_save(void)
{
	int64_t r = save();

	check_snapshot();
	return r;
}

static int64_t run_save_named(void)
{
	fake_sys_table()->openat = openat_named;
	return run_save();
}

static int64_t run_abort(void)
{
	struct mmapfs_snapshot_writer *writer = NULL;
	int r;

	fake_sys_table()->openat = openat_named;
	r = mmapfs_snapshot_create(AT_FDCWD, snapshot_path, &writer);
	if (r == 0)
		r = add_by_hand(writer, "a");
	(void)mmapfs_snapshot_abort(writer);
	check_snapshot();
	return r;
}

static void begin_loaded(void)
{
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);

	begin_save();
	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, snapshot_path, NULL, &snapshot), 0);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &entry), 1);
}

static int64_t run_load(void)
{
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	struct mmapfs_snapshot *loaded = NULL, *copy = NULL;
	int r = mmapfs_snapshot_load(AT_FDCWD, snapshot_path, NULL, &loaded);

	if (r == 0)
		r = mmapfs_snapshot_dup(loaded, &copy);
	if (r == 0)
		while ((r = mmapfs_snapshot_next(copy, &entry)) > 0)
			;
	(void)mmapfs_snapshot_close(loaded);
	(void)mmapfs_snapshot_close(copy);
	return r;
}

static int64_t run_apply(void)
{
	struct mmapfs_snapshot_apply_result result = MMAPFS_INIT(result);

	return mmapfs_snapshot_apply(snapshot, map, NULL, &result);
}

static int64_t run_combine(void)
{
	struct mmapfs_snapshot_writer *writer = NULL;
	struct mmapfs_snapshot *other = NULL;
	int r = mmapfs_snapshot_dup(snapshot, &other);

	if (r == 0)
		r = mmapfs_snapshot_create(AT_FDCWD, combined_path, &writer);
	if (r == 0)
		r = mmapfs_snapshot_combine(snapshot, other, MMAPFS_SNAPSHOT_UNION, writer);
	if (r == 0)
		r = mmapfs_snapshot_commit(writer);
	else
		(void)mmapfs_snapshot_abort(writer);
	(void)mmapfs_snapshot_close(other);
	(void)unlink(combined_path);
	check_snapshot();
	return r;
}

static int any_delta(void *ctx, const struct mmapfs_snapshot_delta *delta)
{
	(void)ctx;
	(void)delta;
	return 0;
}

static int64_t run_diff(void)
{
	struct mmapfs_snapshot *other = NULL;
	int r = mmapfs_snapshot_dup(snapshot, &other);

	if (r == 0)
		r = mmapfs_snapshot_diff(snapshot, other, any_delta, NULL, NULL);
	(void)mmapfs_snapshot_close(other);
	return r;
}

/* ---- operations: control attributes ---- */

static int64_t run_control_get(void)
{
	char value[16];

	fake_sys_table()->fstatfs = fstatfs_fuse;
	return mmapfs_control_get(file_fd, "stat", value, sizeof(value));
}

static int64_t run_control_set(void)
{
	fake_sys_table()->fstatfs = fstatfs_fuse;
	return mmapfs_control_set(file_fd, "warm", "", 0);
}

/* As on a read-only mount; here no ioctl answers. */
static int64_t run_control_ioctl(void)
{
	int fd = open(scratch_path("file"), O_RDONLY | O_CLOEXEC);
	int64_t r;

	fake_sys_script("fsetxattr", 0, 1, -EROFS);
	fake_sys_table()->fstatfs = fstatfs_fuse;
	r = mmapfs_control_set(fd, "warm", "", 0);
	close(fd);
	return r;
}

static const struct operation {
	const char *name;
	void (*begin)(void);
	int64_t (*run)(void);
	const char *not_of; /* a call that the operation scripts itself */
} operations[] = {
	{ "open", begin_file, run_open, NULL },
	{ "open lazily", begin_file, run_open_lazy, NULL },
	{ "open and grow", begin_file, run_open_grow, NULL },
	{ "create", begin_file, run_create, NULL },
	{ "from descriptor", begin_fd, run_from_fd, NULL },
	{ "anonymous", begin_file, run_anonymous, NULL },
	{ "close", begin_locked, run_close, NULL },
	{ "resize, larger", begin_write, run_grow, NULL },
	{ "resize, smaller", begin_write, run_shrink, NULL },
	{ "refresh", begin_grown, run_refresh, NULL },
	{ "protect", begin_write, run_protect, NULL },
	{ "residency", begin_lazy, run_residency, NULL },
	{ "residency of descriptor", begin_fd, run_residency_fd, NULL },
	{ "ranges", begin_lazy, run_ranges, NULL },
	{ "folios", begin_read, run_folios, NULL },
	{ "probe", begin_file, run_probe, NULL },
	{ "warm", begin_lazy, run_warm, NULL },
	{ "evict", begin_read, evict_resident, NULL },
	{ "evict what is locked", begin_locked, run_evict, NULL },
	{ "lock", begin_read, run_lock, NULL },
	{ "lock within a limit", begin_read, run_lock_by_limit, NULL },
	{ "unlock a part", begin_locked, run_unlock_part, NULL },
	{ "sync", begin_write, run_sync, NULL },
	{ "advise", begin_write, run_advise, NULL },
	{ "read", begin_read, run_read, NULL },
	{ "write", begin_write, run_write, NULL },
	{ "write into a copy", begin_copy, run_write, NULL },
	{ "snapshot", begin_save, run_save, NULL },
	{ "snapshot with a name", begin_save, run_save_named, NULL },
	{ "snapshot aborted", begin_save, run_abort, NULL },
	{ "snapshot loaded", begin_save, run_load, NULL },
	{ "snapshot applied", begin_loaded, run_apply, NULL },
	{ "snapshots combined", begin_loaded, run_combine, NULL },
	{ "snapshots compared", begin_loaded, run_diff, NULL },
	{ "control read", begin_control, run_control_get, NULL },
	{ "control written", begin_control, run_control_set, NULL },
	{ "control by ioctl", begin_control, run_control_ioctl, "fsetxattr" },
};

#endif
