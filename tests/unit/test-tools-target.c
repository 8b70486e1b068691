/* SPDX-License-Identifier: MIT */
/* test-tools-target.c - one file looked at and driven; the texts of a mount; pictures. */
#include "page-file.h"

#include <errno.h>

#include "base/macro.h"
#include "cells.h"
#include "picture.h"
#include "target.h"
#include "target_mount.h"

static const char *path_of_fd(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void a_plain_file_is_counted_and_evicted(void **state)
{
	int fd = file_in(scratch_dir, 16 * page, true);
	struct mmapfs_evict_result evicted;
	struct observation seen;
	struct target target;
	struct held held;
	uint64_t size;

	(void)state;
	make_cold(fd, 16 * page);
	held = hold(fd, 16 * page);
	hold_page(&held, 3);
	hold_page(&held, 4);
	assert_int_equal(target_open(&target, path_of_fd(fd), false), 0);
	assert_false(target.on_mount);
	for (int i = 0; i < 2; i++) { /* with the first statx, and without */
		assert_int_equal(target_observe(&target, whole, 0, &seen), 0);
		assert_int_equal(seen.residency.pages, 16);
		assert_int_equal(seen.residency.resident, 2);
		assert_false(seen.locked_known);
		assert_string_equal(seen.advice, "");
	}
	assert_int_equal(target_size(&target, &size), 0);
	assert_int_equal(size, 16 * page);
	hold_done(&held);
	evicted.size = sizeof(evicted);
	assert_int_equal(target_evict(&target, whole, 0, &evicted), 0);
	assert_int_equal(evicted.after, 0);
	/* Now through the map that the evict has made. */
	assert_int_equal(target_observe(&target, whole, MMAPFS_OBSERVE_READY, &seen), 0);
	assert_int_equal(seen.residency.resident, 0);
	target_done(&target);
	close(fd);
}

static void a_file_that_grew_is_seen_to_have_grown(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct observation seen;
	struct target target;

	(void)state;
	assert_int_equal(target_open(&target, path_of_fd(fd), false), 0);
	assert_int_equal(target_observe(&target, whole, 0, &seen), 0);
	assert_int_equal(seen.residency.pages, 1);
	assert_int_equal(ftruncate(fd, (off_t)(5 * page)), 0);
	assert_int_equal(target_observe(&target, whole, 0, &seen), 0);
	assert_int_equal(seen.residency.pages, 5);
	target_done(&target);
	close(fd);
}

static void what_has_no_pages_is_refused(void **state)
{
	static const struct {
		const char *path;
		bool nofollow;
		int error;
	} rows[] = {
		{ "/dev/null", false, -ENODEV },
		{ "/", false, -EISDIR },
		{ "/nonexistent", false, -ENOENT },
		{ "/proc/self/exe", true, -ELOOP },
	};
	struct target target;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(target_open(&target, rows[i].path, rows[i].nofollow),
				 rows[i].error);
}

static void a_stolen_target_stays_open(void **state)
{
	int fd = file_in(scratch_dir, page, true);
	struct target target, kept;
	uint64_t size;

	(void)state;
	assert_int_equal(target_open(&target, path_of_fd(fd), false), 0);
	target_steal(&target, &kept);
	assert_int_equal(target_fd(&target), -1);
	target_done(&target);
	assert_int_equal(target_size(&kept, &size), 0);
	assert_int_equal(target_reopen_writable(&kept), 0);
	assert_int_equal(target_advise(&kept, whole, MMAPFS_ADVICE_POPULATE_WRITE, 0), 0);
	target_done(&kept);
	close(fd);
}

/* ---- the texts of a mount ---- */

static void stat_of_a_mount_is_understood(void **state)
{
	static const char text[] =
		"size=10000\npages=3\npage_size=4096\nresident=2\noccupied=unknown\n"
		"dirty=1\nwriteback=0\nevicted=unknown\nlocked=2\nadvice=random\n"
		"data_path=passthrough\nmethod=mincore\nconfidence=exact\nreason=stacked\n"
		"upper_bound=dirty\nchanged=1\nnewer=9";
	struct observation seen;

	(void)state;
	assert_int_equal(mount_parse_stat(text, &seen), 0);
	assert_int_equal(seen.residency.file_size, 10000);
	assert_int_equal(seen.residency.pages, 3);
	assert_int_equal(seen.residency.resident, 2);
	assert_int_equal(seen.residency.dirty, 1);
	assert_int_equal(seen.residency.valid,
			 MMAPFS_RESIDENT | MMAPFS_DIRTY | MMAPFS_WRITEBACK);
	assert_int_equal(seen.residency.upper_bound, MMAPFS_DIRTY);
	assert_int_equal(seen.residency.method, MMAPFS_METHOD_MINCORE);
	assert_int_equal(seen.residency.confidence, MMAPFS_CONFIDENCE_EXACT);
	assert_int_equal(seen.residency.reason, MMAPFS_REASON_STACKED);
	assert_int_equal(seen.residency.changed, 1);
	assert_true(seen.locked_known);
	assert_int_equal(seen.locked, 2);
	assert_string_equal(seen.advice, "random");
	assert_string_equal(seen.data_path, "passthrough");
}

static void stat_that_is_none_is_refused(void **state)
{
	static const char *const rows[] = { "", "nonsense", "size=x\npage_size=4096",
					    "pages=3" };
	struct observation seen;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(mount_parse_stat(rows[i], &seen), -EPROTO);
}

static void evict_of_a_mount_is_understood(void **state)
{
	struct mmapfs_evict_result found;

	(void)state;
	assert_int_equal(mount_parse_evict("before=9 after=5 dirty=2 mapped=3 reasons=exact",
					   &found),
			 0);
	assert_int_equal(found.valid, 1);
	assert_int_equal(found.exact, 1);
	assert_int_equal(found.before, 9);
	assert_int_equal(found.after, 5);
	assert_int_equal(found.stayed[MMAPFS_STAY_DIRTY], 2);
	assert_int_equal(found.stayed[MMAPFS_STAY_MAPPED], 3);
	assert_int_equal(found.stayed[MMAPFS_STAY_OTHER], 0);
	assert_int_equal(mount_parse_evict("before=unknown after=unknown", &found), 0);
	assert_int_equal(found.valid, 0);
	assert_int_equal(mount_parse_evict("idle", &found), -EPROTO);
	assert_int_equal(mount_parse_evict("before=9 after=x", &found), -EPROTO);
}

static void warm_of_a_mount_is_understood(void **state)
{
	static const struct {
		const char *text;
		struct mount_warm_state want;
	} rows[] = {
		{ "idle 0/0", { "idle", 0, 0, 0, 0 } },
		{ "running 4096/8192", { "running", 4096, 8192, 0, 0 } },
		{ "failed 0/8192 EIO at 4096", { "failed", 0, 8192, -EIO, 4096 } },
	};
	struct mount_warm_state state_found;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(mount_parse_warm(rows[i].text, &state_found), 0);
		assert_string_equal(state_found.state, rows[i].want.state);
		assert_int_equal(state_found.done, rows[i].want.done);
		assert_int_equal(state_found.total, rows[i].want.total);
		assert_int_equal(state_found.error, rows[i].want.error);
		assert_int_equal(state_found.error_offset, rows[i].want.error_offset);
	}
	assert_int_equal(mount_parse_warm("running", &state_found), -EPROTO);
}

/* ---- cells ---- */

static void figures_that_were_not_measured_are_unknown_cells(void **state)
{
	const struct mmapfs_residency found = {
		.valid = MMAPFS_RESIDENT | MMAPFS_DIRTY,
		.upper_bound = MMAPFS_RESIDENT | MMAPFS_DIRTY,
		.reason = MMAPFS_REASON_STACKED,
		.page_size = 4096, .pages = 8, .resident = 2, .dirty = 1, .evicted = 99,
	};
	const struct mmapfs_residency empty = { .page_size = 4096 };
	struct cell cell;

	(void)state;
	cell = cell_figure_bytes(&found, MMAPFS_RESIDENT);
	assert_int_equal(cell.state, CELL_KNOWN);
	assert_int_equal(cell.number, 8192);
	assert_false(cell.upper_bound); /* `confidence` says it */
	assert_true(cell_figure(&found, MMAPFS_DIRTY).upper_bound);
	cell = cell_figure(&found, MMAPFS_EVICTED);
	assert_int_equal(cell.state, CELL_UNKNOWN);
	assert_string_equal(cell.reason, "stacked");
	assert_true(cell_figure_percent(&found, MMAPFS_RESIDENT).percent == 25.0);
	assert_int_equal(cell_figure_percent(&empty, MMAPFS_RESIDENT).state, CELL_NONE);
}

/* ---- pictures ---- */

static void pictures_show_shares(void **state)
{
	static const struct {
		uint64_t begin, end;
		size_t cells;
		struct mmapfs_range runs[3];
		const char *want;
	} rows[] = {
		{ 0, 80, 8, { { 0, 80 } }, "@@@@@@@@" },
		{ 0, 80, 8, { { 0, 0 } }, "........" },
		{ 0, 80, 8, { { 10, 10 }, { 75, 5 } }, ".@.....+" },
		{ 0, 80, 8, { { 9, 2 } }, "::......" },
		{ 0, 800, 8, { { 1, 98 } }, "%......." },
		{ 40, 80, 4, { { 0, 50 }, { 70, 100 } }, "@..@" },
		{ 0, 3, 8, { { 0, 3 } }, "  @  @ @" },
		{ 0, UINT64_MAX, 2, { { 0, UINT64_MAX / 2 } }, "@." },
		{ 5, 5, 2, { { 0, 10 } }, "  " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct picture picture;
		char text[16] = "";

		assert_int_equal(picture_init(&picture, rows[i].begin, rows[i].end,
					      rows[i].cells),
				 0);
		for (size_t k = 0; k < 3 && rows[i].runs[k].length; k++)
			picture_add(&picture, rows[i].runs[k].offset, rows[i].runs[k].length);
		for (size_t k = 0; k < rows[i].cells; k++)
			text[k] = picture_char(&picture, k);
		assert_string_equal(text, rows[i].want);
		picture_done(&picture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_file_is_counted_and_evicted),
		cmocka_unit_test(a_file_that_grew_is_seen_to_have_grown),
		cmocka_unit_test(what_has_no_pages_is_refused),
		cmocka_unit_test(a_stolen_target_stays_open),
		cmocka_unit_test(stat_of_a_mount_is_understood),
		cmocka_unit_test(stat_that_is_none_is_refused),
		cmocka_unit_test(evict_of_a_mount_is_understood),
		cmocka_unit_test(warm_of_a_mount_is_understood),
		cmocka_unit_test(figures_that_were_not_measured_are_unknown_cells),
		cmocka_unit_test(pictures_show_shares),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
