/* SPDX-License-Identifier: MIT */
/* test-residency.c - counts of pages: right, or absent with the reason why. */
#include "page-file.h"

#include <errno.h>
#include <grp.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "kind.h"
#include "map.h"
#include "observe.h"
#include "probe.h"

#define PAGES 256

#define COUNTS                                                                           \
	(MMAPFS_RESIDENT | MMAPFS_OCCUPIED | MMAPFS_EVICTED | MMAPFS_RECENTLY_EVICTED)
#define ALL (COUNTS | MMAPFS_DIRTY | MMAPFS_WRITEBACK)

static int fd;
static struct held held;

/* A cold file of 256 pages less 100 bytes, of which every 4th page is resident. */
static int quarter_setup(void **state)
{
	uint64_t i;

	(void)state;
	fd = file_in(scratch_dir, PAGES * page - 100, true);
	make_cold(fd, PAGES * page);
	held = hold(fd, PAGES * page);
	for (i = 0; i < PAGES; i += 4)
		hold_page(&held, i);
	return 0;
}

static int quarter_teardown(void **state)
{
	(void)state;
	hold_done(&held);
	return close(fd);
}

static struct mmapfs_residency count(struct mmapfs_map *map, struct mmapfs_range range,
				     uint32_t flags)
{
	struct mmapfs_residency res = MMAPFS_INIT(struct mmapfs_residency);

	assert_int_equal(mmapfs_residency(map, range, flags, &res), 0);
	assert_int_equal(res.size, sizeof(res));
	assert_int_equal(res.page_size, page);
	return res;
}

static void quick_count_is_an_upper_bound(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, 0);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	res = count(map, whole, 0);
	assert_int_equal(fake_sys_calls("mincore"), 0);
	fake_sys_remove();
	assert_int_equal(res.valid, ALL);
	assert_int_equal(res.upper_bound, MMAPFS_RESIDENT);
	assert_int_equal(res.method, MMAPFS_METHOD_CACHESTAT);
	assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_UPPER_BOUND);
	assert_int_equal(res.reason, MMAPFS_REASON_NONE);
	assert_int_equal(res.changed, 0);
	assert_int_equal(res.file_size, PAGES * page - 100);
	assert_int_equal(res.pages, PAGES);
	assert_int_equal(res.resident, PAGES / 4);
	assert_int_equal(res.occupied, PAGES / 4);
	assert_int_equal(res.dirty, 0);
	assert_int_equal(res.writeback, 0);
	mmapfs_map_close(map);
}

static void ready_count_is_exact(void **state)
{
	static const uint32_t flags[] = { 0, MMAPFS_MAP_LAZY };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct mmapfs_map *map = map_of(fd, 0, 0, flags[i]);
		struct mmapfs_residency res = count(map, whole, MMAPFS_OBSERVE_READY);

		assert_int_equal(res.valid, ALL);
		assert_int_equal(res.upper_bound, 0);
		assert_int_equal(res.method, MMAPFS_METHOD_CACHESTAT_MINCORE);
		assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_EXACT);
		assert_int_equal(res.resident, PAGES / 4);
		assert_int_equal(res.occupied, PAGES / 4);
		mmapfs_map_close(map);
	}
}

/* Offsets in pages and bytes; windows of the file and ranges of the window. */
static void ranges_and_windows_are_widened_to_pages(void **state)
{
	const struct {
		uint64_t window_offset, window_length;
		struct mmapfs_range range;
		uint64_t file_size, pages, resident;
	} rows[] = {
		{ 0, 0, { 0, 1 }, PAGES * page - 100, 1, 1 },
		{ 0, 0, { page, 3 * page }, PAGES * page - 100, 3, 0 },
		{ 0, 0, { page - 1, 2 }, PAGES * page - 100, 2, 1 },
		{ 0, 0, { 252 * page, 0 }, PAGES * page - 100, 4, 1 },
		{ 0, 0, { PAGES * page, 0 }, PAGES * page - 100, 0, 0 },
		{ 0, 0, { UINT64_MAX, UINT64_MAX }, PAGES * page - 100, 0, 0 },
		{ 100, 0, { 0, 0 }, PAGES * page - 200, 256, 64 },
		{ page + 100, 8 * page, { 0, 0 }, 8 * page, 9, 2 },
		{ page + 100, 8 * page, { 7 * page, 1 }, 8 * page, 1, 1 },
		{ 4 * page, 2 * page, { 0, UINT64_MAX }, 2 * page, 2, 1 },
		{ 252 * page, 100 * page, { 0, 0 }, 4 * page - 100, 4, 1 },
		{ 300 * page, 100 * page, { 0, 0 }, 0, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map = map_of(fd, rows[i].window_offset,
						rows[i].window_length, MMAPFS_MAP_LAZY);
		struct mmapfs_residency res =
			count(map, rows[i].range, MMAPFS_OBSERVE_READY);

		assert_int_equal(res.file_size, rows[i].file_size);
		assert_int_equal(res.pages, rows[i].pages);
		assert_int_equal(res.resident, rows[i].resident);
		assert_int_equal(res.occupied, rows[i].resident);
		assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_EXACT);
		mmapfs_map_close(map);
	}
}

static void nothing_occupied_is_exact_without_mincore(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	const struct mmapfs_range hole = { page, 3 * page };
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	res = count(map, hole, MMAPFS_OBSERVE_READY);
	assert_int_equal(fake_sys_calls("mincore"), 0);
	fake_sys_remove();
	assert_int_equal(res.method, MMAPFS_METHOD_CACHESTAT);
	assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_EXACT);
	assert_int_equal(res.valid, ALL);
	assert_int_equal(res.upper_bound, 0);
	assert_int_equal(res.resident, 0);
	mmapfs_map_close(map);
}

static void empty_file_is_all_zero_and_exact(void **state)
{
	int empty = file_in(scratch_dir, 0, false);
	struct mmapfs_map *map = map_of(empty, 0, 0, 0);
	struct mmapfs_residency res = count(map, whole, MMAPFS_OBSERVE_READY);

	(void)state;
	assert_int_equal(res.valid, ALL);
	assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_EXACT);
	assert_int_equal(res.pages, 0);
	assert_int_equal(res.resident, 0);
	assert_int_equal(res.occupied, 0);
	assert_int_equal(res.file_size, 0);
	mmapfs_map_close(map);
	close(empty);
}

static void dirty_pages_are_an_upper_bound(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	/* Page 4 is alone in the cache, so its folio is one page. */
	put_data(fd, 4 * page, 1);
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	assert_true(res.valid & MMAPFS_DIRTY);
	/* Writeback may have begun, or be over, at any time. */
	assert_true(res.dirty <= 1);
	assert_int_equal(res.upper_bound, res.dirty ? MMAPFS_DIRTY : 0);
	mmapfs_map_close(map);
}

static int dirty_cachestat(int any, const struct mmapfs__cachestat_range *range,
			   struct mmapfs__cachestat *ret)
{
	(void)any;
	(void)range;
	*ret = (struct mmapfs__cachestat){ 11, 7, 3, 5, 2 };
	return 0;
}

static void all_figures_of_cachestat_arrive(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	fake_sys_table()->cachestat = dirty_cachestat;
	res = count(map, whole, 0);
	fake_sys_remove();
	assert_int_equal(res.resident, 11);
	assert_int_equal(res.occupied, 11);
	assert_int_equal(res.dirty, 7);
	assert_int_equal(res.writeback, 3);
	assert_int_equal(res.evicted, 5);
	assert_int_equal(res.recently_evicted, 2);
	assert_int_equal(res.upper_bound, MMAPFS_RESIDENT | MMAPFS_DIRTY);
	mmapfs_map_close(map);
}

static void memory_file_has_no_dirty_figure(void **state)
{
	struct mmapfs_map *map;
	struct mmapfs_residency res;
	void *addr;

	(void)state;
	assert_int_equal(mmapfs_map_anonymous("test", 16 * page, &map), 0);
	assert_int_equal(mmapfs_map_addr(map, &addr), 0);
	memset(addr, 1, 5 * page);
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	assert_int_equal(res.valid, COUNTS);
	assert_int_equal(res.reason, MMAPFS_REASON_MEMORY_FS);
	assert_int_equal(res.pages, 16);
	assert_int_equal(res.occupied, 5);
	assert_int_equal(res.resident, 5);
	assert_int_equal(res.dirty, 0);
	mmapfs_map_close(map);
}

static void allocated_memory_is_occupied_but_not_ready(void **state)
{
	struct mmapfs_map *map;
	struct mmapfs_residency res;

	(void)state;
	assert_int_equal(mmapfs_map_anonymous("test", 256 * page, &map), 0);
	assert_int_equal(fallocate(mmapfs_map_fd(map), 0, 0, (off_t)(256 * page)), 0);
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	assert_int_equal(res.occupied, 256);
	assert_true(res.resident < 256);
	assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_EXACT);
	mmapfs_map_close(map);
}

static void without_cachestat_mincore_counts(void **state)
{
	static const struct {
		int error;
		uint32_t reason;
	} rows[] = {
		{ -ENOSYS, MMAPFS_REASON_OLD_KERNEL },
		{ -EPERM, MMAPFS_REASON_NO_PERMISSION },
	};
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_residency res;

		fake_sys_install();
		fake_sys_script("cachestat", 0, 0, rows[i].error);
		res = count(map, whole, 0);
		fake_sys_remove();
		assert_int_equal(res.valid, MMAPFS_RESIDENT);
		assert_int_equal(res.method, MMAPFS_METHOD_MINCORE);
		assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_EXACT);
		assert_int_equal(res.reason, rows[i].reason);
		assert_int_equal(res.resident, PAGES / 4);
		assert_int_equal(res.occupied, 0);
	}
	mmapfs_map_close(map);
}

/* The process may not call it at all: told from a file's EPERM by asking on a memfd. */
static void forbidden_and_disabled_cachestat_are_told_apart(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	mmapfs__probe_reset();
	fake_sys_script("cachestat", 0, 0, -EPERM);
	res = count(map, whole, 0);
	assert_int_equal(res.reason, MMAPFS_REASON_SECCOMP);
	assert_int_equal(res.resident, PAGES / 4);
	fake_sys_remove();

	fake_sys_install();
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_CACHESTAT), 0);
	res = count(map, whole, 0);
	assert_int_equal(fake_sys_calls("cachestat"), 0);
	assert_int_equal(res.reason, MMAPFS_REASON_OLD_KERNEL);
	assert_int_equal(res.method, MMAPFS_METHOD_MINCORE);
	assert_int_equal(res.resident, PAGES / 4);
	fake_sys_remove();
	mmapfs__probe_reset();
	mmapfs_map_close(map);
}

static int lying_mincore(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 1, (length + page - 1) / page);
	return 0;
}

static void lying_mincore_is_not_believed(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, 0);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	fake_sys_table()->mincore = lying_mincore;
	fake_sys_script("cachestat", 0, 0, -EPERM);
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	fake_sys_remove();
	assert_int_equal(res.valid, 0);
	assert_int_equal(res.method, MMAPFS_METHOD_NONE);
	assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_UNKNOWN);
	assert_int_equal(res.reason, MMAPFS_REASON_NO_PERMISSION);
	assert_int_equal(res.resident, 0);
	assert_int_equal(res.pages, PAGES);

	/* A writable descriptor of somebody who may not write now: cachestat answers. */
	fake_sys_install();
	fake_sys_table()->mincore = lying_mincore;
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	fake_sys_remove();
	assert_int_equal(res.valid, ALL);
	assert_int_equal(res.method, MMAPFS_METHOD_CACHESTAT);
	assert_int_equal(res.confidence, MMAPFS_CONFIDENCE_UPPER_BOUND);
	assert_int_equal(res.resident, PAGES / 4);
	mmapfs_map_close(map);
}

/* The real kernel: as nobody, on a file of root. Exits with what the parent asserts. */
static int as_nobody(int flags)
{
	struct mmapfs_residency res = MMAPFS_INIT(struct mmapfs_residency);
	struct mmapfs_map_opts opts = { .size = sizeof(opts), .flags = MMAPFS_MAP_LAZY };
	struct mmapfs_map *map;
	char path[64];
	int own;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, flags | O_CLOEXEC);
	if (own < 0 || setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		return 100;
	if (mmapfs_map_from_fd(own, &opts, &map) < 0)
		return 101;
	if (mmapfs_residency(map, whole, MMAPFS_OBSERVE_READY, &res) < 0)
		return 102;
	mmapfs_map_close(map);
	if (res.valid & MMAPFS_RESIDENT && res.resident != PAGES / 4)
		return 103;
	return (int)(res.confidence * 16 + res.reason);
}

static void kernel_hides_residency_from_others(void **state)
{
	static const struct {
		int flags;
		int status;
	} rows[] = {
		{ O_RDONLY,
		  MMAPFS_CONFIDENCE_UNKNOWN * 16 + MMAPFS_REASON_NO_PERMISSION },
		{ O_RDWR, MMAPFS_CONFIDENCE_UPPER_BOUND * 16 },
	};
	size_t i;

	(void)state;
	if (geteuid() != 0)
		skip();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(as_nobody(rows[i].flags));
		assert_true(pid > 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), rows[i].status);
	}
}

static uint32_t fs_magic;

static int magic_fstatfs(int any, struct statfs *st)
{
	int r = mmapfs__sys_real.fstatfs(any, st);

	st->f_type = fs_magic;
	return r;
}

static void filesystem_decides_what_can_be_known(void **state)
{
	static const struct {
		uint32_t magic;
		uint32_t valid, method, reason;
	} rows[] = {
		{ 0x794c7630, MMAPFS_RESIDENT, MMAPFS_METHOD_MINCORE,
		  MMAPFS_REASON_STACKED },
		{ 0x65735546, MMAPFS_RESIDENT, MMAPFS_METHOD_MINCORE,
		  MMAPFS_REASON_STACKED },
		{ 0x958458f6, 0, MMAPFS_METHOD_NONE, MMAPFS_REASON_HUGETLBFS },
		{ 0x2fc12fc1, 0, MMAPFS_METHOD_NONE, MMAPFS_REASON_ZFS_ARC },
		{ 0x01021994, COUNTS, MMAPFS_METHOD_CACHESTAT, MMAPFS_REASON_MEMORY_FS },
		{ 0x0000ef53, ALL, MMAPFS_METHOD_CACHESTAT, MMAPFS_REASON_NONE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_residency res;
		struct mmapfs_map *map;

		fs_magic = rows[i].magic;
		fake_sys_install();
		fake_sys_table()->fstatfs = magic_fstatfs;
		mmapfs__kind_forget();
		map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
		res = count(map, whole, 0);
		fake_sys_remove();
		assert_int_equal(res.valid, rows[i].valid);
		assert_int_equal(res.method, rows[i].method);
		assert_int_equal(res.reason, rows[i].reason);
		assert_int_equal(res.pages, PAGES);
		assert_int_equal(res.resident,
				 rows[i].valid & MMAPFS_RESIDENT ? PAGES / 4 : 0);
		mmapfs_map_close(map);
	}
}

static void dax_has_no_page_cache(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	map->fs_kind = MMAPFS__FS_DAX;
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	assert_int_equal(res.valid, 0);
	assert_int_equal(res.reason, MMAPFS_REASON_DAX);
	mmapfs_map_close(map);
}

static void errors_are_forwarded(void **state)
{
	static const struct {
		const char *call;
		unsigned int skip;
		int error, want;
	} rows[] = {
		{ "fstat", 0, -EIO, -EIO },	    { "fstat", 1, -EIO, -EIO },
		{ "cachestat", 0, -EBADF, -EBADF }, { "cachestat", 1, -EIO, -EIO },
		{ "mmap", 0, -ENOMEM, -ENOMEM }, /* the oracle */
		{ "mmap", 1, -ENODEV, -ENODEV }, /* the view */
		{ "mincore", 0, -ENOMEM, -ENOMEM }, { "mincore", 1, -ENOMEM, -ENOMEM },
		{ "mincore", 0, -EAGAIN, -ENOMEM },
	};
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_residency res = MMAPFS_INIT(struct mmapfs_residency);

		res.resident = 12345;
		fake_sys_install();
		fake_sys_script(rows[i].call, rows[i].skip, 0, rows[i].error);
		assert_int_equal(mmapfs_residency(map, whole, MMAPFS_OBSERVE_READY, &res),
				 rows[i].want);
		fake_sys_remove();
		assert_int_equal(res.resident, 12345);
	}
	mmapfs_map_close(map);
}

static void a_moment_without_memory_is_waited_for(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	fake_sys_script("mincore", 1, 2, -EAGAIN);
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	assert_int_equal(fake_sys_calls("mincore"), 4);
	fake_sys_remove();
	assert_int_equal(res.resident, PAGES / 4);
	mmapfs_map_close(map);
}

/* All ones but bit 0: the other bits mean nothing. */
static int noisy_mincore(void *addr, size_t length, unsigned char *vec)
{
	size_t i;

	(void)addr;
	for (i = 0; i < (length + page - 1) / page; i++)
		vec[i] = i % 3 == 0 && length > page ? 0xff : 0xfe;
	return 0;
}

static void only_bit_0_of_mincore_counts(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	fake_sys_table()->mincore = noisy_mincore;
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	fake_sys_remove();
	/* More than occupied, as after a race: what was measured is what is said. */
	assert_int_equal(res.resident, (PAGES + 2) / 3);
	assert_int_equal(res.occupied, PAGES / 4);
	mmapfs_map_close(map);
}

static int growing_mincore(void *addr, size_t length, unsigned char *vec)
{
	assert_int_equal(ftruncate(fd, (off_t)((PAGES + 1) * page)), 0);
	return mmapfs__sys_real.mincore(addr, length, vec);
}

static void change_of_size_is_told(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	fake_sys_install();
	fake_sys_table()->mincore = growing_mincore;
	res = count(map, whole, MMAPFS_OBSERVE_READY);
	fake_sys_remove();
	assert_int_equal(res.changed, 1);
	assert_int_equal(res.pages, PAGES);
	assert_int_equal(res.resident, PAGES / 4);
	mmapfs_map_close(map);
}

static void struct_of_another_version_is_served(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	struct mmapfs_residency res;

	(void)state;
	memset(&res, 0xee, sizeof(res));
	res.size = offsetof(struct mmapfs_residency, occupied);
	assert_int_equal(mmapfs_residency(map, whole, 0, &res), 0);
	assert_int_equal(res.size, offsetof(struct mmapfs_residency, occupied));
	assert_int_equal(res.resident, PAGES / 4);
	assert_int_equal(res.occupied, UINT64_C(0xeeeeeeeeeeeeeeee));
	res.size = offsetof(struct mmapfs_residency, resident) - 1;
	assert_int_equal(mmapfs_residency(map, whole, 0, &res), -EINVAL);
	res.size = 4 * sizeof(res);
	res.valid = 0;
	assert_int_equal(mmapfs_residency(map, whole, 0, &res), 0);
	assert_int_equal(res.size, 4 * sizeof(res));
	assert_int_equal(res.valid, ALL);
	mmapfs_map_close(map);
}

static void unknown_flags_are_einval(void **state)
{
	struct mmapfs_residency res = MMAPFS_INIT(struct mmapfs_residency);
	struct mmapfs_map *map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);

	(void)state;
	assert_int_equal(mmapfs_residency(map, whole, 2, &res), -EINVAL);
	mmapfs_map_close(map);
}

static void counting_disturbs_nothing(void **state)
{
	struct mmapfs_map *map = map_of(fd, 0, 0, 0);
	unsigned char *before = naive_mincore(fd, PAGES * page);
	unsigned char *after;

	(void)state;
	(void)count(map, whole, MMAPFS_OBSERVE_READY);
	after = naive_mincore(fd, PAGES * page);
	assert_memory_equal(before, after, PAGES);
	free(before);
	free(after);
	mmapfs_map_close(map);
}

static void pages_beyond_4_gib_are_counted(void **state)
{
	const uint64_t at = 4 * GIB + 7 * page;
	const struct mmapfs_range range = { 4 * GIB, 16 * page };
	int big = file_in(scratch_dir, 5 * GIB, false);
	struct mmapfs_map *map = map_of(big, 0, 0, MMAPFS_MAP_LAZY);
	struct held high;
	uint64_t i;

	(void)state;
	put_data(big, at, 3);
	make_cold(big, 5 * GIB);
	high = hold_from(big, 4 * GIB, 64 * page);
	for (i = 0; i < 3; i++)
		hold_page(&high, at / page + i);
	assert_int_equal(count(map, whole, 0).resident, 3);
	assert_int_equal(count(map, range, MMAPFS_OBSERVE_READY).resident, 3);
	assert_int_equal(count(map, range, 0).pages, 16);
	hold_done(&high);
	mmapfs_map_close(map);
	close(big);
}

#define quarter_test(f)                                                                  \
	cmocka_unit_test_setup_teardown(f, quarter_setup, quarter_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		quarter_test(quick_count_is_an_upper_bound),
		quarter_test(ready_count_is_exact),
		quarter_test(ranges_and_windows_are_widened_to_pages),
		quarter_test(nothing_occupied_is_exact_without_mincore),
		cmocka_unit_test(empty_file_is_all_zero_and_exact),
		quarter_test(dirty_pages_are_an_upper_bound),
		quarter_test(all_figures_of_cachestat_arrive),
		cmocka_unit_test(memory_file_has_no_dirty_figure),
		cmocka_unit_test(allocated_memory_is_occupied_but_not_ready),
		quarter_test(without_cachestat_mincore_counts),
		quarter_test(forbidden_and_disabled_cachestat_are_told_apart),
		quarter_test(lying_mincore_is_not_believed),
		quarter_test(kernel_hides_residency_from_others),
		quarter_test(filesystem_decides_what_can_be_known),
		quarter_test(dax_has_no_page_cache),
		quarter_test(errors_are_forwarded),
		quarter_test(a_moment_without_memory_is_waited_for),
		quarter_test(only_bit_0_of_mincore_counts),
		quarter_test(change_of_size_is_told),
		quarter_test(struct_of_another_version_is_served),
		quarter_test(unknown_flags_are_einval),
		quarter_test(counting_disturbs_nothing),
		cmocka_unit_test(pages_beyond_4_gib_are_counted),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
