/* SPDX-License-Identifier: MIT */
/* test-follow.c - the files behind names, as they are replaced, grown, truncated,
 * removed. */
#include "follow.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/macro.h"
#include "scratch.h"

static const struct follow_file none;

static void changes_are_told_apart(void **state)
{
	static const struct {
		struct follow_file was, now;
		enum follow_change change;
	} cases[] = {
		{ { 0 }, { 0 }, FOLLOW_SAME },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 10, 4096, 8 }, FOLLOW_SAME },
		{ { true, 1, 10, 4096, 8 }, { 0 }, FOLLOW_GONE },
		{ { 0 }, { true, 1, 10, 4096, 8 }, FOLLOW_REPLACED },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 11, 4096, 8 }, FOLLOW_REPLACED },
		{ { true, 1, 10, 4096, 8 }, { true, 2, 10, 4096, 8 }, FOLLOW_REPLACED },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 11, 9999, 8 }, FOLLOW_REPLACED },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 10, 4097, 8 }, FOLLOW_GROWN },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 10, 4095, 8 }, FOLLOW_TRUNCATED },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 10, 0, 0 }, FOLLOW_TRUNCATED },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 10, 4096, 16 }, FOLLOW_FILLED },
		{ { true, 1, 10, 4096, 8 }, { true, 1, 10, 4096, 0 }, FOLLOW_SAME },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(follow_compare(&cases[i].was, &cases[i].now),
				 cases[i].change);
	assert_string_equal(follow_change_name(FOLLOW_REPLACED), "replaced");
	assert_string_equal(follow_change_name((enum follow_change)99), "?");
}

static struct follow_file file_at(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return none;
	return follow_file_of(&st);
}

static struct follow *following(const char *path)
{
	struct follow_file file = file_at(path);
	struct follow *follow;

	assert_int_equal(follow_new(&follow), 0);
	assert_int_equal(follow_add(follow, path, &file), 0);
	assert_int_equal(follow_unwatched(follow), file.exists ? 0 : 1);
	return follow;
}

/* Events are queued before the call that caused them returns: no waiting. */
static enum follow_change news(struct follow *follow)
{
	struct follow_news seen;

	assert_int_equal(follow_read(follow), 0);
	if (follow_next(follow, &seen) == 0)
		return FOLLOW_SAME;
	follow_accept(follow, seen.index, &seen.file);
	assert_int_equal(follow_next(follow, &seen), 0);
	return seen.change;
}

static void nothing_happens_when_nothing_happens(void **state)
{
	struct follow *follow = following(scratch_file("idle", 10));

	(void)state;
	assert_int_equal(news(follow), FOLLOW_SAME);
	assert_false(follow_marked(follow));
	follow_mark_all(follow);
	assert_true(follow_marked(follow));
	assert_int_equal(news(follow), FOLLOW_SAME);
	assert_null(follow_free(follow));
}

static void rename_over_a_file_is_seen(void **state)
{
	struct follow *follow = following(scratch_file("name", 10));
	char path[512];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", scratch_path("name"));
	assert_int_equal(rename(scratch_file("other", 10), path), 0);
	assert_int_equal(news(follow), FOLLOW_REPLACED);
	assert_int_equal(news(follow), FOLLOW_SAME);
	/* The watch is on the new file now. */
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(news(follow), FOLLOW_GROWN);
	assert_null(follow_free(follow));
}

static void growth_and_truncation_are_seen(void **state)
{
	struct follow *follow = following(scratch_file("size", 10));
	const char *path = follow_path(follow, 0);

	(void)state;
	assert_int_equal(truncate(path, 11), 0);
	assert_int_equal(news(follow), FOLLOW_GROWN);
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(news(follow), FOLLOW_TRUNCATED);
	assert_int_equal(news(follow), FOLLOW_SAME);
	assert_null(follow_free(follow));
}

static void growth_through_another_link_is_seen(void **state)
{
	struct follow *follow = following(scratch_file("one", 10));
	char other[512];

	(void)state;
	assert_int_equal(mkdir(scratch_path("elsewhere"), 0755), 0);
	(void)snprintf(other, sizeof(other), "%s", scratch_path("elsewhere/two"));
	assert_int_equal(link(follow_path(follow, 0), other), 0);
	assert_int_equal(news(follow), FOLLOW_SAME);
	assert_int_equal(truncate(other, 11), 0);
	assert_int_equal(news(follow), FOLLOW_GROWN);
	assert_null(follow_free(follow));
}

static void a_file_that_goes_and_comes_back_is_seen(void **state)
{
	struct follow *follow = following(scratch_file("comes", 10));

	(void)state;
	assert_int_equal(unlink(follow_path(follow, 0)), 0);
	assert_int_equal(news(follow), FOLLOW_GONE);
	(void)scratch_file("comes", 12);
	assert_int_equal(news(follow), FOLLOW_REPLACED);
	assert_int_equal(truncate(follow_path(follow, 0), 5), 0);
	assert_int_equal(news(follow), FOLLOW_TRUNCATED);
	assert_null(follow_free(follow));
}

static void a_directory_in_the_place_of_the_file_is_none(void **state)
{
	struct follow *follow = following(scratch_file("kind", 10));

	(void)state;
	assert_int_equal(unlink(follow_path(follow, 0)), 0);
	assert_int_equal(mkdir(follow_path(follow, 0), 0755), 0);
	assert_int_equal(news(follow), FOLLOW_GONE);
	assert_null(follow_free(follow));
}

static void a_directory_that_is_replaced_is_followed(void **state)
{
	char file[512], dir[512];
	struct follow *follow;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s", scratch_path("dir"));
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(mkdir(scratch_path("new"), 0755), 0);
	(void)snprintf(file, sizeof(file), "%s", scratch_file("dir/file", 10));
	(void)scratch_file("new/file", 10);
	follow = following(file);
	assert_int_equal(rename(dir, scratch_path("old")), 0);
	assert_int_equal(rename(scratch_path("new"), dir), 0);
	assert_int_equal(news(follow), FOLLOW_REPLACED);
	/* And what happens in the new one too. */
	assert_int_equal(unlink(file), 0);
	assert_int_equal(news(follow), FOLLOW_GONE);
	(void)scratch_file("dir/file", 10);
	assert_int_equal(news(follow), FOLLOW_REPLACED);
	assert_null(follow_free(follow));
}

static void what_was_not_accepted_comes_again(void **state)
{
	struct follow *follow = following(scratch_file("again", 10));
	struct follow_news seen;

	(void)state;
	assert_int_equal(truncate(follow_path(follow, 0), 11), 0);
	assert_int_equal(follow_read(follow), 0);
	assert_int_equal(follow_next(follow, &seen), 1);
	assert_int_equal(seen.change, FOLLOW_GROWN);
	assert_int_equal(follow_next(follow, &seen), 0);
	follow_mark_all(follow);
	assert_int_equal(follow_next(follow, &seen), 1);
	assert_int_equal(seen.change, FOLLOW_GROWN);
	assert_null(follow_free(follow));
}

static void names_of_one_file_are_told_of_both(void **state)
{
	struct follow *follow = following(scratch_file("first", 10));
	struct follow_news seen;
	struct follow_file file = file_at(follow_path(follow, 0));
	char other[512];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s", scratch_path("second"));
	assert_int_equal(link(follow_path(follow, 0), other), 0);
	assert_int_equal(follow_add(follow, other, &file), 1);
	assert_int_equal(truncate(other, 11), 0);
	assert_int_equal(follow_read(follow), 0);
	assert_int_equal(follow_next(follow, &seen), 1);
	assert_int_equal(seen.index, 0);
	assert_int_equal(follow_next(follow, &seen), 1);
	assert_int_equal(seen.index, 1);
	assert_int_equal(follow_next(follow, &seen), 0);
	assert_int_equal(follow_count(follow), 2);
	assert_null(follow_free(follow));
}

static void a_name_that_is_not_there_yet_is_followed(void **state)
{
	struct follow *follow = following(scratch_path("later"));

	(void)state;
	assert_int_equal(news(follow), FOLLOW_SAME);
	(void)scratch_file("later", 1);
	assert_int_equal(news(follow), FOLLOW_REPLACED);
	assert_null(follow_free(follow));
}

static void names_without_a_directory_are_in_the_working_one(void **state)
{
	struct follow *follow;

	(void)state;
	assert_int_equal(chdir(scratch_dir), 0);
	(void)scratch_file("bare", 10);
	follow = following("bare");
	assert_int_equal(unlink("bare"), 0);
	assert_int_equal(news(follow), FOLLOW_GONE);
	assert_null(follow_free(follow));
	assert_int_equal(chdir("/"), 0);
}

static void many_names_keep_their_places(void **state)
{
	struct follow *follow;
	struct follow_news seen;
	char name[32];

	(void)state;
	assert_int_equal(follow_new(&follow), 0);
	for (int i = 0; i < 100; i++) {
		const char *path;
		struct follow_file file;

		(void)snprintf(name, sizeof(name), "many%d", i);
		path = scratch_file(name, 10);
		file = file_at(path);
		assert_int_equal(follow_add(follow, path, &file), i);
	}
	assert_int_equal(truncate(scratch_path("many77"), 1), 0);
	assert_int_equal(follow_read(follow), 0);
	assert_int_equal(follow_next(follow, &seen), 1);
	assert_int_equal(seen.index, 77);
	assert_int_equal(seen.file.size, 1);
	assert_int_equal(follow_next(follow, &seen), 0);
	assert_null(follow_free(follow));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_told_apart),
		cmocka_unit_test(nothing_happens_when_nothing_happens),
		cmocka_unit_test(rename_over_a_file_is_seen),
		cmocka_unit_test(growth_and_truncation_are_seen),
		cmocka_unit_test(growth_through_another_link_is_seen),
		cmocka_unit_test(a_file_that_goes_and_comes_back_is_seen),
		cmocka_unit_test(a_directory_in_the_place_of_the_file_is_none),
		cmocka_unit_test(a_directory_that_is_replaced_is_followed),
		cmocka_unit_test(what_was_not_accepted_comes_again),
		cmocka_unit_test(names_of_one_file_are_told_of_both),
		cmocka_unit_test(a_name_that_is_not_there_yet_is_followed),
		cmocka_unit_test(names_without_a_directory_are_in_the_working_one),
		cmocka_unit_test(many_names_keep_their_places),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
