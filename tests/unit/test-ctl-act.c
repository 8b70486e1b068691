/* SPDX-License-Identifier: MIT */
/* test-ctl-act.c - what the control attributes of a file do: advise, sync, warm, evict, lock. */
#include "ctl-help.h"

static int mincore_gated(void *addr, size_t length, unsigned char *vec)
{
	sem_post(&gate_entered);
	sem_wait(&gate_open);
	sem_post(&gate_open); /* for all that follow */
	return mmapfs__sys_real.mincore(addr, length, vec);
}

static int fstat_failing(int fd, struct stat *st)
{
	(void)fd;
	(void)st;
	return -EIO;
}

/* ---- advise ---- */

static void state_advice_is_remembered(void **state)
{
	struct inode *inode = make_file("advised", 10);

	(void)state;
	assert_string_equal(get(inode, "advise"), "normal");
	assert_int_equal(set(inode, "advise", "MADV_RANDOM"), 0);
	assert_string_equal(get(inode, "advise"), "random");
	assert_int_equal(set(inode, "advise", "sequential 4K+8K"), 0);
	assert_string_equal(get(inode, "advise"), "random\nsequential 4K+8K");
	assert_int_equal(set(inode, "advise", "dontdump 4K+8K"), 0);
	assert_string_equal(get(inode, "advise"), "random\ndontdump 4K+8K");
	assert_int_equal(set(inode, "advise", "willneed"), 0);
	assert_int_equal(set(inode, "advise", "dontneed"), 0);
	assert_int_equal(set(inode, "advise", "populate-read 0+4K"), 0);
	assert_string_equal(get(inode, "advise"), "random\ndontdump 4K+8K");
	assert_has(get(inode, "stat"), "\nadvice=random\n");
	assert_int_equal(set(inode, "advise", "normal"), 0);
	assert_string_equal(get(inode, "advise"), "normal");
	drop(inode);
}

static void advice_for_parts_has_its_limit(void **state)
{
	struct inode *inode = make_file("parts", 40);
	char value[64];
	int r = 0, i;

	(void)state;
	for (i = 0; !r && i < 40; i++) {
		(void)snprintf(value, sizeof(value), "random %d", i * (int)PAGE);
		r = set(inode, "advise", value);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(i, 17);
	assert_true(strlen(get(inode, "advise")) <=
		    (size_t)ctl_get_bound(inode, full("advise")));
	drop(inode);
}

static void advice_reaches_the_view(void **state)
{
	struct inode *inode = make_file("advised-view", 4);
	struct view *view;
	volatile char sum = 0;

	(void)state;
	assert_int_equal(set(inode, "advise", "random"), 0);
	assert_int_equal(view_get(&fs, inode, &view), 0);
	for (uint64_t i = 0; i < 4; i++)
		sum += view_addr(view)[i * PAGE];
	(void)sum;
	assert_int_equal(set(inode, "advise", "sequential"), 0);
	assert_int_equal(set(inode, "advise", "dontneed"), 0);
	view_put(view);
	drop(inode);
}

/* ---- sync ---- */

static void sync_takes_each_level_and_a_range(void **state)
{
	struct inode *inode = make_file("synced", 4);

	(void)state;
	assert_int_equal(set(inode, "sync", "sync"), 0);
	assert_int_equal(set(inode, "sync", "async 4K+4K"), 0);
	assert_int_equal(set(inode, "sync", " invalidate  0- "), 0);
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_int_equal(set(inode, "sync", "invalidate"), -EBUSY);
	assert_int_equal(set(inode, "lock", "off"), 0);
	assert_int_equal(set(inode, "sync", "invalidate"), 0);
	drop(inode);
}

static void write_error_met_by_sync_reaches_handles_and_only_one_sync(void **state)
{
	struct inode *inode = make_file("lost", 4);
	uint32_t handle = region_sync_seen(inode);

	(void)state;
	fake_begin();
	fake.fdatasync = fdatasync_failing;
	atomic_store(&fake_error, -EIO);
	assert_int_equal(set(inode, "sync", "sync"), -EIO);
	assert_int_equal(set(inode, "sync", "sync"), 0);
	assert_int_equal(region_sync_report(inode, &handle), -EIO);
	assert_int_equal(region_sync_report(inode, &handle), 0);

	atomic_store(&fake_error, -ENOSPC);
	assert_int_equal(set(inode, "evict", "sync"), -ENOSPC);
	assert_int_equal(region_sync_report(inode, &handle), -ENOSPC);
	fake_end();
	drop(inode);
}

static void write_error_met_by_a_handle_reaches_sync_once(void **state)
{
	struct inode *inode = make_file("lost-too", 4);

	(void)state;
	region_sync_failed(inode, -ENOSPC);
	assert_int_equal(set(inode, "sync", "sync"), -ENOSPC);
	assert_int_equal(set(inode, "sync", "sync"), 0);
	drop(inode);
}

/* ---- warm ---- */

static void warm_reads_in_and_says_so(void **state)
{
	struct inode *inode = make_file("warmed", 10);
	void *held = hold_pages("warmed", 10);

	(void)state;
	assert_string_equal(get(inode, "warm"), "idle 0/0");
	assert_int_equal(set(inode, "warm", ""), 0);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "done 40960/40960");
	assert_int_equal(set(inode, "warm", "4K+8K"), 0);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "done 8192/8192");
	release_pages(held, 10);
	drop(inode);
}

static void second_warm_of_a_file_is_ebusy_and_a_full_queue_eagain(void **state)
{
	struct inode *one = make_file("queue-1", 1), *two = make_file("queue-2", 1);
	struct inode *three = make_file("queue-3", 1);

	(void)state;
	block_jobs();
	assert_int_equal(set(one, "warm", ""), 0);
	assert_string_equal(get(one, "warm"), "queued 0/0");
	assert_int_equal(set(one, "warm", ""), -EBUSY);
	assert_int_equal(set(two, "warm", ""), 0);
	assert_int_equal(set(three, "warm", ""), -EAGAIN);
	assert_string_equal(get(three, "warm"), "idle 0/0");
	sem_post(&gate_open);
	wait_until_at_rest(one, "warm");
	wait_until_at_rest(two, "warm");
	assert_int_equal(set(three, "warm", ""), 0);
	wait_until_at_rest(three, "warm");
	drop(one);
	drop(two);
	drop(three);
}

static void queued_warm_can_be_cancelled(void **state)
{
	struct inode *inode = make_file("cancel-queued", 4);

	(void)state;
	assert_int_equal(set(inode, "warm", "cancel"), 0); /* nothing to cancel */
	block_jobs();
	assert_int_equal(set(inode, "warm", ""), 0);
	assert_int_equal(set(inode, "warm", "cancel"), 0);
	sem_post(&gate_open);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "cancelled 0/0");
	drop(inode);
}

static void cancel_in_the_middle(struct inode *inode)
{
	sem_init(&gate_entered, 0, 0);
	sem_init(&gate_open, 0, 0);
	fake_begin();
	fake.mincore = mincore_gated;
	fake.cachestat = cachestat_forbidden;
	assert_int_equal(set(inode, "warm", ""), 0);
	sem_wait(&gate_entered);
	assert_int_equal(strncmp(get(inode, "warm"), "running ", 8), 0);
	assert_int_equal(set(inode, "warm", ""), -EBUSY);
	assert_int_equal(set(inode, "warm", "cancel"), 0);
	sem_post(&gate_open);
	wait_until_at_rest(inode, "warm");
	assert_int_equal(strncmp(answer, "cancelled ", 10), 0);
	fake_end();
}

static void running_warm_can_be_cancelled(void **state)
{
	struct inode *inode = make_file("cancel-running", 64);

	(void)state;
	cancel_in_the_middle(inode);
	drop(inode);
}

static void failed_warm_names_the_error(void **state)
{
	struct inode *inode = make_file("failing", 4);

	(void)state;
	fake_begin();
	fake.fstat = fstat_failing;
	assert_int_equal(set(inode, "warm", ""), 0);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "failed 0/0 EIO at 0");
	fake_end();
	drop(inode);
}

static void warm_keeps_the_inode_when_the_kernel_forgets_it(void **state)
{
	struct inode *inode = make_file("forgotten", 4);
	uint64_t count = inode_count(fs.inodes);

	(void)state;
	block_jobs();
	assert_int_equal(set(inode, "warm", ""), 0);
	drop(inode);
	assert_int_equal(inode_count(fs.inodes), count);
	sem_post(&gate_open);
	for (int i = 0; i < 20000 && workers_depth(fs.job_workers); i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	assert_int_equal(inode_count(fs.inodes), count - 1);
}

/* ---- evict ---- */

static void evict_drops_pages_and_reports(void **state)
{
	struct inode *inode = make_file("evicted", 10);

	(void)state;
	assert_string_equal(get(inode, "evict"), "idle");
	assert_int_equal(set(inode, "evict", "sync"), 0);
	assert_has(get(inode, "evict"), " after=0");
	assert_int_equal(strncmp(answer, "before=", 7), 0);
	assert_string_equal(get(inode, "resident"), "0");
	drop(inode);
}

static void evict_says_why_pages_stayed(void **state)
{
	struct inode *inode = make_file("staying", 10);
	void *held = hold_pages("staying", 10);

	(void)state;
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), "before=10 after=10 mapped=10 reasons=");
	assert_int_equal(set(inode, "evict", "4K+8K"), 0);
	assert_has(get(inode, "evict"), "before=2 after=2 ");
	release_pages(held, 10);
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), "before=10 after=10 locked=10 reasons=");
	assert_int_equal(set(inode, "lock", "off"), 0);
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), "before=10 after=0");
	drop(inode);
}

static struct {
	struct inode *inode;
	uint64_t offset, length;
	int calls;
} invalidated;

static void note_invalidate(void *ctx, struct inode *inode, uint64_t offset,
			    uint64_t length)
{
	assert_ptr_equal(ctx, &invalidated);
	invalidated.inode = inode;
	invalidated.offset = offset;
	invalidated.length = length;
	invalidated.calls++;
}

static void evict_releases_the_own_view_and_invalidates_the_kernels_copy(void **state)
{
	struct inode *inode = make_file("viewed", 10);
	struct view *view;
	volatile char sum = 0;

	(void)state;
	invalidated.calls = 0;
	fs.invalidate = note_invalidate;
	fs.invalidate_ctx = &invalidated;
	assert_int_equal(view_get(&fs, inode, &view), 0);
	for (uint64_t i = 0; i < 10; i++)
		sum += view_addr(view)[i * PAGE];
	(void)sum;
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), " after=0");
	/* Also when no path is chosen: the copy outlives the last close. */
	assert_int_equal(invalidated.calls, 1);
	inode->data_path = DATA_PATH_MAPPED;
	assert_int_equal(set(inode, "evict", "4K+8K"), 0);
	assert_int_equal(invalidated.calls, 2);
	assert_ptr_equal(invalidated.inode, inode);
	assert_int_equal(invalidated.offset, 4096);
	assert_int_equal(invalidated.length, 8192);
	assert_has(get(inode, "stat"), "\ndata_path=mapped\n");
	inode->data_path = DATA_PATH_UNDECIDED;
	fs.invalidate = NULL;
	view_put(view);
	drop(inode);
}

/* ---- lock ---- */

static void lock_reads_back_its_ranges(void **state)
{
	struct inode *inode = make_file("locked", 10);

	(void)state;
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(set(inode, "lock", "on 4K+8K"), 0);
	assert_string_equal(get(inode, "lock"), "4096+8192");
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_string_equal(get(inode, "lock"), "0+40960");
	assert_string_equal(get(inode, "locked"), "10");
	assert_has(get(inode, "stat"), "\nresident=10\n");
	assert_has(answer, "\nlocked=10\n");
	assert_int_equal(set(inode, "lock", "off 8K+4K"), 0);
	assert_string_equal(get(inode, "lock"), "0+8192\n12288+28672");
	assert_int_equal(atomic_load(&fs.locked_bytes), 9 * PAGE);
	assert_int_equal(set(inode, "lock", "off"), 0);
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	drop(inode);
}

static void lock_over_the_limit_is_enomem(void **state)
{
	struct inode *inode = make_file("too-large", 10);
	uint64_t limit = fs.lock_limit;

	(void)state;
	fs.lock_limit = 9 * PAGE;
	assert_int_equal(set(inode, "lock", "on"), -ENOMEM);
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(set(inode, "lock", "on 4K-"), 0);
	assert_int_equal(set(inode, "lock", "on 4K-"), 0); /* needs nothing more */
	assert_int_equal(set(inode, "lock", "on"), -ENOMEM);
	assert_string_equal(get(inode, "lock"), "4096+36864");
	assert_int_equal(set(inode, "lock", "off"), 0);
	fs.lock_limit = limit;
	drop(inode);
}

static void lock_is_for_root_the_mounts_owner_and_the_files_owner(void **state)
{
	static const struct {
		uid_t uid;
		int result;
	} cases[] = { { 0, 0 }, { 1234, 0 }, { 4321, 0 }, { 1000, -EPERM } };
	struct inode *inode = make_file("owned", 2);
	struct ctl_caller who = { 0 };

	(void)state;
	assert_int_equal(chown(scratch_path("owned"), 4321, 4321), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		who.user.uid = cases[i].uid;
		assert_int_equal(ctl_set(&fs, inode, full("lock"), "on", 2, &who),
				 cases[i].result);
		assert_int_equal(ctl_set(&fs, inode, full("lock"), "off", 3, &who),
				 cases[i].result);
	}
	/* All else needs no more than the permission that the kernel has checked. */
	assert_int_equal(ctl_set(&fs, inode, full("sync"), "sync", 4, &who), 0);
	drop(inode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_advice_is_remembered),
		cmocka_unit_test(advice_for_parts_has_its_limit),
		cmocka_unit_test(advice_reaches_the_view),
		cmocka_unit_test(sync_takes_each_level_and_a_range),
		cmocka_unit_test(
			write_error_met_by_sync_reaches_handles_and_only_one_sync),
		cmocka_unit_test(write_error_met_by_a_handle_reaches_sync_once),
		cmocka_unit_test(warm_reads_in_and_says_so),
		cmocka_unit_test(second_warm_of_a_file_is_ebusy_and_a_full_queue_eagain),
		cmocka_unit_test(queued_warm_can_be_cancelled),
		cmocka_unit_test(running_warm_can_be_cancelled),
		cmocka_unit_test(failed_warm_names_the_error),
		cmocka_unit_test(warm_keeps_the_inode_when_the_kernel_forgets_it),
		cmocka_unit_test(evict_drops_pages_and_reports),
		cmocka_unit_test(evict_says_why_pages_stayed),
		cmocka_unit_test(
			evict_releases_the_own_view_and_invalidates_the_kernels_copy),
		cmocka_unit_test(lock_reads_back_its_ranges),
		cmocka_unit_test(lock_over_the_limit_is_enomem),
		cmocka_unit_test(lock_is_for_root_the_mounts_owner_and_the_files_owner),
	};

	return cmocka_run_group_tests(tests, fs_setup, fs_teardown) +
	       cmocka_run_group_tests(tests, fs_setup_no_handles, fs_teardown);
}
