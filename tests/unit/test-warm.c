/* SPDX-License-Identifier: MIT */
/* test-warm.c - what is missing is read in, nothing else, whatever happens meanwhile. */
#include "page-file.h"

#include <errno.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "map.h"
#include "probe.h"

#define PAGES 1024
#define SIZE (PAGES * page - 100)

static int fd;
static struct mmapfs_map *map;

/* A file of @size bytes of data, cold, and a map of all of it. */
static void cold_file(uint64_t size)
{
	fd = file_in(scratch_dir, size, true);
	make_cold(fd, size);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
}

static int small_setup(void **state)
{
	(void)state;
	cold_file(SIZE);
	return 0;
}

static int small_teardown(void **state)
{
	(void)state;
	mmapfs__probe_reset();
	map = mmapfs_map_close(map);
	return close(fd);
}

static struct mmapfs_warm_result warm(int want, const struct mmapfs_warm_opts *opts)
{
	struct mmapfs_warm_result res = MMAPFS_INIT(struct mmapfs_warm_result);

	assert_int_equal(mmapfs_warm(map, whole, opts, &res), want);
	assert_int_equal(res.size, sizeof(res));
	return res;
}

/* Just these pages of the first @pages of the file are resident. */
static void assert_resident(uint64_t pages, const struct mmapfs__span *spans,
			    size_t count)
{
	unsigned char *got = naive_mincore(fd, pages * page);
	unsigned char *want = calloc(pages + 1, 1);
	size_t i;

	assert_non_null(want);
	for (i = 0; i < count; i++)
		memset(want + spans[i].begin, 1, spans[i].end - spans[i].begin);
	assert_memory_equal(got, want, pages);
	free(got);
	free(want);
}

static void assert_all_resident(void)
{
	const struct mmapfs__span all = { 0, PAGES };

	assert_resident(PAGES, &all, 1);
}

static void assert_complete(const struct mmapfs_warm_result *res, uint64_t total,
			    uint64_t before)
{
	assert_int_equal(res->valid, 1);
	assert_int_equal(res->error, 0);
	assert_int_equal(res->error_offset, 0);
	assert_int_equal(res->total, total);
	assert_int_equal(res->requested, total - before);
	assert_int_equal(res->before, before);
	assert_int_equal(res->after, total);
	assert_int_equal(res->missing, 0);
}

/* ---- what is read ---- */

static void cold_file_becomes_resident(void **state)
{
	struct mmapfs_warm_result res;

	(void)state;
	res = warm(0, NULL);
	assert_all_resident();
	assert_complete(&res, SIZE, 0);
	res = warm(0, NULL);
	assert_complete(&res, SIZE, SIZE);
	assert_int_equal(mmapfs_warm(map, whole, NULL, NULL), 0);
}

static void resident_pages_are_not_asked_for(void **state)
{
	struct held held = hold(fd, PAGES * page);
	struct mmapfs_warm_result res;
	unsigned int i;

	(void)state;
	for (i = 0; i < PAGES; i += 4)
		hold_page(&held, i);
	fake_sys_install();
	res = warm(0, NULL);
	assert_int_equal(fake_sys_calls("readahead"), PAGES / 4);
	assert_int_equal(fake_sys_calls("pread"), 0);
	fake_sys_remove();
	assert_all_resident();
	assert_complete(&res, SIZE, PAGES / 4 * page);
	hold_done(&held);
}

static void only_the_range_is_read(void **state)
{
	const struct mmapfs__span spans[] = { { 10, 21 } };
	const struct mmapfs_range range = { 10 * page + 1, 10 * page };
	struct mmapfs_warm_result res = MMAPFS_INIT(struct mmapfs_warm_result);

	(void)state;
	assert_int_equal(mmapfs_warm(map, range, NULL, &res), 0);
	assert_resident(PAGES, spans, 1);
	assert_complete(&res, 11 * page, 0);
}

static void window_that_is_not_aligned_is_cut_to_its_bytes(void **state)
{
	const struct mmapfs__span spans[] = { { 3, 9 } };
	struct mmapfs_warm_result res;

	(void)state;
	mmapfs_map_close(map);
	map = map_of(fd, 3 * page + 100, 5 * page, MMAPFS_MAP_LAZY);
	res = warm(0, NULL);
	assert_resident(PAGES, spans, 1);
	assert_complete(&res, 5 * page, 0);
}

static void empty_file_is_nothing_to_do(void **state)
{
	struct mmapfs_warm_result res;

	(void)state;
	cold_file(0);
	res = warm(0, NULL);
	assert_complete(&res, 0, 0);
	(void)small_teardown(NULL);
}

static const char *const dirs[] = { scratch_dir, "/dev/shm" };

/* Neither pages nor, on tmpfs, memory and blocks appear for holes. */
static void holes_stay_holes(void **state)
{
	const struct mmapfs__span spans[] = { { 1, 2 }, { 40, 45 }, { 700, 701 } };
	size_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		struct mmapfs_warm_result res;
		struct stat before, after;

		if (access(dirs[i], W_OK) < 0)
			continue;
		fd = file_in(dirs[i], SIZE, false);
		for (n = 0; n < ARRAY_SIZE(spans); n++)
			put_data(fd, spans[n].begin * page,
				 spans[n].end - spans[n].begin);
		if (i == 0)
			make_cold(fd, SIZE);
		assert_int_equal(fstat(fd, &before), 0);
		map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
		res = warm(0, NULL);
		assert_complete(&res, 7 * page, i == 0 ? 0 : 7 * page);
		assert_resident(PAGES, spans, ARRAY_SIZE(spans));
		assert_int_equal(fstat(fd, &after), 0);
		assert_int_equal(after.st_blocks, before.st_blocks);
		(void)small_teardown(NULL);
	}
}

static void data_beyond_4_gib_is_read(void **state)
{
	struct mmapfs_warm_result res;
	struct mmapfs_residency pages = MMAPFS_INIT(struct mmapfs_residency);

	(void)state;
	fd = file_in(scratch_dir, 6 * GIB, false);
	put_data(fd, 5 * GIB + page, 9);
	make_cold(fd, 6 * GIB);
	map = map_of(fd, 100, 0, MMAPFS_MAP_LAZY);
	res = warm(0, NULL);
	assert_complete(&res, 9 * page, 0);
	assert_int_equal(mmapfs_residency(map, whole, 0, &pages), 0);
	assert_int_equal(pages.occupied, 9);
	(void)small_teardown(NULL);
}

static void page_tables_are_left_empty(void **state)
{
	const struct mmapfs_range range = { 0, 64 * page };

	(void)state;
	/* Pages in page tables could not be evicted. */
	assert_int_equal(mmapfs_warm(map, range, NULL, NULL), 0);
	make_cold(fd, SIZE);
}

/* ---- the ways of reading ---- */

static int read_only_mmap(void *addr, size_t length, int prot, int flags, int any,
			  uint64_t offset, void **ret)
{
	if (prot & PROT_READ)
		return -ENOMEM;
	return mmapfs__sys_real.mmap(addr, length, prot, flags, any, offset, ret);
}

static int sleepy_readahead(int any, uint64_t offset, size_t length)
{
	(void)any;
	(void)offset;
	(void)length;
	return 0;
}

static int no_populate(void *addr, size_t length, int advice)
{
	if (advice == MADV_POPULATE_READ)
		return -EINVAL;
	return mmapfs__sys_real.madvise(addr, length, advice);
}

/* Each fall-back, and that none reads anything but the data. */
static void every_way_reads_the_same(void **state)
{
	const struct mmapfs__span spans[] = { { 0, 3 }, { 8, 9 }, { 100, 700 } };
	static const char *const ways[] = { "populate", "disabled",	"EINVAL",
					    "no view",	"no readahead", "sleepy",
					    "mincore" };
	size_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		struct mmapfs_warm_result res;

		fd = file_in(scratch_dir, SIZE, false);
		for (n = 0; n < ARRAY_SIZE(spans); n++)
			put_data(fd, spans[n].begin * page,
				 spans[n].end - spans[n].begin);
		make_cold(fd, SIZE);
		map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
		fake_sys_install();
		if (strcmp(ways[i], "disabled") == 0)
			assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_POPULATE),
					 0);
		if (strcmp(ways[i], "EINVAL") == 0)
			fake_sys_table()->madvise = no_populate;
		if (strcmp(ways[i], "no view") == 0)
			fake_sys_table()->mmap = read_only_mmap;
		if (strcmp(ways[i], "no readahead") == 0)
			fake_sys_script("readahead", 0, 0, -EINVAL);
		if (strcmp(ways[i], "sleepy") == 0)
			fake_sys_table()->readahead = sleepy_readahead;
		if (strcmp(ways[i], "mincore") == 0)
			fake_sys_script("cachestat", 0, 0, -ENOSYS);
		res = warm(0, NULL);
		fake_sys_remove();
		assert_resident(PAGES, spans, ARRAY_SIZE(spans));
		assert_complete(&res, 604 * page, 0);
		(void)small_teardown(NULL);
	}
}

static int lying_mincore(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 1, (length + page - 1) / page);
	return 0;
}

static void what_cannot_be_known_is_read_whole(void **state)
{
	struct held held = hold(fd, PAGES * page);
	struct mmapfs_warm_result res;
	unsigned int i;

	(void)state;
	for (i = 0; i < PAGES; i += 4)
		hold_page(&held, i);
	fake_sys_install();
	fake_sys_table()->mincore = lying_mincore;
	res = warm(0, NULL);
	fake_sys_remove();
	assert_all_resident();
	assert_int_equal(res.valid, 0);
	assert_int_equal(res.total, SIZE);
	assert_int_equal(res.requested, SIZE);
	assert_int_equal(res.before, 0);
	assert_int_equal(res.after, 0);
	assert_int_equal(res.missing, 0);
	hold_done(&held);
}

static void files_without_page_cache_are_left_alone(void **state)
{
	static const enum mmapfs__fs_kind kinds[] = { MMAPFS__FS_HUGETLB,
						      MMAPFS__FS_DAX };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct mmapfs_warm_result res;

		map->fs_kind = kinds[i];
		res = warm(0, NULL);
		assert_int_equal(res.valid, 0);
		assert_int_equal(res.requested, 0);
		assert_resident(PAGES, NULL, 0);
	}
}

/* ---- pages that cannot be read ---- */

static unsigned char was_read[PAGES];

/* A disk with bad sectors under pages 5, 6 and 900. */
static int64_t bad_pread(int any, void *buf, size_t length, uint64_t offset)
{
	static const uint64_t bad[] = { 5, 6, 900 };
	uint64_t first = offset / page, last = (offset + length + page - 1) / page;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (bad[i] == first)
			return -EIO;
		if (bad[i] > first && bad[i] < last) {
			last = bad[i];
			length = last * page - offset;
		}
	}
	memset(was_read + first, 1, last - first);
	return mmapfs__sys_real.pread(any, buf, length, offset);
}

static int populate_error;

static int bad_populate(void *addr, size_t length, int advice)
{
	if (advice == MADV_POPULATE_READ)
		return populate_error;
	return mmapfs__sys_real.madvise(addr, length, advice);
}

static void all_that_can_be_read_is(void **state)
{
	static const int errors[] = { -EFAULT, -EIO, -EHWPOISON, -ENOMEM };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		unsigned char want[PAGES];
		struct mmapfs_warm_result res;

		make_cold(fd, SIZE);
		memset(was_read, 0, sizeof(was_read));
		memset(want, 1, sizeof(want));
		want[5] = want[6] = want[900] = 0;
		populate_error = errors[i];
		fake_sys_install();
		fake_sys_table()->madvise = bad_populate;
		fake_sys_table()->pread = bad_pread;
		res = warm(-EIO, NULL);
		fake_sys_remove();
		assert_memory_equal(was_read, want, PAGES);
		assert_int_equal(res.error, -EIO);
		assert_int_equal(res.error_offset, 5 * page);
		assert_int_equal(res.valid, 1);
		assert_int_equal(res.requested, SIZE);
		assert_int_equal(res.before, 0);
	}
}

static void error_offset_is_of_the_window(void **state)
{
	struct mmapfs_warm_result res;

	(void)state;
	mmapfs_map_close(map);
	map = map_of(fd, 2 * page + 100, 100 * page, MMAPFS_MAP_LAZY);
	populate_error = -EFAULT;
	fake_sys_install();
	fake_sys_table()->madvise = bad_populate;
	fake_sys_table()->pread = bad_pread;
	res = warm(-EIO, NULL);
	fake_sys_remove();
	assert_int_equal(res.error_offset, 3 * page - 100);
}

static void populate_that_fails_for_no_reason_is_no_error(void **state)
{
	static const int errors[] = { -EFAULT, -EIO, -ENOMEM };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		struct mmapfs_warm_result res;

		make_cold(fd, SIZE);
		populate_error = errors[i];
		fake_sys_install();
		fake_sys_table()->madvise = bad_populate;
		res = warm(0, NULL);
		fake_sys_remove();
		assert_complete(&res, SIZE, 0);
	}
}

static void broken_memory_is_eio(void **state)
{
	struct mmapfs_warm_result res;

	(void)state;
	populate_error = -EHWPOISON;
	fake_sys_install();
	fake_sys_table()->madvise = bad_populate;
	res = warm(-EIO, NULL);
	fake_sys_remove();
	assert_int_equal(res.error, -EIO);
	assert_int_equal(res.error_offset, 0);
	assert_int_equal(res.after, SIZE);
}

static unsigned int interruptions;

static int interrupted_populate(void *addr, size_t length, int advice)
{
	if (advice == MADV_POPULATE_READ && interruptions > 0) {
		interruptions--;
		return -EINTR;
	}
	return mmapfs__sys_real.madvise(addr, length, advice);
}

static void interruptions_are_retried(void **state)
{
	struct mmapfs_warm_result res;

	(void)state;
	interruptions = 3;
	fake_sys_install();
	fake_sys_table()->madvise = interrupted_populate;
	res = warm(0, NULL);
	assert_int_equal(fake_sys_calls("pread"), 0);
	fake_sys_remove();
	assert_complete(&res, SIZE, 0);

	make_cold(fd, SIZE);
	fake_sys_install();
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_POPULATE), 0);
	fake_sys_script("pread", 1, 3, -EINTR);
	res = warm(0, NULL);
	fake_sys_remove();
	assert_complete(&res, SIZE, 0);
}

static void errors_are_forwarded(void **state)
{
	static const struct {
		const char *call;
		unsigned int skip;
		int error;
	} rows[] = {
		{ "fstat", 0, -EIO },	  /* the extent */
		{ "mmap", 0, -ENOMEM },	  /* the oracle */
		{ "cachestat", 1, -EIO }, /* before */
		{ "lseek", 0, -EIO },	  /* before */
		{ "openat", 0, -EMFILE }, /* of a descriptor to seek */
		{ "lseek", 3, -EIO },	  /* while reading */
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_sys_install();
		fake_sys_script(rows[i].call, rows[i].skip, 0, rows[i].error);
		assert_int_equal(mmapfs_warm(map, whole, NULL, NULL), rows[i].error);
		fake_sys_remove();
	}
}

static void result_that_cannot_be_measured_is_not_valid(void **state)
{
	struct mmapfs_warm_result res;

	(void)state;
	/* Everything but the look at the end. */
	fake_sys_install();
	fake_sys_script("cachestat", 3, 0, -EIO);
	res = warm(0, NULL);
	fake_sys_remove();
	assert_all_resident();
	assert_int_equal(res.valid, 0);
	assert_int_equal(res.total, SIZE);
	assert_int_equal(res.requested, SIZE);
	assert_int_equal(res.after, 0);
}

/* ---- progress, cancel, truncation ---- */

struct seen {
	unsigned int calls;
	unsigned int stop_at; /* 0: never */
	uint64_t done, total;
	uint64_t truncate_to; /* at the first call; 0: not */
};

static int watch(void *ctx, uint64_t done, uint64_t total)
{
	struct seen *seen = ctx;

	assert_true(done >= seen->done && done <= total);
	assert_true(seen->total == 0 || seen->total == total);
	assert_true(done - seen->done <= 4 * MIB);
	seen->done = done;
	seen->total = total;
	seen->calls++;
	if (seen->truncate_to && seen->calls == 1)
		assert_int_equal(ftruncate(fd, (off_t)seen->truncate_to), 0);
	return seen->calls == seen->stop_at;
}

static void progress_ends_with_all(void **state)
{
	struct seen seen = { 0 };
	struct mmapfs_warm_opts opts = { .size = sizeof(opts), watch, &seen };

	(void)state;
	cold_file(40 * MIB + 1);
	(void)warm(0, &opts);
	assert_true(seen.calls >= 11);
	assert_int_equal(seen.done, 40 * MIB + 1);
	assert_int_equal(seen.total, 40 * MIB + 1);
	(void)small_teardown(NULL);
}

static void cancel_ends_it_with_a_true_result(void **state)
{
	struct seen seen = { .stop_at = 2 };
	struct mmapfs_warm_opts opts = { .size = sizeof(opts), watch, &seen };
	struct mmapfs_warm_result res;

	(void)state;
	cold_file(80 * MIB);
	res = warm(-ECANCELED, &opts);
	assert_int_equal(seen.calls, 2);
	assert_int_equal(res.error, -ECANCELED);
	assert_int_equal(res.valid, 1);
	assert_int_equal(res.total, 80 * MIB);
	assert_int_equal(res.before, 0);
	assert_true(res.requested >= seen.done);
	assert_true(res.requested <= seen.done + 32 * MIB + 2 * MIB);
	assert_true(res.after >= seen.done && res.after <= res.requested);
	assert_int_equal(res.missing, res.total - res.after);
	(void)small_teardown(NULL);
}

static void truncation_is_estale_with_the_new_size(void **state)
{
	static const bool populates[] = { true, false };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(populates); i++) {
		struct seen seen = { .truncate_to = 3 * MIB + 5 };
		struct mmapfs_warm_opts opts = { .size = sizeof(opts), watch, &seen };
		struct mmapfs_warm_result res;

		cold_file(40 * MIB);
		fake_sys_install();
		if (!populates[i])
			assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_POPULATE),
					 0);
		res = warm(-ESTALE, &opts);
		fake_sys_remove();
		assert_int_equal(res.error, -ESTALE);
		assert_int_equal(res.error_offset, 3 * MIB + 5);
		assert_int_equal(res.valid, 1);
		assert_int_equal(res.total, 40 * MIB);
		/* Of the file as it is now. */
		assert_true(res.after <= 3 * MIB + 5);
		assert_int_equal(res.after + res.missing, 3 * MIB + 5);
		(void)small_teardown(NULL);
	}
}

/* All pieces were waited for; only the size tells. */
static void truncation_after_the_last_piece_is_told(void **state)
{
	struct seen seen = { .truncate_to = page };
	struct mmapfs_warm_opts opts = { .size = sizeof(opts), watch, &seen };
	struct mmapfs_warm_result res;

	(void)state;
	cold_file(2 * MIB);
	res = warm(-ESTALE, &opts);
	assert_int_equal(res.error_offset, page);
	(void)small_teardown(NULL);
}

/* ---- rate and memory ---- */

static uint64_t clock_ns;
static uint64_t longest_sleep;

static uint64_t fake_now(void)
{
	return clock_ns;
}

static void fake_sleep(uint64_t ns)
{
	clock_ns += ns;
	longest_sleep = u64_max(longest_sleep, ns);
}

static void rate_is_kept(void **state)
{
	static const uint64_t rates[] = { 1, 100000, 1000000, UINT64_C(1) << 40,
					  UINT64_MAX };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		struct mmapfs_range range = { 0, rates[i] == 1 ? 2 * page : 0 };
		struct mmapfs_warm_opts opts = { .size = sizeof(opts), .rate = rates[i] };
		struct mmapfs_warm_result res = MMAPFS_INIT(struct mmapfs_warm_result);
		uint64_t last;

		make_cold(fd, SIZE);
		clock_ns = longest_sleep = 0;
		fake_sys_install();
		fake_sys_table()->now_ns = fake_now;
		fake_sys_table()->sleep_ns = fake_sleep;
		assert_int_equal(mmapfs_warm(map, range, &opts, &res), 0);
		fake_sys_remove();
		assert_int_equal(res.after, res.total);
		/* Before the last piece, the ones before it have had their time. */
		last = u64_max(u64_min(rates[i] / 10, 2 * MIB), page);
		if (rates[i] <= 1000000) {
			assert_true(clock_ns >=
				    (res.total - last) * (1000000000 / rates[i]));
			assert_true(clock_ns <= res.total * (1000000000 / rates[i]));
		}
		assert_true(longest_sleep <= 100000000);
	}
}

static void a_slow_rate_can_be_cancelled(void **state)
{
	struct seen seen = { .stop_at = 1 };
	struct mmapfs_warm_opts opts = { sizeof(opts), watch, &seen, 1, 0 };
	struct mmapfs_warm_result res;

	(void)state;
	clock_ns = 0;
	fake_sys_install();
	fake_sys_table()->now_ns = fake_now;
	fake_sys_table()->sleep_ns = fake_sleep;
	res = warm(-ECANCELED, &opts);
	fake_sys_remove();
	assert_true(clock_ns <= 200000000);
	assert_int_equal(res.requested, page);
}

static uint64_t available[4];
static unsigned int asked;

static int64_t fake_meminfo(const char *path, char *buf, size_t size)
{
	assert_string_equal(path, "/proc/meminfo");
	return snprintf(buf, size,
			"MemTotal:       65536000 kB\nMemFree:        1 kB\n"
			"MemAvailable:   %llu kB\nBuffers: 5 kB\n",
			(unsigned long long)available[asked++] / 1024);
}

static void memory_is_kept_available(void **state)
{
	static const struct {
		uint64_t available[4];
		int want;
		uint64_t requested;
	} rows[] = {
		{ { 10 * GIB, 10 * GIB }, 0, 80 * MIB },
		{ { GIB + 64 * MIB - 1024 }, -ENOMEM, 0 },
		{ { GIB + 64 * MIB, GIB + 4 * MIB }, -ENOMEM, 64 * MIB },
		{ { 0 }, -ENOMEM, 0 },
	};
	struct mmapfs_warm_opts opts = { .size = sizeof(opts), .keep_available = GIB };
	size_t i;

	(void)state;
	cold_file(80 * MIB);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_warm_result res;

		make_cold(fd, 80 * MIB);
		memcpy(available, rows[i].available, sizeof(available));
		asked = 0;
		fake_sys_install();
		fake_sys_table()->read_text = fake_meminfo;
		res = warm(rows[i].want, &opts);
		fake_sys_remove();
		assert_int_equal(res.requested, rows[i].requested);
		assert_int_equal(res.error, rows[i].want);
		assert_int_equal(res.valid, 1);
		assert_int_equal(res.after + res.missing, 80 * MIB);
	}
	/* What cannot be read cannot be kept. */
	make_cold(fd, 80 * MIB);
	fake_sys_install();
	fake_sys_script("read_text", 0, 1, -EACCES);
	(void)warm(-EACCES, &opts);
	fake_sys_remove();
	(void)small_teardown(NULL);
}

/* ---- callers of other versions ---- */

static int cancel_at_once(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	(void)done;
	(void)total;
	return 1;
}

static void structs_of_other_versions_are_served(void **state)
{
	/* `progress` lies behind what this caller knows. */
	struct mmapfs_warm_opts opts = { .size = sizeof(size_t), cancel_at_once };
	struct mmapfs_warm_result res;

	(void)state;
	memset(&res, 0xee, sizeof(res));
	res.size = offsetof(struct mmapfs_warm_result, before);
	assert_int_equal(mmapfs_warm(map, whole, &opts, &res), 0);
	assert_int_equal(res.total, SIZE);
	assert_int_equal(res.before, UINT64_C(0xeeeeeeeeeeeeeeee));
	res.size = 1;
	assert_int_equal(mmapfs_warm(map, whole, NULL, &res), -EINVAL);
	opts.size = 1;
	assert_int_equal(mmapfs_warm(map, whole, &opts, NULL), -EINVAL);
}

#define small_test(f) cmocka_unit_test_setup_teardown(f, small_setup, small_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		small_test(cold_file_becomes_resident),
		small_test(resident_pages_are_not_asked_for),
		small_test(only_the_range_is_read),
		small_test(window_that_is_not_aligned_is_cut_to_its_bytes),
		cmocka_unit_test(empty_file_is_nothing_to_do),
		cmocka_unit_test(holes_stay_holes),
		cmocka_unit_test(data_beyond_4_gib_is_read),
		small_test(page_tables_are_left_empty),
		cmocka_unit_test(every_way_reads_the_same),
		small_test(what_cannot_be_known_is_read_whole),
		small_test(files_without_page_cache_are_left_alone),
		small_test(all_that_can_be_read_is),
		small_test(error_offset_is_of_the_window),
		small_test(populate_that_fails_for_no_reason_is_no_error),
		small_test(broken_memory_is_eio),
		small_test(interruptions_are_retried),
		small_test(errors_are_forwarded),
		small_test(result_that_cannot_be_measured_is_not_valid),
		cmocka_unit_test(progress_ends_with_all),
		cmocka_unit_test(cancel_ends_it_with_a_true_result),
		cmocka_unit_test(truncation_is_estale_with_the_new_size),
		cmocka_unit_test(truncation_after_the_last_piece_is_told),
		small_test(rate_is_kept),
		small_test(a_slow_rate_can_be_cancelled),
		cmocka_unit_test(memory_is_kept_available),
		small_test(structs_of_other_versions_are_served),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
