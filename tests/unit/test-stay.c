/* SPDX-License-Identifier: MIT */
/* test-stay.c - the reasons for staying, read page by page and inferred. */
#include "control-help.h"

#include <sys/mman.h>

#include "folios.h"
#include "pagemap.h"
#include "stay.h"

#define BIT(n) (UINT64_C(1) << (n))

static void first_reason_that_applies_wins(void **state)
{
	static const struct {
		uint64_t flags;
		bool locked, straddles;
		enum mmapfs_stay reason;
	} cases[] = {
		{ 0, false, false, MMAPFS_STAY_OTHER },
		{ 0, false, true, MMAPFS_STAY_STRADDLING },
		{ BIT(MMAPFS__PAGE_MMAP), false, true, MMAPFS_STAY_MAPPED },
		{ BIT(MMAPFS__PAGE_MMAP) | BIT(MMAPFS__PAGE_DIRTY), false, true,
		  MMAPFS_STAY_DIRTY },
		{ BIT(MMAPFS__PAGE_DIRTY) | BIT(MMAPFS__PAGE_WRITEBACK), false, false,
		  MMAPFS_STAY_WRITEBACK },
		{ BIT(MMAPFS__PAGE_DIRTY) | BIT(MMAPFS__PAGE_MLOCKED), false, false,
		  MMAPFS_STAY_LOCKED },
		{ BIT(MMAPFS__PAGE_WRITEBACK) | BIT(MMAPFS__PAGE_UNEVICTABLE), false,
		  false, MMAPFS_STAY_LOCKED },
		{ BIT(MMAPFS__PAGE_DIRTY), true, false, MMAPFS_STAY_LOCKED },
		{ BIT(MMAPFS__PAGE_HEAD) | BIT(MMAPFS__PAGE_TAIL), false, false,
		  MMAPFS_STAY_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(mmapfs__stay_of_flags(cases[i].flags, cases[i].locked,
						       cases[i].straddles),
				 cases[i].reason);
}

/* Explain @count pages from @first, by pages or by inference. */
static struct mmapfs__stay explain(struct mmapfs_map *map, uint64_t first, uint64_t count,
				   bool at_end, bool by_pages)
{
	struct mmapfs__extent extent;
	struct mmapfs__stay stay;

	if (!by_pages)
		assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_PAGE_FLAGS), 0);
	assert_int_equal(mmapfs__map_extent(map, page_range(first, count), &extent), 0);
	assert_int_equal(mmapfs__stay_explain(map, &extent, at_end, &stay), 0);
	assert_int_equal(stay.exact, by_pages);
	return stay;
}

static void assert_only(const struct mmapfs__stay *stay, enum mmapfs_stay reason,
			uint64_t count)
{
	for (int i = 0; i < MMAPFS_STAY_COUNT; i++)
		assert_int_equal(stay->stayed[i], i == (int)reason ? count : 0);
}

static bool can_read_page_flags(void)
{
	return mmapfs__feature(MMAPFS_FEATURE_PAGE_FLAGS) == 1;
}

/* Another mapping of the file in this process, populated. */
static void *map_besides(uint64_t first, uint64_t count)
{
	int fd = open(help_path, O_RDONLY);
	void *addr =
		mmap(NULL, pages(count), PROT_READ, MAP_SHARED, fd, (off_t)pages(first));

	assert_true(addr != MAP_FAILED);
	assert_int_equal(madvise(addr, pages(count), MADV_POPULATE_READ), 0);
	close(fd);
	return addr;
}

static void mapped_pages_are_found(bool by_pages)
{
	struct mmapfs__stay stay;
	struct mmapfs_map *map;
	void *other;

	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	other = map_besides(0, 8);
	stay = explain(map, 0, 8, true, by_pages);
	assert_only(&stay, MMAPFS_STAY_MAPPED, 8);
	munmap(other, pages(8));
	mmapfs_map_close(map);
}

static void mapped_pages_are_found_by_page_flags(void **state)
{
	(void)state;
	if (!can_read_page_flags())
		skip();
	mapped_pages_are_found(true);
}

static void mapped_pages_are_found_by_inference(void **state)
{
	(void)state;
	mapped_pages_are_found(false);
}

static void locked_pages_are_found(bool by_pages)
{
	struct mmapfs__stay stay;
	struct mmapfs_map *map;

	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, page_range(2, 3), NULL), 0);
	stay = explain(map, 2, 3, false, by_pages);
	assert_only(&stay, MMAPFS_STAY_LOCKED, 3);
	mmapfs_map_close(map);
}

static void locked_pages_are_found_by_page_flags(void **state)
{
	(void)state;
	if (!can_read_page_flags())
		skip();
	locked_pages_are_found(true);
}

static void locked_pages_are_found_by_inference(void **state)
{
	(void)state;
	locked_pages_are_found(false);
}

static void dirty_pages_are_found(bool by_pages)
{
	struct mmapfs__stay stay;
	struct mmapfs_map *map;

	help_file(0);
	map = help_map_window(MMAPFS_ACCESS_WRITE, MMAPFS_MAP_LAZY, 0, 0);
	help_write(mmapfs_map_fd(map), pages(4), 0);
	assert_int_equal(mmapfs_map_refresh(map), 1);
	stay = explain(map, 0, 4, true, by_pages);
	assert_only(&stay, MMAPFS_STAY_DIRTY, 4);
	mmapfs_map_close(map);
}

static void dirty_pages_are_found_by_page_flags(void **state)
{
	(void)state;
	if (!can_read_page_flags())
		skip();
	dirty_pages_are_found(true);
}

static void dirty_pages_are_found_by_inference(void **state)
{
	(void)state;
	dirty_pages_are_found(false);
}

/* Inference cannot see folios, only that the cache goes on on the other side. */
static void pages_next_to_resident_ones_may_straddle(void **state)
{
	static const struct {
		uint64_t first, count;
		bool at_end;
		enum mmapfs_stay reason;
	} cases[] = {
		{ 100, 3, false, MMAPFS_STAY_STRADDLING },
		{ 0, 3, false, MMAPFS_STAY_STRADDLING },
		{ 1, 511, true, MMAPFS_STAY_STRADDLING },
		{ 0, 512, true, MMAPFS_STAY_OTHER },
		/* No folio reaches across a multiple of the largest. */
		{ 512, 512, false, MMAPFS_STAY_OTHER },
	};

	(void)state;
	help_file(pages(1536));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);
		struct mmapfs__stay stay;

		/* Own mappings do not count as such, and keep the pages there. */
		help_populate(map);
		stay = explain(map, cases[i].first, cases[i].count, cases[i].at_end,
			       false);
		assert_only(&stay, cases[i].reason, cases[i].count);
		mmapfs_map_close(map);
	}
}

static void private_memory_of_the_map_counts_as_mapped(void **state)
{
	struct mmapfs__stay stay;
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_COPY);
	help_populate(map);
	stay = explain(map, 0, 8, true, false);
	assert_only(&stay, MMAPFS_STAY_MAPPED, 8);
	mmapfs_map_close(map);
}

static void looking_reads_nothing_in_and_maps_nothing(void **state)
{
	struct mmapfs__stay stay;
	struct mmapfs_map *map, *part;
	uint64_t mapped;
	uint64_t sum = 0;

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(pages(1024));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
	part = help_map_window(MMAPFS_ACCESS_READ, 0, pages(256), pages(16));
	assert_int_equal(mmapfs_advise(part, WHOLE, MMAPFS_ADVICE_RANDOM, 0), 0);
	assert_int_equal(mmapfs_lock(part, WHOLE, NULL), 0);
	assert_int_equal(help_occupied(map, WHOLE), 16);
	stay = explain(map, 0, 1024, true, true);
	assert_int_equal(help_occupied(map, WHOLE), 16);
	for (int i = 0; i < MMAPFS_STAY_COUNT; i++)
		sum += stay.stayed[i];
	assert_int_equal(sum, 16);
	assert_int_equal(
		mmapfs__pagemap_count(mmapfs__map_at(map, 0), pages(1024), &mapped), 0);
	assert_int_equal(mapped, 0);
	mmapfs_map_close(part);
	mmapfs_map_close(map);
}

/* Whatever is not to be had on the way there: reasons are inferred instead. */
static void without_page_flags_reasons_are_inferred(void **state)
{
	static const struct {
		const char *call;
		unsigned int skip;
		int error;
	} cases[] = {
		/* pagemap, kpageflags */
		{ "openat", 0, -ENOENT },
		{ "openat", 1, -EACCES },
		{ "pread", 0, -EPERM },
		{ "pread", 0, 8 },
		{ "pread", 1, -EPERM },
		/* the oracle, a view, its residency */
		{ "mmap", 0, -ENOMEM },
		{ "mmap", 1, -ENOMEM },
		{ "mincore", 1, -EAGAIN },
	};

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(pages(8));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);
		void *other = map_besides(0, 8);
		struct mmapfs__extent extent;
		struct mmapfs__stay stay;

		fake_sys_install();
		fake_sys_script(cases[i].call, cases[i].skip, 1, cases[i].error);
		assert_int_equal(mmapfs__map_extent(map, WHOLE, &extent), 0);
		assert_int_equal(mmapfs__stay_explain(map, &extent, true, &stay), 0);
		assert_false(stay.exact);
		assert_only(&stay, MMAPFS_STAY_MAPPED, 8);
		fake_sys_remove();
		munmap(other, pages(8));
		mmapfs_map_close(map);
	}
}

static void what_cannot_be_counted_is_no_data(void **state)
{
	struct mmapfs__extent extent;
	struct mmapfs__stay stay;
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	map->fs_kind = MMAPFS__FS_ZFS;
	assert_int_equal(mmapfs__map_extent(map, WHOLE, &extent), 0);
	assert_int_equal(mmapfs__stay_explain(map, &extent, true, &stay), -ENODATA);
	mmapfs_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_reason_that_applies_wins),
		TEST(mapped_pages_are_found_by_page_flags),
		TEST(mapped_pages_are_found_by_inference),
		TEST(locked_pages_are_found_by_page_flags),
		TEST(locked_pages_are_found_by_inference),
		TEST(dirty_pages_are_found_by_page_flags),
		TEST(dirty_pages_are_found_by_inference),
		TEST(pages_next_to_resident_ones_may_straddle),
		TEST(private_memory_of_the_map_counts_as_mapped),
		TEST(looking_reads_nothing_in_and_maps_nothing),
		TEST(without_page_flags_reasons_are_inferred),
		TEST(what_cannot_be_counted_is_no_data),
	};

	return cmocka_run_group_tests(tests, help_begin, help_end);
}
