/* SPDX-License-Identifier: MIT */
/* test-ranges.c - runs of resident pages: the same by each way of finding them. */
#include "page-file.h"

#include <errno.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "map.h"
#include "observe.h"
#include "probe.h"

#define PAGES 1024
#define SIZE (PAGES * page - 100)

/* ---- collecting what the walk tells ---- */

struct list {
	struct mmapfs__span at[PAGES];
	size_t count;
	size_t stop_at; /* 0: never */
};

static int collect(void *ctx, uint64_t offset, uint64_t length)
{
	struct list *list = ctx;

	assert_true(length > 0);
	assert_true(list->count < ARRAY_SIZE(list->at));
	list->at[list->count++] = (struct mmapfs__span){ offset, offset + length };
	return list->count == list->stop_at ? 42 : 0;
}

/* What @vec, one byte a page of the file, means for a window and a range of it. */
static void expect(struct list *list, const unsigned char *vec, uint64_t offset,
		   uint64_t begin, uint64_t end)
{
	uint64_t i;

	list->count = 0;
	for (i = begin / page; i * page < end; i++) {
		uint64_t from = u64_max(i * page, offset);
		uint64_t to = u64_min((i + 1) * page, end);

		if (!vec[i])
			continue;
		if (list->count > 0 && list->at[list->count - 1].end == from - offset)
			list->at[list->count - 1].end = to - offset;
		else
			list->at[list->count++] =
				(struct mmapfs__span){ from - offset, to - offset };
	}
}

static void assert_same(const struct list *got, const struct list *want)
{
	size_t i;

	for (i = 0; i < got->count && i < want->count; i++) {
		assert_int_equal(got->at[i].begin, want->at[i].begin);
		assert_int_equal(got->at[i].end, want->at[i].end);
	}
	assert_int_equal(got->count, want->count);
}

/* ---- patterns of residency ---- */

static bool none(unsigned int i)
{
	(void)i;
	return false;
}

static bool all(unsigned int i)
{
	(void)i;
	return true;
}

static bool first_only(unsigned int i)
{
	return i == 0;
}

static bool last_only(unsigned int i)
{
	return i == PAGES - 1;
}

static bool every_second(unsigned int i)
{
	return i % 2 == 1;
}

static bool blocks_of_16(unsigned int i)
{
	return i / 16 % 2 == 0;
}

static bool blocks_of_100(unsigned int i)
{
	return i / 100 % 2 == 1;
}

static bool few(unsigned int i)
{
	return i == 77 || i == 500 || i == 501 || i == 900;
}

static bool all_but_two(unsigned int i)
{
	return i != 313 && i != 831;
}

/* Fixed for ever: the same multiplier and seed on each run. */
static bool random_share(unsigned int i, unsigned int percent)
{
	uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 31;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return (x >> 33) % 100 < percent;
}

static bool random_1(unsigned int i)
{
	return random_share(i, 1);
}

static bool random_50(unsigned int i)
{
	return random_share(i, 50);
}

static bool random_99(unsigned int i)
{
	return random_share(i, 99);
}

static bool (*const patterns[])(unsigned int) = {
	none,	       all, first_only,	 last_only, every_second, blocks_of_16,
	blocks_of_100, few, all_but_two, random_1,  random_50,	  random_99,
};

static int fd;
static struct held held;

static void bring_in(bool (*pattern)(unsigned int))
{
	unsigned int i;

	fd = file_in(scratch_dir, SIZE, true);
	make_cold(fd, SIZE);
	held = hold(fd, PAGES * page);
	for (i = 0; i < PAGES; i++)
		if (pattern(i))
			hold_page(&held, i);
}

static void let_go(void)
{
	hold_done(&held);
	close(fd);
}

/* ---- ways of finding them ---- */

static uint64_t stopped_clock(void)
{
	return 0;
}

static uint64_t racing_clock(void)
{
	static uint64_t now;

	return now += UINT64_C(1000000000);
}

static int lying_mincore(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 1, (length + page - 1) / page);
	return 0;
}

static const struct way {
	const char *name;
	uint64_t (*now_ns)(void);
	int (*mincore)(void *addr, size_t length, unsigned char *vec);
	int cachestat;
} ways[] = {
	{ "as it comes", NULL, NULL, 0 },
	{ "large folios: a tree of eights", stopped_clock, NULL, 0 },
	{ "single pages: a tree of twos, or mincore", racing_clock, NULL, 0 },
	{ "mincore alone", NULL, NULL, -ENOSYS },
	{ "cachestat alone", NULL, lying_mincore, 0 },
};

static void install(const struct way *way)
{
	fake_sys_install();
	if (way->now_ns)
		fake_sys_table()->now_ns = way->now_ns;
	if (way->mincore)
		fake_sys_table()->mincore = way->mincore;
	if (way->cachestat)
		fake_sys_script("cachestat", 0, 0, way->cachestat);
}

static void every_way_finds_the_same(void **state)
{
	static struct list got, want;
	size_t p, w;
	uint32_t flags;

	(void)state;
	for (p = 0; p < ARRAY_SIZE(patterns); p++) {
		unsigned char pages[PAGES];
		unsigned char *vec;
		struct mmapfs_map *map;
		unsigned int i;

		bring_in(patterns[p]);
		for (i = 0; i < PAGES; i++)
			pages[i] = patterns[p](i);
		vec = naive_mincore(fd, SIZE);
		assert_memory_equal(vec, pages, PAGES);
		expect(&want, pages, 0, 0, SIZE);
		map = map_of(fd, 0, 0, p % 2 ? MMAPFS_MAP_LAZY : 0);
		for (w = 0; w < ARRAY_SIZE(ways); w++) {
			for (flags = 0; flags <= MMAPFS_OBSERVE_READY; flags++) {
				got.count = 0;
				install(&ways[w]);
				assert_int_equal(
					mmapfs_ranges(map, whole, flags, collect, &got),
					0);
				fake_sys_remove();
				assert_same(&got, &want);
			}
		}
		free(vec);
		mmapfs_map_close(map);
		let_go();
	}
}

static void windows_and_ranges_cut_the_runs(void **state)
{
	const struct {
		uint64_t offset, length; /* of the window */
		struct mmapfs_range range;
		uint64_t begin, end; /* in the file, what the range is widened to */
	} rows[] = {
		{ 0, 0, { 0, 0 }, 0, SIZE },
		{ 0, 0, { 16 * page, 32 * page }, 16 * page, 48 * page },
		{ 0, 0, { 8 * page + 1, 1 }, 8 * page, 9 * page },
		{ 0, 0, { SIZE - 1, 0 }, (PAGES - 1) * page, SIZE },
		{ 0, 0, { SIZE + page, 0 }, 0, 0 },
		{ 100, 0, { 0, 0 }, 0, SIZE },
		{ 100, 0, { page, page }, page, 3 * page },
		{ 40 * page + 7, 100 * page, { 0, 0 }, 40 * page, 140 * page + 7 },
		{ 40 * page + 7,
		  100 * page,
		  { 99 * page, 0 },
		  139 * page,
		  140 * page + 7 },
		{ 40 * page, 100, { 0, 0 }, 40 * page, 40 * page + 100 },
		{ 1000 * page, 1000 * page, { 0, 0 }, 1000 * page, SIZE },
	};
	static struct list got, want;
	unsigned char *vec;
	size_t i, w;

	(void)state;
	bring_in(blocks_of_16);
	vec = naive_mincore(fd, SIZE);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map = map_of(fd, rows[i].offset, rows[i].length, 0);

		expect(&want, vec, rows[i].offset, rows[i].begin, rows[i].end);
		for (w = 0; w < ARRAY_SIZE(ways); w++) {
			got.count = 0;
			install(&ways[w]);
			assert_int_equal(
				mmapfs_ranges(map, rows[i].range, 0, collect, &got), 0);
			/* An empty range asks only whether the file is answered. */
			if (ways[w].cachestat && rows[i].end == 0)
				assert_int_equal(got.count, 0);
			fake_sys_remove();
			assert_same(&got, &want);
		}
		mmapfs_map_close(map);
	}
	free(vec);
	let_go();
}

static void callback_stops_the_walk(void **state)
{
	static struct list got;
	struct mmapfs_map *map;
	size_t w, stop;

	(void)state;
	bring_in(every_second);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	for (w = 0; w < ARRAY_SIZE(ways); w++) {
		for (stop = 1; stop <= PAGES / 2; stop *= 8) {
			got = (struct list){ .stop_at = stop };
			install(&ways[w]);
			assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), 42);
			fake_sys_remove();
			assert_int_equal(got.count, stop);
		}
		/* Also the last run, which is only told at the end. */
		got = (struct list){ .stop_at = PAGES / 2 };
		install(&ways[w]);
		assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), 42);
		fake_sys_remove();
	}
	mmapfs_map_close(map);
	let_go();
}

/* ---- the cost ---- */

/* What is read of a hole is in the page cache, but in no extent of data. */
static void a_sparse_tebibyte_takes_few_calls(void **state)
{
	const uint64_t size = UINT64_C(1) << 40;
	const uint64_t stride = size / 150 / page;
	struct mmapfs_residency counted = MMAPFS_INIT(struct mmapfs_residency);
	static struct list got;
	struct mmapfs_map *map;
	unsigned int calls, i;

	(void)state;
	if (UNDER_TSAN || sizeof(void *) == 4)
		skip(); /* no room for 1 TiB of addresses */
	fd = file_in(scratch_dir, size, false);
	held = hold(fd, size);
	for (i = 0; i < 150; i++)
		hold_page(&held, i * stride);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	for (i = 0; i < 3; i++) { /* not "mincore alone": seconds */
		unsigned int n;

		got.count = 0;
		install(&ways[i]);
		assert_int_equal(
			mmapfs_ranges(map, whole, MMAPFS_OBSERVE_READY, collect, &got),
			0);
		calls = fake_sys_calls("cachestat") + fake_sys_calls("mincore");
		assert_true(fake_sys_calls("mmap") <= 2 + 16);
		fake_sys_remove();
		assert_int_equal(got.count, 150);
		for (n = 0; n < 150; n++) {
			assert_int_equal(got.at[n].begin, n * stride * page);
			assert_int_equal(got.at[n].end, (n * stride + 1) * page);
		}
		assert_true(calls < 12000);
	}
	fake_sys_install();
	assert_int_equal(mmapfs_residency(map, whole, MMAPFS_OBSERVE_READY, &counted), 0);
	assert_int_equal(counted.resident, 150);
	assert_true(fake_sys_calls("cachestat") + fake_sys_calls("mincore") < 12000);
	fake_sys_remove();
	mmapfs_map_close(map);
	let_go();
}

static void an_empty_or_full_file_takes_two_calls(void **state)
{
	static bool (*const simple[])(unsigned int) = { none, all };
	static struct list got;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(simple); i++) {
		struct mmapfs_map *map;

		bring_in(simple[i]);
		map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
		got.count = 0;
		install(&ways[0]);
		assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), 0);
		assert_int_equal(fake_sys_calls("cachestat"), 2);
		assert_int_equal(fake_sys_calls("mincore"), 0);
		fake_sys_remove();
		assert_int_equal(got.count, i);
		mmapfs_map_close(map);
		let_go();
	}
}

/* ---- a kernel of the test's own, whose pages come and go while it is asked ---- */

static unsigned char model[PAGES];
static unsigned int model_calls;
static void (*model_change)(unsigned int call);

static int model_cachestat(int any, const struct mmapfs__cachestat_range *range,
			   struct mmapfs__cachestat *ret)
{
	uint64_t i;

	(void)any;
	*ret = (struct mmapfs__cachestat){ 0 };
	for (i = range->off / page; i < PAGES && i * page < range->off + range->len; i++)
		ret->nr_cache += model[i];
	model_change(++model_calls);
	return 0;
}

/* Pages of the first half go one after another, so that what is left over for the last
 * piece of each cut is too much. Pages 1022 and 1023 are never there. */
static void go_away(unsigned int call)
{
	if (call < PAGES / 2)
		model[call] = 0;
}

/* The other way round: too little is left over. Pages 1016 to 1021 are always there. */
static void come_in(unsigned int call)
{
	if (call < PAGES / 2)
		model[call] = 1;
}

static void a_changing_cache_is_told_only_as_it_was(void **state)
{
	static const struct {
		void (*change)(unsigned int call);
		unsigned char before; /* of the first half */
	} rows[] = { { go_away, 1 }, { come_in, 0 } };
	static struct list got;
	struct mmapfs_map *map;
	size_t i, n;

	(void)state;
	fd = file_in(scratch_dir, SIZE, false);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		bool always = false;

		memset(model, 0, sizeof(model));
		memset(model, rows[i].before, PAGES / 2);
		memset(model + 1016, 1, 6);
		model_change = rows[i].change;
		model_calls = 0;
		got.count = 0;
		fake_sys_install();
		fake_sys_table()->mincore = lying_mincore;
		fake_sys_table()->cachestat = model_cachestat;
		assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), 0);
		fake_sys_remove();
		for (n = 0; n < got.count; n++) {
			if (got.at[n].begin >= PAGES / 2 * page) {
				assert_int_equal(got.at[n].begin, 1016 * page);
				assert_int_equal(got.at[n].end, 1022 * page);
				always = true;
			} else {
				assert_true(got.at[n].end <= PAGES / 2 * page);
			}
		}
		assert_true(always);
	}
	mmapfs_map_close(map);
	close(fd);
}

/* ---- what cannot be known, and failures ---- */

static void the_unknown_is_enodata(void **state)
{
	static const enum mmapfs__fs_kind kinds[] = { MMAPFS__FS_HUGETLB, MMAPFS__FS_ZFS,
						      MMAPFS__FS_DAX };
	static struct list got;
	struct mmapfs_map *map;
	size_t i;

	(void)state;
	bring_in(few);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	fake_sys_install();
	fake_sys_table()->mincore = lying_mincore;
	fake_sys_script("cachestat", 0, 0, -EPERM);
	assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), -ENODATA);
	fake_sys_remove();
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		map->fs_kind = kinds[i];
		assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), -ENODATA);
	}
	assert_int_equal(got.count, 0);
	mmapfs_map_close(map);
	let_go();
}

static void stacked_filesystems_are_asked_by_mincore(void **state)
{
	static const enum mmapfs__fs_kind kinds[] = { MMAPFS__FS_OVERLAY,
						      MMAPFS__FS_FUSE };
	static struct list got, want;
	struct mmapfs_map *map;
	unsigned char *vec;
	size_t i;

	(void)state;
	bring_in(few);
	vec = naive_mincore(fd, SIZE);
	expect(&want, vec, 0, 0, SIZE);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		map->fs_kind = kinds[i];
		got.count = 0;
		fake_sys_install();
		assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got), 0);
		assert_int_equal(fake_sys_calls("cachestat"), 0);
		fake_sys_remove();
		assert_same(&got, &want);
	}
	free(vec);
	mmapfs_map_close(map);
	let_go();
}

static void errors_are_forwarded(void **state)
{
	static const struct {
		const char *call;
		unsigned int skip;
		int error, want;
	} rows[] = {
		{ "fstat", 0, -EIO, -EIO },	    { "cachestat", 1, -EIO, -EIO },
		{ "cachestat", 2, -EIO, -EIO },	    { "mmap", 0, -ENOMEM, -ENOMEM },
		{ "mmap", 1, -ENOMEM, -ENOMEM },    { "mincore", 0, -ENOMEM, -ENOMEM },
		{ "mincore", 1, -ENOMEM, -ENOMEM }, { "mincore", 1, -EAGAIN, -ENOMEM },
	};
	static struct list got;
	struct mmapfs_map *map;
	size_t i;

	(void)state;
	bring_in(few);
	map = map_of(fd, 0, 0, MMAPFS_MAP_LAZY);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		got.count = 0;
		install(&ways[1]);
		fake_sys_script(rows[i].call, rows[i].skip, 0, rows[i].error);
		assert_int_equal(mmapfs_ranges(map, whole, 0, collect, &got),
				 rows[i].want);
		fake_sys_remove();
		assert_int_equal(got.count, 0);
	}
	assert_int_equal(mmapfs_ranges(map, whole, 4, collect, &got), -EINVAL);
	mmapfs_map_close(map);
	let_go();
}

static void runs_beyond_4_gib_are_found(void **state)
{
	const uint64_t first = 4 * GIB / page + 3;
	static struct list got;
	struct mmapfs_map *map;
	uint64_t i;

	(void)state;
	fd = file_in(scratch_dir, 5 * GIB, false);
	held = hold_from(fd, 4 * GIB, 128 * page);
	for (i = 0; i < 70; i++)
		hold_page(&held, first + i);
	map = map_of(fd, 4 * GIB + 1, 0, MMAPFS_MAP_LAZY);
	got.count = 0;
	assert_int_equal(mmapfs_ranges(map, whole, MMAPFS_OBSERVE_READY, collect, &got),
			 0);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.at[0].begin, 3 * page - 1);
	assert_int_equal(got.at[0].end, 73 * page - 1);
	mmapfs_map_close(map);
	let_go();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_finds_the_same),
		cmocka_unit_test(windows_and_ranges_cut_the_runs),
		cmocka_unit_test(callback_stops_the_walk),
		cmocka_unit_test(a_sparse_tebibyte_takes_few_calls),
		cmocka_unit_test(an_empty_or_full_file_takes_two_calls),
		cmocka_unit_test(a_changing_cache_is_told_only_as_it_was),
		cmocka_unit_test(the_unknown_is_enodata),
		cmocka_unit_test(stacked_filesystems_are_asked_by_mincore),
		cmocka_unit_test(errors_are_forwarded),
		cmocka_unit_test(runs_beyond_4_gib_are_found),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
