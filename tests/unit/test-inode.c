/* SPDX-License-Identifier: MIT */
/* test-inode.c - the table of files in use, with file handles and with descriptors. */
#include "fs-fixture.h"

#include <errno.h>
#include <pthread.h>

static void one_file_has_one_inode(void **state)
{
	struct inode *first = make_file("a", 1);
	struct inode *second = inode_of("a");

	(void)state;
	assert_ptr_equal(first, second);
	drop(first);
	drop(second);
}

static void hard_links_are_one_inode(void **state)
{
	struct inode *first = make_file("a", 1), *second;
	char other[512];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s", scratch_path("b"));
	assert_int_equal(link(scratch_path("a"), other), 0);
	second = inode_of("b");
	assert_ptr_equal(first, second);
	drop(first);
	drop(second);
}

static void last_reference_takes_the_inode_out(void **state)
{
	uint64_t before = inode_count(fs.inodes);
	struct inode *inode = make_file("a", 1);

	(void)state;
	inode_ref(fs.inodes, inode);
	assert_int_equal(inode_count(fs.inodes), before + 1);
	drop(inode);
	assert_int_equal(inode_count(fs.inodes), before + 1);
	drop(inode);
	assert_int_equal(inode_count(fs.inodes), before);
}

static void find_does_not_create(void **state)
{
	int fd = open(scratch_file("a", 1), O_RDONLY | O_CLOEXEC);
	uint64_t before = inode_count(fs.inodes);
	struct inode *inode;
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_null(inode_find(fs.inodes, fd, &st));
	assert_int_equal(inode_count(fs.inodes), before);
	inode = inode_of("a");
	assert_ptr_equal(inode_find(fs.inodes, fd, &st), inode);
	inode_unref(fs.inodes, inode, 2);
	assert_int_equal(inode_count(fs.inodes), before);
	close(fd);
}

static int open_dir(void)
{
	int fd = open(scratch_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void names_never_lead_out_of_a_directory(void **state)
{
	static const char *const refused[] = { "", ".", "..", "../etc", "a/b", "/etc/passwd" };
	struct inode *inode;
	struct stat st;
	int dir = open_dir();

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(inode_get_at(fs.inodes, dir, refused[i], &st, &inode), -EINVAL);
	assert_int_equal(inode_get_at(fs.inodes, dir, "missing", &st, &inode), -ENOENT);
	close(dir);
}

static void symbolic_links_are_not_followed(void **state)
{
	struct inode *inode;
	struct stat st;
	int dir = open_dir();

	(void)state;
	assert_int_equal(symlink("/etc/passwd", scratch_path("link")), 0);
	assert_int_equal(inode_get_at(fs.inodes, dir, "link", &st, &inode), 0);
	assert_int_equal(inode->type, S_IFLNK);
	drop(inode);
	close(dir);
}

static void a_file_is_reached_again_after_it_was_renamed(void **state)
{
	_cleanup_inode_fd_ struct inode_fd path = INODE_FD_NONE;
	struct inode *inode = make_file("a", 1);
	char other[512];
	struct stat st;
	int fd;

	(void)state;
	(void)snprintf(other, sizeof(other), "%s", scratch_path("b"));
	assert_int_equal(rename(scratch_path("a"), other), 0);
	assert_int_equal(inode_path_fd(fs.inodes, inode, &path), 0);
	assert_int_equal(fstat(path.fd, &st), 0);
	assert_int_equal(st.st_ino, inode->ino);
	fd = inode_open(fs.inodes, inode, O_RDWR);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	drop(inode);
}

static void a_reused_inode_number_is_another_file(void **state)
{
	struct inode *old = make_file("a", 1);
	ino_t ino = old->ino;
	struct inode *inode = NULL;

	(void)state;
	/* ext4 gives the lowest free number: nearly always at once the same. */
	for (int attempt = 0; attempt < 100; attempt++) {
		assert_int_equal(unlink(scratch_path("a")), 0);
		inode = make_file("a", 1);
		if (inode->ino == ino)
			break;
		drop(inode);
		inode = NULL;
	}
	if (inode) {
		assert_ptr_not_equal(inode, old);
		assert_int_equal(inode_open(fs.inodes, old, O_RDONLY), -ESTALE);
		drop(inode);
	}
	drop(old);
}

static void idle_inodes_hold_no_descriptor_where_handles_work(void **state)
{
	struct inode *inode = make_file("a", 1);

	(void)state;
	assert_int_equal(inode_descriptors(fs.inodes) > 0, inode->fd >= 0);
	drop(inode);
}

static void a_directory_is_kept_open_and_still_found_when_it_moved(void **state)
{
	struct inode *dir, *inode;
	struct stat st;
	char other[512];

	(void)state;
	assert_int_equal(mkdir(scratch_path("d"), 0755), 0);
	dir = inode_of("d");
	(void)scratch_file("d/a", 1);
	for (int i = 0; i < 2; i++) {
		_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;

		assert_int_equal(inode_path_fd(fs.inodes, dir, &fd), 0);
		assert_false(fd.owned);
		assert_int_equal(inode_get_at(fs.inodes, fd.fd, "a", &st, &inode), 0);
		drop(inode);
		(void)snprintf(other, sizeof(other), "%s", scratch_path("e"));
		(void)rename(scratch_path("d"), other);
	}
	drop(dir);
}

/* Two handles of the same layout as the kernel's, and one that says nothing. */
static void a_handle_says_whose_it_is_or_nothing(void **state)
{
	static const struct {
		int type;
		unsigned int length;
		uint32_t words[5];
		uint64_t ino;
		bool says;
	} rows[] = {
		{ 0x01, 8, { 42, 7 }, 42, true },		   /* ext4 */
		{ 0x01, 8, { 42, 7 }, 7, false },
		{ 0x01, 8, { 42, 7 }, 42 | 1ull << 32, false },
		{ 0x01, 12, { 7, 42, 1 }, 42 | 1ull << 32, true }, /* tmpfs */
		{ 0x01, 12, { 7, 42, 1 }, 7, false },
		{ 0x81, 12, { 42, 1, 7 }, 42 | 1ull << 32, true }, /* xfs */
		{ 0x4d, 20, { 42, 1, 5, 0, 7 }, 42 | 1ull << 32, true }, /* btrfs */
		{ 0x4d, 20, { 42, 1, 5, 0, 7 }, 42, false },
		{ 0x02, 8, { 42, 7 }, 42, false },
		{ 0x01, 4, { 42 }, 42, false },
		{ 0x01, 0, { 0 }, 0, false },
	};
	union {
		struct file_handle head;
		unsigned char room[sizeof(struct file_handle) + 20];
	} handle;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		handle.head.handle_type = rows[i].type;
		handle.head.handle_bytes = rows[i].length;
		memcpy(handle.head.f_handle, rows[i].words, rows[i].length);
		assert_int_equal(inode_handle_says(&handle.head, rows[i].ino), rows[i].says);
	}
}

/* Else every lookup of this machine's own filesystem goes the long way. */
static void the_handles_of_this_filesystem_are_understood(void **state)
{
	struct inode *inode = make_file("a", 1);

	(void)state;
	if (inode->handle.handle_bytes == 0)
		skip();
	assert_true(inode_handle_says(&inode->handle, inode->ino));
	drop(inode);
}

#define MANY 5000

static void many_inodes_are_found_again(void **state)
{
	struct inode **inodes = calloc(MANY, sizeof(*inodes));
	char name[32];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		(void)scratch_file(name, 0);
		inodes[i] = inode_of(name);
	}
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		assert_ptr_equal(inode_of(name), inodes[i]);
		inode_unref(fs.inodes, inodes[i], 2);
		(void)unlink(scratch_path(name));
	}
	assert_int_equal(inode_count(fs.inodes), 1);
	free(inodes);
}

static void *look_up_and_forget(void *arg)
{
	struct inode *inode;
	struct stat st;
	int dir = open(scratch_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < 2000; i++) {
		if (inode_get_at(fs.inodes, dir, "a", &st, &inode) < 0)
			return arg;
		inode_unref(fs.inodes, inode, 1);
	}
	close(dir);
	return NULL;
}

static void lookups_and_forgets_of_one_file_may_race(void **state)
{
	pthread_t threads[4];
	void *failed;

	(void)state;
	(void)scratch_file("a", 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, look_up_and_forget, &threads), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(inode_count(fs.inodes), 1);
}

#define CASES(setup)                                                                         \
	cmocka_unit_test_setup_teardown(one_file_has_one_inode, setup, fs_teardown),         \
	cmocka_unit_test_setup_teardown(hard_links_are_one_inode, setup, fs_teardown),       \
	cmocka_unit_test_setup_teardown(last_reference_takes_the_inode_out, setup,           \
					fs_teardown),                                        \
	cmocka_unit_test_setup_teardown(find_does_not_create, setup, fs_teardown),           \
	cmocka_unit_test_setup_teardown(names_never_lead_out_of_a_directory, setup,          \
					fs_teardown),                                        \
	cmocka_unit_test_setup_teardown(symbolic_links_are_not_followed, setup, fs_teardown), \
	cmocka_unit_test_setup_teardown(a_file_is_reached_again_after_it_was_renamed, setup, \
					fs_teardown),                                        \
	cmocka_unit_test_setup_teardown(idle_inodes_hold_no_descriptor_where_handles_work,   \
					setup, fs_teardown),                                 \
	cmocka_unit_test_setup_teardown(a_directory_is_kept_open_and_still_found_when_it_moved, \
					setup, fs_teardown),                                 \
	cmocka_unit_test_setup_teardown(many_inodes_are_found_again, setup, fs_teardown),    \
	cmocka_unit_test_setup_teardown(lookups_and_forgets_of_one_file_may_race, setup,     \
					fs_teardown)

int main(void)
{
	const struct CMUnitTest handles[] = {
		CASES(fs_setup),
		/* A descriptor keeps the number taken, so only with handles. */
		cmocka_unit_test_setup_teardown(a_reused_inode_number_is_another_file, fs_setup,
						fs_teardown),
		cmocka_unit_test_setup_teardown(the_handles_of_this_filesystem_are_understood,
						fs_setup, fs_teardown),
		cmocka_unit_test(a_handle_says_whose_it_is_or_nothing),
	};
	const struct CMUnitTest descriptors[] = { CASES(fs_setup_no_handles) };
	int failed = cmocka_run_group_tests_name("with file handles", handles, NULL, NULL);

	return failed + cmocka_run_group_tests_name("with descriptors", descriptors, NULL, NULL);
}
