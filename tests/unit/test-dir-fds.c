/* SPDX-License-Identifier: MIT */
/* test-dir-fds.c - the directories that are kept open. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dir_fds.h"
#include "inode.h"

static struct dir_fds fds;
static struct inode inodes[DIR_FDS + 1]; /* only their addresses count */

static int setup(void **state)
{
	dir_fds_init(&fds);
	return scratch_setup(state);
}

static int teardown(void **state)
{
	dir_fds_close(&fds);
	return scratch_teardown(state);
}

static int open_dir(void)
{
	int fd = open(scratch_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct dir_fd *add(int i)
{
	return dir_fds_add(&fds, &inodes[i], open_dir());
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void what_was_added_is_got_again(void **state)
{
	struct dir_fd *entry = add(0);

	(void)state;
	assert_ptr_equal(dir_fds_get(&fds, &inodes[0]), entry);
	assert_null(dir_fds_get(&fds, &inodes[1]));
	dir_fds_put(&fds, entry);
	dir_fds_put(&fds, entry);
	assert_int_equal(entry->users, 0);
	assert_true(is_open(entry->fd));
}

static void the_second_descriptor_of_a_directory_is_not_taken(void **state)
{
	struct dir_fd *entry = add(0);
	int other = open_dir();

	(void)state;
	assert_null(dir_fds_add(&fds, &inodes[0], other));
	assert_true(is_open(other));
	close(other);
	dir_fds_put(&fds, entry);
}

static void the_one_not_used_for_longest_makes_room(void **state)
{
	struct dir_fd *first;
	int closed;

	(void)state;
	for (int i = 0; i < DIR_FDS; i++)
		dir_fds_put(&fds, add(i));
	first = dir_fds_get(&fds, &inodes[0]);
	dir_fds_put(&fds, first);
	closed = fds.entries[1].fd;
	dir_fds_put(&fds, add(DIR_FDS));
	assert_ptr_equal(dir_fds_get(&fds, &inodes[0]), first);
	dir_fds_put(&fds, first);
	assert_null(dir_fds_get(&fds, &inodes[1]));
	/* Its place has the new one, under whichever number. */
	assert_ptr_equal(fds.entries[1].inode, &inodes[DIR_FDS]);
	assert_true(closed == fds.entries[1].fd || !is_open(closed));
}

static void one_in_use_is_not_closed(void **state)
{
	struct dir_fd *used[DIR_FDS];
	int fd;

	(void)state;
	for (int i = 0; i < DIR_FDS; i++)
		used[i] = add(i);
	fd = open_dir();
	assert_null(dir_fds_add(&fds, &inodes[DIR_FDS], fd));
	close(fd);
	for (int i = 0; i < DIR_FDS; i++) {
		assert_true(is_open(used[i]->fd));
		dir_fds_put(&fds, used[i]);
	}
}

static void a_freed_inode_leaves_nothing(void **state)
{
	struct dir_fd *entry = add(0);
	int fd = entry->fd;

	(void)state;
	dir_fds_put(&fds, entry);
	dir_fds_drop(&fds, &inodes[0]);
	assert_false(is_open(fd));
	assert_null(dir_fds_get(&fds, &inodes[0]));
	dir_fds_drop(&fds, &inodes[0]);
}

/* A request is answered before it puts: the kernel may forget the directory in between. */
static void one_in_use_outlives_its_inode(void **state)
{
	struct dir_fd *entry = add(0);
	int fd = entry->fd;

	(void)state;
	dir_fds_drop(&fds, &inodes[0]);
	assert_true(is_open(fd));
	assert_null(dir_fds_get(&fds, &inodes[0]));
	for (int i = 1; i < DIR_FDS; i++)
		dir_fds_put(&fds, add(i));
	assert_ptr_not_equal(add(DIR_FDS), entry);
	assert_int_equal(entry->fd, fd);
	dir_fds_put(&fds, entry);
	assert_false(is_open(fd));
	assert_ptr_equal(add(0), entry);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_was_added_is_got_again),
		CASE(the_second_descriptor_of_a_directory_is_not_taken),
		CASE(the_one_not_used_for_longest_makes_room),
		CASE(one_in_use_is_not_closed),
		CASE(a_freed_inode_leaves_nothing),
		CASE(one_in_use_outlives_its_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
