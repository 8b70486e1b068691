/* SPDX-License-Identifier: MIT */
/* test-access.c - copies out of and into maps whose pages may be gone. */
#include <mmapfs.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "map.h"
#include "probe.h"
#include "scratch.h"
#include "sigbus.h"

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

static struct mmapfs_map *open_map(const char *path, uint32_t access, uint64_t offset,
				   uint64_t length)
{
	struct mmapfs_map_opts opts = MMAPFS_INIT(struct mmapfs_map_opts);
	struct mmapfs_map *map = NULL;

	opts.access = access;
	opts.offset = offset;
	opts.length = length;
	opts.flags = MMAPFS_MAP_LAZY;
	assert_int_equal(mmapfs_map_open(AT_FDCWD, path, &opts, &map), 0);
	return map;
}

static const uint32_t accesses[] = { MMAPFS_ACCESS_READ, MMAPFS_ACCESS_WRITE,
				     MMAPFS_ACCESS_COPY };

/* Window [5, 5 + 20000) of a file of 10000 bytes. */
static const struct {
	uint64_t offset;
	size_t length;
	int64_t want;
} reads[] = {
	{ 0, 0, 0 },	     { 0, 1, 1 },	 { 0, 9995, 9995 },
	{ 0, 9996, 9995 },   { 0, 12000, 9995 }, { 9994, 10, 1 },
	{ 9995, 1, 0 },	     { 19999, 10, 0 },	 { 20000, 1, 0 },
	{ UINT64_MAX, 1, 0 }, { 4091, 2, 2 },	 { 100, 8000, 8000 },
};

static void check_reads(struct mmapfs_map *map)
{
	static unsigned char buf[20000];
	int64_t i;
	size_t row;

	for (row = 0; row < ARRAY_SIZE(reads); row++) {
		memset(buf, 0xee, sizeof(buf));
		if (mmapfs_read(map, reads[row].offset, buf, reads[row].length) !=
		    reads[row].want)
			fail_msg("row %zu", row);
		for (i = 0; i < reads[row].want; i++)
			assert_int_equal(buf[i],
					 (5 + reads[row].offset + (uint64_t)i) % 251);
		assert_int_equal(buf[reads[row].want], 0xee);
	}
}

static void read_ends_with_the_window_or_the_file(void **state)
{
	const char *path = scratch_file("a", 10000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct mmapfs_map *map = open_map(path, accesses[i], 5, 20000);

		check_reads(map);
		mmapfs_map_close(map);
	}
}

static void private_map_is_copied_also_without_process_vm(void **state)
{
	const char *path = scratch_file("a", 10000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_COPY, 5, 20000);
	char byte = 0;

	(void)state;
	sigbus_ready();
	assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_PROCESS_VM), 0);
	check_reads(map);
	assert_int_equal(mmapfs_write(map, 9000, "xyz", 3), 3);
	assert_int_equal(mmapfs_read(map, 9001, &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(fake_sys_calls("process_vm_readv"), 0);
	assert_int_equal(fake_sys_calls("process_vm_writev"), 0);
	mmapfs_map_close(map);
}

static void write_reaches_file_and_memory_and_never_grows(void **state)
{
	const char *path = scratch_file("a", 10000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 100, 0);
	char buf[300], back[4] = "";
	void *p;

	(void)state;
	memset(buf, 'w', sizeof(buf));
	assert_int_equal(mmapfs_map_addr(map, &p), 0);
	assert_int_equal(mmapfs_write(map, 10, "abc", 3), 3);
	assert_memory_equal((char *)p + 10, "abc", 3);
	assert_int_equal(mmapfs_read(map, 10, back, 3), 3);
	assert_string_equal(back, "abc");
	assert_int_equal(mmapfs_write(map, 9800, buf, 300), 100);
	assert_int_equal(mmapfs_write(map, 9900, buf, 300), 0);
	assert_int_equal(mmapfs_write(map, UINT64_MAX, buf, 300), 0);
	assert_int_equal(scratch_size(path), 10000);
	assert_int_equal(truncate(path, 200), 0);
	assert_int_equal(mmapfs_write(map, 50, buf, 300), 50);
	assert_int_equal(mmapfs_write(map, 5000, buf, 300), 0);
	assert_int_equal(scratch_size(path), 200);
	mmapfs_map_close(map);
}

static void write_stays_in_a_window_inside_the_file(void **state)
{
	const char *path = scratch_file("a", 10000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 100, 50);
	unsigned char after;
	int fd;

	(void)state;
	assert_int_equal(mmapfs_write(map, 40, "0123456789abcdef", 16), 10);
	fd = mmapfs_map_fd(map);
	assert_int_equal(pread(fd, &after, 1, 150), 1);
	assert_int_equal(after, 150);
	mmapfs_map_close(map);
}

static void read_only_map_is_not_written(void **state)
{
	const char *path = scratch_file("a", 100);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_READ, 0, 0);

	(void)state;
	assert_int_equal(mmapfs_write(map, 0, "x", 1), -EACCES);
	mmapfs_map_close(map);
	map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0);
	assert_int_equal(mmapfs_map_protect(map, MMAPFS_ACCESS_READ), 0);
	assert_int_equal(mmapfs_write(map, 0, "x", 1), -EACCES);
	mmapfs_map_close(map);
	assert_int_equal(fake_sys_calls("pwrite"), 0);
	assert_int_equal(fake_sys_calls("process_vm_writev"), 0);
}

static void private_write_is_seen_only_there(void **state)
{
	const char *path = scratch_file("a", 10000);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0);
	struct mmapfs_map *file = open_map(path, MMAPFS_ACCESS_READ, 0, 0);
	char byte = 0;

	(void)state;
	assert_int_equal(mmapfs_write(map, 9998, "xyz", 3), 2);
	assert_int_equal(mmapfs_read(map, 9999, &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(mmapfs_read(file, 9999, &byte, 1), 1);
	assert_int_equal((unsigned char)byte, 9999 % 251);
	mmapfs_map_close(file);
	mmapfs_map_close(map);
}

/* The file as it was before somebody truncated it: the race that clamping cannot see. */
static int fstat_stale(int fd, struct stat *st)
{
	int r = mmapfs__sys_real.fstat(fd, st);

	st->st_size = (off_t)(4 * PAGE);
	return r;
}

static void private_copy_stops_at_a_page_that_is_gone(void **state)
{
	const char *path = scratch_file("a", 4 * PAGE);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0);
	char *buf = calloc(4, PAGE);
	int pass;

	(void)state;
	sigbus_ready();
	assert_non_null(buf);
	assert_int_equal(truncate(path, (off_t)(2 * PAGE)), 0);
	fake_sys_table()->fstat = fstat_stale;
	/* The guarded copy jumps out of a signal handler, which TSan does not take. */
	for (pass = 0; pass < (UNDER_TSAN ? 1 : 2); pass++) {
		assert_int_equal(mmapfs_read(map, 10, buf, 4 * PAGE), 2 * PAGE - 10);
		assert_int_equal(mmapfs_write(map, 20, buf, 3 * PAGE), 2 * PAGE - 20);
		assert_int_equal(mmapfs_read(map, 2 * PAGE, buf, 1), 0);
		assert_int_equal(mmapfs_write(map, 3 * PAGE, buf, 1), 0);
		/* and the same by the guarded copy */
		assert_int_equal(mmapfs_feature_disable(MMAPFS_FEATURE_PROCESS_VM), 0);
	}
	mmapfs_map_close(map);
	free(buf);
}

static void private_copy_of_an_unreadable_page_is_eio(void **state)
{
	const char *path = scratch_file("a", 100);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0);
	char buf[100];

	(void)state;
	fake_sys_script("process_vm_readv", 0, 1, -EFAULT);
	fake_sys_script("pread", 0, 1, -EIO);
	assert_int_equal(mmapfs_read(map, 0, buf, 100), -EIO);
	/* what came before the bad page is not lost */
	fake_sys_script("process_vm_readv", 0, 1, 60);
	fake_sys_script("process_vm_readv", 0, 1, -EFAULT);
	fake_sys_script("pread", 0, 1, -EIO);
	assert_int_equal(mmapfs_read(map, 0, buf, 100), 60);
	mmapfs_map_close(map);
}

static void bad_buffer_is_efault(void **state)
{
	const char *path = scratch_file("a", 100);
	void *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct mmapfs_map *map = open_map(path, accesses[i], 0, 0);

		assert_int_equal(mmapfs_read(map, 0, none, 100), -EFAULT);
		if (accesses[i] != MMAPFS_ACCESS_READ)
			assert_int_equal(mmapfs_write(map, 0, none, 100), -EFAULT);
		mmapfs_map_close(map);
	}
	munmap(none, PAGE);
}

static void errors_are_forwarded_and_short_counts_continued(void **state)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT, -EPERM };
	const char *path = scratch_file("a", 100);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_WRITE, 0, 0);
	char buf[100] = "";
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		fake_sys_script("pread", 0, 1, errors[i]);
		fake_sys_script("pwrite", 0, 1, errors[i]);
		assert_int_equal(mmapfs_read(map, 0, buf, 100), errors[i]);
		assert_int_equal(mmapfs_write(map, 0, buf, 100), errors[i]);
	}
	fake_sys_install();
	fake_sys_script("pwrite", 0, 1, -EINTR);
	fake_sys_script("pwrite", 0, 1, 30);
	assert_int_equal(mmapfs_write(map, 0, buf, 100), 100);
	fake_sys_script("pwrite", 0, 1, 30);
	fake_sys_script("pwrite", 0, 1, -ENOSPC);
	assert_int_equal(mmapfs_write(map, 0, buf, 100), 30);
	fake_sys_script("pread", 0, 1, -EINTR);
	fake_sys_script("pread", 0, 1, 30);
	assert_int_equal(mmapfs_read(map, 0, buf, 100), 100);
	fake_sys_script("fstat", 0, 1, -EIO);
	assert_int_equal(mmapfs_write(map, 0, buf, 100), -EIO);
	mmapfs_map_close(map);
}

static void private_map_that_cannot_be_mapped_says_why(void **state)
{
	const char *path = scratch_file("a", 100);
	struct mmapfs_map *map = open_map(path, MMAPFS_ACCESS_COPY, 0, 0);
	char buf[10];

	(void)state;
	fake_sys_script("mmap", 0, 1, -ENOMEM);
	assert_int_equal(mmapfs_read(map, 0, buf, 10), -ENOMEM);
	assert_int_equal(mmapfs_read(map, 0, buf, 10), 10);
	mmapfs_map_close(map);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(read_ends_with_the_window_or_the_file),
		TEST(private_map_is_copied_also_without_process_vm),
		TEST(write_reaches_file_and_memory_and_never_grows),
		TEST(write_stays_in_a_window_inside_the_file),
		TEST(read_only_map_is_not_written),
		TEST(private_write_is_seen_only_there),
		TEST(private_copy_stops_at_a_page_that_is_gone),
		TEST(private_copy_of_an_unreadable_page_is_eio),
		TEST(bad_buffer_is_efault),
		TEST(errors_are_forwarded_and_short_counts_continued),
		TEST(private_map_that_cannot_be_mapped_says_why),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
