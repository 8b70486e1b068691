/* SPDX-License-Identifier: MIT */
/* test-spans.c - sets of spans against a plain bitmap, and their invariant after each
 * step. */
#include "spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/macro.h"

/* Sorted, none empty, none touching its neighbour. */
static void check(const struct mmapfs__spans *spans)
{
	size_t i;

	assert_true(spans->count <= spans->capacity);
	for (i = 0; i < spans->count; i++) {
		assert_true(spans->at[i].begin < spans->at[i].end);
		if (i > 0)
			assert_true(spans->at[i - 1].end < spans->at[i].begin);
	}
}

struct step {
	char op; /* '+' add, '-' remove */
	uint64_t begin, end;
};

static const struct {
	const char *name;
	struct step steps[4];
	struct mmapfs__span want[4];
} cases[] = {
	{ "one", { { '+', 1, 5 } }, { { 1, 5 } } },
	{ "empty span is nothing", { { '+', 5, 5 } }, { { 0, 0 } } },
	{ "backward span is nothing", { { '+', 6, 5 } }, { { 0, 0 } } },
	{ "touching melt", { { '+', 1, 5 }, { '+', 5, 9 } }, { { 1, 9 } } },
	{ "touching before melt", { { '+', 5, 9 }, { '+', 1, 5 } }, { { 1, 9 } } },
	{ "apart stay apart", { { '+', 6, 9 }, { '+', 1, 5 } }, { { 1, 5 }, { 6, 9 } } },
	{ "inside adds nothing", { { '+', 1, 9 }, { '+', 3, 4 } }, { { 1, 9 } } },
	{ "bridge melts both",
	  { { '+', 1, 3 }, { '+', 7, 9 }, { '+', 3, 7 } },
	  { { 1, 9 } } },
	{ "cover swallows all",
	  { { '+', 2, 3 }, { '+', 5, 6 }, { '+', 1, 9 } },
	  { { 1, 9 } } },
	{ "remove from empty", { { '-', 1, 9 } }, { { 0, 0 } } },
	{ "remove splits", { { '+', 1, 9 }, { '-', 3, 5 } }, { { 1, 3 }, { 5, 9 } } },
	{ "remove head", { { '+', 1, 9 }, { '-', 0, 5 } }, { { 5, 9 } } },
	{ "remove tail", { { '+', 1, 9 }, { '-', 5, 10 } }, { { 1, 5 } } },
	{ "remove exactly", { { '+', 1, 9 }, { '-', 1, 9 } }, { { 0, 0 } } },
	{ "remove touching changes nothing",
	  { { '+', 3, 5 }, { '-', 5, 9 }, { '-', 1, 3 } },
	  { { 3, 5 } } },
	{ "remove across two",
	  { { '+', 1, 3 }, { '+', 5, 9 }, { '-', 2, 6 } },
	  { { 1, 2 }, { 6, 9 } } },
	{ "the ends of the world",
	  { { '+', 0, UINT64_MAX }, { '-', 10, UINT64_MAX } },
	  { { 0, 10 } } },
};

static void each_case_gives_exactly_its_spans(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs__spans spans = { 0 };

		for (j = 0; j < ARRAY_SIZE(cases[i].steps) && cases[i].steps[j].op; j++) {
			const struct step *s = &cases[i].steps[j];
			int r = s->op == '+'
					? mmapfs__spans_add(&spans, s->begin, s->end)
					: mmapfs__spans_remove(&spans, s->begin, s->end);

			assert_int_equal(r, 0);
			check(&spans);
		}
		for (j = 0; j < ARRAY_SIZE(cases[i].want) && cases[i].want[j].end; j++) {
			if (j >= spans.count ||
			    spans.at[j].begin != cases[i].want[j].begin ||
			    spans.at[j].end != cases[i].want[j].end)
				fail_msg("%s: span %zu is wrong", cases[i].name, j);
		}
		if (spans.count != j)
			fail_msg("%s: %zu spans, not %zu", cases[i].name, spans.count, j);
		mmapfs__spans_clear(&spans);
	}
}

#define WORLD 200

static uint64_t count_bits(const bool *bits, uint64_t begin, uint64_t end)
{
	uint64_t n = 0;

	for (; begin < end; begin++)
		n += bits[begin];
	return n;
}

static void random_steps_agree_with_a_bitmap(void **state)
{
	struct mmapfs__spans spans = { 0 };
	bool bits[WORLD] = { false };
	unsigned int seed = 7;
	int step;

	(void)state;
	for (step = 0; step < 20000; step++) {
		uint64_t begin = (uint64_t)rand_r(&seed) % WORLD;
		uint64_t end = u64_min(WORLD, begin + (uint64_t)rand_r(&seed) % 12);
		uint64_t from = (uint64_t)rand_r(&seed) % WORLD;
		bool add = rand_r(&seed) % 2;

		assert_int_equal(add ? mmapfs__spans_add(&spans, begin, end) :
				       mmapfs__spans_remove(&spans, begin, end), 0);
		memset(bits + begin, add, end - begin);
		check(&spans);
		assert_int_equal(mmapfs__spans_covered(&spans, from, WORLD),
				 count_bits(bits, from, WORLD));
		assert_int_equal(mmapfs__spans_covered(&spans, begin, end),
				 add ? end - begin : 0);
	}
	mmapfs__spans_clear(&spans);
}

static void cleared_set_is_empty_and_usable(void **state)
{
	struct mmapfs__spans spans = { 0 };

	(void)state;
	assert_int_equal(mmapfs__spans_add(&spans, 1, 2), 0);
	mmapfs__spans_clear(&spans);
	assert_int_equal(spans.count, 0);
	assert_null(spans.at);
	assert_int_equal(mmapfs__spans_covered(&spans, 0, UINT64_MAX), 0);
	assert_int_equal(mmapfs__spans_add(&spans, 3, 4), 0);
	assert_int_equal(mmapfs__spans_covered(&spans, 0, UINT64_MAX), 1);
	mmapfs__spans_clear(&spans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_gives_exactly_its_spans),
		cmocka_unit_test(random_steps_agree_with_a_bitmap),
		cmocka_unit_test(cleared_set_is_empty_and_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
