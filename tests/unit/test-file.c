/* SPDX-License-Identifier: MIT */
/* test-file.c - what maps of one file share. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "file.h"

static void same_device_and_inode_is_one_object(void **state)
{
	struct mmapfs__file *a = mmapfs__file_get(1, 2);
	struct mmapfs__file *b = mmapfs__file_get(1, 2);
	struct mmapfs__file *other_inode = mmapfs__file_get(1, 3);
	struct mmapfs__file *other_device = mmapfs__file_get(2, 2);

	(void)state;
	assert_non_null(a);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, other_inode);
	assert_ptr_not_equal(a, other_device);
	assert_ptr_not_equal(other_inode, other_device);
	mmapfs__file_put(a);
	mmapfs__file_put(b);
	mmapfs__file_put(other_inode);
	mmapfs__file_put(other_device);
}

static void first_error_is_kept_until_forgotten(void **state)
{
	struct mmapfs__file *file = mmapfs__file_get(1, 2);

	(void)state;
	assert_int_equal(mmapfs__file_error(file), 0);
	assert_int_equal(mmapfs__file_fail(file, -EIO), -EIO);
	assert_int_equal(mmapfs__file_fail(file, -ENOSPC), -ENOSPC);
	assert_int_equal(mmapfs__file_error(file), -EIO);
	mmapfs__file_forget(file);
	assert_int_equal(mmapfs__file_error(file), 0);
	mmapfs__file_put(file);
}

static void error_lives_as_long_as_any_reference(void **state)
{
	struct mmapfs__file *file = mmapfs__file_get(1, 2);

	(void)state;
	assert_ptr_equal(mmapfs__file_get(1, 2), file);
	mmapfs__file_fail(file, -EIO);
	mmapfs__file_put(file);
	assert_int_equal(mmapfs__file_error(file), -EIO);
	mmapfs__file_put(file);

	file = mmapfs__file_get(1, 2);
	assert_int_equal(mmapfs__file_error(file), 0);
	mmapfs__file_put(file);
}

static void many_files_are_told_apart(void **state)
{
	struct mmapfs__file *files[300];

	(void)state;
	for (int i = 0; i < 300; i++) {
		files[i] = mmapfs__file_get(7, (ino_t)i);
		mmapfs__file_fail(files[i], -1 - i);
	}
	for (int i = 0; i < 300; i++)
		assert_int_equal(mmapfs__file_error(files[i]), -1 - i);
	for (int i = 0; i < 300; i++)
		mmapfs__file_put(files[i]);
}

static void put_takes_null(void **state)
{
	(void)state;
	mmapfs__file_put(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_device_and_inode_is_one_object),
		cmocka_unit_test(first_error_is_kept_until_forgotten),
		cmocka_unit_test(error_lives_as_long_as_any_reference),
		cmocka_unit_test(many_files_are_told_apart),
		cmocka_unit_test(put_takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
