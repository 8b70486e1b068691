/* SPDX-License-Identifier: MIT */
/* test-table-window.c - where windows end, what may be done to them, and which others show
 * the same bytes. */
#include "table_window.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "base/macro.h"
#include "table.h"

#define END INT64_MAX

static const struct window part = { .kind = WINDOW_PART, .writable = true, .offset = 1000,
				    .length = 500, .dev = 7, .ino = 8 };
static const struct window rest = { .kind = WINDOW_REST, .writable = true, .offset = 1000,
				    .length = END - 1000, .dev = 7, .ino = 9 };
static const struct window whole = { .kind = WINDOW_REST, .length = END };
static const struct window memory = { .kind = WINDOW_MEMORY, .writable = true,
				      .length = 10000 };

/* ---- what there is ---- */

static void a_window_has_what_the_source_has_of_it(void **state)
{
	static const struct {
		const struct window *window;
		uint64_t size, length;
	} rows[] = {
		{ &part, 0, 0 },	{ &part, 1000, 0 },	  { &part, 1001, 1 },
		{ &part, 1500, 500 },	{ &part, 1501, 500 },	  { &part, END, 500 },
		{ &rest, 999, 0 },	{ &rest, 5000, 4000 },	  { &rest, END, END - 1000 },
		{ &whole, 5000, 5000 }, { &memory, 10000, 10000 }, { &memory, 3, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(window_length(rows[i].window, rows[i].size),
				 rows[i].length);
	assert_true(window_is_whole(&whole));
	assert_false(window_is_whole(&rest));
	assert_false(window_is_whole(&part));
	assert_false(window_is_whole(&memory));
}

static void attributes_are_those_of_a_file_of_that_length(void **state)
{
	static const struct window read_only = { .kind = WINDOW_PART, .length = 1 };
	struct stat st = { .st_mode = S_IFREG | 06775, .st_nlink = 3, .st_size = 2000,
			   .st_blocks = 8, .st_uid = 11, .st_gid = 12 };
	struct stat other = st;

	(void)state;
	window_stat(&part, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0664);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 500);
	assert_int_equal(st.st_blocks, 1);
	assert_int_equal(st.st_uid, 11);
	assert_int_equal(st.st_gid, 12);
	assert_int_equal(st.st_dev, 7);
	assert_int_equal(st.st_ino, 8);
	other.st_blocks = 0; /* all of the source is a hole */
	window_stat(&read_only, &other);
	assert_int_equal(other.st_mode, S_IFREG | 0444);
	assert_int_equal(other.st_blocks, 0);
}

static void a_table_is_a_directory_for_who_may_read_it(void **state)
{
	static const struct {
		mode_t file, directory;
	} rows[] = { { 0644, 0755 }, { 0600, 0700 }, { 0440, 0550 }, { 0777, 0777 },
		     { 0, 0 },	     { 0222, 0222 } };
	const struct window root = { .kind = WINDOW_ROOT, .dev = 7, .ino = TABLE_ROOT_INO };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stat st = { .st_mode = S_IFREG | rows[i].file, .st_nlink = 1,
				   .st_size = 100 };

		window_stat(&root, &st);
		assert_int_equal(st.st_mode, S_IFDIR | rows[i].directory);
		assert_int_equal(st.st_nlink, 2);
		assert_int_equal(st.st_ino, TABLE_ROOT_INO);
	}
}

/* ---- what may be done ---- */

static void only_what_is_for_writing_is_opened_for_it(void **state)
{
	static const int writing[] = { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_RDWR | O_APPEND };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(writing); i++) {
		assert_int_equal(window_may_open(&part, writing[i]), 0);
		assert_int_equal(window_may_open(&whole, writing[i]), -EACCES);
	}
	assert_int_equal(window_may_open(&whole, O_RDONLY), 0);
}

static void a_write_ends_with_the_window(void **state)
{
	static const struct {
		uint64_t offset, size;
		int64_t room;
	} rows[] = {
		{ 0, 1, 1 },	    { 0, 500, 500 },	{ 0, 501, 500 }, { 499, 9, 1 },
		{ 500, 1, -EFBIG }, { END, 1, -EFBIG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(window_room(&part, rows[i].offset, rows[i].size),
				 rows[i].room);
	assert_int_equal(window_room(&rest, 1 << 30, 4096), 4096);
	assert_int_equal(window_room(&rest, END - 1001, 4096), 1);
	assert_int_equal(window_room(&rest, END - 1000, 1), -EFBIG);
}

static int open_scratch(size_t size)
{
	int fd = open(scratch_file("source", size), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

static void truncation_moves_only_an_end_that_is_the_source_s(void **state)
{
	static const struct {
		const struct window *window;
		uint64_t length;
		int r;
		off_t size; /* of the source afterwards; it had 2000 */
	} rows[] = {
		{ &part, 500, 0, 2000 },       { &part, 0, -EPERM, 2000 },
		{ &part, 499, -EPERM, 2000 },  { &part, 501, -EFBIG, 2000 },
		{ &rest, 1000, 0, 2000 },      { &rest, 0, 0, 1000 },
		{ &rest, 10, 0, 1010 },	       { &rest, 3000, 0, 4000 },
		{ &rest, END, -EFBIG, 2000 },  { &memory, 0, 0, 0 },
		{ &memory, 10000, 0, 10000 },  { &memory, 10001, -EFBIG, 2000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = open_scratch(2000);

		assert_int_equal(window_truncate(rows[i].window, fd, rows[i].length), rows[i].r);
		assert_int_equal(size_of(fd), rows[i].size);
		close(fd);
	}
}

static void truncation_of_a_window_whose_end_is_gone_changes_nothing(void **state)
{
	int fd = open_scratch(1100);

	(void)state;
	assert_int_equal(window_truncate(&part, fd, 100), 0);
	assert_int_equal(window_truncate(&part, fd, 500), -EPERM);
	assert_int_equal(window_truncate(&part, fd, 50), -EPERM);
	assert_int_equal(size_of(fd), 1100);
	close(fd);
}

static void allocation_stays_within_the_window(void **state)
{
	static const struct {
		int mode;
		uint64_t offset, length;
		int r;
		off_t size; /* of the source afterwards; it had 1200 */
	} rows[] = {
		{ 0, 0, 500, 0, 1500 },
		{ 0, 0, 501, -EFBIG, 1200 },
		{ 0, 499, 2, -EFBIG, 1200 },
		{ 0, 500, 1, -EFBIG, 1200 },
		{ 0, END, END, -EFBIG, 1200 },
		{ FALLOC_FL_KEEP_SIZE, 100, 400, 0, 1200 },
		{ FALLOC_FL_ZERO_RANGE, 0, 501, -EFBIG, 1200 },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 499, END, 0, 1200 },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 500, 1, 0, 1200 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = open_scratch(1200);

		assert_int_equal(window_fallocate(&part, fd, rows[i].mode, rows[i].offset,
						  rows[i].length), rows[i].r);
		assert_int_equal(size_of(fd), rows[i].size);
		close(fd);
	}
}

static void a_hole_punched_past_the_end_spares_what_lies_behind(void **state)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	unsigned char bytes[3];
	int fd = open_scratch(5000);

	(void)state;
	assert_int_equal(window_fallocate(&part, fd, punch, 499, 1 << 20), 0);
	assert_int_equal(pread(fd, bytes, 3, 1498), 3);
	assert_int_equal(bytes[0], 1498 % 251);
	assert_int_equal(bytes[1], 0);
	assert_int_equal(bytes[2], 1500 % 251);
	close(fd);
}

static void seeking_finds_data_and_holes_of_the_window_alone(void **state)
{
	const uint64_t block = 65536;
	/* Data in the first block and in the fourth; the file has five. */
	const struct window window = { .kind = WINDOW_PART, .offset = 100,
				       .length = 3 * block - 100 };
	const struct window longer = { .kind = WINDOW_PART, .offset = 100,
				       .length = 4 * block - 100 };
	int fd = open_scratch(1);

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, (off_t)(3 * block)), 1);
	assert_int_equal(ftruncate(fd, (off_t)(5 * block)), 0);
	assert_int_equal(window_seek(&window, fd, 0, SEEK_DATA), 0);
	assert_true(window_seek(&window, fd, 0, SEEK_HOLE) > 0);
	assert_true(window_seek(&window, fd, 0, SEEK_HOLE) <= (int64_t)(block - 100));
	assert_int_equal(window_seek(&window, fd, block, SEEK_DATA), -ENXIO);
	assert_int_equal(window_seek(&longer, fd, block, SEEK_DATA), 3 * block - 100);
	assert_int_equal(window_seek(&window, fd, 3 * block - 100, SEEK_HOLE), -ENXIO);
	assert_int_equal(window_seek(&window, fd, END, SEEK_DATA), -ENXIO);
	/* Where there is data up to the end of the window, there is a hole behind it. */
	assert_int_equal(window_seek(&(struct window){ .length = 10 }, fd, 3, SEEK_HOLE), 10);
	close(fd);
}

/* ---- the others ---- */

#define WINDOWS 8

static struct window windows[WINDOWS];
static struct window *in_order[WINDOWS];
static struct window_source source;

static void arrange(const uint64_t (*places)[2], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		windows[i] = (struct window){ .offset = places[i][0], .length = places[i][1],
					      .source = &source };
		in_order[i] = &windows[i];
	}
	source = (struct window_source){ .windows = in_order, .count = count };
	window_source_sort(&source);
}

/* "2:0+4096 " for each other window and range, in order of their numbers. */
static char others[WINDOWS][64];

static void note(void *ctx, const struct window *window, struct mmapfs_range range)
{
	unsigned int *count = ctx;

	(*count)++;
	(void)snprintf(others[window - windows], sizeof(others[0]), "%llu+%llu",
		       (unsigned long long)range.offset, (unsigned long long)range.length);
}

static void assert_others(size_t of, uint64_t offset, uint64_t length, unsigned int count,
			  ...)
{
	unsigned int found = 0;
	va_list args;

	memset(others, 0, sizeof(others));
	window_each_other(&windows[of], (struct mmapfs_range){ offset, length }, note, &found);
	assert_int_equal(found, count);
	va_start(args, count);
	for (unsigned int i = 0; i < count; i++) {
		int number = va_arg(args, int);

		assert_string_equal(others[number], va_arg(args, const char *));
	}
	va_end(args);
}

static void windows_over_the_same_pages_find_each_other(void **state)
{
	static const uint64_t places[][2] = {
		{ 8192, 8192 },	       /* 0 */
		{ 12288, 4096 },       /* 1: its second half */
		{ 16384, 4096 },       /* 2: right behind it */
		{ 0, 1 << 20 },	       /* 3: all of it and more */
		{ 5, 10 },	       /* 4: far before */
		{ 16380, 4 },	       /* 5: its last bytes */
		{ 100000, END - 100000 }, /* 6 */
		{ 8192, 8192 },	       /* 7: the same */
	};

	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	arrange(places, 8);
	assert_others(0, 0, 0, 4, 1, "0+4096", 3, "8192+8192", 5, "0+4", 7, "0+8192");
	assert_others(0, 0, 1, 2, 3, "8192+4096", 7, "0+4096");
	assert_others(0, 4096, 4096, 4, 1, "0+4096", 3, "12288+4096", 5, "0+4", 7,
		      "4096+4096");
	assert_others(2, 0, 0, 1, 3, "16384+4096");
	/* Not a byte in common, but a page. */
	assert_others(4, 0, 0, 1, 3, "0+4096");
	assert_others(5, 0, 4, 4, 0, "4096+4096", 1, "0+4096", 3, "12288+4096", 7,
		      "4096+4096");
	assert_others(6, 1 << 30, 1, 0);
	assert_others(6, 0, 1, 1, 3, "98304+4096");
	assert_others(3, 0, 0, 7, 0, "0+8192", 1, "0+4096", 2, "0+4096", 4, "0+10", 5, "0+4", 6,
		      "0+948576", 7, "0+8192");
}

static void neighbours_that_share_a_page_find_each_other(void **state)
{
	static const uint64_t places[][2] = { { 17, 4096 }, { 17 + 4096, 4096 } };

	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	arrange(places, 2);
	assert_others(0, 0, 0, 1, 1, "0+4079");
	assert_others(0, 0, 10, 0);
	assert_others(1, 0, 1, 1, 0, "4079+17");
	assert_others(1, 4090, 1, 0);
}

static void what_is_of_no_source_has_no_others(void **state)
{
	unsigned int found = 0;

	(void)state;
	window_each_other(&memory, (struct mmapfs_range){ 0, 0 }, note, &found);
	assert_int_equal(found, 0);
}

static bool overlap(const struct window *a, const struct window *b)
{
	return align_down(a->offset, 4096) < align_up(b->offset + b->length, 4096) &&
	       b->offset < align_up(a->offset + a->length, 4096) &&
	       align_down(a->offset, 4096) < b->offset + b->length;
}

static void mark(void *ctx, const struct window *window, struct mmapfs_range range)
{
	bool *found = ctx;

	assert_true(range.length > 0);
	assert_true(range.offset + range.length <= window->length);
	assert_false(found[window - windows]);
	found[window - windows] = true;
}

static void search_finds_what_looking_at_all_finds(void **state)
{
	unsigned int seed = 1;

	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	for (int round = 0; round < 20000; round++) {
		uint64_t places[WINDOWS][2];

		for (size_t i = 0; i < WINDOWS; i++) {
			seed = seed * 1103515245 + 12345;
			places[i][0] = seed >> 12 & 0xffff;
			places[i][1] = 1 + (seed >> 3 & (i % 2 ? 0x1fff : 0xff));
		}
		arrange((const uint64_t (*)[2])places, WINDOWS);
		for (size_t i = 0; i < WINDOWS; i++) {
			bool found[WINDOWS] = { false };

			window_each_other(&windows[i], (struct mmapfs_range){ 0, 0 }, mark, found);
			for (size_t j = 0; j < WINDOWS; j++)
				assert_int_equal(found[j], i != j && overlap(&windows[i],
									     &windows[j]));
		}
	}
}

/* ---- whose a page is ---- */

#define PAGES 16

/* Bits of pages of @window that it shows, or that are its own. */
static unsigned int shown_pages(const struct window *window)
{
	unsigned int bits = 0;

	for (uint64_t page = window->offset / 4096;
	     page * 4096 < window->offset + window->length; page++)
		bits |= 1u << page;
	return bits;
}

static unsigned int own_pages_of(const struct window *window)
{
	struct mmapfs_range own;
	struct window piece = *window;

	if (!window_own(window, &own))
		return 0;
	/* It begins with a page, or where the window does. */
	assert_true(own.offset == 0 || (window->offset + own.offset) % 4096 == 0);
	piece.offset += own.offset;
	piece.length = own.length;
	return shown_pages(&piece);
}

static void note_owner(void *ctx, const struct window *owner)
{
	unsigned int *owners = ctx;

	assert_false(*owners & 1u << (owner - windows));
	*owners |= 1u << (owner - windows);
}

static void check_owners(void)
{
	unsigned int shown = 0, owned = 0;

	for (size_t i = 0; i < WINDOWS; i++) {
		const unsigned int own = own_pages_of(&windows[i]);

		assert_int_equal(own & ~shown_pages(&windows[i]), 0);
		assert_int_equal(own & owned, 0);
		owned |= own;
		shown |= shown_pages(&windows[i]);
	}
	assert_int_equal(owned, shown);
	for (size_t i = 0; i < WINDOWS; i++) {
		unsigned int owners = 0, found = 0;

		for (size_t j = 0; j < WINDOWS; j++) {
			if (own_pages_of(&windows[j]) & shown_pages(&windows[i]))
				owners |= 1u << j;
		}
		window_each_owner(&windows[i], note_owner, &found);
		assert_int_equal(found, owners);
	}
}

static void every_page_that_is_shown_is_one_window_s_own(void **state)
{
	uint64_t places[WINDOWS][2];

	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < WINDOWS; i++) {
			const uint64_t offset = (uint64_t)random() % (PAGES * 4096 - 1);
			const uint64_t unit = random() % 2 ? 4096 : 1;

			places[i][0] = offset / unit * unit;
			places[i][1] = 1 + (uint64_t)random() %
						   (PAGES * 4096 - places[i][0]);
		}
		arrange(places, WINDOWS);
		check_owners();
	}
}

static void a_window_without_a_source_is_its_own(void **state)
{
	struct mmapfs_range own;
	unsigned int found = 0;

	(void)state;
	windows[0] = memory;
	assert_true(window_own(&windows[0], &own));
	assert_int_equal(own.offset, 0);
	assert_true(own.length >= memory.length);
	window_each_owner(&windows[0], note_owner, &found);
	assert_int_equal(found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_has_what_the_source_has_of_it),
		cmocka_unit_test(attributes_are_those_of_a_file_of_that_length),
		cmocka_unit_test(a_table_is_a_directory_for_who_may_read_it),
		cmocka_unit_test(only_what_is_for_writing_is_opened_for_it),
		cmocka_unit_test(a_write_ends_with_the_window),
		cmocka_unit_test(truncation_moves_only_an_end_that_is_the_source_s),
		cmocka_unit_test(truncation_of_a_window_whose_end_is_gone_changes_nothing),
		cmocka_unit_test(allocation_stays_within_the_window),
		cmocka_unit_test(a_hole_punched_past_the_end_spares_what_lies_behind),
		cmocka_unit_test(seeking_finds_data_and_holes_of_the_window_alone),
		cmocka_unit_test(windows_over_the_same_pages_find_each_other),
		cmocka_unit_test(every_page_that_is_shown_is_one_window_s_own),
		cmocka_unit_test(a_window_without_a_source_is_its_own),
		cmocka_unit_test(neighbours_that_share_a_page_find_each_other),
		cmocka_unit_test(what_is_of_no_source_has_no_others),
		cmocka_unit_test(search_finds_what_looking_at_all_finds),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
