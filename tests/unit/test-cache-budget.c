/* SPDX-License-Identifier: MIT */
/* test-cache-budget.c - what is resident is kept under the limit, whoever opens what. */
#include "cache_budget.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/macro.h"
#include "cache_shed.h"
#include "fake-sys.h"
#include "fs-fixture.h"
#include "region_state.h"

#define MIB (UINT64_C(1) << 20)
#define LIMIT (32 * MIB)
#define FILES 6 /* each a quarter of the limit */
#define FILE_BYTES (LIMIT / 4)
#define FILE_PAGES (FILE_BYTES / PAGE)
#define DEADLINE_MS 20000

static struct budget *budget;
static struct inode *inodes[FILES];

/* ---- what the tests share ---- */

static int setup_limit(void **state, uint64_t limit)
{
	return fs_setup(state) || budget_new(&fs, limit, &budget) < 0 ? -1 : 0;
}

static int setup(void **state)
{
	return setup_limit(state, LIMIT);
}

static int setup_off(void **state)
{
	return setup_limit(state, BUDGET_OFF);
}

static int teardown(void **state)
{
	atomic_store(&fs.stopping, true);
	budget = budget_free(budget);
	return inode_count(fs.inodes) == 1 ? fs_teardown(state) : -1;
}

static struct budget_figures figures(void)
{
	struct budget_figures figures;

	budget_figures(budget, &figures);
	return figures;
}

static const char *name_of(int i)
{
	static char name[8];

	(void)snprintf(name, sizeof(name), "f%d", i);
	return name;
}

/* Nothing of them is in RAM, for what was just written is. */
static void make_files(void)
{
	for (int i = 0; i < FILES; i++) {
		int fd;

		inodes[i] = make_file(name_of(i), FILE_PAGES);
		fd = open(scratch_path(name_of(i)), O_RDONLY | O_CLOEXEC);
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		close(fd);
	}
}

static void drop_files(void)
{
	for (int i = 0; i < FILES; i++)
		drop(inodes[i]);
}

/* What a handler tells, and what a program does in between. */
static void open_and_read(int i, bool writer)
{
	budget_opened(budget, inodes[i], writer);
	release_pages(hold_pages(name_of(i), FILE_PAGES), FILE_PAGES);
	budget_closed(budget, inodes[i]);
}

static uint64_t resident(int i)
{
	struct shed_look look;

	assert_int_equal(shed_look(&fs, inodes[i], &look), 0);
	return look.resident;
}

static uint64_t resident_in_all(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < FILES; i++)
		sum += resident(i);
	return sum;
}

/* Wait until @condition holds, or fail. */
#define wait_for(condition)                                                             \
	do {                                                                            \
		int left_ = DEADLINE_MS;                                                \
		while (!(condition) && left_-- > 0)                                     \
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); \
		assert_true(condition);                                                 \
	} while (0)

/* Two more looks: what happened before the call has been seen. Each is asked for, because
 * after the first it may be that nothing is in use, and the next is many seconds away. */
static void wait_for_looks(void)
{
	for (int i = 0; i < 2; i++) {
		const uint64_t seen = figures().quick_looks;

		budget_reading(budget, inodes[0], 0);
		wait_for(figures().quick_looks > seen);
	}
}

/* ---- the limit ---- */

static void limits_are_sizes_and_percents(void **state)
{
	const uint64_t ram =
		(uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	const struct {
		const char *text;
		int r;
		uint64_t limit;
	} cases[] = {
		{ "off", 0, BUDGET_OFF },
		{ "16M", 0, 16 * MIB },
		{ "1G", 0, 1024 * MIB },
		{ "33554432", 0, 32 * MIB },
		{ "100%", 0, ram / 100 * 100 },
		{ "25%", 0, ram / 100 * 25 },
		{ "15M", -EINVAL, 0 },
		{ "0", -EINVAL, 0 },
		{ "0%", -EINVAL, 0 },
		{ "101%", -EINVAL, 0 },
		{ "18446744073709551617%", -EINVAL, 0 },
		{ "-5%", -EINVAL, 0 },
		{ "%", -EINVAL, 0 },
		{ "5%%", -EINVAL, 0 },
		{ "5 %", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "OFF", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1G+1", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t limit = 77;

		if (budget_parse(cases[i].text, &limit) != cases[i].r)
			fail_msg("'%s' is not as expected", cases[i].text);
		assert_int_equal(limit, cases[i].r < 0 ? 77 : cases[i].limit);
	}
}

static void without_a_limit_nothing_is_remembered(void **state)
{
	(void)state;
	make_files();
	assert_int_equal(budget_start(budget), 0);
	open_and_read(0, false);
	budget_reading(budget, inodes[1], MIB);
	assert_int_equal(figures().files, 0);
	assert_int_equal(figures().limit, BUDGET_OFF);
	assert_int_equal(budget_room(budget), UINT64_MAX);
	assert_int_equal(budget_room(NULL), UINT64_MAX);
	assert_int_equal(figures().quick_looks, 0);
	drop_files();
}

/* ---- evicting ---- */

static void too_much_is_evicted_coldest_first(void **state)
{
	(void)state;
	make_files();
	assert_int_equal(budget_start(budget), 0);
	/* The first is the hottest: no scan pushes it out. */
	for (int i = 0; i < 3; i++)
		open_and_read(0, false);
	for (int i = 1; i < FILES; i++) {
		open_and_read(i, false);
		wait_for_looks();
	}
	wait_for(figures().used <= LIMIT && figures().evicted > 0);
	assert_true(resident_in_all() <= LIMIT);
	assert_int_equal(resident(1), 0);
	assert_true(resident(0) >= FILE_BYTES / 2);
	assert_true(resident(FILES - 1) >= FILE_BYTES / 2);
	assert_int_equal(figures().refused, 0);
	assert_true(figures().peak > LIMIT);
	drop_files();
}

static void no_more_goes_than_needed(void **state)
{
	uint64_t before;

	(void)state;
	make_files();
	for (int i = 0; i < FILES; i++)
		open_and_read(i, false);
	before = resident_in_all();
	assert_int_equal(budget_start(budget), 0);
	wait_for(figures().evicted > 0 && figures().used <= figures().low + shed_granule());
	/* The kernel may have taken some of it by itself: then less was needed. */
	assert_true(figures().evicted <= before - figures().low + shed_granule());
	drop_files();
}

static void locked_files_stay(void **state)
{
	const struct mmapfs_range whole = { 0, 0 };

	(void)state;
	make_files();
	for (int i = 0; i < 3; i++)
		assert_int_equal(region_lock(&fs, inodes[i], whole), 0);
	assert_int_equal(budget_start(budget), 0);
	for (int i = 0; i < FILES; i++)
		open_and_read(i, false);
	wait_for(figures().evicted > 0 && figures().used <= LIMIT);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(resident(i), FILE_BYTES);
		assert_int_equal(region_unlock(&fs, inodes[i], whole), 0);
	}
	assert_int_equal(figures().locked, 3 * FILE_BYTES);
	drop_files();
}

/* More is locked than the budget allows: all else goes, and then it is left at that. */
static void more_locked_than_allowed_is_no_endless_loop(void **state)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct budget_figures before;

	(void)state;
	make_files();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(region_lock(&fs, inodes[i], whole), 0);
		budget_opened(budget, inodes[i], false);
	}
	assert_int_equal(budget_start(budget), 0);
	open_and_read(5, false);
	wait_for(figures().locked == 5 * FILE_BYTES && resident(5) == 0);
	wait_for_looks();
	before = figures();
	wait_for_looks();
	assert_int_equal(figures().evicted, before.evicted);
	assert_int_equal(figures().refused, before.refused);
	for (int i = 0; i < 5; i++)
		assert_int_equal(region_unlock(&fs, inodes[i], whole), 0);
	drop_files();
}

static void mapped_files_are_refused_and_rest(void **state)
{
	void *held[FILES];
	struct budget_figures before;

	(void)state;
	make_files();
	for (int i = 0; i < FILES; i++) {
		held[i] = hold_pages(name_of(i), FILE_PAGES);
		budget_opened(budget, inodes[i], false);
	}
	assert_int_equal(budget_start(budget), 0);
	wait_for(figures().refused > 0);
	wait_for_looks();
	before = figures();
	assert_true(before.used > LIMIT);
	assert_int_equal(before.evicted, 0);
	for (int i = 0; i < FILES; i++)
		release_pages(held[i], FILE_PAGES);
	/* After their rest they are asked again, and go. */
	wait_for(figures().used <= LIMIT);
	drop_files();
}

static void written_files_are_synced_first(void **state)
{
	(void)state;
	make_files();
	for (int i = 0; i < FILES; i++) {
		scratch_file(name_of(i), FILE_BYTES);
		budget_opened(budget, inodes[i], true);
		budget_closed(budget, inodes[i]);
	}
	assert_int_equal(budget_start(budget), 0);
	wait_for(figures().evicted > 0 && figures().used <= LIMIT);
	assert_int_equal(figures().sync_errors, 0);
	drop_files();
}

/* The kernel tells of the error once: whoever asks, asking again would succeed. */
static void check_unwritten_file_stays(const char *call)
{
	make_files();
	for (int i = 0; i < FILES; i++)
		open_and_read(i, i == 0);
	fake_sys_install();
	fake_sys_script(call, 0, 1, -EIO);
	assert_int_equal(budget_start(budget), 0);
	wait_for(figures().sync_errors == 1);
	wait_for(figures().used <= LIMIT);
	budget_stop(budget);
	fake_sys_remove();
	assert_int_equal(figures().sync_errors, 1);
	assert_true(resident(0) > 0);
	assert_int_equal(region_sync_seen(inodes[0]), 1);
	drop_files();
}

static void file_that_cannot_be_written_back_stays_for_good(void **state)
{
	(void)state;
	check_unwritten_file_stays("fdatasync");
}

static void file_whose_writing_could_not_be_begun_stays_for_good(void **state)
{
	(void)state;
	check_unwritten_file_stays("sync_file_range");
}

/* ---- what others see ---- */

static void room_is_what_is_left_of_the_limit(void **state)
{
	(void)state;
	make_files();
	assert_int_equal(budget_room(budget), LIMIT);
	assert_int_equal(budget_start(budget), 0);
	open_and_read(0, false);
	wait_for(figures().used >= FILE_BYTES / 2);
	assert_true(budget_room(budget) <= LIMIT - FILE_BYTES / 2);
	assert_true(budget_room(budget) >= LIMIT - FILE_BYTES);
	/* What is announced counts, and is forgotten when it was looked at. */
	budget_reading(budget, inodes[1], LIMIT);
	wait_for_looks();
	wait_for_looks();
	assert_true(budget_room(budget) >= LIMIT - FILE_BYTES);
	drop_files();
}

static void announced_bytes_take_room_at_once(void **state)
{
	(void)state;
	make_files();
	budget_reading(budget, inodes[0], 3 * MIB);
	assert_int_equal(budget_room(budget), LIMIT - 3 * MIB);
	budget_reading(budget, inodes[0], LIMIT);
	assert_int_equal(budget_room(budget), 0);
	drop_files();
}

static void resident_files_are_found_by_the_walk(void **state)
{
	void *held;

	(void)state;
	make_files();
	held = hold_pages(name_of(3), FILE_PAGES);
	assert_int_equal(budget_start(budget), 0);
	wait_for(figures().used >= FILE_BYTES);
	release_pages(held, FILE_PAGES);
	drop_files();
}

static void limit_can_come_change_and_go(void **state)
{
	(void)state;
	make_files();
	assert_int_equal(budget_set(budget, 4 * LIMIT), 0); /* before the start: only noted */
	assert_int_equal(budget_start(budget), 0);
	for (int i = 0; i < FILES; i++)
		open_and_read(i, false);
	wait_for(figures().files == FILES);
	assert_int_equal(figures().evicted, 0);
	assert_int_equal(budget_set(budget, LIMIT), 0);
	wait_for(figures().used <= LIMIT);
	assert_int_equal(budget_set(budget, BUDGET_OFF), 0);
	wait_for(figures().files == 0);
	open_and_read(0, false);
	assert_int_equal(figures().files, 0);
	assert_int_equal(budget_set(budget, LIMIT), 0);
	open_and_read(0, false);
	wait_for(figures().files > 0);
	drop_files();
}

static void stop_comes_before_and_after_all_else(void **state)
{
	(void)state;
	make_files();
	budget_stop(budget);
	budget_stop(NULL);
	assert_int_equal(budget_start(NULL), 0);
	assert_int_equal(budget_start(budget), 0);
	open_and_read(0, false);
	atomic_store(&fs.stopping, true);
	budget_stop(budget);
	budget_stop(budget);
	/* A job that is still running may say what it reads, and ask. */
	budget_reading(budget, inodes[1], MIB);
	(void)budget_room(budget);
	assert_int_equal(budget_set(budget, 2 * LIMIT), 0);
	assert_int_equal(figures().limit, 2 * LIMIT);
	drop_files();
}

/* ---- all at once ---- */

#define THREADS 4

static atomic_bool stop_opening;

static void *open_and_close(void *arg)
{
	const int start = (int)(intptr_t)arg;

	for (int i = start; !atomic_load(&stop_opening); i++) {
		budget_opened(budget, inodes[i % FILES], i % 5 == 0);
		budget_reading(budget, inodes[(i + 1) % FILES], PAGE);
		(void)budget_room(budget);
		budget_closed(budget, inodes[i % FILES]);
	}
	return NULL;
}

static void opens_reads_and_limits_at_the_same_time(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	make_files();
	assert_int_equal(budget_start(budget), 0);
	atomic_store(&stop_opening, false);
	for (intptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, (void *)i),
				 0);
	for (int i = 0; i < 30; i++) {
		open_and_read(i % FILES, false);
		assert_int_equal(budget_set(budget, i % 3 ? LIMIT + (uint64_t)i : BUDGET_OFF),
				 0);
		(void)figures();
	}
	atomic_store(&fs.stopping, true);
	budget_stop(budget);
	atomic_store(&stop_opening, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	drop_files();
}

#define with_budget(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_sizes_and_percents),
		cmocka_unit_test_setup_teardown(without_a_limit_nothing_is_remembered,
						setup_off, teardown),
		with_budget(too_much_is_evicted_coldest_first),
		with_budget(no_more_goes_than_needed),
		with_budget(locked_files_stay),
		with_budget(more_locked_than_allowed_is_no_endless_loop),
		with_budget(mapped_files_are_refused_and_rest),
		with_budget(written_files_are_synced_first),
		with_budget(file_that_cannot_be_written_back_stays_for_good),
		with_budget(file_whose_writing_could_not_be_begun_stays_for_good),
		with_budget(room_is_what_is_left_of_the_limit),
		with_budget(announced_bytes_take_room_at_once),
		with_budget(resident_files_are_found_by_the_walk),
		with_budget(limit_can_come_change_and_go),
		with_budget(stop_comes_before_and_after_all_else),
		with_budget(opens_reads_and_limits_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
