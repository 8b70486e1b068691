/* SPDX-License-Identifier: MIT */
/* test-handle.c - open files and directory streams. */
#include "fs-fixture.h"

#include <errno.h>

#include "handle.h"

static void reading_needs_no_descriptor_when_the_kernel_reads(void **state)
{
	struct inode *inode = make_file("a", 1);
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	struct handle *handle;

	(void)state;
	assert_int_equal(handle_open(&fs, inode, O_RDONLY, 0, 0, false, &handle), 0);
	assert_int_equal(handle->fd, -1);
	assert_false(handle->writer);
	assert_int_equal(handle_fd(&fs, handle, &fd), 0);
	assert_true(fd.owned);
	handle_close(&fs, handle);
	drop(inode);
}

static void writing_keeps_a_descriptor_without_append_and_direct(void **state)
{
	struct inode *inode = make_file("a", 1);
	struct handle *handle;

	(void)state;
	assert_int_equal(handle_open(&fs, inode, O_RDWR | O_APPEND | O_DIRECT, 0, 0, false,
				     &handle), 0);
	assert_true(handle->writer);
	assert_int_equal(fcntl(handle->fd, F_GETFL) & (O_APPEND | O_DIRECT), 0);
	handle_close(&fs, handle);
	drop(inode);
}

static void opening_with_trunc_truncates(void **state)
{
	struct inode *inode = make_file("a", 3);
	struct handle *handle;
	struct stat st;

	(void)state;
	assert_int_equal(handle_open(&fs, inode, O_WRONLY | O_TRUNC, 0, 0, false, &handle), 0);
	assert_int_equal(fstat(handle->fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	handle_close(&fs, handle);
	drop(inode);
}

static void opening_forwards_the_error_of_the_source(void **state)
{
	struct inode *inode = make_file("a", 1);
	struct handle *handle = NULL;
	int writer = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct inode *running;
	struct stat st;

	(void)state;
	assert_int_equal(fstat(writer, &st), 0);
	assert_int_equal(inode_get(fs.inodes, writer, &st, &running), 0);
	assert_int_equal(handle_open(&fs, running, O_RDWR, 0, 0, false, &handle), -ETXTBSY);
	assert_null(handle);
	close(writer);
	drop(running);
	drop(inode);
}

static void a_write_error_reaches_each_handle_without_descriptor_once(void **state)
{
	struct inode *inode = make_file("a", 1);
	struct handle *first, *second, *late;

	(void)state;
	assert_int_equal(handle_open(&fs, inode, O_RDONLY, 0, 0, false, &first), 0);
	assert_int_equal(handle_open(&fs, inode, O_RDONLY, 0, 0, false, &second), 0);
	region_sync_failed(inode, -EIO);
	assert_int_equal(handle_open(&fs, inode, O_RDONLY, 0, 0, false, &late), 0);
	assert_int_equal(handle_sync(&fs, first, false), -EIO);
	assert_int_equal(handle_sync(&fs, first, true), 0);
	assert_int_equal(handle_sync(&fs, second, true), -EIO);
	assert_int_equal(handle_sync(&fs, second, false), 0);
	assert_int_equal(handle_sync(&fs, late, false), 0);
	handle_close(&fs, first);
	handle_close(&fs, second);
	handle_close(&fs, late);
	drop(inode);
}

static int count_from(struct dir_handle *dir, off_t position, off_t *ret_last)
{
	struct dir_entry entry;
	int count = 0;

	assert_int_equal(dir_seek(dir, position), 0);
	while (dir_peek(dir, &entry) == 1) {
		*ret_last = entry.next;
		dir_next(dir, &entry);
		count++;
	}
	return count;
}

static void directories_are_read_whole_and_from_any_position(void **state)
{
	struct inode *root = inode_root(fs.inodes);
	struct dir_handle *dir;
	struct dir_entry entry;
	char name[32];
	off_t middle = 0, last = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "entry-%d", i);
		(void)scratch_file(name, 0);
	}
	assert_int_equal(dir_open(&fs, root, &dir), 0);
	for (int i = 0; i < 500; i++) {
		assert_int_equal(dir_peek(dir, &entry), 1);
		middle = entry.next;
		dir_next(dir, &entry);
	}
	assert_int_equal(count_from(dir, middle, &last), 2002 - 500);
	assert_int_equal(count_from(dir, 0, &last), 2002);
	assert_int_equal(count_from(dir, middle, &last), 2002 - 500);
	dir_close(&fs, dir);
}

static void rewinding_shows_what_is_new(void **state)
{
	struct dir_handle *dir;
	off_t last = 0;

	(void)state;
	assert_int_equal(dir_open(&fs, inode_root(fs.inodes), &dir), 0);
	assert_int_equal(count_from(dir, 0, &last), 2);
	(void)scratch_file("new", 0);
	assert_int_equal(count_from(dir, 0, &last), 3);
	dir_close(&fs, dir);
}

static void a_file_is_no_directory(void **state)
{
	struct inode *inode = make_file("a", 1);
	struct dir_handle *dir;

	(void)state;
	assert_int_equal(dir_open(&fs, inode, &dir), -ENOTDIR);
	drop(inode);
}

static void what_was_never_closed_is_closed_at_the_end(void **state)
{
	struct inode *inode = make_file("a", 1);
	struct handle *handle;
	struct dir_handle *dir;
	uint64_t refs = inode->refs;
	int fds[2];

	(void)state;
	assert_int_equal(handle_open(&fs, inode, O_RDWR, 0, 0, false, &handle), 0);
	fds[0] = handle->fd;
	assert_int_equal(handle_open(&fs, inode, O_RDONLY, 0, 0, false, &handle), 0);
	assert_int_equal(dir_open(&fs, inode_root(fs.inodes), &dir), 0);
	fds[1] = dir->fd;
	handle_close_all(&fs);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(fds[i], F_GETFD), -1);
	assert_int_equal(inode->refs, refs);
	handle_close_all(&fs);
	drop(inode);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(reading_needs_no_descriptor_when_the_kernel_reads),
		CASE(writing_keeps_a_descriptor_without_append_and_direct),
		CASE(opening_with_trunc_truncates),
		CASE(opening_forwards_the_error_of_the_source),
		CASE(a_write_error_reaches_each_handle_without_descriptor_once),
		CASE(directories_are_read_whole_and_from_any_position),
		CASE(rewinding_shows_what_is_new),
		CASE(a_file_is_no_directory),
		CASE(what_was_never_closed_is_closed_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
