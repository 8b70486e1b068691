/* SPDX-License-Identifier: MIT */
/* test-snapshot-combine.c - sets of ranges over files, against a model of single pages. */
#include "page-file.h"

#include <errno.h>
#include <inttypes.h>

#include "base/macro.h"
#include "snapshot.h"

#define PAGES 64

/* A file as a picture: '#' resident. NULL: not in the snapshot; "skip": skipped. */
struct picture {
	const char *name;
	const char *a;
	const char *b;
	const char *result[3]; /* union, intersect, subtract */
};

static const struct picture pictures[] = {
	{ "a/1", "##..##", "#..###", { "##.###", "#...##", ".#...." } },
	{ "a/2", "######", "......", { "######", "......", "######" } },
	{ "a/3", ".#.#.#", "#.#.#.", { "######", "......", ".#.#.#" } },
	{ "a/4", "######", ".####.", { "######", ".####.", "#....#" } },
	{ "a b", "##..", NULL, { "##..", NULL, "##.." } },
	{ "b", NULL, "##..", { "##..", NULL, NULL } },
	{ "c", "skip", "#.", { "#.", "skip", "skip" } },
	{ "d", "#.", "skip", { "#.", "skip", "skip" } },
	{ "e", "skip", NULL, { "skip", NULL, "skip" } },
	{ "f", NULL, "skip", { "skip", NULL, NULL } },
	{ "g", "skip", "skip", { "skip", "skip", "skip" } },
	{ "h", "", "", { "", "", "" } },
};

static void put_picture(struct mmapfs_snapshot_writer *writer, const char *name,
			const char *picture, int64_t mtime_ns)
{
	struct mmapfs_snapshot_entry entry = { .size = sizeof(entry), .name = name };
	uint64_t i;

	if (!picture)
		return;
	if (strcmp(picture, "skip") == 0) {
		entry.skipped = "dax";
	} else {
		entry.mtime_ns = mtime_ns;
		entry.file_size = strlen(picture) * page;
	}
	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	for (i = 0; !entry.skipped && picture[i] != '\0'; i++)
		if (picture[i] == '#')
			assert_int_equal(mmapfs_snapshot_add_range(
						 writer, (struct mmapfs_range){ i * page,
										page }),
					 0);
}

static struct mmapfs_snapshot_writer *create(const char *name)
{
	struct mmapfs_snapshot_writer *writer;

	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path(name), &writer), 0);
	return writer;
}

static struct mmapfs_snapshot *load(const char *name)
{
	struct mmapfs_snapshot *snapshot;

	assert_int_equal(mmapfs_snapshot_load(AT_FDCWD, scratch_path(name), NULL,
					      &snapshot),
			 0);
	return snapshot;
}

/* The next entry of @snapshot is this picture. */
static void assert_picture(struct mmapfs_snapshot *snapshot, const char *name,
			   const char *picture)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_range range;
	char seen[PAGES + 1];

	if (!picture)
		return;
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_string_equal(got.name, name);
	if (got.skipped) {
		assert_string_equal(picture, "skip");
		return;
	}
	memset(seen, '.', sizeof(seen));
	seen[got.file_size / page] = '\0';
	while (mmapfs_snapshot_next_range(snapshot, &range) > 0)
		memset(seen + range.offset / page, '#', range.length / page);
	assert_string_equal(seen, picture);
}

static void make_both(void)
{
	struct mmapfs_snapshot_writer *a = create("a"), *b = create("b");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pictures); i++) {
		put_picture(a, pictures[i].name, pictures[i].a, 5);
		put_picture(b, pictures[i].name, pictures[i].b, 5);
	}
	assert_int_equal(mmapfs_snapshot_commit(a), 0);
	assert_int_equal(mmapfs_snapshot_commit(b), 0);
}

static void combine(enum mmapfs_snapshot_op op, int want)
{
	struct mmapfs_snapshot *a = load("a"), *b = load("b");
	struct mmapfs_snapshot_writer *writer = create("c");

	assert_int_equal(mmapfs_snapshot_combine(a, b, op, writer), want);
	if (want == 0)
		assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	else
		mmapfs_snapshot_abort(writer);
	mmapfs_snapshot_close(a);
	mmapfs_snapshot_close(b);
}

static void each_operation_gives_its_picture(void **state)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_snapshot *result;
	unsigned int op;
	size_t i;

	(void)state;
	make_both();
	for (op = 0; op < 3; op++) {
		combine(op, 0);
		result = load("c");
		for (i = 0; i < ARRAY_SIZE(pictures); i++)
			assert_picture(result, pictures[i].name, pictures[i].result[op]);
		assert_int_equal(mmapfs_snapshot_next(result, &got), 0);
		mmapfs_snapshot_close(result);
	}
	combine(3, -EINVAL);
}

/* The model: one bit a page. */
static void random_ranges_agree_with_the_model(void **state)
{
	char a[PAGES + 1], b[PAGES + 1], want[3][PAGES + 1];
	struct mmapfs_snapshot *result;
	unsigned int turn, op, i;

	(void)state;
	srandom(7);
	for (turn = 0; turn < 40; turn++) {
		struct mmapfs_snapshot_writer *one = create("a"), *two = create("b");
		long density = 2 + random() % 6;

		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		memset(want, 0, sizeof(want));
		for (i = 0; i < PAGES; i++) {
			bool x = random() % density == 0, y = random() % density != 0;

			a[i] = x ? '#' : '.';
			b[i] = y ? '#' : '.';
			want[0][i] = x || y ? '#' : '.';
			want[1][i] = x && y ? '#' : '.';
			want[2][i] = x && !y ? '#' : '.';
		}
		put_picture(one, "f", a, 0);
		put_picture(two, "f", b, 0);
		assert_int_equal(mmapfs_snapshot_commit(one), 0);
		assert_int_equal(mmapfs_snapshot_commit(two), 0);
		for (op = 0; op < 3; op++) {
			combine(op, 0);
			result = load("c");
			assert_picture(result, "f", want[op]);
			mmapfs_snapshot_close(result);
		}
	}
}

/* The file as it was last: cut at the size that it had then. */
static void later_identity_wins(void **state)
{
	static const int64_t times[2] = { 5, 9 };
	unsigned int turn;

	(void)state;
	for (turn = 0; turn < 2; turn++) {
		struct mmapfs_snapshot_writer *a = create("a"), *b = create("b");
		struct mmapfs_snapshot *result;

		put_picture(a, "f", "#...##", times[turn]);
		put_picture(b, "f", ".#..", times[!turn]);
		assert_int_equal(mmapfs_snapshot_commit(a), 0);
		assert_int_equal(mmapfs_snapshot_commit(b), 0);
		combine(MMAPFS_SNAPSHOT_UNION, 0);
		result = load("c");
		assert_picture(result, "f", turn == 0 ? "##.." : "##..##");
		mmapfs_snapshot_close(result);
	}
}

/* A last page that was cut is a whole one in a file that has grown. */
static void cut_page_of_a_grown_file_is_whole(void **state)
{
	struct mmapfs_snapshot_entry entry = {
		.size = sizeof(entry), .name = "f", .file_size = page + 10 };
	struct mmapfs_snapshot_writer *a = create("a"), *b = create("b");
	struct mmapfs_snapshot *result;

	(void)state;
	assert_int_equal(mmapfs_snapshot_add_entry(a, &entry), 0);
	assert_int_equal(mmapfs_snapshot_add_range(
				 a, (struct mmapfs_range){ 0, page + 10 }), 0);
	put_picture(b, "f", "...#", 9);
	assert_int_equal(mmapfs_snapshot_commit(a), 0);
	assert_int_equal(mmapfs_snapshot_commit(b), 0);
	combine(MMAPFS_SNAPSHOT_UNION, 0);
	result = load("c");
	assert_picture(result, "f", "##.#");
	mmapfs_snapshot_close(result);
}

static void other_page_size_is_exdev(void **state)
{
	struct mmapfs_snapshot_writer *a = create("a"), *b = create("b");

	(void)state;
	a->header.page_size = 16 * page;
	assert_int_equal(mmapfs_snapshot_commit(a), 0);
	assert_int_equal(mmapfs_snapshot_commit(b), 0);
	combine(MMAPFS_SNAPSHOT_UNION, -EXDEV);
}

/* ---- diff ---- */

struct seen {
	size_t files;
	char only_a[PAGES + 1], only_b[PAGES + 1];
};

static int see_range(void *ctx, const char *name, uint32_t which, uint64_t offset,
		     uint64_t length)
{
	struct seen *seen = ctx;

	(void)name;
	assert_in_range(which, 1, 2);
	memset((which == 1 ? seen->only_a : seen->only_b) + offset / page, '#',
	       length / page);
	return 0;
}

static uint64_t count(const char *picture)
{
	uint64_t pages = 0;

	for (; *picture != '\0'; picture++)
		pages += *picture == '#';
	return pages;
}

static int see_file(void *ctx, const struct mmapfs_snapshot_delta *delta)
{
	const struct picture *want;
	struct seen *seen = ctx;
	bool known;

	want = &pictures[seen->files++];
	assert_string_equal(delta->name, want->name);
	assert_int_equal(delta->a != NULL, want->a != NULL);
	assert_int_equal(delta->b != NULL, want->b != NULL);
	known = !(want->a && strcmp(want->a, "skip") == 0) &&
		!(want->b && strcmp(want->b, "skip") == 0);
	assert_int_equal(delta->valid, known);
	assert_int_equal(delta->changed, 0);
	if (known) {
		uint64_t in_a = want->a ? count(want->a) : 0;
		uint64_t both = want->result[1] ? count(want->result[1]) : 0;
		uint64_t in_b = want->b ? count(want->b) : 0;

		assert_int_equal(delta->both, both * page);
		assert_int_equal(delta->only_a, (in_a - both) * page);
		assert_int_equal(delta->only_b, (in_b - both) * page);
		assert_int_equal(count(seen->only_a), in_a - both);
		assert_int_equal(count(seen->only_b), in_b - both);
		if (want->a && want->result[2])
			assert_memory_equal(seen->only_a, want->result[2],
					    strlen(want->a));
	}
	memset(seen->only_a, '.', PAGES);
	memset(seen->only_b, '.', PAGES);
	return 0;
}

static int stop_at_third(void *ctx, const struct mmapfs_snapshot_delta *delta)
{
	size_t *files = ctx;

	(void)delta;
	return ++*files == 3 ? 77 : 0;
}

static void put_hot(struct mmapfs_snapshot_writer *writer, const char *name, uint32_t heat)
{
	const struct mmapfs_snapshot_entry entry = { .size = sizeof(entry), .name = name,
						     .heat = heat };

	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
}

/* One side tells no heat at all. */
static void the_higher_heat_is_kept(void **state)
{
	static const struct {
		const char *name;
		uint32_t heat;
	} rows[] = { { "both", 9 }, { "one", 0 }, { "two", 7 } };
	struct mmapfs_snapshot_writer *one = create("a"), *two = create("b");
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_snapshot *result;
	size_t i;

	(void)state;
	put_hot(one, "both", 3);
	put_hot(one, "one", 3);
	assert_int_equal(mmapfs_snapshot_set_heat(two, 0), 0);
	put_hot(two, "both", 9);
	put_hot(two, "two", 7);
	assert_int_equal(mmapfs_snapshot_commit(one), 0);
	assert_int_equal(mmapfs_snapshot_commit(two), 0);
	combine(MMAPFS_SNAPSHOT_UNION, 0);
	result = load("c");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(mmapfs_snapshot_next(result, &got), 1);
		assert_string_equal(got.name, rows[i].name);
		assert_int_equal(got.heat, rows[i].heat);
	}
	mmapfs_snapshot_close(result);
}

static void diff_counts_and_shows_each_side(void **state)
{
	struct mmapfs_snapshot *a, *b;
	struct seen seen = { 0 };
	size_t files = 0;

	(void)state;
	make_both();
	memset(seen.only_a, '.', PAGES);
	memset(seen.only_b, '.', PAGES);
	a = load("a");
	b = load("b");
	assert_int_equal(mmapfs_snapshot_diff(a, b, see_file, see_range, &seen), 0);
	assert_int_equal(seen.files, ARRAY_SIZE(pictures));
	assert_int_equal(mmapfs_snapshot_diff(a, b, stop_at_third, NULL, &files), 77);
	mmapfs_snapshot_close(a);
	mmapfs_snapshot_close(b);
}

static int see_change(void *ctx, const struct mmapfs_snapshot_delta *delta)
{
	*(uint32_t *)ctx = delta->changed;
	return 0;
}

static void diff_tells_a_changed_file(void **state)
{
	struct mmapfs_snapshot_writer *writer;
	struct mmapfs_snapshot *a, *b;
	uint32_t changed = 0;

	(void)state;
	writer = create("a");
	put_picture(writer, "f", "#.", 5);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	writer = create("b");
	put_picture(writer, "f", "#..", 6);
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	a = load("a");
	b = load("b");
	assert_int_equal(mmapfs_snapshot_diff(a, b, see_change, NULL, &changed), 0);
	assert_int_equal(changed, MMAPFS_SNAPSHOT_SIZE | MMAPFS_SNAPSHOT_MTIME);
	mmapfs_snapshot_close(a);
	mmapfs_snapshot_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_gives_its_picture),
		cmocka_unit_test(random_ranges_agree_with_the_model),
		cmocka_unit_test(later_identity_wins),
		cmocka_unit_test(cut_page_of_a_grown_file_is_whole),
		cmocka_unit_test(other_page_size_is_exdev),
		cmocka_unit_test(the_higher_heat_is_kept),
		cmocka_unit_test(diff_counts_and_shows_each_side),
		cmocka_unit_test(diff_tells_a_changed_file),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
