/* SPDX-License-Identifier: MIT */
/* test-window.c - views: lent, kept over small requests, moved, and smaller when space is
 * short. */
#include "window.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "scratch.h"

#define PAGE mmapfs__page_size()
#define GIB (UINT64_C(1) << 30)
/* View, by the room for addresses. */
#define LARGEST (sizeof(void *) > 4 ? 64 * GIB : GIB / 4)

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

static struct mmapfs_map *open_sparse(uint64_t size, uint32_t access, uint32_t flags)
{
	struct mmapfs_map_opts opts = MMAPFS_INIT(struct mmapfs_map_opts);
	struct mmapfs_map *map = NULL;

	opts.access = access;
	opts.flags = flags;
	(void)scratch_file("sparse", 0);
	assert_int_equal(truncate(scratch_path("sparse"), (off_t)size), 0);
	assert_int_equal(mmapfs_map_open(AT_FDCWD, scratch_path("sparse"), &opts, &map),
			 0);
	return map;
}

static void map_lends_its_own_mapping_to_observers(void **state)
{
	struct mmapfs_map *map = open_sparse(10 * PAGE + 1, MMAPFS_ACCESS_READ, 0);
	struct mmapfs__window window;
	uint64_t length = 0;
	char *p = NULL;

	(void)state;
	mmapfs__window_init(&window, map, PROT_NONE);
	assert_int_equal(mmapfs__window_at(&window, 2 * PAGE, 3 * PAGE, &p, &length), 0);
	assert_ptr_equal(p, map->base + 2 * PAGE);
	assert_int_equal(length, 3 * PAGE);
	assert_int_equal(mmapfs__window_at(&window, 10 * PAGE, 3 * PAGE, &p, &length), 0);
	assert_int_equal(length, PAGE);
	assert_int_equal(fake_sys_calls("mmap"), 1);
	/* beyond the map, as the oracle asks: a view of its own */
	assert_int_equal(mmapfs__window_at(&window, 4 * GIB, PAGE, &p, &length), 0);
	assert_int_equal(length, PAGE);
	assert_int_equal(window.length, PAGE);
	mmapfs__window_done(&window);
	mmapfs_map_close(map);
	assert_int_equal(fake_sys_calls("mmap"), fake_sys_calls("munmap"));
}

static void private_map_and_readers_get_a_view_of_their_own(void **state)
{
	static const struct {
		uint32_t access;
		int prot;
	} rows[] = { { MMAPFS_ACCESS_COPY, PROT_NONE },
		     { MMAPFS_ACCESS_READ, PROT_READ } };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmapfs_map *map = open_sparse(4 * PAGE, rows[i].access, 0);
		struct mmapfs__window window;
		uint64_t length;
		char *p;

		mmapfs__window_init(&window, map, rows[i].prot);
		assert_int_equal(mmapfs__window_at(&window, 0, 4 * PAGE, &p, &length), 0);
		assert_ptr_not_equal(p, map->base);
		assert_int_equal(length, 4 * PAGE);
		mmapfs__window_done(&window);
		mmapfs_map_close(map);
	}
}

static void many_small_requests_share_few_views(void **state)
{
	struct mmapfs_map *map = open_sparse(1024 * GIB, 0, MMAPFS_MAP_LAZY);
	struct mmapfs__window window;
	uint64_t at, length;
	char *p;

	(void)state;
	mmapfs__window_init(&window, map, PROT_NONE);
	for (at = 0; at < 1024 * GIB; at += GIB) {
		assert_int_equal(mmapfs__window_at(&window, at, 16 * PAGE, &p, &length),
				 0);
		assert_int_equal(length, 16 * PAGE);
	}
	assert_int_equal(fake_sys_calls("mmap"), u64_min(1024 * GIB / LARGEST, 1024));
	assert_null(map->base);
	mmapfs__window_done(&window);
	assert_int_equal(fake_sys_calls("munmap"), fake_sys_calls("mmap"));
	mmapfs_map_close(map);
}

static void view_is_no_larger_than_the_window_of_the_map(void **state)
{
	struct mmapfs_map *map = open_sparse(3 * PAGE + 5, 0, MMAPFS_MAP_LAZY);
	struct mmapfs__window window;
	uint64_t length;
	char *p;

	(void)state;
	mmapfs__window_init(&window, map, PROT_NONE);
	assert_int_equal(mmapfs__window_at(&window, PAGE, PAGE, &p, &length), 0);
	assert_int_equal(window.begin, 0);
	assert_int_equal(window.length, 4 * PAGE);
	mmapfs__window_done(&window);
	mmapfs_map_close(map);
}

/* Three times too little: what is left is an eighth. */
static void view_halves_while_space_is_short(void **state)
{
	const uint64_t view = LARGEST / 8;
	struct mmapfs_map *map = open_sparse(LARGEST, 0, MMAPFS_MAP_LAZY);
	struct mmapfs__window window;
	uint64_t length;
	char *p;

	(void)state;
	mmapfs__window_init(&window, map, PROT_READ);
	fake_sys_script("mmap", 0, 2, -ENOMEM);
	fake_sys_script("mmap", 0, 1, -EAGAIN);
	assert_int_equal(mmapfs__window_at(&window, 2 * view + view / 2, 4 * view, &p, &length), 0);
	assert_int_equal(window.limit, view);
	assert_int_equal(window.begin, 2 * view);
	assert_int_equal(length, view / 2);
	assert_int_equal(mmapfs__window_at(&window, 3 * view, 4 * view, &p, &length), 0);
	assert_int_equal(length, view);
	mmapfs__window_done(&window);
	mmapfs_map_close(map);
	assert_int_equal(fake_sys_calls("munmap"), 2);
}

static void failing_view_returns_the_errno_and_holds_nothing(void **state)
{
	const unsigned int sizes = sizeof(void *) > 4 ? 13 : 5; /* down to 16 MiB */
	struct mmapfs_map *map = open_sparse(64 * GIB, 0, MMAPFS_MAP_LAZY);
	struct mmapfs__window window;
	uint64_t length = 7;
	char *p = NULL;

	(void)state;
	mmapfs__window_init(&window, map, PROT_READ);
	fake_sys_script("mmap", 0, sizes, -ENOMEM);
	assert_int_equal(mmapfs__window_at(&window, 0, PAGE, &p, &length), -ENOMEM);
	assert_int_equal(fake_sys_calls("mmap"), sizes);
	fake_sys_script("mmap", 0, 1, -EPERM);
	assert_int_equal(mmapfs__window_at(&window, 0, PAGE, &p, &length), -EPERM);
	assert_null(p);
	assert_int_equal(length, 7);
	mmapfs__window_done(&window);
	mmapfs__window_done(&window);
	assert_int_equal(fake_sys_calls("munmap"), 0);
	mmapfs_map_close(map);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(map_lends_its_own_mapping_to_observers),
		TEST(private_map_and_readers_get_a_view_of_their_own),
		TEST(many_small_requests_share_few_views),
		TEST(view_is_no_larger_than_the_window_of_the_map),
		TEST(view_halves_while_space_is_short),
		TEST(failing_view_returns_the_errno_and_holds_nothing),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
