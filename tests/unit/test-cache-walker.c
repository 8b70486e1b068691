/* SPDX-License-Identifier: MIT */
/* test-cache-walker.c - what is queued is served, what is missed is found, and all of it ends. */
#include "cache_walker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <time.h>

#include "base/cleanup.h"
#include "fs-fixture.h"
#include "ticker.h"

#define SEEN_MAX 8192
#define QUEUE_MAX 4096 /* as in the walker */

/* ---- what the walker did ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* protected by mutex */
static struct seen {
	char path[64]; /* its end, where it is longer */
	bool known;    /* it had one */
	bool all;
} seen[SEEN_MAX];
static unsigned int seen_count, queued_count, begun, ended, completed;

static sem_t gate, at_gate; /* of the first call that comes to it */
static atomic_bool gated;
static atomic_bool wanted;
static atomic_int again; /* how often `queued` says so */

static void pass_gate(void)
{
	if (!atomic_exchange(&gated, false))
		return;
	sem_post(&at_gate);
	sem_wait(&gate);
}

static uint64_t on_woken(void *ctx)
{
	(void)ctx;
	return TICKER_NEVER;
}

static bool on_is_wanted(void *ctx)
{
	(void)ctx;
	return atomic_load(&wanted);
}

static bool on_queued(void *ctx, struct inode *inode)
{
	(void)ctx;
	assert_true(S_ISREG(inode->type));
	pass_gate();
	SCOPE_LOCK(&mutex);
	queued_count++;
	return atomic_fetch_sub(&again, 1) > 0;
}

static void on_begin(void *ctx, bool all)
{
	(void)ctx;
	(void)all;
	SCOPE_LOCK(&mutex);
	begun++;
}

static void on_found(void *ctx, const struct walker_found *found)
{
	const char *path = found->path ? found->path : found->name;
	size_t length = strlen(path);
	struct seen *at;

	(void)ctx;
	pass_gate();
	SCOPE_LOCK(&mutex);
	assert_true(seen_count < SEEN_MAX);
	at = &seen[seen_count++];
	at->known = found->path != NULL;
	at->all = found->all;
	if (length >= sizeof(at->path))
		path += length - sizeof(at->path) + 1;
	(void)snprintf(at->path, sizeof(at->path), "%s", path);
}

static void on_end(void *ctx, bool complete)
{
	(void)ctx;
	SCOPE_LOCK(&mutex);
	ended++;
	completed += complete;
}

static const struct walker_ops ops = {
	.woken = on_woken,
	.is_wanted = on_is_wanted,
	.queued = on_queued,
	.begin = on_begin,
	.found = on_found,
	.end = on_end,
};

/* ---- what the tests share ---- */

static struct walker *walker;

static int setup(void **state)
{
	seen_count = queued_count = begun = ended = completed = 0;
	sem_init(&gate, 0, 0);
	sem_init(&at_gate, 0, 0);
	atomic_store(&gated, false);
	atomic_store(&wanted, false);
	atomic_store(&again, 0);
	return fs_setup(state);
}

static int teardown(void **state)
{
	atomic_store(&fs.stopping, true);
	walker_stop(walker);
	walker = walker_free(walker);
	if (inode_count(fs.inodes) != 1)
		return -1; /* it kept a reference */
	return fs_teardown(state);
}

static void new_walker(unsigned int interval)
{
	assert_int_equal(walker_new(&fs, &ops, NULL, INODE_TREAT, interval, &walker), 0);
}

static void start(unsigned int interval)
{
	new_walker(interval);
	assert_int_equal(walker_start(walker), 0);
}

static unsigned int read_count(const unsigned int *count)
{
	SCOPE_LOCK(&mutex);

	return *count;
}

static void wait_for(const unsigned int *count, unsigned int value)
{
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < 30000 && read_count(count) < value; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(read_count(count), value);
}

static void wait_until_idle(void)
{
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < 30000 && walker_figures(walker).busy; i++)
		nanosleep(&pause, NULL);
	assert_false(walker_figures(walker).busy);
}

/* How often a path came, and as what. */
static unsigned int times_seen(const char *path, bool all)
{
	unsigned int times = 0;
	SCOPE_LOCK(&mutex);

	for (unsigned int i = 0; i < seen_count; i++)
		times += strcmp(seen[i].path, path) == 0 && seen[i].all == all;
	return times;
}

static void make(const char *name)
{
	(void)scratch_file(name, 1);
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(scratch_path(name), 0755), 0);
}

static void queue(const char *name)
{
	struct inode *inode = inode_of(name);

	walker_queue(walker, inode);
	drop(inode);
}

/* ---- the queue ---- */

static void what_is_queued_is_served_also_from_before_the_start(void **state)
{
	(void)state;
	make("a");
	new_walker(0);
	queue("a");
	assert_int_equal(walker_figures(walker).queued, 1);
	assert_true(walker_figures(walker).busy);
	assert_int_equal(walker_start(walker), 0);
	wait_for(&queued_count, 1);
	queue("a");
	wait_for(&queued_count, 2);
	wait_until_idle();
	assert_int_equal(begun, 0);
}

static void a_file_that_waits_is_not_queued_again(void **state)
{
	struct inode *inode;

	(void)state;
	make("a");
	make("b");
	atomic_store(&gated, true);
	start(0);
	queue("a");
	sem_wait(&at_gate);
	inode = inode_of("b");
	for (int i = 0; i < 10; i++)
		walker_queue(walker, inode);
	assert_int_equal(walker_figures(walker).queued, 2); /* a is being served */
	/* But one that is being served is: something has happened to it since. */
	queue("a");
	assert_int_equal(walker_figures(walker).queued, 3);
	sem_post(&gate);
	wait_for(&queued_count, 3);
	wait_until_idle();
	assert_int_equal(atomic_load(&inode->marks), 0);
	drop(inode);
}

static void a_file_can_ask_for_another_turn(void **state)
{
	(void)state;
	make("a");
	atomic_store(&again, 1);
	start(0);
	queue("a");
	wait_for(&queued_count, 1);
	assert_true(walker_figures(walker).busy);
	wait_for(&queued_count, 2);
	wait_until_idle();
}

static void what_the_queue_has_no_room_for_is_found_by_a_walk(void **state)
{
	struct inode *inode;
	char name[16];

	(void)state;
	make("first");
	atomic_store(&gated, true);
	start(0);
	queue("first");
	sem_wait(&at_gate);
	for (unsigned int i = 0; i < QUEUE_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		make(name);
		inode = inode_of(name);
		walker_queue(walker, inode);
		drop(inode);
	}
	assert_int_equal(walker_figures(walker).queued, QUEUE_MAX);
	assert_int_equal(walker_figures(walker).overflows, 11);
	sem_post(&gate);
	wait_for(&ended, 1);
	wait_until_idle();
	assert_int_equal(queued_count, QUEUE_MAX);
	assert_int_equal(seen_count, QUEUE_MAX + 11);
	assert_int_equal(times_seen("f4105", false), 1);
	assert_int_equal(walker_figures(walker).files, QUEUE_MAX + 11);
	for (unsigned int i = 0; i < QUEUE_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(unlink(scratch_path(name)), 0);
	}
}

static void all_files_below_a_queued_directory_are_new(void **state)
{
	(void)state;
	make_dir("d");
	make_dir("d/e");
	make("top");
	make("d/a");
	make("d/e/b");
	start(0);
	queue("d");
	wait_for(&seen_count, 2);
	wait_until_idle();
	assert_int_equal(times_seen("d/a", true), 1);
	assert_int_equal(times_seen("d/e/b", true), 1);
	assert_int_equal(begun, 0);
	/* One that is not below the source any more is walked for nothing. */
	assert_int_equal(walker_figures(walker).overflows, 0);
}

/* ---- walks ---- */

static void a_walk_comes_upon_every_name_with_its_path(void **state)
{
	char from[512];

	(void)state;
	make_dir("x");
	make_dir("x/y");
	make("a");
	make("x/b");
	make("x/y/c");
	(void)snprintf(from, sizeof(from), "%s", scratch_path("a"));
	assert_int_equal(link(from, scratch_path("x/linked")), 0);
	start(0);
	walker_walk(walker);
	wait_for(&ended, 1);
	assert_int_equal(seen_count, 4);
	assert_int_equal(times_seen("a", true), 1);
	assert_int_equal(times_seen("x/b", true), 1);
	assert_int_equal(times_seen("x/y/c", true), 1);
	assert_int_equal(times_seen("x/linked", true), 1);
	assert_int_equal(completed, 1);
	wait_until_idle();
	assert_int_equal(walker_figures(walker).walks, 1);
	assert_int_equal(walker_figures(walker).files, 4);
	assert_int_equal(walker_figures(walker).error, 0);
}

static void a_path_beyond_the_limit_is_unknown(void **state)
{
	char part[201];
	int fds[32], depth = 0, fd = open(scratch_dir, O_PATH | O_DIRECTORY);

	(void)state;
	memset(part, 'd', 200);
	part[200] = 0;
	for (; depth < 25; depth++) {
		assert_int_equal(mkdirat(fd, part, 0755), 0);
		fds[depth] = fd;
		fd = openat(fd, part, O_PATH | O_DIRECTORY);
		assert_true(fd >= 0);
	}
	close(openat(fd, "deep", O_CREAT | O_WRONLY, 0644));
	make("shallow");
	start(0);
	walker_walk(walker);
	wait_for(&ended, 1);
	assert_int_equal(seen_count, 2);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(seen[i].known, strcmp(seen[i].path, "deep") != 0);
	/* nftw(3) would not get there. */
	assert_int_equal(unlinkat(fd, "deep", 0), 0);
	while (depth--) {
		close(fd);
		fd = fds[depth];
		assert_int_equal(unlinkat(fd, part, AT_REMOVEDIR), 0);
	}
	close(fd);
}

static void what_changed_since_the_last_walk_is_new(void **state)
{
	struct timespec later = { 1, 500000000 }; /* more than the slack of the clocks */
	struct stat st;

	(void)state;
	make("a");
	nanosleep(&later, NULL);
	start(0);
	assert_int_equal(stat(scratch_path("a"), &st), 0);
	assert_false(walker_is_new(walker, &st));
	assert_int_equal(chmod(scratch_path("a"), 0600), 0);
	assert_int_equal(stat(scratch_path("a"), &st), 0);
	assert_true(walker_is_new(walker, &st));
	nanosleep(&later, NULL);
	walker_walk(walker);
	wait_for(&ended, 1);
	wait_until_idle();
	assert_false(walker_is_new(walker, &st));
	assert_true(walker_new_since(walker) > st.st_ctim.tv_sec * INT64_C(1000000000));
}

static void a_walk_that_is_of_no_use_any_more_begins_anew(void **state)
{
	(void)state;
	make("a");
	make("b");
	atomic_store(&gated, true);
	start(0);
	walker_walk(walker);
	sem_wait(&at_gate);
	assert_false(walker_should_stop(walker));
	walker_walk(walker);
	assert_true(walker_should_stop(walker));
	sem_post(&gate);
	wait_for(&ended, 1);
	wait_until_idle();
	assert_int_equal(begun, 2);
	assert_int_equal(seen_count, 3);
	assert_false(walker_should_stop(walker));
}

static void the_queue_is_served_between_the_files_of_a_walk(void **state)
{
	(void)state;
	make("a");
	make("b");
	atomic_store(&gated, true);
	start(0);
	walker_walk(walker);
	sem_wait(&at_gate);
	queue("a");
	sem_post(&gate);
	wait_for(&ended, 1);
	wait_until_idle();
	assert_int_equal(queued_count, 1);
}

static void it_walks_by_itself_only_when_something_is_wanted(void **state)
{
	struct timespec pause = { 1, 300000000 };

	(void)state;
	start(1);
	walker_walk(walker);
	wait_for(&ended, 1);
	nanosleep(&pause, NULL);
	assert_int_equal(read_count(&ended), 1);
	atomic_store(&wanted, true);
	walker_wake(walker);
	wait_for(&ended, 2);
}

static void a_walk_that_fails_leaves_every_file_new(void **state)
{
	struct rlimit limit, low;
	struct stat st;
	int fd;

	(void)state;
	make("a");
	assert_int_equal(stat(scratch_path("a"), &st), 0);
	st.st_ctim.tv_sec -= 1000;
	start(0);
	fd = dup(0);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = (struct rlimit){ (rlim_t)fd, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	walker_walk(walker);
	wait_for(&begun, 1);
	wait_until_idle();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(walker_figures(walker).error, -EMFILE);
	assert_int_equal(ended, 0);
	assert_true(walker_is_new(walker, &st));
	walker_walk(walker);
	wait_for(&ended, 1);
	wait_until_idle();
	assert_int_equal(walker_figures(walker).error, 0);
	assert_false(walker_is_new(walker, &st));
}

static void the_end_of_the_mount_ends_a_walk(void **state)
{
	(void)state;
	make("a");
	make("b");
	atomic_store(&gated, true);
	start(0);
	walker_walk(walker);
	sem_wait(&at_gate);
	queue("a");
	atomic_store(&fs.stopping, true);
	assert_true(walker_should_stop(walker));
	sem_post(&gate);
	walker_stop(walker);
	assert_int_equal(seen_count, 1);
	assert_int_equal(queued_count, 0);
	assert_int_equal(ended, 0);
	/* All of this is still allowed, and does nothing. */
	queue("b");
	walker_walk(walker);
	walker_wake(walker);
	assert_int_equal(walker_figures(walker).queued, 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_queued_is_served_also_from_before_the_start),
		CASE(a_file_that_waits_is_not_queued_again),
		CASE(a_file_can_ask_for_another_turn),
		CASE(what_the_queue_has_no_room_for_is_found_by_a_walk),
		CASE(all_files_below_a_queued_directory_are_new),
		CASE(a_walk_comes_upon_every_name_with_its_path),
		CASE(a_path_beyond_the_limit_is_unknown),
		CASE(what_changed_since_the_last_walk_is_new),
		CASE(a_walk_that_is_of_no_use_any_more_begins_anew),
		CASE(the_queue_is_served_between_the_files_of_a_walk),
		CASE(it_walks_by_itself_only_when_something_is_wanted),
		CASE(a_walk_that_fails_leaves_every_file_new),
		CASE(the_end_of_the_mount_ends_a_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
