/* SPDX-License-Identifier: MIT */
/* test-region.c - views follow the file, errors reach each once, locks are given back. */
#include "region.h"

#include <errno.h>
#include <pthread.h>

#include "fs-fixture.h"
#include "region_state.h"

#define THREADS 4

static void view_shows_the_file(void **state)
{
	struct inode *inode = make_file("shows", 3);
	struct view *view;

	(void)state;
	assert_int_equal(view_get(&fs, inode, &view), 0);
	assert_int_equal(view_length(view), 3 * PAGE);
	assert_int_equal((unsigned char)view_addr(view)[2 * PAGE], 2 * PAGE % 251);
	view_put(view);
	drop(inode);
}

static void view_of_unchanged_file_is_shared(void **state)
{
	struct inode *inode = make_file("shared", 1);
	struct view *one, *two;

	(void)state;
	assert_int_equal(view_get(&fs, inode, &one), 0);
	assert_int_equal(view_get(&fs, inode, &two), 0);
	assert_ptr_equal(one, two);
	view_put(one);
	view_put(two);
	drop(inode);
}

static void view_follows_growth_while_the_old_stays_valid(void **state)
{
	struct inode *inode = make_file("grows", 1);
	struct view *before, *after;

	(void)state;
	assert_int_equal(view_get(&fs, inode, &before), 0);
	scratch_file("grows", 2 * PAGE + 7);
	assert_int_equal(view_get(&fs, inode, &after), 0);
	assert_true(before != after);
	assert_int_equal(view_length(after), 2 * PAGE + 7);
	assert_int_equal((unsigned char)view_addr(after)[2 * PAGE + 6],
			 (2 * PAGE + 6) % 251);
	assert_int_equal(view_length(before), PAGE);
	assert_int_equal(view_addr(before)[5], 5);
	view_put(before);
	view_put(after);
	drop(inode);
}

static void view_follows_a_truncation(void **state)
{
	struct inode *inode = make_file("shrinks", 4);
	struct view *before, *after;

	(void)state;
	assert_int_equal(view_get(&fs, inode, &before), 0);
	assert_int_equal(truncate(scratch_path("shrinks"), 10), 0);
	assert_int_equal(view_get(&fs, inode, &after), 0);
	assert_int_equal(view_length(after), 10);
	assert_int_equal(view_length(before), 4 * PAGE);
	view_put(after);
	view_put(before);
	drop(inode);
}

static void view_of_empty_file_is_enodata(void **state)
{
	struct inode *inode = make_file("empty", 0);
	struct view *view = NULL;

	(void)state;
	assert_int_equal(view_get(&fs, inode, &view), -ENODATA);
	assert_null(view);
	scratch_file("empty", 1);
	assert_int_equal(view_get(&fs, inode, &view), 0);
	assert_int_equal(view_length(view), 1);
	view_put(view);
	assert_int_equal(truncate(scratch_path("empty"), 0), 0);
	assert_int_equal(view_get(&fs, inode, &view), -ENODATA);
	assert_null(view_peek(inode));
	drop(inode);
}

static void forgotten_view_goes_with_its_last_reader(void **state)
{
	struct inode *inode = make_file("forgotten", 1);
	struct view *view;

	(void)state;
	view_forget(inode); /* nothing yet */
	assert_int_equal(view_get(&fs, inode, &view), 0);
	view_forget(inode);
	assert_null(view_peek(inode));
	assert_int_equal(view_addr(view)[3], 3);
	view_put(view);
	drop(inode);
}

static atomic_bool growing_done;

static void *get_views(void *arg)
{
	struct inode *inode = arg;
	struct view *view;

	while (!atomic_load(&growing_done)) {
		if (view_get(&fs, inode, &view) < 0)
			return inode;
		if (view_addr(view)[view_length(view) - 1] !=
		    (char)((view_length(view) - 1) % 251))
			return inode;
		view_put(view);
	}
	return NULL;
}

static void grow(const char *name, uint64_t from, uint64_t to)
{
	int fd = open(scratch_path(name), O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	for (uint64_t i = from; i < to; i++) {
		char byte = (char)(i % 251);

		assert_int_equal(write(fd, &byte, 1), 1);
	}
	close(fd);
}

static void views_are_safe_from_many_threads_while_the_file_grows(void **state)
{
	struct inode *inode = make_file("threads", 1);
	pthread_t threads[THREADS];
	void *failed;

	(void)state;
	atomic_store(&growing_done, false);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_views, inode), 0);
	grow("threads", PAGE, PAGE + 2000);
	atomic_store(&growing_done, true);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	drop(inode);
}

static void *get_region(void *arg)
{
	return region_of(arg);
}

static void all_threads_get_the_same_region(void **state)
{
	struct inode *inode = make_file("one-region", 1);
	pthread_t threads[THREADS];
	void *region;

	(void)state;
	assert_null(region_peek(inode));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_region, inode), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &region);
		assert_non_null(region);
		assert_ptr_equal(region, region_of(inode));
	}
	drop(inode);
}

static void write_error_reaches_each_open_handle_once(void **state)
{
	struct inode *inode = make_file("errors", 1);
	uint32_t early = region_sync_seen(inode), other = early, late;

	(void)state;
	assert_int_equal(region_sync_report(inode, &early), 0);
	region_sync_failed(inode, -EIO);
	late = region_sync_seen(inode);
	assert_int_equal(region_sync_report(inode, &early), -EIO);
	assert_int_equal(region_sync_report(inode, &early), 0);
	assert_int_equal(region_sync_report(inode, &late), 0);
	region_sync_failed(inode, -ENOSPC);
	assert_int_equal(region_sync_report(inode, &late), -ENOSPC);
	assert_int_equal(region_sync_report(inode, &other), -ENOSPC);
	assert_int_equal(region_sync_report(inode, &other), 0);
	drop(inode);
}

static const struct mmapfs_range whole;

static void lock_holds_the_inode_until_all_is_unlocked(void **state)
{
	struct inode *inode = make_file("held", 4);
	const struct mmapfs_range first = { 0, PAGE };
	uint64_t count = inode_count(fs.inodes);

	(void)state;
	assert_int_equal(region_lock(&fs, inode, whole), 0);
	assert_int_equal(region_lock(&fs, inode, whole), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4 * PAGE);
	drop(inode); /* as a forget of the kernel does */
	assert_int_equal(inode_count(fs.inodes), count);
	assert_int_equal(region_locked(inode, PAGE, UINT64_MAX), 3 * PAGE);

	inode_ref(fs.inodes, inode);
	assert_int_equal(region_unlock(&fs, inode, first), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 3 * PAGE);
	assert_int_equal(region_unlock(&fs, inode, whole), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	drop(inode);
	assert_int_equal(inode_count(fs.inodes), count - 1);
}

static void lock_of_a_removed_file_ends_with_its_last_user(void **state)
{
	struct inode *inode = make_file("removed", 4);
	uint64_t count = inode_count(fs.inodes);

	(void)state;
	assert_int_equal(region_lock(&fs, inode, whole), 0);
	inode_ref(fs.inodes, inode); /* as of an open file */
	assert_int_equal(unlink(scratch_path("removed")), 0);
	drop(inode);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4 * PAGE);
	drop(inode);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	assert_int_equal(inode_count(fs.inodes), count - 1);
}

/* Here nobody asks for it any more, which would end it: neither forgotten nor looked for. */
static void lock_of_a_file_that_was_removed_unseen_ends(void **state)
{
	struct inode *known = make_file("known", 4), *forgotten = make_file("forgotten", 4);
	uint64_t count = inode_count(fs.inodes);

	(void)state;
	assert_int_equal(region_lock(&fs, known, whole), 0);
	assert_int_equal(region_lock(&fs, forgotten, whole), 0);
	drop(forgotten);
	pinned_look(&fs);
	assert_int_equal(atomic_load(&fs.locked_bytes), 8 * PAGE);
	assert_int_equal(unlink(scratch_path("known")), 0);
	assert_int_equal(unlink(scratch_path("forgotten")), 0);
	known->opens = 1;
	pinned_look(&fs);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4 * PAGE);
	assert_int_equal(inode_count(fs.inodes), count - 1);
	known->opens = 0;
	pinned_look(&fs);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	drop(known);
	assert_int_equal(inode_count(fs.inodes), count - 2);
}

static void lock_follows_a_file_that_grew_and_shrank(void **state)
{
	struct inode *inode = make_file("lock-size", 2);

	(void)state;
	assert_int_equal(region_lock(&fs, inode, whole), 0);
	grow("lock-size", 2 * PAGE, 3 * PAGE);
	assert_int_equal(region_lock(&fs, inode, whole), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 3 * PAGE);
	assert_int_equal(truncate(scratch_path("lock-size"), (off_t)PAGE), 0);
	assert_int_equal(region_lock(&fs, inode, whole), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), PAGE);
	assert_int_equal(region_unlock(&fs, inode, whole), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	drop(inode);
}

static void lock_over_the_mount_limit_returns_enomem_and_changes_nothing(void **state)
{
	struct inode *one = make_file("limit-one", 4), *two = make_file("limit-two", 4);
	const struct mmapfs_range two_pages = { PAGE, 2 * PAGE };
	uint64_t before = fs.lock_limit;

	(void)state;
	fs.lock_limit = 6 * PAGE;
	assert_int_equal(region_lock(&fs, one, whole), 0);
	assert_int_equal(region_lock(&fs, two, whole), -ENOMEM);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4 * PAGE);
	assert_int_equal(region_locked(two, 0, UINT64_MAX), 0);
	assert_int_equal(region_lock(&fs, two, two_pages), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 6 * PAGE);
	fs.lock_limit = before;
	assert_int_equal(region_unlock(&fs, one, whole), 0);
	drop(one);
	drop(two); /* stays locked: fs_teardown checks that the table gives it back */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view_shows_the_file),
		cmocka_unit_test(view_of_unchanged_file_is_shared),
		cmocka_unit_test(view_follows_growth_while_the_old_stays_valid),
		cmocka_unit_test(view_follows_a_truncation),
		cmocka_unit_test(view_of_empty_file_is_enodata),
		cmocka_unit_test(forgotten_view_goes_with_its_last_reader),
		cmocka_unit_test(views_are_safe_from_many_threads_while_the_file_grows),
		cmocka_unit_test(all_threads_get_the_same_region),
		cmocka_unit_test(write_error_reaches_each_open_handle_once),
		cmocka_unit_test(lock_holds_the_inode_until_all_is_unlocked),
		cmocka_unit_test(lock_of_a_removed_file_ends_with_its_last_user),
		cmocka_unit_test(lock_of_a_file_that_was_removed_unseen_ends),
		cmocka_unit_test(lock_follows_a_file_that_grew_and_shrank),
		cmocka_unit_test(
			lock_over_the_mount_limit_returns_enomem_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, fs_setup, fs_teardown) +
	       cmocka_run_group_tests(tests, fs_setup_no_handles, fs_teardown);
}
