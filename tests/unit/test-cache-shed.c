/* SPDX-License-Identifier: MIT */
/* test-cache-shed.c - so much of a file goes as was asked, from its beginning; nothing that is
 * locked, and nothing that was not written back. */
#include "cache_shed.h"

#include <errno.h>

#include <mmapfs.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "fs-fixture.h"
#include "region_state.h"

#define GRANULE shed_granule()
#define GRANULES 4

/* A clean file of GRANULES granules, all of it just read: the kernel may still take pages
 * away, but not within moments. */
static struct inode *make_resident(const char *name)
{
	struct inode *inode = make_file(name, GRANULES * SHED_GRANULE_PAGES);

	release_pages(hold_pages(name, GRANULES * SHED_GRANULE_PAGES),
		      GRANULES * SHED_GRANULE_PAGES);
	return inode;
}

static struct shed_look look_at(struct inode *inode)
{
	struct shed_look look;

	assert_int_equal(shed_look(&fs, inode, &look), 0);
	assert_true(look.known);
	return look;
}

/* Resident bytes of granule number @i. */
static uint64_t granule_resident(struct inode *inode, uint64_t i)
{
	struct mmapfs_residency found = MMAPFS_INIT(found);
	const struct mmapfs_range range = { i * GRANULE, GRANULE };
	struct mmapfs_map *map;

	assert_int_equal(region_open_map(&fs, inode, MMAPFS_ACCESS_READ, &map), 0);
	assert_int_equal(mmapfs_residency(map, range, 0, &found), 0);
	mmapfs_map_close(map);
	return found.occupied * PAGE;
}

static void write_at(const char *name, uint64_t offset, const char *text)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)offset), (ssize_t)strlen(text));
	close(fd);
}

/* ---- looking ---- */

static void look_counts_bytes(void **state)
{
	struct inode *inode = make_resident("counts");
	struct shed_look look = look_at(inode);

	(void)state;
	assert_int_equal(look.resident, GRANULES * GRANULE);
	assert_int_equal(look.locked, 0);
	assert_false(look.dirty);
	assert_false(look.fixed);
	drop(inode);
}

static void look_sees_locks_and_dirt(void **state)
{
	struct inode *inode = make_resident("locks");
	const struct mmapfs_range range = { 0, 3 * PAGE };

	(void)state;
	assert_int_equal(region_lock(&fs, inode, range), 0);
	write_at("locks", 0, "x");
	assert_int_equal(look_at(inode).locked, 3 * PAGE);
	assert_true(look_at(inode).dirty);
	assert_int_equal(region_unlock(&fs, inode, range), 0);
	drop(inode);
}

static void empty_file_has_nothing(void **state)
{
	struct inode *inode = make_file("empty", 0);

	(void)state;
	assert_int_equal(look_at(inode).resident, 0);
	drop(inode);
}

static void file_that_is_gone_is_estale(void **state)
{
	struct inode *inode = make_file("gone", 1);
	struct shed_look look;
	struct shed_result result;

	(void)state;
	assert_int_equal(unlink(scratch_path("gone")), 0);
	assert_int_equal(shed_look(&fs, inode, &look), -ESTALE);
	assert_int_equal(shed_evict(&fs, inode, PAGE, false, &result), -ESTALE);
	assert_int_equal(result.freed, 0);
	drop(inode);
}

static void what_cannot_be_known_is_not_known(void **state)
{
	struct inode *inode = make_resident("unknown");
	struct shed_look look;

	(void)state;
	fake_sys_install();
	fake_sys_script("cachestat", 0, 0, -EPERM);
	fake_sys_script("mincore", 0, 0, -EPERM);
	if (shed_look(&fs, inode, &look) == 0) {
		assert_false(look.known);
		assert_int_equal(look.resident, 0);
	}
	fake_sys_remove();
	drop(inode);
}

/* ---- evicting ---- */

static void whole_file_goes(void **state)
{
	struct inode *inode = make_resident("whole");
	struct shed_result result;

	(void)state;
	assert_int_equal(shed_evict(&fs, inode, GRANULES * GRANULE, false, &result), 0);
	assert_int_equal(result.freed, GRANULES * GRANULE);
	assert_int_equal(result.stayed, 0);
	assert_int_equal(look_at(inode).resident, 0);
	drop(inode);
}

static void part_goes_from_the_beginning(void **state)
{
	struct inode *inode = make_resident("part");
	struct shed_result result;

	(void)state;
	assert_int_equal(shed_evict(&fs, inode, 1, false, &result), 0);
	assert_int_equal(result.freed, GRANULE);
	assert_int_equal(granule_resident(inode, 0), 0);
	assert_int_equal(granule_resident(inode, 1), GRANULE);
	assert_int_equal(shed_evict(&fs, inode, GRANULE + 1, false, &result), 0);
	assert_int_equal(result.freed, 2 * GRANULE);
	assert_int_equal(granule_resident(inode, 2), 0);
	assert_int_equal(granule_resident(inode, 3), GRANULE);
	drop(inode);
}

static void locked_beginning_is_passed_over(void **state)
{
	struct inode *inode = make_resident("locked");
	const struct mmapfs_range range = { 0, GRANULE };
	struct shed_result result;

	(void)state;
	assert_int_equal(region_lock(&fs, inode, range), 0);
	assert_int_equal(shed_evict(&fs, inode, GRANULE, false, &result), 0);
	assert_int_equal(result.freed, GRANULE);
	assert_int_equal(granule_resident(inode, 0), GRANULE);
	assert_int_equal(granule_resident(inode, 1), 0);
	assert_int_equal(granule_resident(inode, 2), GRANULE);
	assert_int_equal(region_unlock(&fs, inode, range), 0);
	drop(inode);
}

static void mapped_pages_stay_and_are_counted(void **state)
{
	struct inode *inode = make_file("mapped", GRANULES * SHED_GRANULE_PAGES);
	void *held = hold_pages("mapped", GRANULES * SHED_GRANULE_PAGES);
	struct shed_result result;

	(void)state;
	assert_int_equal(shed_evict(&fs, inode, GRANULE, false, &result), 0);
	assert_int_equal(result.freed, 0);
	assert_true(result.stayed >= GRANULE);
	assert_int_equal(look_at(inode).resident, GRANULES * GRANULE);
	release_pages(held, GRANULES * SHED_GRANULE_PAGES);
	drop(inode);
}

static void views_of_the_mount_itself_do_not_hold_pages(void **state)
{
	struct inode *inode = make_resident("view");
	struct shed_result result;
	struct view *view;
	char sum = 0;

	(void)state;
	assert_int_equal(view_get(&fs, inode, &view), 0);
	for (uint64_t at = 0; at < view_length(view); at += PAGE)
		sum = (char)(sum + view_addr(view)[at]);
	(void)sum;
	assert_int_equal(shed_evict(&fs, inode, GRANULES * GRANULE, false, &result), 0);
	assert_int_equal(result.freed, GRANULES * GRANULE);
	view_put(view);
	drop(inode);
}

static void sparse_file_gives_what_it_has(void **state)
{
	struct inode *inode = make_file("sparse", 1);
	struct shed_result result;

	(void)state;
	assert_int_equal(truncate(scratch_path("sparse"), (off_t)1 << 40), 0);
	release_pages(hold_pages("sparse", 1), 1);
	assert_int_equal(shed_evict(&fs, inode, 1, false, &result), 0);
	assert_int_equal(result.stayed, 0);
	assert_int_equal(granule_resident(inode, 0), 0);
	drop(inode);
}

static void end_of_the_mount_stops_it(void **state)
{
	struct inode *inode = make_resident("stopping");
	struct shed_result result;

	(void)state;
	atomic_store(&fs.stopping, true);
	assert_int_equal(shed_evict(&fs, inode, GRANULE, false, &result), -EINTR);
	assert_int_equal(result.freed, 0);
	drop(inode);
}

/* ---- what was not written back ---- */

static void dirty_pages_go_only_after_a_sync(void **state)
{
	struct inode *inode = make_resident("dirty");
	struct shed_result result;
	char found[4] = "";
	int fd;

	(void)state;
	write_at("dirty", 5, "new");
	assert_int_equal(shed_evict(&fs, inode, GRANULE, true, &result), 0);
	assert_int_equal(granule_resident(inode, 0), 0);
	fd = open(scratch_path("dirty"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, found, 3, 5), 3);
	assert_string_equal(found, "new");
	close(fd);
	drop(inode);
}

static void file_that_cannot_be_written_back_stays(void **state)
{
	struct inode *inode = make_resident("broken");
	struct shed_result result;

	(void)state;
	write_at("broken", 5, "new");
	fake_sys_install();
	fake_sys_script("fdatasync", 0, 1, -EIO);
	assert_int_equal(shed_evict(&fs, inode, GRANULE, true, &result), -EIO);
	assert_int_equal(fake_sys_calls("fadvise"), 0);
	fake_sys_remove();
	assert_int_equal(result.freed, 0);
	assert_int_equal(granule_resident(inode, 0), GRANULE);
	assert_int_equal(region_sync_seen(inode), 1);
	drop(inode);
}

static void error_of_a_begun_sync_is_kept(void **state)
{
	struct inode *inode = make_resident("begun");

	(void)state;
	fake_sys_install();
	fake_sys_script("sync_file_range", 0, 1, -ENOSPC);
	shed_begin_sync(&fs, inode);
	fake_sys_remove();
	assert_int_equal(region_sync_seen(inode), 1);
	shed_begin_sync(&fs, inode);
	assert_int_equal(region_sync_seen(inode), 1);
	drop(inode);
}

#define on_files(test) cmocka_unit_test_setup_teardown(test, fs_setup, fs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_files(look_counts_bytes),
		on_files(look_sees_locks_and_dirt),
		on_files(empty_file_has_nothing),
		on_files(file_that_is_gone_is_estale),
		on_files(what_cannot_be_known_is_not_known),
		on_files(whole_file_goes),
		on_files(part_goes_from_the_beginning),
		on_files(locked_beginning_is_passed_over),
		on_files(mapped_pages_stay_and_are_counted),
		on_files(views_of_the_mount_itself_do_not_hold_pages),
		on_files(sparse_file_gives_what_it_has),
		on_files(end_of_the_mount_stops_it),
		on_files(dirty_pages_go_only_after_a_sync),
		on_files(file_that_cannot_be_written_back_stays),
		on_files(error_of_a_begun_sync_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
