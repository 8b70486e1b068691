/* SPDX-License-Identifier: MIT */
/* test-advise.c - the words of advice, and what each does to a map. */
#include "control-help.h"

#include <sys/mman.h>

#define STATE MMAPFS_ADVICE_STATE
#define ACTION MMAPFS_ADVICE_ACTION
#define DESTRUCTIVE MMAPFS_ADVICE_DESTRUCTIVE
#define ON_COPY MMAPFS_ADVICE_DESTRUCTIVE_ON_COPY

static void every_advice_has_its_word_and_kinds(void **state)
{
	static const struct {
		enum mmapfs_advice advice;
		const char *word;
		uint32_t kinds;
	} cases[] = {
		{ MMAPFS_ADVICE_NORMAL, "normal", STATE },
		{ MMAPFS_ADVICE_RANDOM, "random", STATE },
		{ MMAPFS_ADVICE_SEQUENTIAL, "sequential", STATE },
		{ MMAPFS_ADVICE_WILLNEED, "willneed", ACTION },
		{ MMAPFS_ADVICE_DONTNEED, "dontneed", ACTION | ON_COPY },
		{ MMAPFS_ADVICE_COLD, "cold", ACTION },
		{ MMAPFS_ADVICE_PAGEOUT, "pageout", ACTION },
		{ MMAPFS_ADVICE_POPULATE_READ, "populate-read", ACTION },
		{ MMAPFS_ADVICE_POPULATE_WRITE, "populate-write", ACTION },
		{ MMAPFS_ADVICE_HUGEPAGE, "hugepage", STATE },
		{ MMAPFS_ADVICE_NOHUGEPAGE, "nohugepage", STATE },
		{ MMAPFS_ADVICE_COLLAPSE, "collapse", ACTION },
		{ MMAPFS_ADVICE_MERGEABLE, "mergeable", STATE },
		{ MMAPFS_ADVICE_UNMERGEABLE, "unmergeable", STATE },
		{ MMAPFS_ADVICE_DONTFORK, "dontfork", STATE },
		{ MMAPFS_ADVICE_DOFORK, "dofork", STATE },
		{ MMAPFS_ADVICE_DONTDUMP, "dontdump", STATE },
		{ MMAPFS_ADVICE_DODUMP, "dodump", STATE },
		{ MMAPFS_ADVICE_WIPEONFORK, "wipeonfork", STATE | DESTRUCTIVE },
		{ MMAPFS_ADVICE_KEEPONFORK, "keeponfork", STATE },
		{ MMAPFS_ADVICE_DONTNEED_LOCKED, "dontneed-locked", ACTION | ON_COPY },
		{ MMAPFS_ADVICE_FREE, "free", ACTION | DESTRUCTIVE },
		{ MMAPFS_ADVICE_REMOVE, "remove", ACTION | DESTRUCTIVE },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(cases), MMAPFS_ADVICE_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(mmapfs_advice_name(cases[i].advice), cases[i].word);
		assert_int_equal(mmapfs_advice_parse(cases[i].word), cases[i].advice);
		assert_int_equal(mmapfs_advice_kinds(cases[i].advice), cases[i].kinds);
	}
	assert_null(mmapfs_advice_name(MMAPFS_ADVICE_COUNT));
	assert_null(mmapfs_advice_name((enum mmapfs_advice) - 1));
	assert_int_equal(mmapfs_advice_kinds(MMAPFS_ADVICE_COUNT), 0);
}

static void word_is_read_in_any_case_and_as_the_kernel_spells_it(void **state)
{
	static const struct {
		const char *word;
		int result;
	} cases[] = {
		{ "MADV_POPULATE_READ", MMAPFS_ADVICE_POPULATE_READ },
		{ "madv_populate-read", MMAPFS_ADVICE_POPULATE_READ },
		{ "Populate_Read", MMAPFS_ADVICE_POPULATE_READ },
		{ "WILLNEED", MMAPFS_ADVICE_WILLNEED },
		{ "", -EINVAL },
		{ "MADV_", -EINVAL },
		{ "MADV_MADV_COLD", -EINVAL },
		{ "remov", -EINVAL },
		{ "removes", -EINVAL },
		{ " cold", -EINVAL },
		{ "cold ", -EINVAL },
		{ "populate", -EINVAL },
		{ "a-word-that-is-longer-than-all-others-by-far", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(mmapfs_advice_parse(cases[i].word), cases[i].result);
}

static void destructive_advice_needs_the_flag(void **state)
{
	static const struct {
		enum mmapfs_advice advice;
		uint32_t access;
		int result;
	} cases[] = {
		{ MMAPFS_ADVICE_REMOVE, MMAPFS_ACCESS_WRITE, -EPERM },
		{ MMAPFS_ADVICE_FREE, MMAPFS_ACCESS_WRITE, -EPERM },
		{ MMAPFS_ADVICE_WIPEONFORK, MMAPFS_ACCESS_COPY, -EPERM },
		{ MMAPFS_ADVICE_DONTNEED, MMAPFS_ACCESS_COPY, -EPERM },
		{ MMAPFS_ADVICE_DONTNEED_LOCKED, MMAPFS_ACCESS_COPY, -EPERM },
		{ MMAPFS_ADVICE_DONTNEED, MMAPFS_ACCESS_WRITE, 0 },
		{ MMAPFS_ADVICE_DONTNEED_LOCKED, MMAPFS_ACCESS_WRITE, 0 },
		{ MMAPFS_ADVICE_POPULATE_WRITE, MMAPFS_ACCESS_WRITE, 0 },
	};

	(void)state;
	help_file(pages(4));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map = help_map(cases[i].access);

		fake_sys_install();
		assert_int_equal(mmapfs_advise(map, WHOLE, cases[i].advice, 0),
				 cases[i].result);
		assert_int_equal(fake_sys_calls("madvise"), cases[i].result == 0);
		mmapfs_map_close(map);
	}
}

static void remove_with_the_flag_punches_the_range_only(void **state)
{
	struct mmapfs_map *map;
	struct stat before, after;
	char byte[3];

	(void)state;
	help_file(pages(16));
	map = help_map(MMAPFS_ACCESS_WRITE);
	assert_int_equal(fstat(mmapfs_map_fd(map), &before), 0);
	assert_int_equal(mmapfs_advise(map, page_range(4, 8), MMAPFS_ADVICE_REMOVE,
				       MMAPFS_ADVISE_MAY_DESTROY),
			 0);
	assert_int_equal(fstat(mmapfs_map_fd(map), &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(before.st_blocks - after.st_blocks, pages(8) / 512);
	assert_int_equal(mmapfs_read(map, pages(4) - 1, &byte[0], 1), 1);
	assert_int_equal(mmapfs_read(map, pages(4), &byte[1], 1), 1);
	assert_int_equal(mmapfs_read(map, pages(12), &byte[2], 1), 1);
	assert_memory_equal(byte, "d\0d", 3);
	mmapfs_map_close(map);
}

static void dontneed_keeps_what_was_stored_in_a_shared_map(void **state)
{
	struct mmapfs_map *map;
	void *addr;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_WRITE);
	assert_int_equal(mmapfs_map_addr(map, &addr), 0);
	((char *)addr)[1] = 'x';
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_DONTNEED, 0), 0);
	assert_int_equal(((char *)addr)[1], 'x');
	mmapfs_map_close(map);
}

static void willneed_goes_on_to_the_end_of_the_range(void **state)
{
	static const struct {
		struct mmapfs_range range;
		unsigned int calls;
	} cases[] = {
		{ { 0, 0 }, 3 },       { { 0, 2 * MIB }, 1 }, { { 0, 2 * MIB + 1 }, 2 },
		{ { 4 * MIB, 0 }, 1 }, { { 5 * MIB, 0 }, 0 },
	};

	(void)state;
	help_file(5 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);

		fake_sys_install();
		assert_int_equal(
			mmapfs_advise(map, cases[i].range, MMAPFS_ADVICE_WILLNEED, 0), 0);
		assert_int_equal(fake_sys_calls("madvise"), cases[i].calls);
		mmapfs_map_close(map);
	}
}

static void populate_read_maps_every_page(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(5 * MIB + 1);
	map = help_map(MMAPFS_ACCESS_READ);
	help_populate(map);
	assert_int_equal(fake_sys_calls("madvise"), 2);
	assert_int_equal(help_occupied(map, WHOLE), 5 * MIB / pages(1) + 1);
	mmapfs_map_close(map);
}

static void populate_write_of_a_read_only_map_is_invalid(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(2));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_POPULATE_WRITE, 0),
			 -EINVAL);
	assert_int_equal(help_dirty(map), 0);
	mmapfs_map_close(map);
}

static void fault_of_populate_is_explained_by_read(void **state)
{
	static const struct {
		enum mmapfs_advice advice;
		unsigned int faults; /* how often madvise says EFAULT */
		int64_t read;	     /* what pread says then; 1: the truth */
		int result;
	} cases[] = {
		{ MMAPFS_ADVICE_POPULATE_READ, 1, -EIO, -EIO },
		{ MMAPFS_ADVICE_POPULATE_READ, 1, 0, -ESTALE },
		{ MMAPFS_ADVICE_POPULATE_READ, 1, -ESTALE, -ESTALE },
		{ MMAPFS_ADVICE_POPULATE_READ, 1, 1, 0 },
		{ MMAPFS_ADVICE_POPULATE_READ, 2, 1, -EIO },
		{ MMAPFS_ADVICE_POPULATE_WRITE, 1, -EIO, -EIO },
		{ MMAPFS_ADVICE_POPULATE_WRITE, 2, 1, -EIO },
	};

	(void)state;
	help_file(pages(2) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_WRITE);

		fake_sys_install();
		fake_sys_script("madvise", 0, cases[i].faults, -EFAULT);
		if (cases[i].read != 1)
			fake_sys_script("pread", 0, 1, cases[i].read);
		assert_int_equal(mmapfs_advise(map, WHOLE, cases[i].advice, 0),
				 cases[i].result);
		fake_sys_remove();
		mmapfs_map_close(map);
	}
}

static int truncate_and_fault(void *addr, size_t length, int advice)
{
	assert_int_equal(truncate(help_path, 100), 0);
	return mmapfs__sys_real.madvise(addr, length, advice);
}

static void file_that_shrinks_meanwhile_is_stale(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	fake_sys_table()->madvise = truncate_and_fault;
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_POPULATE_READ, 0),
			 -ESTALE);
	mmapfs_map_close(map);
}

static void error_of_the_kernel_is_forwarded(void **state)
{
	static const struct {
		enum mmapfs_advice advice;
		const char *call;
		unsigned int skip;
		int error, result;
	} cases[] = {
		{ MMAPFS_ADVICE_RANDOM, "madvise", 0, -EAGAIN, -EAGAIN },
		{ MMAPFS_ADVICE_RANDOM, "madvise", 0, -ENOMEM, -ENOMEM },
		{ MMAPFS_ADVICE_HUGEPAGE, "madvise", 0, -EINVAL, -EINVAL },
		{ MMAPFS_ADVICE_COLLAPSE, "madvise", 0, -EBUSY, -EBUSY },
		{ MMAPFS_ADVICE_WILLNEED, "madvise", 1, -EBADF, -EBADF },
		{ MMAPFS_ADVICE_WILLNEED, "madvise", 2, -EIO, -EIO },
		{ MMAPFS_ADVICE_POPULATE_READ, "madvise", 0, -EHWPOISON, -EIO },
		{ MMAPFS_ADVICE_POPULATE_READ, "madvise", 1, -ENOMEM, -ENOMEM },
		{ MMAPFS_ADVICE_NORMAL, "mmap", 0, -ENOMEM, -ENOMEM },
		{ MMAPFS_ADVICE_WILLNEED, "fstat", 0, -EIO, -EIO },
	};

	(void)state;
	help_file(5 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_map *map =
			help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);

		fake_sys_install();
		fake_sys_script(cases[i].call, cases[i].skip, 1, cases[i].error);
		assert_int_equal(mmapfs_advise(map, WHOLE, cases[i].advice, 0),
				 cases[i].result);
		fake_sys_remove();
		mmapfs_map_close(map);
	}
}

static void what_is_unknown_is_invalid(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(1));
	map = help_map(MMAPFS_ACCESS_WRITE);
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_COUNT, 0), -EINVAL);
	assert_int_equal(mmapfs_advise(map, WHOLE, (enum mmapfs_advice) - 1, 0), -EINVAL);
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_NORMAL, 1u << 31),
			 -EINVAL);
	assert_int_equal(
		mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_FREE, MMAPFS_ADVISE_MAY_DESTROY),
		-EINVAL);
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_POPULATE), 0);
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_PAGEOUT), 0);
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_POPULATE_READ, 0),
			 -EINVAL);
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_PAGEOUT, 0), -EINVAL);
	mmapfs_map_close(map);
}

static void advice_beyond_the_end_is_nothing_to_do(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(0);
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_advise(map, WHOLE, MMAPFS_ADVICE_POPULATE_READ, 0), 0);
	assert_int_equal(fake_sys_calls("madvise"), 0);
	mmapfs_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_advice_has_its_word_and_kinds),
		TEST(word_is_read_in_any_case_and_as_the_kernel_spells_it),
		TEST(destructive_advice_needs_the_flag),
		TEST(remove_with_the_flag_punches_the_range_only),
		TEST(dontneed_keeps_what_was_stored_in_a_shared_map),
		TEST(willneed_goes_on_to_the_end_of_the_range),
		TEST(populate_read_maps_every_page),
		TEST(populate_write_of_a_read_only_map_is_invalid),
		TEST(fault_of_populate_is_explained_by_read),
		TEST(file_that_shrinks_meanwhile_is_stale),
		TEST(error_of_the_kernel_is_forwarded),
		TEST(what_is_unknown_is_invalid),
		TEST(advice_beyond_the_end_is_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, help_begin, help_end);
}
