/* SPDX-License-Identifier: MIT */
/* test-errname.c - names of errnos. */
#include <mmapfs.h>

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void both_signs_give_the_name(void **state)
{
	(void)state;
	assert_string_equal(mmapfs_errno_name(ENOMEM), "ENOMEM");
	assert_string_equal(mmapfs_errno_name(-ENOMEM), "ENOMEM");
	assert_string_equal(mmapfs_errno_name(EAGAIN), "EAGAIN");
	assert_string_equal(mmapfs_errno_name(-EOPNOTSUPP), "EOPNOTSUPP");
	assert_string_equal(mmapfs_errno_name(EHWPOISON), "EHWPOISON");
}

static void no_errno_has_no_name(void **state)
{
	(void)state;
	assert_null(mmapfs_errno_name(0));
	assert_null(mmapfs_errno_name(41)); /* a gap in Linux's numbers */
	assert_null(mmapfs_errno_name(4096));
	assert_null(mmapfs_errno_name(INT_MAX));
	assert_null(mmapfs_errno_name(INT_MIN));
}

#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 32)
static void glibc_knows_the_same_names(void **state)
{
	int error;

	(void)state;
	for (error = 1; error < 200; error++) {
		const char *theirs = strerrorname_np(error);
		const char *ours = mmapfs_errno_name(error);

		assert_int_equal(!theirs, !ours);
		/* One number, two spellings. */
		if (ours && error != EOPNOTSUPP && error != EDEADLK && error != EAGAIN)
			assert_string_equal(ours, theirs);
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_signs_give_the_name),
		cmocka_unit_test(no_errno_has_no_name),
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 32)
		cmocka_unit_test(glibc_knows_the_same_names),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
