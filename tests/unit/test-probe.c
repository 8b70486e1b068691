/* SPDX-License-Identifier: MIT */
/* test-probe.c - what kernels answer, and that disabled features stay disabled. */
#include "probe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/macro.h"
#include "fake-sys.h"

static int setup(void **state)
{
	(void)state;
	(void)unsetenv("MMAPFS_DISABLE");
	fake_sys_install();
	mmapfs__probe_reset();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_sys_remove();
	mmapfs__probe_reset();
	return 0;
}

static void every_answer_is_the_kernel_s(void **state)
{
	static const struct {
		const char *call;
		int64_t result;
		enum mmapfs_feature feature;
		int want;
	} rows[] = {
		{ "cachestat", 0, MMAPFS_FEATURE_CACHESTAT, 1 },
		{ "cachestat", -ENOSYS, MMAPFS_FEATURE_CACHESTAT, -ENOSYS },
		{ "cachestat", -EPERM, MMAPFS_FEATURE_CACHESTAT, -EPERM },
		{ "memfd_create", -EMFILE, MMAPFS_FEATURE_CACHESTAT, -EMFILE },
		{ "mlock2", 0, MMAPFS_FEATURE_MLOCK_ONFAULT, 1 },
		{ "mlock2", -ENOSYS, MMAPFS_FEATURE_MLOCK_ONFAULT, -ENOSYS },
		{ "mlock2", -EPERM, MMAPFS_FEATURE_MLOCK_ONFAULT, -EPERM },
		{ "mlock2", -ENOMEM, MMAPFS_FEATURE_MLOCK_ONFAULT, 1 },
		{ "mlock2", -EAGAIN, MMAPFS_FEATURE_MLOCK_ONFAULT, 1 },
		{ "madvise", -EINVAL, MMAPFS_FEATURE_POPULATE, -EINVAL },
		{ "madvise", 0, MMAPFS_FEATURE_PAGEOUT, 1 },
		{ "has_capability", 0, MMAPFS_FEATURE_PAGE_FLAGS, -EPERM },
		{ "openat", -ENOENT, MMAPFS_FEATURE_PAGE_FLAGS, -ENOENT },
		{ "process_vm_readv", -ENOSYS, MMAPFS_FEATURE_PROCESS_VM, -ENOSYS },
		{ "process_vm_readv", 0, MMAPFS_FEATURE_PROCESS_VM, -EIO },
		{ "process_vm_readv", 1, MMAPFS_FEATURE_PROCESS_VM, 1 },
		{ "mmap", -ENOMEM, MMAPFS_FEATURE_POPULATE, -ENOMEM },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_sys_install();
		mmapfs__probe_reset();
		/* so that the row about /proc/kpageflags does not need to be root */
		if (strcmp(rows[i].call, "has_capability") != 0)
			fake_sys_script("has_capability", 0, 1, 1);
		fake_sys_script(rows[i].call, 0, 1, rows[i].result);
		if (mmapfs__feature(rows[i].feature) != rows[i].want)
			fail_msg("row %zu: %s", i, rows[i].call);
		if (strcmp(rows[i].call, "mmap") != 0)
			fake_sys_remove();
	}
	fake_sys_install();
}

static void kernel_is_asked_once(void **state)
{
	struct mmapfs_probe probe = MMAPFS_INIT(struct mmapfs_probe);

	(void)state;
	assert_int_equal(mmapfs_probe(&probe), 0);
	assert_int_equal(mmapfs_probe(&probe), 0);
	(void)mmapfs__feature(MMAPFS_FEATURE_PAGEOUT);
	assert_int_equal(fake_sys_calls("memfd_create"), 1);
	assert_int_equal(fake_sys_calls("cachestat"), 1);
	assert_int_equal(fake_sys_calls("mlock2"), 1);
	assert_int_equal(fake_sys_calls("madvise"), 2);
	assert_int_equal(fake_sys_calls("mmap"), fake_sys_calls("munmap"));
	assert_int_equal(fake_sys_calls("close"),
			 1 + (probe.feature[MMAPFS_FEATURE_PAGE_FLAGS] == 1));
}

/* Found by a daemon whose first lock came while it had no memory: none was ever possible. */
static void shortage_is_no_answer(void **state)
{
	static const struct {
		const char *call;
		int64_t result;
		enum mmapfs_feature feature;
	} rows[] = {
		{ "mmap", -ENOMEM, MMAPFS_FEATURE_MLOCK_ONFAULT },
		{ "mmap", -EAGAIN, MMAPFS_FEATURE_PROCESS_VM },
		{ "memfd_create", -EMFILE, MMAPFS_FEATURE_CACHESTAT },
		{ "memfd_create", -ENFILE, MMAPFS_FEATURE_CACHESTAT },
		{ "madvise", -ENOMEM, MMAPFS_FEATURE_POPULATE },
		{ "openat", -EMFILE, MMAPFS_FEATURE_PAGE_FLAGS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int before;

		fake_sys_install();
		before = fake_sys_calls("mmap");
		mmapfs__probe_reset();
		if (rows[i].feature == MMAPFS_FEATURE_PAGE_FLAGS)
			fake_sys_script("has_capability", 0, 1, 1);
		fake_sys_script(rows[i].call, 0, 1, rows[i].result);
		assert_int_equal(mmapfs__feature(rows[i].feature), rows[i].result);
		assert_int_not_equal(mmapfs__feature(rows[i].feature), rows[i].result);
		(void)mmapfs__feature(rows[i].feature);
		assert_int_equal(fake_sys_calls("mmap"), before + 2);
		fake_sys_remove();
	}
	fake_sys_install();
}

static void disabled_feature_reads_zero(void **state)
{
	struct mmapfs_probe probe = MMAPFS_INIT(struct mmapfs_probe);

	(void)state;
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_CACHESTAT), 0);
	assert_int_equal(mmapfs__feature(MMAPFS_FEATURE_CACHESTAT), 0);
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_POPULATE), 0);
	assert_int_equal(mmapfs_probe(&probe), 0);
	assert_int_equal(probe.feature[MMAPFS_FEATURE_CACHESTAT], 0);
	assert_int_equal(probe.feature[MMAPFS_FEATURE_POPULATE], 0);
	assert_int_equal(probe.feature[MMAPFS_FEATURE_PROCESS_VM],
			 mmapfs__feature(MMAPFS_FEATURE_PROCESS_VM));
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_COUNT), -EINVAL);
	assert_int_equal(mmapfs_feature_disable((enum mmapfs_feature)-1), -EINVAL);
}

static void environment_disables_what_it_names(void **state)
{
	(void)state;
	fake_sys_script("process_vm_readv", 0, 1, 1);
	fake_sys_script("mlock2", 0, 1, 0);
	(void)setenv("MMAPFS_DISABLE", "cachestat,,unknown,cache,populate", 1);
	assert_int_equal(mmapfs__feature(MMAPFS_FEATURE_CACHESTAT), 0);
	assert_int_equal(mmapfs__feature(MMAPFS_FEATURE_POPULATE), 0);
	assert_int_equal(mmapfs__feature(MMAPFS_FEATURE_PROCESS_VM), 1);
	assert_int_equal(mmapfs__feature(MMAPFS_FEATURE_MLOCK_ONFAULT), 1);
	(void)unsetenv("MMAPFS_DISABLE");
}

static int unlimited(int resource, struct rlimit *ret)
{
	(void)resource;
	*ret = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	return 0;
}

static int eight_mib(int resource, struct rlimit *ret)
{
	assert_int_equal(resource, RLIMIT_MEMLOCK);
	*ret = (struct rlimit){ 8 << 20, RLIM_INFINITY };
	return 0;
}

static uint64_t limit_now(int64_t capable)
{
	struct mmapfs_probe probe = MMAPFS_INIT(struct mmapfs_probe);

	(void)mmapfs__feature(MMAPFS_FEATURE_CACHESTAT);
	fake_sys_script("has_capability", 0, 1, capable);
	assert_int_equal(mmapfs_probe(&probe), 0);
	return probe.memlock_limit;
}

static void lock_limit_does_not_bind_the_capable(void **state)
{
	(void)state;
	fake_sys_table()->getrlimit = eight_mib;
	assert_int_equal(limit_now(0), 8 << 20);
	assert_int_equal(limit_now(-EPERM), 8 << 20);
	assert_true(limit_now(1) == UINT64_MAX);
	fake_sys_table()->getrlimit = unlimited;
	assert_true(limit_now(0) == UINT64_MAX);
}

static void short_struct_is_filled_only_as_far_as_it_goes(void **state)
{
	struct mmapfs_probe probe;

	(void)state;
	memset(&probe, 0xee, sizeof(probe));
	probe.size = offsetof(struct mmapfs_probe, feature);
	assert_int_equal(mmapfs_probe(&probe), 0);
	assert_int_equal(probe.size, offsetof(struct mmapfs_probe, feature));
	assert_int_equal(probe.page_size, mmapfs__page_size());
	assert_int_equal(probe.feature[0], (int32_t)0xeeeeeeee);
}

static void features_have_names(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < MMAPFS_FEATURE_COUNT; i++)
		assert_non_null(mmapfs_feature_name((enum mmapfs_feature)i));
	assert_string_equal(mmapfs_feature_name(MMAPFS_FEATURE_CACHESTAT), "cachestat");
	assert_null(mmapfs_feature_name(MMAPFS_FEATURE_COUNT));
	assert_null(mmapfs_feature_name((enum mmapfs_feature)-1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_answer_is_the_kernel_s),
		TEST(kernel_is_asked_once),
		TEST(shortage_is_no_answer),
		TEST(disabled_feature_reads_zero),
		TEST(environment_disables_what_it_names),
		TEST(lock_limit_does_not_bind_the_capable),
		TEST(short_struct_is_filled_only_as_far_as_it_goes),
		TEST(features_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
