/* SPDX-License-Identifier: MIT */
/* test-map.c - opening and closing maps: of a path, of a descriptor, of memory. */
#include "map.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/macro.h"
#include "kind.h"
#include "map-help.h"

/* ---- open ---- */

static void null_options_map_the_whole_file_read_only(void **state)
{
	const char *path = scratch_file("a", 10000);
	struct mmapfs_map *map = NULL;

	(void)state;
	assert_int_equal(mmapfs_map_open(AT_FDCWD, path, NULL, &map), 0);
	assert_int_equal(mmapfs_map_length(map), 10000);
	assert_content(address(map), 0, 10000);
	assert_int_equal(fcntl(mmapfs_map_fd(map), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(mmapfs_map_fd(map), F_GETFD), FD_CLOEXEC);
	assert_null(mmapfs_map_close(map));
	assert_int_equal(fake_sys_calls("openat"), fake_sys_calls("close"));
	assert_int_equal(fake_sys_calls("mmap"), fake_sys_calls("munmap"));
}

static void window_begins_at_any_byte(void **state)
{
	static const struct {
		uint64_t offset, length, want;
	} rows[] = {
		{ 0, 0, 20000 },    { 1, 0, 19999 },	 { 4095, 2, 2 },
		{ 4096, 4096, 4096 }, { 8191, 0, 11809 }, { 19999, 0, 1 },
		{ 5000, 100, 100 },
	};
	const char *path = scratch_file("a", 20000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0,
						  rows[i].offset, rows[i].length);

		assert_int_equal(mmapfs_map_length(map), rows[i].want);
		assert_content(address(map), rows[i].offset, rows[i].want);
		mmapfs_map_close(map);
	}
}

static void empty_window_opens_and_has_no_address(void **state)
{
	static const struct {
		size_t size;
		uint64_t offset;
	} rows[] = { { 0, 0 }, { 0, 7 }, { 100, 100 }, { 100, 1 << 20 } };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map =
			open_map(scratch_file("a", rows[i].size), MMAPFS_ACCESS_READ, 0,
				 rows[i].offset, 0);
		void *p = &p;

		assert_int_equal(mmapfs_map_length(map), 0);
		assert_int_equal(mmapfs_map_addr(map, &p), -ENODATA);
		assert_int_equal(mmapfs__map_ensure(map), -ENODATA);
		assert_ptr_equal(p, &p);
		mmapfs_map_close(map);
	}
	assert_int_equal(fake_sys_calls("mmap"), 0);
}

static void make_socket(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(strlen(path) < sizeof(name.sun_path));
	memcpy(name.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd);
}

static void what_cannot_be_mapped_is_refused_without_hanging(void **state)
{
	struct mmapfs_map *map = NULL;

	(void)state;
	assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
	assert_int_equal(mkdir(scratch_path("dir"), 0700), 0);
	make_socket(scratch_path("socket"));
	assert_int_equal(try_open(scratch_path("fifo"), 0, 0, 0, 0, &map), -ENODEV);
	assert_int_equal(try_open(scratch_path("fifo"), 1, 0, 0, 0, &map), -ENODEV);
	assert_int_equal(try_open(scratch_path("socket"), 0, 0, 0, 0, &map), -ENODEV);
	assert_int_equal(try_open(scratch_path("dir"), 0, 0, 0, 0, &map), -EISDIR);
	assert_int_equal(try_open(scratch_path("dir"), 1, 0, 0, 0, &map), -EISDIR);
	assert_int_equal(try_open("/dev/zero", 0, 0, 0, 0, &map), -ENODEV);
	assert_int_equal(try_open(scratch_path("none"), 0, 0, 0, 0, &map), -ENOENT);
	assert_null(map);
	/* dir for writing, socket and none were never open */
	assert_int_equal(fake_sys_calls("close"), fake_sys_calls("openat") - 3);
}

static void symbolic_link_is_followed_only_if_allowed(void **state)
{
	struct mmapfs_map *map = NULL;
	char target[512];

	(void)state;
	(void)snprintf(target, sizeof(target), "%s", scratch_file("a", 10));
	assert_int_equal(symlink(target, scratch_path("link")), 0);
	assert_int_equal(
		try_open(scratch_path("link"), 0, MMAPFS_MAP_NOFOLLOW, 0, 0, &map),
		-ELOOP);
	map = open_map(scratch_path("link"), 0, 0, 0, 0);
	assert_int_equal(mmapfs_map_length(map), 10);
	mmapfs_map_close(map);
}

static void access_time_is_left_alone_where_that_is_allowed(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	map = open_map(scratch_file("a", 10), 0, MMAPFS_MAP_NOATIME, 0, 0);
	assert_true(fcntl(mmapfs_map_fd(map), F_GETFL) & O_NOATIME);
	mmapfs_map_close(map);
	fake_sys_script("openat", 0, 1, -EPERM);
	map = open_map(scratch_path("a"), 0, MMAPFS_MAP_NOATIME, 0, 0);
	assert_false(fcntl(mmapfs_map_fd(map), F_GETFL) & O_NOATIME);
	mmapfs_map_close(map);
	assert_int_equal(fake_sys_calls("openat"), 3);
}

static void created_file_is_allocated_to_the_end_of_the_window(void **state)
{
	struct mmapfs_map *map;
	struct stat st;

	(void)state;
	map = open_map(scratch_path("new"), MMAPFS_ACCESS_WRITE,
		       MMAPFS_MAP_CREATE | MMAPFS_MAP_GROW, 0, 100000);
	assert_int_equal(stat(scratch_path("new"), &st), 0);
	assert_int_equal(st.st_size, 100000);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(st.st_blocks * 512 >= 100000);
	address(map)[99999] = 7;
	mmapfs_map_close(map);
	assert_int_equal(unlink(scratch_path("new")), 0);
}

static void grow_never_shortens(void **state)
{
	const char *path = scratch_file("a", 10000);

	(void)state;
	mmapfs_map_close(open_map(path, MMAPFS_ACCESS_WRITE, MMAPFS_MAP_GROW, 10, 100));
	assert_int_equal(scratch_size(path), 10000);
}

static void bad_options_are_refused_before_anything_is_opened(void **state)
{
	struct {
		struct mmapfs_map_opts opts;
		uint64_t more;
	} newer = { .opts = options(0, 0, 0, 0), .more = 0 };
	struct mmapfs_map_opts zero = { 0 };
	const char *path = scratch_file("a", 100);
	struct mmapfs_map *map = NULL;

	(void)state;
	assert_int_equal(mmapfs_map_open(AT_FDCWD, path, &zero, &map), -EINVAL);
	assert_int_equal(try_open(path, 3, 0, 0, 0, &map), -EINVAL);
	assert_int_equal(try_open(path, 0, 1u << 31, 0, 0, &map), -EINVAL);
	assert_int_equal(try_open(path, 0, MMAPFS_MAP_GROW, 0, 1, &map), -EACCES);
	assert_int_equal(try_open(path, 2, MMAPFS_MAP_GROW, 0, 1, &map), -EACCES);
	assert_int_equal(try_open(path, 0, 0, UINT64_MAX, 1, &map), -EOVERFLOW);
	assert_int_equal(try_open(path, 0, 0, 1, INT64_MAX, &map), -EOVERFLOW);
	assert_int_equal(try_open(path, 0, 0, UINT64_C(1) << 63, 0, &map), -EOVERFLOW);
	newer.opts.size = sizeof(newer);
	newer.more = 1;
	assert_int_equal(mmapfs_map_open(AT_FDCWD, path, &newer.opts, &map), -EINVAL);
	assert_int_equal(fake_sys_calls("openat"), 0);
	assert_null(map);
	newer.more = 0;
	assert_int_equal(mmapfs_map_open(AT_FDCWD, path, &newer.opts, &map), 0);
	mmapfs_map_close(map);
}

static void failing_open_returns_the_errno_and_leaks_nothing(void **state)
{
	static const struct {
		const char *call;
		int error;
		unsigned int skip;
	} rows[] = {
		{ "statx", -EIO, 0 },	    { "fstat", -EIO, 0 },
		{ "fstatfs", -EIO, 0 },	    { "fallocate", -ENOSPC, 0 },
		{ "fallocate", -EFBIG, 1 }, { "fallocate", -EINTR, 0 },
		{ "mmap", -ENOMEM, 0 },	    { "mmap", -EPERM, 0 },
		{ "mmap", -EAGAIN, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *path = scratch_file("a", 100);
		struct mmapfs_map *map = NULL;

		fake_sys_install();
		fake_sys_script(rows[i].call, rows[i].skip, 1, rows[i].error);
		mmapfs__kind_forget();
		assert_int_equal(try_open(path, MMAPFS_ACCESS_WRITE, MMAPFS_MAP_GROW, 0,
					  100, &map), rows[i].error);
		assert_null(map);
		assert_int_equal(fake_sys_calls("openat"), 1);
		assert_int_equal(fake_sys_calls("close"), 1);
		assert_int_equal(scratch_size(path), 100);
		fake_sys_remove();
	}
	fake_sys_install();
	fake_sys_script("openat", 0, 1, -EMFILE);
	assert_int_equal(try_open("/x", 0, 0, 0, 0, NULL), -EMFILE);
	assert_int_equal(fake_sys_calls("close"), 0);
}

static void full_disk_leaves_the_file_as_it_was(void **state)
{
	const char *path = scratch_file("a", 100);
	struct mmapfs_map *map = NULL;

	(void)state;
	fake_sys_script("fallocate", 1, 1, -ENOSPC);
	assert_int_equal(try_open(path, 1, MMAPFS_MAP_GROW, 0, 100000, &map), -ENOSPC);
	assert_int_equal(scratch_size(path), 100);
	/* what was allocated beyond the end was given back */
	assert_int_equal(fake_sys_calls("ftruncate"), 1);
}

static void without_fallocate_the_file_grows_by_ftruncate(void **state)
{
	const char *path = scratch_file("a", 100);

	(void)state;
	fake_sys_script("fallocate", 0, 0, -EOPNOTSUPP);
	mmapfs_map_close(open_map(path, 1, MMAPFS_MAP_GROW, 0, 5000));
	assert_int_equal(scratch_size(path), 5000);
	mmapfs_map_close(open_map(path, 1, MMAPFS_MAP_GROW, 0, 50));
	assert_int_equal(scratch_size(path), 5000);
}

static void lazy_map_is_mapped_at_first_use(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	map = open_map(scratch_file("a", 5000), 0, MMAPFS_MAP_LAZY, 10, 0);
	assert_int_equal(fake_sys_calls("mmap"), 0);
	assert_content(address(map), 10, 4990);
	assert_content(address(map), 10, 4990);
	assert_int_equal(fake_sys_calls("mmap"), 1);
	mmapfs_map_close(map);
}

static void copy_keeps_stores_to_itself(void **state)
{
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *copy = open_map(path, MMAPFS_ACCESS_COPY, 0, 0, 0);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);

	(void)state;
	address(copy)[3] = 99;
	assert_int_equal(address(map)[3], 3);
	address(map)[4] = 98;
	assert_int_equal(address(copy)[3], 99);
	mmapfs_map_close(copy);
	mmapfs_map_close(map);
}

/* ---- from_fd, anonymous ---- */

static void descriptor_must_be_open_for_what_is_asked(void **state)
{
	static const struct {
		int flags;
		uint32_t access;
		int want;
	} rows[] = {
		{ O_RDONLY, MMAPFS_ACCESS_READ, 0 },
		{ O_RDONLY, MMAPFS_ACCESS_COPY, 0 },
		{ O_RDONLY, MMAPFS_ACCESS_WRITE, -EACCES },
		{ O_RDWR, MMAPFS_ACCESS_READ, 0 },
		{ O_RDWR, MMAPFS_ACCESS_WRITE, 0 },
		{ O_WRONLY, MMAPFS_ACCESS_READ, -EACCES },
		{ O_WRONLY, MMAPFS_ACCESS_WRITE, -EACCES },
		{ O_RDWR | O_APPEND, MMAPFS_ACCESS_READ, 0 },
		{ O_RDWR | O_APPEND, MMAPFS_ACCESS_WRITE, -EACCES },
		{ O_PATH, MMAPFS_ACCESS_READ, -EBADF },
	};
	const char *path = scratch_file("a", 5000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map_opts opts = options(rows[i].access, 0, 0, 0);
		struct mmapfs_map *map = NULL;
		int fd = open(path, rows[i].flags | O_CLOEXEC);

		assert_true(fd >= 0);
		if (mmapfs_map_from_fd(fd, &opts, &map) != rows[i].want)
			fail_msg("row %zu", i);
		if (rows[i].want == 0) {
			assert_int_equal(mmapfs_map_fd(map), fd);
			mmapfs_map_close(map);
			assert_int_equal(fcntl(fd, F_GETFD), -1);
		} else {
			assert_null(map);
			assert_int_equal(close(fd), 0);
		}
	}
}

static void from_fd_refuses_what_needs_a_path(void **state)
{
	struct mmapfs_map_opts opts = options(0, MMAPFS_MAP_CREATE, 0, 0);
	struct mmapfs_map *map = NULL;

	(void)state;
	assert_int_equal(mmapfs_map_from_fd(0, &opts, &map), -EINVAL);
	opts.flags = MMAPFS_MAP_NOFOLLOW;
	assert_int_equal(mmapfs_map_from_fd(0, &opts, &map), -EINVAL);
	assert_int_equal(mmapfs_map_from_fd(-1, NULL, &map), -EBADF);
}

static void failing_from_fd_leaves_the_descriptor_to_its_owner(void **state)
{
	int fd = open(scratch_file("a", 5000), O_RDONLY | O_CLOEXEC);
	struct mmapfs_map *map = NULL;

	(void)state;
	fake_sys_script("mmap", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_map_from_fd(fd, NULL, &map), -ENOMEM);
	assert_int_equal(fake_sys_calls("close"), 0);
	assert_int_equal(close(fd), 0);
}

static void anonymous_map_is_shared_memory(void **state)
{
	struct mmapfs_map *map = NULL, *other = NULL;

	(void)state;
	assert_int_equal(mmapfs_map_anonymous("x", 0, &map), -EINVAL);
	assert_int_equal(mmapfs_map_anonymous("x", UINT64_MAX, &map), -EINVAL);
	assert_int_equal(mmapfs_map_anonymous("region", 5000, &map), 0);
	assert_int_equal(mmapfs_map_length(map), 5000);
	assert_int_equal(map->fs_kind, MMAPFS__FS_MEMORY);
	address(map)[4999] = 5;
	assert_int_equal(mmapfs_map_from_fd(dup(mmapfs_map_fd(map)), NULL, &other), 0);
	assert_int_equal(address(other)[4999], 5);
	mmapfs_map_close(other);
	mmapfs_map_close(map);
}

static void failing_anonymous_leaks_nothing(void **state)
{
	struct mmapfs_map *map = NULL;

	(void)state;
	fake_sys_script("memfd_create", 0, 1, -EMFILE);
	assert_int_equal(mmapfs_map_anonymous(NULL, 1, &map), -EMFILE);
	assert_int_equal(fake_sys_calls("close"), 0);
	fake_sys_script("ftruncate", 0, 1, -EFBIG);
	assert_int_equal(mmapfs_map_anonymous(NULL, 1, &map), -EFBIG);
	assert_int_equal(fake_sys_calls("close"), 1);
	fake_sys_script("mmap", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_map_anonymous(NULL, 1, &map), -ENOMEM);
	assert_int_equal(fake_sys_calls("close"), 2);
}

/* ---- close ---- */

static void closing_null_is_nothing(void **state)
{
	(void)state;
	assert_null(mmapfs_map_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(null_options_map_the_whole_file_read_only),
		TEST(window_begins_at_any_byte),
		TEST(empty_window_opens_and_has_no_address),
		TEST(what_cannot_be_mapped_is_refused_without_hanging),
		TEST(symbolic_link_is_followed_only_if_allowed),
		TEST(access_time_is_left_alone_where_that_is_allowed),
		TEST(created_file_is_allocated_to_the_end_of_the_window),
		TEST(grow_never_shortens),
		TEST(bad_options_are_refused_before_anything_is_opened),
		TEST(failing_open_returns_the_errno_and_leaks_nothing),
		TEST(full_disk_leaves_the_file_as_it_was),
		TEST(without_fallocate_the_file_grows_by_ftruncate),
		TEST(lazy_map_is_mapped_at_first_use),
		TEST(copy_keeps_stores_to_itself),
		TEST(descriptor_must_be_open_for_what_is_asked),
		TEST(from_fd_refuses_what_needs_a_path),
		TEST(failing_from_fd_leaves_the_descriptor_to_its_owner),
		TEST(anonymous_map_is_shared_memory),
		TEST(failing_anonymous_leaks_nothing),
		TEST(closing_null_is_nothing),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
