/* SPDX-License-Identifier: MIT */
/* test-ctl-file.c - what the control attributes of a file tell: figures, ranges, picture. */
#include "ctl-help.h"

static struct mmapfs__cachestat fake_counts;

static int cachestat_fixed(int fd, const struct mmapfs__cachestat_range *range,
			   struct mmapfs__cachestat *ret)
{
	(void)fd;
	(void)range;
	*ret = fake_counts;
	return 0;
}

/* Every second page; the single one that is asked for is the oracle's, which is not
 * there. */
static int mincore_alternating(void *addr, size_t length, unsigned char *vec)
{
	size_t pages = (length + PAGE - 1) / PAGE;

	(void)addr;
	for (size_t i = 0; i < pages; i++)
		vec[i] = pages > 1 && i % 2 == 0;
	return 0;
}

static int mincore_none(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 0, (length + PAGE - 1) / PAGE);
	return 0;
}

/* "resident=%d" and the like, in pages. */
static const char *key(const char *name, uint64_t value)
{
	static char buf[64];

	(void)snprintf(buf, sizeof(buf), "%s=%llu", name, (unsigned long long)value);
	return buf;
}

/* A line of a list of ranges. Static: good until the next call. */
static const char *span_line(uint64_t first_page, uint64_t pages)
{
	static char buf[64];

	(void)snprintf(buf, sizeof(buf), "%llu+%llu\n",
		       (unsigned long long)(first_page * PAGE),
		       (unsigned long long)(pages * PAGE));
	return buf;
}

/* ---- figures of a file ---- */

static void stat_of_a_resident_file_is_exact(void **state)
{
	struct inode *inode = make_file("resident", 10);
	void *held = hold_pages("resident", 10);

	(void)state;
	get(inode, "stat");
	assert_has(answer, key("size", 10 * PAGE));
	assert_has(answer, key("\npage_size", PAGE));
	assert_has(answer, "\npages=10\n");
	assert_has(answer, "\nresident=10\noccupied=10\ndirty=0\nwriteback=0\nevicted=0\n"
			   "locked=0\nadvice=normal\ndata_path=undecided\nmethod=");
	assert_has(answer, "\nconfidence=exact");
	assert_null(strstr(answer, "reason="));
	assert_string_equal(get(inode, "resident"), "10");
	assert_string_equal(get(inode, "dirty"), "0");
	assert_string_equal(get(inode, "map"), "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"
					       "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
	assert_string_equal(get(inode, "ranges"), span_line(0, 10));
	get(inode, "");
	assert_has(answer, "\nmap=@@@@@");
	assert_has(answer, "\nwarm=idle 0/0\nevict=idle\n");
	release_pages(held, 10);
	drop(inode);
}

static void figures_are_of_the_range_after_the_at(void **state)
{
	static const struct {
		uint64_t offset, length; /* length 0: to the end */
		const char *pages;
	} cases[] = {
		{ 0, 0, "10" },	     { 1, 1, "1" },	      { 4095, 2, "2" },
		{ 8192, 8192, "2" }, { 36864, 1 << 20, "1" }, { 40960, 0, "0" },
		{ 1 << 30, 5, "0" }, { 4096, 0, "9" },
	};
	struct inode *inode = make_file("at", 10);
	void *held = hold_pages("at", 10);
	char name[NAME_MAX_LENGTH];

	(void)state;
	assert_int_equal(PAGE, 4096); /* the table's */
	assert_int_equal(set(inode, "lock", "on"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const char *const names[] = { "pages", "resident", "locked" };

		for (size_t n = 0; n < 3; n++) {
			char word[MMAPFS_WORD_MAX];

			(void)snprintf(
				name, sizeof(name), "%s@%s", names[n],
				mmapfs_range_format(
					word, (struct mmapfs_range){ cases[i].offset,
								     cases[i].length }));
			assert_string_equal(get(inode, name), cases[i].pages);
		}
	}
	assert_int_equal(set(inode, "lock", "off"), 0);
	release_pages(held, 10);
	drop(inode);
}

static void counters_of_the_kernel_are_reported(void **state)
{
	struct inode *inode = make_file("counters", 10);
	void *held = hold_pages("counters", 10);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_fixed;
	fake_counts = (struct mmapfs__cachestat){
		.nr_cache = 10, .nr_dirty = 3, .nr_writeback = 2, .nr_evicted = 7
	};
	assert_string_equal(get(inode, "dirty"), "3");
	assert_string_equal(get(inode, "writeback"), "2");
	assert_string_equal(get(inode, "evicted"), "7");
	get(inode, "stat");
	assert_has(answer, "\ndirty=3\nwriteback=2\nevicted=7\n");
	fake_end();
	release_pages(held, 10);
	drop(inode);
}

static void what_cannot_be_known_is_never_a_number(void **state)
{
	struct inode *inode = make_file("hidden", 10);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_lying;
	get(inode, "stat");
	assert_has(answer, "\nresident=unknown\noccupied=unknown\ndirty=unknown\n");
	assert_has(answer, "\nconfidence=unknown\nreason=no-permission");
	assert_int_equal(get_error(inode, "resident"), -ENODATA);
	assert_int_equal(get_error(inode, "evicted"), -ENODATA);
	assert_int_equal(get_error(inode, "ranges"), -ENODATA);
	assert_int_equal(get_error(inode, "map"), -ENODATA);
	assert_string_equal(get(inode, "pages"), "10");
	get(inode, "");
	assert_has(answer, "resident=unknown");
	assert_null(strstr(answer, "map="));
	fake_end();
	drop(inode);
}

static void empty_file_has_figures_but_no_picture(void **state)
{
	struct inode *inode = make_file("no-bytes", 0);

	(void)state;
	assert_string_equal(get(inode, "pages"), "0");
	assert_string_equal(get(inode, "resident"), "0");
	assert_string_equal(get(inode, "ranges"), "");
	assert_int_equal(get_error(inode, "map"), -ENODATA);
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_int_equal(set(inode, "sync", "sync"), 0);
	assert_int_equal(set(inode, "advise", "willneed"), 0);
	drop(inode);
}

/* ---- ranges and map ---- */

static void ranges_are_cut_at_the_limit_and_continue(void **state)
{
	struct inode *inode = make_file("runs", 8);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_alternating;
	assert_string_equal(get(inode, "ranges"),
			    "0+4096\n8192+4096\n16384+4096\n24576+4096\n");
	assert_int_equal(get_within(inode, "ranges", 46), 0);
	assert_string_equal(answer, "0+4096\n8192+4096\n... 16384\n");
	assert_int_equal(get_within(inode, "ranges@16384-", 60), 0);
	assert_string_equal(answer, "16384+4096\n24576+4096\n");
	fake_end();
	drop(inode);
}

static void map_shows_shares(void **state)
{
	struct inode *inode = make_file("picture", 256);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_alternating;
	get(inode, "map"); /* four pages a cell, two of them resident */
	assert_string_equal(answer, "++++++++++++++++++++++++++++++++"
				    "++++++++++++++++++++++++++++++++");
	fake.mincore = mincore_none;
	get(inode, "map");
	assert_string_equal(answer, "................................"
				    "................................");
	fake_end();
	drop(inode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_of_a_resident_file_is_exact),
		cmocka_unit_test(figures_are_of_the_range_after_the_at),
		cmocka_unit_test(counters_of_the_kernel_are_reported),
		cmocka_unit_test(what_cannot_be_known_is_never_a_number),
		cmocka_unit_test(empty_file_has_figures_but_no_picture),
		cmocka_unit_test(ranges_are_cut_at_the_limit_and_continue),
		cmocka_unit_test(map_shows_shares),
	};

	return cmocka_run_group_tests(tests, fs_setup, fs_teardown) +
	       cmocka_run_group_tests(tests, fs_setup_no_handles, fs_teardown);
}
