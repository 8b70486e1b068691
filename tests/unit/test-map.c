/* SPDX-License-Identifier: MIT */
/* test-map.c - opening, placing, resizing and closing maps, on disk and with a failing
 * kernel. */
#include "map.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "kind.h"
#include "scratch.h"

#define PAGE mmapfs__page_size()

static int setup(void **state)
{
	(void)state;
	fake_sys_install();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_sys_remove();
	return 0;
}

static struct mmapfs_map_opts options(uint32_t access, uint32_t flags, uint64_t offset,
				      uint64_t length)
{
	return (struct mmapfs_map_opts){
		.size = sizeof(struct mmapfs_map_opts),
		.access = access,
		.flags = flags,
		.offset = offset,
		.length = length,
		.mode = 0600,
	};
}

static int try_open(const char *path, uint32_t access, uint32_t flags, uint64_t offset,
		    uint64_t length, struct mmapfs_map **ret)
{
	struct mmapfs_map_opts opts = options(access, flags, offset, length);

	return mmapfs_map_open(AT_FDCWD, path, &opts, ret);
}

static struct mmapfs_map *open_map(const char *path, uint32_t access, uint32_t flags,
				   uint64_t offset, uint64_t length)
{
	struct mmapfs_map *map = NULL;

	assert_int_equal(try_open(path, access, flags, offset, length, &map), 0);
	assert_non_null(map);
	return map;
}

static unsigned char *address(struct mmapfs_map *map)
{
	void *p = NULL;

	assert_int_equal(mmapfs_map_addr(map, &p), 0);
	assert_non_null(p);
	return p;
}

/* The bytes that scratch_file() writes, from file offset @at on. */
static void assert_content(const unsigned char *bytes, uint64_t at, uint64_t length)
{
	uint64_t i;

	for (i = 0; i < length; i++)
		if (bytes[i] != (at + i) % 251)
			fail_msg("byte %llu of the file is wrong",
				 (unsigned long long)(at + i));
}

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

/* ---- kinds of files ---- */

static uint32_t fake_magic;
static bool fake_dax;

static int fstatfs_magic(int fd, struct statfs *st)
{
	int r = mmapfs__sys_real.fstatfs(fd, st);

	st->f_type = (__fsword_t)fake_magic;
	return r;
}

static int statx_dax(int fd, const char *path, int flags, unsigned int mask,
		     struct statx *stx)
{
	int r = mmapfs__sys_real.statx(fd, path, flags, mask, stx);

	if (fake_dax)
		stx->stx_attributes |= 0x00200000;
	return r;
}

static void filesystem_is_known_by_its_magic(void **state)
{
	static const struct {
		uint32_t magic;
		bool dax;
		enum mmapfs__fs_kind kind;
	} rows[] = {
		{ 0xef53, false, MMAPFS__FS_PLAIN },
		{ 0xef53, true, MMAPFS__FS_DAX },
		{ 0x58465342, true, MMAPFS__FS_DAX },
		{ 0x65735546, false, MMAPFS__FS_FUSE },
		{ 0x65735546, true, MMAPFS__FS_DAX },
		{ 0x01021994, false, MMAPFS__FS_MEMORY },
		{ 0x858458f6, false, MMAPFS__FS_MEMORY },
		{ 0x794c7630, false, MMAPFS__FS_OVERLAY },
		{ 0x958458f6, false, MMAPFS__FS_HUGETLB },
		{ 0x2fc12fc1, false, MMAPFS__FS_ZFS },
	};
	const char *path = scratch_file("a", 10);
	size_t i;

	(void)state;
	fake_sys_table()->fstatfs = fstatfs_magic;
	fake_sys_table()->statx = statx_dax;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map;

		fake_magic = rows[i].magic;
		fake_dax = rows[i].dax;
		mmapfs__kind_forget();
		map = open_map(path, 0, MMAPFS_MAP_LAZY, 0, 0);
		assert_int_equal(map->fs_kind, rows[i].kind);
		mmapfs_map_close(map);
	}
	mmapfs__kind_forget();
}

/* One call says all that opening wants to know; without it there is another. */
static void open_asks_once_what_the_file_is(void **state)
{
	static const int errors[] = { 0, -ENOSYS, -EPERM };
	const char *path = scratch_file("a", 5000);

	(void)state;
	mmapfs_map_close(open_map(path, 0, MMAPFS_MAP_LAZY, 0, 0));
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct mmapfs_map *a, *b;

		a = open_map(path, 0, MMAPFS_MAP_LAZY, 0, 0);
		fake_sys_install();
		if (errors[i] < 0)
			fake_sys_script("statx", 0, 1, errors[i]);
		b = open_map(path, 0, MMAPFS_MAP_LAZY, 1000, 0);
		assert_int_equal(fake_sys_calls("statx"), 1);
		assert_int_equal(fake_sys_calls("fstat"), errors[i] < 0);
		assert_int_equal(mmapfs_map_length(b), 4000);
		assert_int_equal(b->fs_kind, a->fs_kind);
		assert_ptr_equal(b->file, a->file);
		mmapfs_map_close(a);
		mmapfs_map_close(b);
	}
}

static int statx_block(int fd, const char *path, int flags, unsigned int mask,
		       struct statx *stx)
{
	int r = mmapfs__sys_real.statx(fd, path, flags, mask, stx);

	stx->stx_mode = (uint16_t)((stx->stx_mode & ~(mode_t)S_IFMT) | S_IFBLK);
	stx->stx_size = 0;
	return r;
}

static int ioctl_size(int fd, unsigned long request, void *arg)
{
	(void)fd;
	assert_int_equal(request, BLKGETSIZE64);
	*(uint64_t *)arg = 12288;
	return 0;
}

static void block_device_s_size_is_asked_of_the_device(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	fake_sys_table()->statx = statx_block;
	fake_sys_table()->ioctl = ioctl_size;
	map = open_map(scratch_file("a", 20000), 0, 0, 96, 0);
	assert_true(map->block_device);
	assert_int_equal(map->fs_kind, MMAPFS__FS_PLAIN);
	assert_int_equal(mmapfs_map_length(map), 12288 - 96);
	assert_int_equal(fake_sys_calls("fstatfs"), 0);
	assert_int_equal(fake_sys_calls("lseek"), 0);
	mmapfs_map_close(map);
}

/* ---- resize and refresh ---- */

static void resize_grows_and_shrinks_file_and_window(void **state)
{
	static const uint64_t lengths[] = { 5000, 100000, 100001, 100000, 4096,
					    1,	  0,	  3,	  8192 };
	char path[512];
	struct mmapfs_map *map;
	uint64_t offset, kept;
	size_t i;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", scratch_path("a"));
	for (offset = 0; offset < 300; offset += 200) {
		(void)scratch_file("a", 5000);
		map = open_map(path, MMAPFS_ACCESS_WRITE, 0, offset, 0);
		kept = mmapfs_map_length(map);
		for (i = 0; i < ARRAY_SIZE(lengths); i++) {
			assert_int_equal(mmapfs_map_resize(map, lengths[i]), 0);
			assert_int_equal(mmapfs_map_length(map), lengths[i]);
			assert_int_equal(scratch_size(path), offset + lengths[i]);
			kept = u64_min(kept, lengths[i]);
			if (lengths[i] == 0)
				continue;
			assert_content(address(map), offset, kept);
			address(map)[lengths[i] - 1] = (offset + lengths[i] - 1) % 251;
		}
		mmapfs_map_close(map);
	}
}

static void window_inside_the_file_does_not_truncate_it(void **state)
{
	const char *path = scratch_file("a", 20000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 100, 10000);

	(void)state;
	assert_int_equal(mmapfs_map_resize(map, 50), 0);
	assert_int_equal(scratch_size(path), 20000);
	assert_int_equal(mmapfs_map_resize(map, 19000), 0);
	assert_int_equal(scratch_size(path), 20000);
	assert_content(address(map), 100, 19000);
	assert_int_equal(mmapfs_map_resize(map, 19900), 0);
	assert_int_equal(mmapfs_map_resize(map, 10), 0);
	assert_int_equal(scratch_size(path), 110);
	mmapfs_map_close(map);
}

static void resize_is_refused_where_it_must_be(void **state)
{
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 0);

	(void)state;
	assert_int_equal(mmapfs_map_resize(map, 10), -EACCES);
	mmapfs_map_close(map);
	map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0, 0);
	assert_int_equal(mmapfs_map_resize(map, 10), -EACCES);
	mmapfs_map_close(map);
	map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);
	assert_int_equal(mmapfs_map_resize(map, UINT64_MAX), -EFBIG);
	assert_int_equal(mmapfs__spans_add(&map->locked, 0, PAGE), 0);
	assert_int_equal(mmapfs_map_resize(map, 10), -EBUSY);
	assert_int_equal(mmapfs_map_resize(map, 10000), -EBUSY);
	mmapfs_map_close(map);
	assert_int_equal(scratch_size(path), 5000);
}

static void failing_resize_leaves_map_and_file_as_they_were(void **state)
{
	static const struct {
		const char *call;
		int error;
		unsigned int skip;
		uint64_t length;
	} rows[] = {
		{ "fstat", -EIO, 0, 100000 },
		{ "fallocate", -ENOSPC, 0, 100000 },
		{ "fallocate", -EDQUOT, 1, 100000 }, { "mremap", -ENOMEM, 0, 100000 },
		{ "mremap", -EAGAIN, 0, 100000 },    { "fstat", -EIO, 0, 100 },
		{ "ftruncate", -EIO, 0, 100 },	     { "ftruncate", -EPERM, 0, 0 },
	};
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);
	unsigned char *p = address(map);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_sys_install();
		fake_sys_script(rows[i].call, rows[i].skip, 1, rows[i].error);
		assert_int_equal(mmapfs_map_resize(map, rows[i].length), rows[i].error);
		assert_int_equal(mmapfs_map_length(map), 5000);
		assert_ptr_equal(address(map), p);
		assert_int_equal(scratch_size(path), 5000);
		assert_content(p, 0, 5000);
		fake_sys_remove();
	}
	mmapfs_map_close(map);
}

static void map_with_advice_on_a_part_still_grows(void **state)
{
	const char *path = scratch_file("a", 8 * 4096);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);

	(void)state;
	/* Two areas now: mremap says EFAULT. */
	assert_int_equal(madvise(address(map), PAGE, MADV_RANDOM), 0);
	assert_int_equal(mmapfs_map_resize(map, 64 << 20), 0);
	assert_content(address(map), 0, 8 * 4096);
	address(map)[(64 << 20) - 1] = 1;
	mmapfs_map_close(map);
}

static void map_that_cannot_grow_in_place_is_mapped_afresh(void **state)
{
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0, 0);

	(void)state;
	fake_sys_script("mremap", 0, 1, -EFAULT);
	fake_sys_script("mmap", 0, 1, -EEXIST);
	assert_int_equal(mmapfs_map_resize(map, 100000), 0);
	assert_content(address(map), 0, 5000);
	address(map)[99999] = 1;
	mmapfs_map_close(map);
	assert_int_equal(fake_sys_calls("munmap"), 2);
}

static void refresh_follows_a_file_that_others_change(void **state)
{
	static const uint64_t sizes[] = { 5000, 100000, 4096, 0, 10, 9000 };
	const char *path = scratch_file("a", 6000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 5, 0);
	size_t i;

	(void)state;
	assert_int_equal(mmapfs_map_refresh(map), 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t want = sizes[i] > 5 ? sizes[i] - 5 : 0;
		void *p;

		assert_int_equal(truncate(path, (off_t)sizes[i]), 0);
		assert_int_equal(mmapfs_map_refresh(map), 1);
		assert_int_equal(mmapfs_map_length(map), want);
		assert_int_equal(mmapfs_map_refresh(map), 0);
		assert_int_equal(mmapfs_map_addr(map, &p), want ? 0 : -ENODATA);
		if (want > 0)
			assert_int_equal(((volatile char *)p)[want - 1] & 0, 0);
	}
	mmapfs_map_close(map);
}

static void refresh_leaves_a_window_of_given_length(void **state)
{
	const char *path = scratch_file("a", 6000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 6000);

	(void)state;
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(mmapfs_map_refresh(map), 0);
	assert_int_equal(mmapfs_map_length(map), 6000);
	mmapfs_map_close(map);
}

static void clipped_window_ends_with_the_file_or_at_its_length(void **state)
{
	static const struct {
		uint64_t size, length;
	} rows[] = { { 100, 93 }, { 7, 0 }, { 6007, 6000 }, { 0, 0 }, { 9000, 6000 } };
	const char *path = scratch_file("a", 5007);
	struct mmapfs_map *map =
		open_map(path, MMAPFS_ACCESS_WRITE, MMAPFS_MAP_CLIP, 7, 6000);

	(void)state;
	assert_int_equal(mmapfs_map_length(map), 5000);
	assert_content(address(map), 7, 5000);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(truncate(path, (off_t)rows[i].size), 0);
		assert_int_equal(mmapfs_map_refresh(map), 1);
		assert_int_equal(mmapfs_map_length(map), rows[i].length);
		assert_int_equal(mmapfs_map_refresh(map), 0);
	}
	/* Resizing also changes how much it may become again. */
	assert_int_equal(mmapfs_map_resize(map, 8000), 0);
	assert_int_equal(truncate(path, 7007), 0);
	assert_int_equal(mmapfs_map_refresh(map), 1);
	assert_int_equal(mmapfs_map_length(map), 7000);
	mmapfs_map_close(map);
}

static void failing_refresh_leaves_the_map_as_it_was(void **state)
{
	const char *path = scratch_file("a", 6000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 0);

	(void)state;
	assert_int_equal(truncate(path, 60000), 0);
	fake_sys_script("fstat", 0, 1, -EIO);
	assert_int_equal(mmapfs_map_refresh(map), -EIO);
	fake_sys_script("mremap", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_map_refresh(map), -ENOMEM);
	assert_int_equal(mmapfs_map_length(map), 6000);
	assert_content(address(map), 0, 6000);
	mmapfs_map_close(map);
}

static void refresh_keeps_locks_and_forgets_those_beyond_the_end(void **state)
{
	const char *path = scratch_file("a", 8 * 4096);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0, 0);

	(void)state;
	assert_int_equal(mmapfs__spans_add(&map->locked, 0, 2 * PAGE), 0);
	assert_int_equal(mmapfs__spans_add(&map->locked, 4 * PAGE, 8 * PAGE), 0);
	assert_int_equal(truncate(path, (off_t)(4 * PAGE + 1)), 0);
	assert_int_equal(mmapfs_map_refresh(map), 1);
	assert_int_equal(map->locked.count, 2);
	assert_int_equal(mmapfs__spans_covered(&map->locked, 0, UINT64_MAX), 3 * PAGE);
	/* A locked mapping is never moved. */
	assert_int_equal(truncate(path, (off_t)(9 * PAGE)), 0);
	fake_sys_script("mmap", 0, 1, -EEXIST);
	assert_int_equal(mmapfs_map_refresh(map), -EBUSY);
	assert_int_equal(mmapfs_map_length(map), 4 * PAGE + 1);
	assert_int_equal(fake_sys_calls("mremap"), 0);
	mmapfs_map_close(map);
}

/* ---- protect ---- */

static void protection_follows_descriptor_and_kind(void **state)
{
	static const struct {
		uint32_t opened;
		int to;
		int want;
	} rows[] = {
		{ MMAPFS_ACCESS_READ, MMAPFS_ACCESS_READ, 0 },
		{ MMAPFS_ACCESS_READ, MMAPFS_ACCESS_WRITE, -EACCES },
		{ MMAPFS_ACCESS_READ, MMAPFS_ACCESS_COPY, -EINVAL },
		{ MMAPFS_ACCESS_WRITE, MMAPFS_ACCESS_READ, 0 },
		{ MMAPFS_ACCESS_WRITE, MMAPFS_ACCESS_WRITE, 0 },
		{ MMAPFS_ACCESS_WRITE, MMAPFS_ACCESS_COPY, -EINVAL },
		{ MMAPFS_ACCESS_COPY, MMAPFS_ACCESS_READ, 0 },
		{ MMAPFS_ACCESS_COPY, MMAPFS_ACCESS_WRITE, -EINVAL },
		{ MMAPFS_ACCESS_COPY, MMAPFS_ACCESS_COPY, 0 },
		{ MMAPFS_ACCESS_WRITE, 17, -EINVAL },
	};
	const char *path = scratch_file("a", 5000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map = open_map(path, rows[i].opened, 0, 0, 0);

		if (mmapfs_map_protect(map, (enum mmapfs_access)rows[i].to) !=
		    rows[i].want)
			fail_msg("row %zu", i);
		mmapfs_map_close(map);
	}
}

static void protection_can_be_taken_and_given_back(void **state)
{
	struct mmapfs_map *map;

	(void)state;
	map = open_map(scratch_file("a", 5000), MMAPFS_ACCESS_WRITE, MMAPFS_MAP_LAZY, 0,
		       0);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_READ), 0);
	assert_int_equal(mmapfs_write(map, 0, "x", 1), -EACCES);
	assert_int_equal(address(map)[0], 0);
	assert_int_equal(mmapfs_map_resize(map, 10), -EACCES);
	fake_sys_script("mprotect", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_WRITE), -ENOMEM);
	assert_int_equal(mmapfs_write(map, 0, "x", 1), -EACCES);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_WRITE), 0);
	address(map)[0] = 9;
	mmapfs_map_close(map);
}

/* ---- for the rest of core ---- */

static void extent_is_clamped_and_widened(void **state)
{
	/* window [5000, 5000 + 15000) of a file of 18000 bytes; in pages of 4096 */
	static const struct {
		struct mmapfs_range range;
		uint64_t first, last;
	} rows[] = {
		{ { 0, 0 }, 1, 5 },	      { { 0, 1 }, 1, 2 },
		{ { 3191, 1 }, 1, 2 },	      { { 3192, 1 }, 2, 3 },
		{ { 3191, 2 }, 1, 3 },	      { { 12999, 1 }, 4, 5 },
		{ { 13000, 1 }, 4, 4 },	      { { 13000, 0 }, 4, 4 },
		{ { 1, UINT64_MAX }, 1, 5 },  { { UINT64_MAX, 1 }, 4, 4 },
		{ { UINT64_MAX, UINT64_MAX }, 4, 4 },
	};
	struct mmapfs_map *map;
	struct mmapfs__extent e;
	size_t i;

	(void)state;
	if (PAGE != 4096)
		skip();
	map = open_map(scratch_file("a", 18000), 0, MMAPFS_MAP_LAZY, 5000, 15000);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(mmapfs__map_extent(map, rows[i].range, &e), 0);
		if (e.begin != rows[i].first * PAGE || e.end != rows[i].last * PAGE)
			fail_msg("row %zu: %llu to %llu", i, (unsigned long long)e.begin,
				 (unsigned long long)e.end);
		assert_int_equal(e.eof, 18000);
		assert_int_equal(mmapfs__extent_pages(&e), rows[i].last - rows[i].first);
	}
	assert_int_equal(truncate(scratch_path("a"), 100), 0);
	assert_int_equal(mmapfs__map_extent(map, (struct mmapfs_range){ 0, 0 }, &e), 0);
	assert_int_equal(e.begin, e.end);
	fake_sys_script("fstat", 0, 1, -EIO);
	assert_int_equal(mmapfs__map_extent(map, (struct mmapfs_range){ 0, 0 }, &e),
			 -EIO);
	mmapfs_map_close(map);
}

static void seek_never_moves_a_position_of_somebody_else(void **state)
{
	const char *path = scratch_file("a", 5000);
	struct mmapfs_map *map = open_map(path, 0, 0, 0, 0);
	int opened = 7, fd;

	(void)state;
	assert_int_equal(mmapfs__map_seek_fd(map, &opened), mmapfs_map_fd(map));
	assert_int_equal(opened, -1);
	mmapfs_map_close(map);

	assert_int_equal(mmapfs_map_from_fd(open(path, O_RDONLY | O_CLOEXEC), NULL, &map),
			 0);
	fd = mmapfs__map_seek_fd(map, &opened);
	assert_true(fd >= 0);
	assert_int_equal(fd, opened);
	assert_int_equal(lseek(fd, 100, SEEK_SET), 100);
	assert_int_equal(lseek(mmapfs_map_fd(map), 0, SEEK_CUR), 0);
	close(fd);
	fake_sys_script("openat", 0, 1, -EMFILE);
	assert_int_equal(mmapfs__map_seek_fd(map, &opened), -EMFILE);
	assert_int_equal(opened, -1);
	mmapfs_map_close(map);
}

static void closing_null_is_nothing(void **state)
{
	(void)state;
	assert_null(mmapfs_map_close(NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(filesystem_is_known_by_its_magic),
		TEST(open_asks_once_what_the_file_is),
		TEST(block_device_s_size_is_asked_of_the_device),
		TEST(resize_grows_and_shrinks_file_and_window),
		TEST(window_inside_the_file_does_not_truncate_it),
		TEST(resize_is_refused_where_it_must_be),
		TEST(failing_resize_leaves_map_and_file_as_they_were),
		TEST(map_with_advice_on_a_part_still_grows),
		TEST(map_that_cannot_grow_in_place_is_mapped_afresh),
		TEST(refresh_follows_a_file_that_others_change),
		TEST(refresh_leaves_a_window_of_given_length),
		TEST(clipped_window_ends_with_the_file_or_at_its_length),
		TEST(failing_refresh_leaves_the_map_as_it_was),
		TEST(refresh_keeps_locks_and_forgets_those_beyond_the_end),
		TEST(protection_follows_descriptor_and_kind),
		TEST(protection_can_be_taken_and_given_back),
		TEST(extent_is_clamped_and_widened),
		TEST(seek_never_moves_a_position_of_somebody_else),
		TEST(closing_null_is_nothing),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
