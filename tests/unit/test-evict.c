/* SPDX-License-Identifier: MIT */
/* test-evict.c - what an evict drops, what stays, and what it reports. */
#include "control-help.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct mmapfs_evict_result evict(struct mmapfs_map *map, struct mmapfs_range range,
					uint32_t flags)
{
	struct mmapfs_evict_result result = { .size = sizeof(result) };
	uint64_t sum = 0;

	assert_int_equal(mmapfs_evict(map, range, flags, &result), 0);
	assert_int_equal(result.valid, 1);
	for (int i = 0; i < MMAPFS_STAY_COUNT; i++)
		sum += result.stayed[i];
	assert_int_equal(sum, result.after);
	return result;
}

static int fadvise_nothing(int fd, uint64_t offset, uint64_t length, int advice)
{
	(void)fd, (void)offset, (void)length, (void)advice;
	return 0;
}

static void clean_pages_are_dropped_also_our_own(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(100) + 1);
	map = help_map(MMAPFS_ACCESS_READ);
	help_populate(map);
	result = evict(map, WHOLE, 0);
	assert_int_equal(result.pages, 101);
	assert_int_equal(result.before, 101);
	assert_int_equal(result.after, 0);
	assert_int_equal(help_occupied(map, WHOLE), 0);
	mmapfs_map_close(map);
}

static void dirty_pages_are_written_and_dropped_with_sync(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;
	char byte;
	void *addr;

	(void)state;
	help_file(pages(8));
	map = help_map(MMAPFS_ACCESS_WRITE);
	help_populate(map);
	assert_int_equal(mmapfs_map_addr(map, &addr), 0);
	((char *)addr)[pages(3)] = 'x';
	result = evict(map, WHOLE, MMAPFS_EVICT_SYNC);
	assert_int_equal(result.before, 8);
	assert_int_equal(result.after, 0);
	assert_int_equal(mmapfs_read(map, pages(3), &byte, 1), 1);
	assert_int_equal(byte, 'x');
	mmapfs_map_close(map);
}

static void dirty_pages_stay_without_sync(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;

	(void)state;
	help_file(0);
	map = help_map_window(MMAPFS_ACCESS_WRITE, MMAPFS_MAP_LAZY, 0, 0);
	help_write(mmapfs_map_fd(map), pages(4), 0);
	assert_int_equal(mmapfs_map_refresh(map), 1);
	/* The kernel's own would start writing, and soon be done. */
	fake_sys_table()->fadvise = fadvise_nothing;
	result = evict(map, WHOLE, 0);
	assert_int_equal(result.after, 4);
	assert_int_equal(result.stayed[MMAPFS_STAY_DIRTY], 4);
	mmapfs_map_close(map);
}

/* A process that has the whole file in its page tables until it is killed. */
static pid_t map_elsewhere(uint64_t length)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(help_path, O_RDONLY);
		void *addr = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);

		if (addr == MAP_FAILED || madvise(addr, length, MADV_POPULATE_READ) < 0 ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void unmap_elsewhere(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void pages_mapped_by_another_process_stay(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;
	pid_t pid;

	(void)state;
	help_file(pages(16));
	map = help_map(MMAPFS_ACCESS_READ);
	pid = map_elsewhere(pages(16));
	result = evict(map, WHOLE, 0);
	unmap_elsewhere(pid);
	assert_int_equal(result.before, 16);
	assert_int_equal(result.after, 16);
	assert_int_equal(result.stayed[MMAPFS_STAY_MAPPED], 16);
	assert_int_equal(evict(map, WHOLE, 0).after, 0);
	mmapfs_map_close(map);
}

static void locked_pages_stay_until_unlocked(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(16));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_lock(map, WHOLE, NULL), 0);
	result = evict(map, WHOLE, 0);
	assert_int_equal(result.after, 16);
	assert_int_equal(result.stayed[MMAPFS_STAY_LOCKED], 16);
	assert_int_equal(mmapfs_unlock(map, WHOLE), 0);
	assert_int_equal(evict(map, WHOLE, 0).after, 0);
	mmapfs_map_close(map);
}

static void large_folio_across_the_edge_stays_whole(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;

	(void)state;
	help_file(8 * MIB);
	map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);
	result = evict(map, page_range(100, 3), 0);
	assert_int_equal(result.pages, 3);
	if (result.after == 0) {
		mmapfs_map_close(map);
		skip(); /* this filesystem makes no large folios */
	}
	assert_int_equal(result.after, 3);
	assert_int_equal(result.stayed[MMAPFS_STAY_STRADDLING], 3);
	assert_int_equal(evict(map, WHOLE, 0).after, 0);
	mmapfs_map_close(map);
}

static void one_mapped_page_holds_its_folio(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map, *other;

	(void)state;
	if (mmapfs__feature(MMAPFS_FEATURE_PAGE_FLAGS) != 1)
		skip();
	help_file(8 * MIB);
	map = help_map_window(MMAPFS_ACCESS_READ, MMAPFS_MAP_LAZY, 0, 0);
	other = help_map_window(MMAPFS_ACCESS_READ, 0, pages(600), pages(1));
	help_populate(other);
	result = evict(map, WHOLE, 0);
	assert_int_equal(result.exact, 1);
	assert_true(result.after >= 1);
	assert_int_equal(result.stayed[MMAPFS_STAY_MAPPED], result.after);
	mmapfs_map_close(other);
	assert_int_equal(evict(map, WHOLE, 0).after, 0);
	mmapfs_map_close(map);
}

static void window_drops_nothing_outside_of_it(void **state)
{
	struct mmapfs_map *all, *window;

	(void)state;
	help_file(8 * MIB);
	all = help_map(MMAPFS_ACCESS_READ);
	help_populate(all);
	window = help_map_window(MMAPFS_ACCESS_READ, 0, 2 * MIB, 2 * MIB);
	/* Held by `all`, so that only its release shows what was dropped. */
	assert_int_equal(mmapfs_advise(all, (struct mmapfs_range){ 2 * MIB, 2 * MIB },
				       MMAPFS_ADVICE_DONTNEED, 0),
			 0);
	assert_int_equal(evict(window, WHOLE, 0).after, 0);
	assert_int_equal(help_occupied(all, WHOLE), 6 * MIB / pages(1));
	mmapfs_map_close(window);
	mmapfs_map_close(all);
}

static void pages_of_a_memory_filesystem_stay_at_once(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;

	(void)state;
	assert_int_equal(mmapfs_map_anonymous("test", pages(8), &map), 0);
	help_populate(map);
	result = evict(map, WHOLE, 0);
	assert_int_equal(result.exact, 1);
	assert_int_equal(result.after, 8);
	assert_int_equal(result.stayed[MMAPFS_STAY_MEMORY_FS], 8);
	assert_int_equal(fake_sys_calls("sleep_ns"), 0);
	mmapfs_map_close(map);
}

static void private_map_keeps_what_was_stored(void **state)
{
	struct mmapfs_map *map;
	void *addr;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_COPY);
	assert_int_equal(mmapfs_map_addr(map, &addr), 0);
	((char *)addr)[10] = 'x';
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
	assert_int_equal(((char *)addr)[10], 'x');
	mmapfs_map_close(map);
}

static uint64_t slept_ns;

static void count_sleep(uint64_t ns)
{
	slept_ns += ns;
}

static int always_writing(int fd, const struct mmapfs__cachestat_range *range,
			  struct mmapfs__cachestat *ret)
{
	int r = mmapfs__sys_real.cachestat(fd, range, ret);

	ret->nr_writeback = 1;
	return r;
}

static void pages_in_motion_are_waited_for_but_not_long(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	slept_ns = 0;
	fake_sys_table()->sleep_ns = count_sleep;
	fake_sys_table()->cachestat = always_writing;
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, NULL), 0);
	assert_int_equal(slept_ns, 200000000);
	assert_int_equal(fake_sys_calls("fadvise"), 4);
	mmapfs_map_close(map);
}

static void error_is_forwarded_and_writes_no_result(void **state)
{
	static const struct {
		uint32_t flags;
		const char *call;
		int error;
	} cases[] = {
		{ 0, "fadvise", -EBADF },
		{ 0, "fadvise", -EINVAL },
		{ 0, "fadvise", -ESPIPE },
		{ 0, "fstat", -EIO },
		{ 0, "fstat", -ENOMEM },
		{ MMAPFS_EVICT_SYNC, "fdatasync", -EIO },
		{ MMAPFS_EVICT_SYNC, "fdatasync", -ENOSPC },
		{ MMAPFS_EVICT_SYNC, "fdatasync", -EDQUOT },
		{ MMAPFS_EVICT_SYNC, "fdatasync", -EINTR },
	};

	(void)state;
	help_file(pages(4));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs_evict_result result = { .size = sizeof(result),
						      .pages = 77 };
		struct mmapfs_map *map = help_map(MMAPFS_ACCESS_READ);

		fake_sys_install();
		fake_sys_script(cases[i].call, 0, 1, cases[i].error);
		assert_int_equal(mmapfs_evict(map, WHOLE, cases[i].flags, &result),
				 cases[i].error);
		assert_int_equal(result.pages, 77);
		fake_sys_remove();
		mmapfs_map_close(map);
	}
}

static void what_cannot_be_counted_is_not_reported(void **state)
{
	struct mmapfs_evict_result result = { .size = sizeof(result) };
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(4));
	map = help_map(MMAPFS_ACCESS_READ);
	map->fs_kind = MMAPFS__FS_ZFS;
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, &result), 0);
	assert_int_equal(result.valid, 0);
	assert_int_equal(result.after, 0);
	assert_int_equal(fake_sys_calls("fadvise"), 1);
	map->fs_kind = MMAPFS__FS_HUGETLB;
	assert_int_equal(mmapfs_evict(map, WHOLE, 0, &result), -EOPNOTSUPP);
	assert_int_equal(fake_sys_calls("fadvise"), 1);
	mmapfs_map_close(map);
}

static void unknown_flag_is_invalid(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	help_file(pages(1));
	map = help_map(MMAPFS_ACCESS_READ);
	assert_int_equal(mmapfs_evict(map, WHOLE, 2, NULL), -EINVAL);
	mmapfs_map_close(map);
}

static void empty_file_has_nothing_to_drop(void **state)
{
	struct mmapfs_evict_result result;
	struct mmapfs_map *map;

	(void)state;
	help_file(0);
	map = help_map(MMAPFS_ACCESS_READ);
	result = evict(map, WHOLE, 0);
	assert_int_equal(result.pages, 0);
	assert_int_equal(result.before, 0);
	assert_int_equal(fake_sys_calls("fadvise"), 0);
	mmapfs_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(clean_pages_are_dropped_also_our_own),
		TEST(dirty_pages_are_written_and_dropped_with_sync),
		TEST(dirty_pages_stay_without_sync),
		TEST(pages_mapped_by_another_process_stay),
		TEST(locked_pages_stay_until_unlocked),
		TEST(large_folio_across_the_edge_stays_whole),
		TEST(one_mapped_page_holds_its_folio),
		TEST(window_drops_nothing_outside_of_it),
		TEST(pages_of_a_memory_filesystem_stay_at_once),
		TEST(private_map_keeps_what_was_stored),
		TEST(pages_in_motion_are_waited_for_but_not_long),
		TEST(error_is_forwarded_and_writes_no_result),
		TEST(what_cannot_be_counted_is_not_reported),
		TEST(unknown_flag_is_invalid),
		TEST(empty_file_has_nothing_to_drop),
	};

	return cmocka_run_group_tests(tests, help_begin, help_end);
}
