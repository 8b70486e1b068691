/* SPDX-License-Identifier: MIT */
/* test-folios.c - folios of resident pages, by the flags of physical pages. */
#include "control-help.h"

#include <sys/mman.h>

#include "folios.h"
#include "pagemap.h"

static bool can_read_page_flags(void)
{
	return mmapfs__feature(MMAPFS_FEATURE_PAGE_FLAGS) == 1;
}

static struct mmapfs_folios folios(struct mmapfs_map *map, struct mmapfs_range range)
{
	struct mmapfs_folios found = MMAPFS_INIT(struct mmapfs_folios);

	assert_int_equal(mmapfs_folios(map, range, &found), 0);
	return found;
}

static uint64_t sum(const uint64_t list[MMAPFS_FOLIO_ORDERS])
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < MMAPFS_FOLIO_ORDERS; i++)
		all += list[i];
	return all;
}

static uint64_t largest_order(const struct mmapfs_folios *found)
{
	uint64_t largest = 0;

	for (unsigned int i = 0; i < MMAPFS_FOLIO_ORDERS; i++)
		if (found->pages[i] > 0)
			largest = i;
	return largest;
}

/* A file of 8 MiB written at once, held in RAM by @ret_map. False where it is not kept in
 * large folios. */
static bool large_file(struct mmapfs_map **ret_map, struct mmapfs_folios *ret)
{
	help_file(8 * MIB);
	*ret_map = help_map(MMAPFS_ACCESS_READ);
	help_populate(*ret_map);
	*ret = folios(*ret_map, WHOLE);
	if (largest_order(ret) >= 2)
		return true;
	mmapfs_map_close(*ret_map);
	return false;
}

static void every_resident_page_is_in_a_folio(void **state)
{
	struct mmapfs_folios found;
	struct mmapfs_map *map;

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(8 * MIB);
	map = help_map(MMAPFS_ACCESS_READ);
	help_populate(map);
	found = folios(map, WHOLE);
	assert_int_equal(found.page_size, mmapfs__page_size());
	assert_int_equal(found.complete, 1);
	assert_int_equal(found.examined, 8 * MIB);
	assert_int_equal(found.hidden, 0);
	assert_int_equal(found.straddling, 0);
	assert_int_equal(found.begin, 0);
	assert_int_equal(found.end, 8 * MIB);
	assert_int_equal(sum(found.pages), 8 * MIB / pages(1));
	/* None is cut by the edges of the file, so all are whole. */
	for (unsigned int i = 0; i < MMAPFS_FOLIO_ORDERS; i++)
		assert_int_equal(found.pages[i], found.folios[i] << i);
	mmapfs_map_close(map);
}

static void single_pages_are_folios_of_one(void **state)
{
	static const uint64_t at[] = { 0, 5, 6, 700, 2999 };
	struct mmapfs_map *map, *part;
	struct mmapfs_folios found;

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(pages(3000));
	map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
	part = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_advise(part, WHOLE, MMAPFS_ADVICE_RANDOM, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(mmapfs_lock(part, page_range(at[i], 1), NULL), 0);
	found = folios(map, WHOLE);
	assert_int_equal(found.folios[0], 5);
	assert_int_equal(found.pages[0], 5);
	assert_int_equal(sum(found.pages), 5);
	found = folios(map, page_range(6, 100));
	assert_int_equal(found.pages[0], 1);
	assert_int_equal(found.straddling, 0);
	mmapfs_map_close(part);
	mmapfs_map_close(map);
}

static void an_empty_file_and_an_absent_one_have_none(void **state)
{
	static const uint64_t sizes[] = { 0, 8 };

	(void)state;
	if (!can_read_page_flags())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mmapfs_folios found;
		struct mmapfs_map *map;

		help_file(sizes[i] * MIB);
		map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);
		assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
		found = folios(map, WHOLE);
		assert_int_equal(found.complete, 1);
		assert_int_equal(found.examined, sizes[i] * MIB);
		assert_int_equal(sum(found.folios), 0);
		assert_int_equal(sum(found.pages), 0);
		assert_int_equal(help_occupied(map, WHOLE), 0);
		mmapfs_map_close(map);
	}
}

static void a_range_inside_of_a_folio_straddles(void **state)
{
	struct mmapfs_folios all, found;
	struct mmapfs_map *map = NULL;
	uint64_t size, order;

	(void)state;
	if (!can_read_page_flags() || !large_file(&map, &all))
		skip();
	order = largest_order(&all);
	found = folios(map, page_range(1, 1));
	if (found.folios[order] == 0) { /* the first one is a smaller one */
		mmapfs_map_close(map);
		skip();
	}
	size = pages(UINT64_C(1) << order);
	assert_int_equal(found.folios[order], 1);
	assert_int_equal(found.pages[order], 1);
	assert_int_equal(sum(found.pages), 1);
	assert_int_equal(found.straddling, 1);
	assert_int_equal(found.begin, 0);
	assert_int_equal(found.end, size);

	/* The same folio, wholly: nothing reaches out. */
	found = folios(map, (struct mmapfs_range){ 0, size });
	assert_int_equal(found.straddling, 0);
	assert_int_equal(found.folios[order], 1);
	mmapfs_map_close(map);
}

/* What it says about an evict is what the evict then does. */
static void the_widened_range_can_be_evicted(void **state)
{
	const struct mmapfs_range range = { pages(100), pages(900) };
	struct mmapfs_evict_result result = MMAPFS_INIT(struct mmapfs_evict_result);
	struct mmapfs_folios found;
	struct mmapfs_map *map;

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(8 * MIB);
	map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);
	found = folios(map, range);
	if (found.straddling == 0) {
		mmapfs_map_close(map);
		skip();
	}
	assert_int_equal(mmapfs_evict(map, range, 0, &result), 0);
	assert_int_equal(result.stayed[MMAPFS_STAY_STRADDLING], found.straddling);
	assert_int_equal(mmapfs_evict(map,
				      (struct mmapfs_range){ found.begin,
							     found.end - found.begin },
				      0, &result),
			 0);
	assert_int_equal(result.stayed[MMAPFS_STAY_STRADDLING], 0);
	mmapfs_map_close(map);
}

static void looking_maps_nothing(void **state)
{
	uint64_t mapped;
	struct mmapfs_map *map;

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(8 * MIB);
	map = help_map(MMAPFS_ACCESS_READ);
	(void)folios(map, WHOLE);
	assert_int_equal(mmapfs__pagemap_count(mmapfs__map_at(map, 0), 8 * MIB, &mapped), 0);
	assert_int_equal(mapped, 0);
	mmapfs_map_close(map);
}

static void errors_are_those_of_the_calls(void **state)
{
	static const struct {
		const char *call;
		unsigned int skip;
		int error;
	} rows[] = {
		/* pagemap, kpageflags */
		{ "openat", 0, -ENOENT },
		{ "openat", 1, -EACCES },
		{ "pread", 0, -EPERM },
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
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_folios found = MMAPFS_INIT(struct mmapfs_folios);
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);

		help_populate(map);
		fake_sys_install();
		fake_sys_script(rows[i].call, rows[i].skip, 1, rows[i].error);
		assert_int_equal(mmapfs_folios(map, WHOLE, &found), rows[i].error);
		assert_int_equal(found.examined, 0);
		fake_sys_remove();
		mmapfs_map_close(map);
	}
}

static void without_page_flags_it_is_not_supported(void **state)
{
	struct mmapfs_folios found = MMAPFS_INIT(struct mmapfs_folios);
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_PAGE_FLAGS), 0);
	assert_int_equal(mmapfs_folios(map, WHOLE, &found), -EOPNOTSUPP);
	mmapfs_map_close(map);
}

static void who_compiled_against_a_shorter_struct_gets_that_much(void **state)
{
	struct mmapfs_folios found;
	struct mmapfs_map *map;

	(void)state;
	if (!can_read_page_flags())
		skip();
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_READ);
	memset(&found, 0x55, sizeof(found));
	found.size = offsetof(struct mmapfs_folios, folios);
	assert_int_equal(mmapfs_folios(map, WHOLE, &found), 0);
	assert_int_equal(found.size, offsetof(struct mmapfs_folios, folios));
	assert_int_equal(found.examined, pages(8));
	assert_int_equal(found.folios[0], 0x5555555555555555);
	mmapfs_map_close(map);
}

int main(void)
{
	/* The last one switches a feature off for good. */
	const struct CMUnitTest tests[] = {
		TEST(every_resident_page_is_in_a_folio),
		TEST(single_pages_are_folios_of_one),
		TEST(an_empty_file_and_an_absent_one_have_none),
		TEST(a_range_inside_of_a_folio_straddles),
		TEST(the_widened_range_can_be_evicted),
		TEST(looking_maps_nothing),
		TEST(errors_are_those_of_the_calls),
		TEST(who_compiled_against_a_shorter_struct_gets_that_much),
		TEST(without_page_flags_it_is_not_supported),
	};

	return cmocka_run_group_tests(tests, help_begin, help_end);
}
