/* SPDX-License-Identifier: MIT */
/* test-map-facts.c - what the rest of core asks of a map: the kind of its file, the pages
 * of a range, a descriptor to seek with. */
#include "map.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/statfs.h>

#include "base/macro.h"
#include "kind.h"
#include "map-help.h"

#define PAGE mmapfs__page_size()

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(filesystem_is_known_by_its_magic),
		TEST(open_asks_once_what_the_file_is),
		TEST(block_device_s_size_is_asked_of_the_device),
		TEST(extent_is_clamped_and_widened),
		TEST(seek_never_moves_a_position_of_somebody_else),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
