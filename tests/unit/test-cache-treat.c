/* SPDX-License-Identifier: MIT */
/*
 * test-cache-treat.c - files are locked, warmed and let go as a policy says, without a mount:
 * handlers are played by the test, and the kernel refuses what it is told to.
 */
#include "cache_treat.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>

#include "cache_policy.h"
#include "ctl.h"
#include "fake-sys.h"
#include "fs-fixture.h"
#include "region_state.h"

static struct options options;
static struct policy_keeper *keeper;

/* ---- what the tests share ---- */

static int setup(void **state)
{
	memset(&options, 0, sizeof(options));
	options.mountpoint = (char *)"/nowhere";
	if (fs_setup(state))
		return -1;
	fs.options = &options;
	return 0;
}

static int teardown(void **state)
{
	atomic_store(&fs.stopping, true);
	treat_stop(keeper);
	keeper = treat_close(keeper);
	free(options.policy);
	return fs_teardown(state);
}

static void set_policy(const char *text)
{
	FILE *file = fopen(scratch_path(".policy"), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	free(options.policy);
	options.policy = strdup(scratch_path(".policy"));
}

static struct treat_figures settled(void)
{
	const struct timespec pause = { 0, 1000000 };
	struct treat_figures figures;

	for (int i = 0; i < 30000; i++) {
		treat_figures(keeper, &figures);
		if (!figures.busy)
			return figures;
		nanosleep(&pause, NULL);
	}
	fail_msg("the policy does not come to rest");
	return figures;
}

static void start(const char *text)
{
	set_policy(text);
	assert_int_equal(treat_open(&fs, &keeper), 0);
	assert_non_null(keeper);
	treat_start(keeper);
	(void)settled();
}

static void set_limits(uint64_t pages)
{
	fs.lock_limit = pages * PAGE;
}

/* As a handler tells it: @name in the scratch directory was looked up, or made. */
static struct inode *look_up(const char *name)
{
	struct inode *inode = inode_of(name);
	struct stat st;

	assert_int_equal(stat(scratch_path(name), &st), 0);
	treat_named(keeper, inode_root(fs.inodes), name, inode, &st);
	return inode;
}

static uint64_t locked_pages(struct inode *inode)
{
	return region_locked(inode, 0, UINT64_MAX) / PAGE;
}

static void assert_count(struct treat_count is, uint64_t files, uint64_t pages)
{
	assert_int_equal(is.files, files);
	assert_int_equal(is.bytes, pages * PAGE);
}

/* ---- locks ---- */

static void what_is_there_is_locked_and_given_back_at_the_end(void **state)
{
	struct inode *inode = make_file("a.x", 3);

	(void)state;
	drop(make_file("b.y", 2));
	drop(make_file("empty.x", 0));
	start("[*.x]\nlock = yes\n");
	assert_count(settled().locked, 1, 3);
	assert_int_equal(locked_pages(inode), 3);
	assert_int_equal(atomic_load(&fs.locked_bytes), 3 * PAGE);
	drop(inode);
	/* The pin holds it, and all goes with the fixture. */
	assert_count(settled().locked, 1, 3);
}

static void a_lock_that_the_kernel_refuses_is_counted(void **state)
{
	struct inode *inode = make_file("a.x", 3);

	(void)state;
	fake_sys_install();
	fake_sys_script("mlock2", 0, 0, -ENOMEM);
	start("[*.x]\nlock = yes\n");
	assert_count(settled().refused, 1, 3);
	assert_count(settled().locked, 0, 0);
	assert_int_equal(settled().failed, 0);
	assert_int_equal(locked_pages(inode), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	fake_sys_remove();
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().refused, 0, 0);
	assert_count(settled().locked, 1, 3);
	drop(inode);
}

static void a_file_that_cannot_be_read_is_not_locked_and_told(void **state)
{
	struct inode *inode = make_file("a.x", 3);

	(void)state;
	drop(make_file("b.x", 2));
	fake_sys_install();
	fake_sys_script("mlock2", 0, 1, -EIO);
	start("[*.x]\nlock = yes\n");
	assert_int_equal(settled().failed, 1);
	assert_int_equal(settled().error, -EIO);
	assert_int_equal(settled().locked.files, 1);
	assert_count(settled().refused, 0, 0);
	fake_sys_remove();
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 2, 5);
	assert_int_equal(settled().failed, 0);
	drop(inode);
}

static void what_does_not_fit_is_left_out_and_what_fits_is_not(void **state)
{
	(void)state;
	drop(make_file("large.x", 20));
	drop(make_file("a.x", 4));
	drop(make_file("b.x", 4));
	set_limits(9);
	start("[*.x]\nlock = yes\n");
	assert_count(settled().locked, 2, 8);
	assert_count(settled().refused, 1, 20);
	assert_int_equal(atomic_load(&fs.locked_bytes), 8 * PAGE);
}

static void a_pin_that_has_grown_too_large_keeps_what_it_has(void **state)
{
	struct inode *inode = make_file("a.x", 4);

	(void)state;
	set_limits(6);
	start("[*.x]\nlock = yes\n");
	assert_int_equal(truncate(scratch_path("a.x"), (off_t)(10 * PAGE)), 0);
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 1, 4);
	assert_count(settled().refused, 1, 6);
	assert_int_equal(truncate(scratch_path("a.x"), (off_t)(6 * PAGE)), 0);
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 1, 6);
	assert_count(settled().refused, 0, 0);
	assert_int_equal(truncate(scratch_path("a.x"), (off_t)(2 * PAGE)), 0);
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 1, 2);
	assert_int_equal(atomic_load(&fs.locked_bytes), 2 * PAGE);
	assert_int_equal(truncate(scratch_path("a.x"), 0), 0);
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 0, 0);
	drop(inode);
}

static void a_new_policy_takes_locks_away_and_gives_others(void **state)
{
	struct inode *a = make_file("a.x", 2), *b = make_file("b.y", 3);

	(void)state;
	start("[*.x]\nlock = yes\n");
	assert_int_equal(locked_pages(a), 2);
	set_policy("[*.y]\nlock = yes\n");
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 1, 3);
	assert_int_equal(locked_pages(a), 0);
	assert_int_equal(locked_pages(b), 3);
	set_policy("[*.y]\nlock = 1\n");
	assert_int_equal(treat_reload(keeper), -EINVAL);
	assert_int_equal(settled().reload_errors, 1);
	assert_int_equal(locked_pages(b), 3);
	set_policy("");
	assert_int_equal(treat_reload(keeper), 0);
	assert_count(settled().locked, 0, 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	drop(a);
	drop(b);
}

/* ---- names and closes ---- */

static void a_name_that_appears_is_treated_by_it(void **state)
{
	struct inode *inode;

	(void)state;
	start("[*.x]\nlock = yes\npriority = 70\n[*.y]\nnever = evict\n");
	drop(make_file("new.x", 2));
	inode = look_up("new.x");
	assert_true(inode_treatment(inode).lock);
	assert_int_equal(inode_treatment(inode).priority, 70);
	assert_count(settled().locked, 1, 2);
	drop(inode);
	drop(make_file("new.y", 2));
	inode = look_up("new.y");
	assert_int_equal(inode_treatment(inode).never, NEVER_EVICT);
	assert_count(settled().locked, 1, 2);
	drop(inode);
}

static void an_old_file_that_is_looked_up_is_left_to_the_walks(void **state)
{
	const struct timespec later = { 1, 500000000 };
	struct treat_figures figures;
	struct inode *inode;

	(void)state;
	drop(make_file("a.x", 2));
	nanosleep(&later, NULL);
	set_policy("[*.x]\nlock = yes\n");
	assert_int_equal(treat_open(&fs, &keeper), 0);
	inode = look_up("a.x");
	assert_true(inode_treatment(inode).lock);
	treat_figures(keeper, &figures);
	assert_true(figures.busy); /* a walk waits for the start */
	assert_int_equal(figures.queued, 0);
	drop(inode);
}

static void a_file_is_locked_when_its_last_writer_closes(void **state)
{
	struct inode *inode;

	(void)state;
	start("[*.x]\nlock = yes\nwarm = yes\n");
	drop(make_file("new.x", 0));
	inode = look_up("new.x");
	assert_count(settled().locked, 0, 0);
	(void)scratch_file("new.x", 5 * PAGE);
	atomic_store(&inode->writers, 1);
	treat_closed(keeper, inode, true);
	assert_count(settled().locked, 0, 0);
	atomic_store(&inode->writers, 0);
	treat_closed(keeper, inode, false); /* a reader */
	assert_count(settled().locked, 0, 0);
	assert_int_equal(settled().warmed.files, 0);
	treat_closed(keeper, inode, true);
	assert_count(settled().locked, 1, 5);
	assert_int_equal(settled().warmed.files, 1);
	/* Warmed when it was new, not with each writer. */
	treat_closed(keeper, inode, true);
	assert_int_equal(settled().warmed.files, 1);
	drop(inode);
}

static void a_moved_file_is_treated_by_its_new_name(void **state)
{
	struct inode *inode = make_file("a.y", 2);
	char old[512];
	struct stat st;

	(void)state;
	start("[*.x]\nlock = yes\nwarm = yes\n");
	(void)snprintf(old, sizeof(old), "%s", scratch_path("a.y"));
	assert_int_equal(rename(old, scratch_path("a.x")), 0);
	assert_int_equal(stat(scratch_path("a.x"), &st), 0);
	st.st_ctim.tv_sec = 0; /* as where a move leaves it alone */
	treat_moved(keeper, inode_root(fs.inodes), "a.x", inode, &st);
	assert_count(settled().locked, 1, 2);
	assert_int_equal(settled().warmed.files, 1);
	treat_moved(keeper, inode_root(fs.inodes), "a.y", inode, &st);
	assert_count(settled().locked, 0, 0);
	drop(inode);
}

static void a_pin_without_a_name_is_let_go(void **state)
{
	struct inode *inode = make_file("a.x", 2);

	(void)state;
	start("[*.x]\nlock = yes\n");
	assert_int_equal(locked_pages(inode), 2);
	assert_int_equal(unlink(scratch_path("a.x")), 0);
	treat_removed(keeper);
	for (int i = 0; i < 3000 && settled().locked.files; i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	assert_count(settled().locked, 0, 0);
	assert_int_equal(locked_pages(inode), 0);
	drop(inode);
}

static void what_was_locked_by_hand_is_left_alone(void **state)
{
	const struct mmapfs_range first = { 0, 1 };
	struct inode *inode = make_file("a.x", 4);

	(void)state;
	assert_int_equal(region_lock(&fs, inode, first), 0);
	atomic_fetch_or(&inode->marks, INODE_BY_HAND);
	start("[*.x]\nlock = yes\n");
	assert_int_equal(locked_pages(inode), 1);
	set_policy("");
	assert_int_equal(treat_reload(keeper), 0);
	(void)settled();
	assert_int_equal(locked_pages(inode), 1);
	assert_int_equal(region_unlock(&fs, inode, first), 0);
	drop(inode);
}

static void pages_that_are_never_to_be_cached_go_with_the_last_close(void **state)
{
	struct mmapfs_residency found = MMAPFS_INIT(found);
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs_map *map;
	struct inode *inode;

	(void)state;
	drop(make_file("a.log", 8));
	start("[*.log]\nnever = cache\n");
	inode = look_up("a.log");
	atomic_store(&inode->data_path, DATA_PATH_PASSTHROUGH);
	treat_closed(keeper, inode, false);
	assert_int_equal(settled().dropped, 0);
	atomic_store(&inode->data_path, DATA_PATH_UNDECIDED);
	treat_closed(keeper, inode, false);
	assert_int_equal(settled().dropped, 1);
	assert_int_equal(region_open_map(&fs, inode, MMAPFS_ACCESS_READ, &map), 0);
	assert_int_equal(mmapfs_residency(map, whole, 0, &found), 0);
	assert_int_equal(found.occupied, 0);
	mmapfs_map_close(map);
	drop(inode);
}

static void advice_of_the_policy_gives_way_to_that_of_the_hand(void **state)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct inode *inode;

	(void)state;
	drop(make_file("a.x", 1));
	start("[*.x]\nadvice = random\n");
	inode = look_up("a.x");
	assert_int_equal(region_advice(inode), MMAPFS_ADVICE_RANDOM);
	assert_int_equal(region_remember_advice(inode, whole, MMAPFS_ADVICE_NORMAL), 0);
	assert_int_equal(region_advice(inode), MMAPFS_ADVICE_NORMAL);
	drop(inode);
}

/* ---- the file, the text ---- */

static void a_policy_that_cannot_be_read_is_an_error(void **state)
{
	(void)state;
	options.policy = strdup(scratch_path("none"));
	assert_int_equal(treat_open(&fs, &keeper), -ENOENT);
	assert_null(keeper);
	free(options.policy);
	options.policy = strdup(scratch_dir);
	assert_int_equal(treat_open(&fs, &keeper), -EISDIR);
	free(options.policy);
	options.policy = NULL;
	assert_int_equal(treat_open(&fs, &keeper), 0);
	assert_null(keeper);
}

static void without_a_policy_everything_is_allowed_and_does_nothing(void **state)
{
	struct inode *inode = make_file("a", 1);
	struct ctl_text text = { 0 };
	struct stat st = { 0 };

	(void)state;
	treat_start(NULL);
	treat_named(NULL, inode_root(fs.inodes), "a", inode, &st);
	treat_moved(NULL, inode_root(fs.inodes), "a", inode, &st);
	treat_removed(NULL);
	treat_closed(NULL, inode, true);
	assert_false(treat_reload_soon(NULL));
	assert_int_equal(treat_reload(NULL), -EOPNOTSUPP);
	assert_int_equal(treat_print(NULL, &text), 0);
	assert_int_equal(text.length, strlen("state=none\n"));
	ctl_text_free(&text);
	treat_stop(NULL);
	assert_null(treat_close(NULL));
	drop(inode);
}

static void the_text_fits_into_its_limits(void **state)
{
	static char many[200000];
	struct ctl_text text = { 0 };
	size_t length = 0;

	(void)state;
	for (int i = 0; i < 4000; i++)
		length += (size_t)sprintf(many + length, "[file-%d.*]\nlock = yes\n", i);
	start(many);
	assert_int_equal(treat_print(keeper, &text), 0);
	assert_true(text.length > TREAT_TEXT_MAX / 2);
	assert_true(text.length <= TREAT_TEXT_MAX);
	assert_memory_equal(text.data + text.length - 6, " more\n", 6);
	ctl_text_free(&text);
	text.limit = 2048;
	assert_int_equal(treat_print(keeper, &text), 0);
	assert_true(text.length <= 2048);
	ctl_text_free(&text);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_there_is_locked_and_given_back_at_the_end),
		CASE(a_lock_that_the_kernel_refuses_is_counted),
		CASE(a_file_that_cannot_be_read_is_not_locked_and_told),
		CASE(what_does_not_fit_is_left_out_and_what_fits_is_not),
		CASE(a_pin_that_has_grown_too_large_keeps_what_it_has),
		CASE(a_new_policy_takes_locks_away_and_gives_others),
		CASE(a_name_that_appears_is_treated_by_it),
		CASE(an_old_file_that_is_looked_up_is_left_to_the_walks),
		CASE(a_file_is_locked_when_its_last_writer_closes),
		CASE(a_moved_file_is_treated_by_its_new_name),
		CASE(a_pin_without_a_name_is_let_go),
		CASE(what_was_locked_by_hand_is_left_alone),
		CASE(pages_that_are_never_to_be_cached_go_with_the_last_close),
		CASE(advice_of_the_policy_gives_way_to_that_of_the_hand),
		CASE(a_policy_that_cannot_be_read_is_an_error),
		CASE(without_a_policy_everything_is_allowed_and_does_nothing),
		CASE(the_text_fits_into_its_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
