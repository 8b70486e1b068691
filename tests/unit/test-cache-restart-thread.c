/* SPDX-License-Identifier: MIT */
/* test-cache-restart-thread.c - when it restores and saves: with the mount, at intervals,
 * and on request. */
#include "restart-help.h"

#include <errno.h>
#include <sys/file.h>

static void at_the_start_it_restores_and_at_the_end_it_saves(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	reopen();
	restart_start(restart);
	await("restore", "done");
	assert_resident("d/c", some[2].pages);
	await("state", "idle");
	hold(&some[0]);
	evict("d/c");
	evict("d/e/f g");
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	restart = restart_close(restart);
	atomic_store(&fs.stopping, false);
	release(&some[0]);
	evict("a");
	open_restart();
	restart_restore(restart);
	assert_resident("a", some[0].pages);
	assert_resident("d/c", ".............");
}

static void a_mount_that_never_came_up_saves_nothing(void **state)
{
	(void)state;
	open_restart();
	make_save_evict();
	assert_int_equal(unlink(snap), 0);
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	restart = restart_close(restart);
	assert_int_equal(access(snap, F_OK), -1);
}

static void it_saves_on_request_and_at_intervals(void **state)
{
	(void)state;
	open_restart();
	restart_start(restart);
	await("state", "idle");
	make_some();
	assert_int_equal(control("save"), 0);
	await("save", "done");
	await("state", "idle");
	assert_int_equal(unlink(snap), 0);
	assert_int_equal(control("interval 1"), 0);
	assert_attribute("interval", "1");
	while (access(snap, F_OK) < 0)
		(void)usleep(1000);
	assert_int_equal(control("interval 0"), 0);
	let_go(some, ARRAY_SIZE(some));
}

static void until_the_mount_is_up_a_restore_is_queued(void **state)
{
	(void)state;
	open_restart();
	assert_attribute("state", "queued");
	assert_int_equal(control("save"), -EBUSY);
	assert_int_equal(control("restore"), -EBUSY);
	restart_start(restart);
	await("state", "idle");
	assert_int_equal(control("save"), 0);
	await("save", "done");
}

/* Two pages a second, so that it certainly lasts. */
static void start_slowly(void)
{
	make_save_evict();
	reopen();
	atomic_store(&restart->rate, 2 * PAGE);
	restart_start(restart);
	await("state", "restoring");
}

static void a_restore_can_be_cancelled(void **state)
{
	(void)state;
	open_restart();
	start_slowly();
	assert_int_equal(control("save"), -EBUSY);
	assert_int_equal(control("restore"), -EBUSY);
	assert_int_equal(control("cancel"), 0);
	await("state", "idle");
	assert_attribute("restore", "cancelled");
	assert_true(restart->restored.done < restart->restored.total);
	/* Which was somebody's wish: what is resident at the end is saved. */
	assert_int_equal(control("cancel"), 0);
	assert_int_equal(control("rate 0"), 0);
	assert_int_equal(control("restore"), 0);
	await("restore", "done");
	assert_int_equal(restart->restored.done, restart->restored.total);
}

/* Or the half that was not read in yet would be forgotten. */
static void a_mount_that_ends_while_it_restores_keeps_the_snapshot(void **state)
{
	size_t before, after;
	char *old, *now;

	(void)state;
	open_restart();
	start_slowly();
	old = contents(snap, &before);
	atomic_store(&fs.stopping, true);
	restart_stop(restart);
	assert_attribute("restore", "cancelled");
	restart = restart_close(restart);
	now = contents(snap, &after);
	assert_int_equal(before, after);
	assert_memory_equal(old, now, before);
	free(old);
	free(now);
}

static void the_rate_is_kept_over_small_files(void **state)
{
	struct timespec begin, end;
	int64_t ms;

	(void)state;
	open_restart();
	make_save_evict();
	atomic_store(&restart->rate, 20 * PAGE);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	restart_restore(restart);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	assert_attribute("restore", "done");
	assert_true(ms >= 490); /* ten pages */
}

static void a_save_waits_for_nobody_but_a_restore_does(void **state)
{
	char lock[400];
	int fd;

	(void)state;
	open_restart();
	make_save_evict();
	reopen();
	(void)snprintf(lock, sizeof(lock), "%s.lock", snap);
	fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	restart_start(restart);
	await("state", "waiting");
	close(fd);
	await("restore", "done");
}

static void bad_words_are_refused(void **state)
{
	static const char *const bad[] = { "", "saves", "save now", "interval", "interval -1",
					   "interval 1x", "interval 86401", "rate",
					   "rate fast", "rate 1 2", "cancel save" };

	(void)state;
	open_restart();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(control(bad[i]), -EINVAL);
	assert_int_equal(control("rate 1M"), 0);
	assert_attribute("rate", "1048576");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_the_start_it_restores_and_at_the_end_it_saves),
		TEST(a_mount_that_never_came_up_saves_nothing),
		TEST(it_saves_on_request_and_at_intervals),
		TEST(until_the_mount_is_up_a_restore_is_queued),
		TEST(a_restore_can_be_cancelled),
		TEST(a_mount_that_ends_while_it_restores_keeps_the_snapshot),
		TEST(the_rate_is_kept_over_small_files),
		TEST(a_save_waits_for_nobody_but_a_restore_does),
		TEST(bad_words_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
