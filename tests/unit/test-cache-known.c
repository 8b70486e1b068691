/* SPDX-License-Identifier: MIT */
/* test-cache-known.c - signs of use are kept, files with nothing in RAM are not. */
#include "cache_known.h"

#include <errno.h>
#include <pthread.h>

#include "base/macro.h"
#include "cache_policy.h"
#include "fs-fixture.h"

#define FILES 200
#define THREADS 4
#define ROUNDS 2000

static struct known *known;
static struct known_list list;

static const struct known_limits plenty = { .files = 100000, .descriptors = 100000 };

static int setup(void **state)
{
	return fs_setup(state) || known_new(fs.inodes, &plenty, &known) < 0 ? -1 : 0;
}

static int setup_no_handles(void **state)
{
	return fs_setup_no_handles(state) || known_new(fs.inodes, &plenty, &known) < 0 ? -1 : 0;
}

/* Nothing is left that would keep an inode but the root. */
static int teardown(void **state)
{
	known = known_free(known);
	known_list_free(&list);
	return inode_count(fs.inodes) == 1 ? fs_teardown(state) : -1;
}

static const struct shed_look nothing = { .known = true };

static struct shed_look has(uint64_t resident)
{
	return (struct shed_look){ .known = true, .resident = resident };
}

/* The file of @inode on the list of those in use, or NULL. */
static struct known_file *in_use(struct inode *inode)
{
	assert_int_equal(known_list_in_use(known, &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		if (list.file[i]->inode == inode)
			return list.file[i];
	}
	return NULL;
}

/* The same of all that are known. */
static struct known_file *find(struct inode *inode)
{
	assert_int_equal(known_list_all(known, &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		if (list.file[i]->inode == inode)
			return list.file[i];
	}
	return NULL;
}

/* What the thread that looks does with a file. Returns whether it is gone then. */
static bool look_at(struct known_file *file, struct shed_look look)
{
	(void)known_measured(known, file, &look);
	return known_settle(known, file);
}

/* ---- life ---- */

static void sign_of_use_makes_known(void **state)
{
	struct inode *inode = make_file("sign", 1);

	(void)state;
	assert_null(find(inode));
	known_sign(known, inode, KNOWN_OPENED);
	known_sign(known, inode, KNOWN_CLOSED);
	assert_int_equal(known_sums(known).files, 1);
	assert_int_equal(known_sums(known).signs, 2);
	known_sign(known, inode, KNOWN_READING); /* no program's */
	assert_int_equal(known_sums(known).signs, 2);
	assert_non_null(in_use(inode));
	drop(inode);
	assert_int_equal(inode_count(fs.inodes), 2); /* the table has hold of it */
}

static void file_without_pages_or_opens_is_forgotten(void **state)
{
	struct inode *inode = make_file("forgotten", 1);

	(void)state;
	known_sign(known, inode, KNOWN_OPENED);
	drop(inode);
	assert_true(look_at(in_use(inode), nothing));
	assert_int_equal(known_sums(known).files, 0);
	assert_int_equal(inode_count(fs.inodes), 1);
}

static void file_with_pages_leaves_use_and_stays_known(void **state)
{
	struct inode *inode = make_file("stays", 1);

	(void)state;
	known_sign(known, inode, KNOWN_OPENED);
	assert_false(look_at(in_use(inode), has(PAGE)));
	assert_null(in_use(inode));
	assert_non_null(find(inode));
	assert_int_equal(known_in_use(known), 0);
	assert_true(look_at(find(inode), nothing));
	assert_null(find(inode));
	drop(inode);
}

static void open_file_stays_in_use(void **state)
{
	struct inode *inode = make_file("open", 1);

	(void)state;
	known_sign(known, inode, KNOWN_OPENED);
	inode->opens = 1;
	assert_false(look_at(in_use(inode), nothing));
	assert_false(look_at(in_use(inode), nothing));
	inode->opens = 0;
	assert_true(look_at(in_use(inode), nothing));
	drop(inode);
}

static void file_touched_while_looked_at_is_looked_at_again(void **state)
{
	struct inode *inode = make_file("touched", 1);
	struct known_file *file;

	(void)state;
	known_sign(known, inode, KNOWN_OPENED);
	file = in_use(inode);
	(void)known_measured(known, file, &nothing);
	known_sign(known, inode, KNOWN_READING);
	assert_false(known_settle(known, file));
	file = in_use(inode);
	assert_non_null(file);
	assert_true(look_at(file, nothing));
	drop(inode);
}

/* A full look may meet one that was open before there was a budget. */
static void open_file_comes_into_use_by_a_look(void **state)
{
	struct inode *inode = make_file("before", 1);
	const struct shed_look look = has(PAGE);

	(void)state;
	assert_true(known_found(known, inode, &look));
	assert_null(in_use(inode));
	inode->opens = 1;
	assert_false(look_at(find(inode), look));
	assert_non_null(in_use(inode));
	inode->opens = 0;
	drop(inode);
}

static void found_file_is_added_once_and_is_cold(void **state)
{
	struct inode *found = make_file("found", 1), *used = make_file("used", 1);
	const struct shed_look look = has(3 * PAGE);

	(void)state;
	assert_true(known_found(known, found, &look));
	assert_false(known_found(known, found, &look));
	known_sign(known, used, KNOWN_OPENED);
	assert_false(known_found(known, used, &look));
	assert_int_equal(known_sums(known).files, 2);
	assert_int_equal(known_sums(known).resident, 3 * PAGE);
	assert_true(find(found)->heat < find(used)->heat);
	drop(found);
	drop(used);
}

/* ---- figures ---- */

static void sums_follow_what_was_measured(void **state)
{
	struct inode *one = make_file("one", 1), *two = make_file("two", 1);
	struct shed_look look = has(8 * PAGE);

	(void)state;
	known_sign(known, one, KNOWN_OPENED);
	known_sign(known, two, KNOWN_OPENED);
	look.locked = PAGE;
	assert_int_equal(known_measured(known, find(one), &look), 8 * PAGE);
	look.resident = 5 * PAGE;
	assert_int_equal(known_measured(known, find(two), &look), 5 * PAGE);
	assert_int_equal(known_sums(known).resident, 13 * PAGE);
	assert_int_equal(known_sums(known).locked, 2 * PAGE);
	look = has(2 * PAGE);
	assert_int_equal(known_measured(known, find(one), &look), 0);
	assert_int_equal(known_sums(known).resident, 7 * PAGE);
	assert_int_equal(known_sums(known).locked, PAGE);
	look = (struct shed_look){ .known = false };
	assert_int_equal(known_measured(known, find(two), &look), 0);
	assert_int_equal(known_sums(known).resident, 2 * PAGE);
	assert_int_equal(known_sums(known).unknown_files, 1);
	known_clear(known);
	assert_int_equal(known_sums(known).resident + known_sums(known).unknown_files +
				 known_sums(known).locked + known_sums(known).files,
			 0);
	drop(one);
	drop(two);
}

static void heat_comes_from_opens_and_growth(void **state)
{
	struct inode *once = make_file("once", 1), *twice = make_file("twice", 1);
	struct inode *warmed = make_file("warmed", 1);
	const struct shed_look look = has(10 * PAGE);
	double before;

	(void)state;
	known_set_turn(known, 10 * PAGE);
	known_sign(known, once, KNOWN_OPENED);
	known_sign(known, once, KNOWN_CLOSED);
	known_sign(known, twice, KNOWN_OPENED);
	known_sign(known, twice, KNOWN_WRITER);
	known_sign(known, warmed, KNOWN_READING);
	assert_true(find(once)->heat < find(twice)->heat);
	assert_true(find(warmed)->heat < find(once)->heat);
	/* A whole turn comes, at the same time for all who are looked at now. */
	(void)known_measured(known, find(warmed), &look);
	assert_true(find(warmed)->heat == find(once)->heat);
	(void)in_use(once);
	before = find(twice)->heat;
	known_sign(known, once, KNOWN_CLOSED);
	assert_true(find(once)->heat > before); /* one use now is more than two were then */
	/* Nothing new: nothing hotter. */
	(void)known_measured(known, find(warmed), &look);
	assert_true(find(warmed)->heat < find(once)->heat);
	drop(once);
	drop(twice);
	drop(warmed);
}

static void written_file_has_to_be_synced(void **state)
{
	struct inode *inode = make_file("written", 1);
	struct shed_look look = has(PAGE);

	(void)state;
	known_sign(known, inode, KNOWN_OPENED);
	assert_false(find(inode)->written);
	known_sign(known, inode, KNOWN_WRITER);
	assert_true(find(inode)->written);
	atomic_store(&inode->writers, 1);
	known_set_written(known, find(inode), false);
	assert_true(find(inode)->written); /* it may be written to right now */
	atomic_store(&inode->writers, 0);
	known_set_written(known, find(inode), false);
	assert_false(find(inode)->written);
	look.dirty = true;
	(void)known_measured(known, find(inode), &look);
	assert_true(find(inode)->written);
	drop(inode);
}

/* The only row of the only file. */
static struct cache_file row_at(uint64_t now)
{
	struct cache_file row;

	assert_int_equal(known_list_all(known, &list), 0);
	assert_int_equal(list.count, 1);
	known_rows(known, &list, now, &row);
	return row;
}

static void rows_say_what_may_go(void **state)
{
	struct inode *inode = make_file("row", 1);
	struct shed_look look = { .known = true, .resident = 8 * PAGE, .locked = 3 * PAGE };

	(void)state;
	known_sign(known, inode, KNOWN_OPENED);
	(void)known_measured(known, find(inode), &look);
	assert_int_equal(row_at(0).resident, 8 * PAGE);
	assert_int_equal(row_at(0).kept, 3 * PAGE);
	assert_int_equal(row_at(0).priority, PRIORITY_DEFAULT);
	assert_false(row_at(0).never);
	assert_false(row_at(0).sync);
	find(inode)->stuck = 2 * PAGE;
	find(inode)->rest_until = 100;
	assert_int_equal(row_at(99).kept, 5 * PAGE);
	assert_int_equal(row_at(100).kept, 3 * PAGE);
	look.fixed = true;
	(void)known_measured(known, find(inode), &look);
	assert_true(row_at(100).kept >= 8 * PAGE);
	drop(inode);
}

static void file_that_lost_a_write_is_left_alone(void **state)
{
	struct inode *inode = make_file("lost", 1);

	(void)state;
	known_sign(known, inode, KNOWN_WRITER);
	assert_true(row_at(0).sync);
	assert_false(row_at(0).never);
	region_sync_failed(inode, -EIO);
	assert_true(row_at(0).never);
	drop(inode);
}

/* ---- bounds ---- */

static void full_table_counts_what_it_cannot_take(void **state)
{
	const struct known_limits limits = { .files = 1, .descriptors = 100 };
	struct inode *one = make_file("first", 1), *two = make_file("second", 1);

	(void)state;
	known = known_free(known);
	assert_int_equal(known_new(fs.inodes, &limits, &known), 0);
	known_sign(known, one, KNOWN_OPENED);
	known_sign(known, two, KNOWN_OPENED);
	known_sign(known, two, KNOWN_CLOSED);
	known_sign(known, one, KNOWN_CLOSED);
	assert_int_equal(known_sums(known).files, 1);
	assert_int_equal(known_sums(known).untracked, 2);
	assert_true(look_at(in_use(one), nothing));
	known_sign(known, two, KNOWN_OPENED);
	assert_non_null(find(two));
	drop(one);
	drop(two);
}

static void descriptors_are_bounded_by_themselves(void **state)
{
	const struct known_limits limits = { .files = 100, .descriptors = 1 };
	struct inode *one = make_file("first", 1), *two = make_file("second", 1);

	(void)state;
	known = known_free(known);
	assert_int_equal(known_new(fs.inodes, &limits, &known), 0);
	known_sign(known, one, KNOWN_OPENED);
	known_sign(known, two, KNOWN_OPENED);
	assert_int_equal(known_sums(known).files, 1);
	assert_int_equal(known_sums(known).untracked, 1);
	assert_true(look_at(in_use(one), nothing));
	known_sign(known, two, KNOWN_OPENED);
	assert_int_equal(known_sums(known).files, 1);
	drop(one);
	drop(two);
}

static void default_limits_leave_room(void **state)
{
	const struct known_limits limits = known_default_limits();

	(void)state;
	assert_int_equal(limits.files, 1000000);
	assert_in_range(limits.descriptors, 1, SIZE_MAX / 4);
}

/* ---- a full look ---- */

static void make_files(struct inode **inodes)
{
	char name[16];

	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%zu", i);
		inodes[i] = make_file(name, 0);
		known_sign(known, inodes[i], KNOWN_OPENED);
	}
}

/* Every file comes, though every third is forgotten on the way. */
static void full_look_meets_every_file(void **state)
{
	struct known_file *files[7];
	struct inode *inodes[FILES];
	size_t at = SIZE_MAX, count, gone = 0, stay = 0;

	(void)state;
	make_files(inodes);
	while ((count = known_slice(known, &at, files, ARRAY_SIZE(files)))) {
		for (size_t i = 0; i < count; i++) {
			const bool forget = files[i]->inode->ino % 3 == 0;

			if (look_at(files[i], forget ? nothing : has(PAGE)))
				gone++;
			else
				stay++;
		}
	}
	assert_int_equal(gone + stay, FILES);
	assert_int_equal(known_sums(known).files, stay);
	assert_int_equal(known_sums(known).resident, stay * PAGE);
	for (size_t i = 0; i < FILES; i++)
		drop(inodes[i]);
}

/* ---- threads ---- */

static struct inode *shared[FILES];
static atomic_bool signing_done;

static void *make_signs(void *arg)
{
	static const enum known_sign signs[] = { KNOWN_OPENED, KNOWN_CLOSED, KNOWN_READING,
						 KNOWN_WRITER };
	const size_t start = (size_t)(uintptr_t)arg;

	for (size_t i = 0; i < ROUNDS; i++)
		known_sign(known, shared[(start + i * 7) % FILES],
			   signs[(start + i) % ARRAY_SIZE(signs)]);
	return NULL;
}

static void *find_files(void *arg)
{
	const struct shed_look look = has(PAGE);

	(void)arg;
	for (size_t i = 0; !atomic_load(&signing_done); i++)
		(void)known_found(known, shared[i % FILES], &look);
	return NULL;
}

static void look_once(size_t round)
{
	struct cache_file rows[FILES];

	assert_int_equal(known_list_all(known, &list), 0);
	assert_true(list.count <= FILES);
	known_rows(known, &list, round, rows);
	assert_int_equal(known_list_in_use(known, &list), 0);
	for (size_t i = 0; i < list.count; i++)
		(void)look_at(list.file[i], (i + round) % 3 ? nothing : has(PAGE));
}

static void signs_and_looks_at_the_same_time(void **state)
{
	pthread_t signers[THREADS], finder;
	struct known_file *file;

	(void)state;
	make_files(shared);
	atomic_store(&signing_done, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&signers[i], NULL, make_signs, (void *)i), 0);
	assert_int_equal(pthread_create(&finder, NULL, find_files, NULL), 0);
	for (size_t i = 0; i < 200; i++)
		look_once(i);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(signers[i], NULL);
	atomic_store(&signing_done, true);
	pthread_join(finder, NULL);
	for (size_t at = SIZE_MAX; known_slice(known, &at, &file, 1);)
		assert_true(look_at(file, nothing));
	assert_int_equal(known_sums(known).files, 0);
	assert_int_equal(known_sums(known).resident, 0);
	for (size_t i = 0; i < FILES; i++)
		drop(shared[i]);
}

#define on_files(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_files(sign_of_use_makes_known),
		on_files(file_without_pages_or_opens_is_forgotten),
		on_files(file_with_pages_leaves_use_and_stays_known),
		on_files(open_file_stays_in_use),
		on_files(file_touched_while_looked_at_is_looked_at_again),
		on_files(open_file_comes_into_use_by_a_look),
		on_files(found_file_is_added_once_and_is_cold),
		on_files(sums_follow_what_was_measured),
		on_files(heat_comes_from_opens_and_growth),
		on_files(written_file_has_to_be_synced),
		on_files(rows_say_what_may_go),
		on_files(file_that_lost_a_write_is_left_alone),
		on_files(full_table_counts_what_it_cannot_take),
		cmocka_unit_test_setup_teardown(descriptors_are_bounded_by_themselves,
						setup_no_handles, teardown),
		on_files(default_limits_leave_room),
		on_files(full_look_meets_every_file),
		on_files(signs_and_looks_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
