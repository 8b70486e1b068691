/* SPDX-License-Identifier: MIT */
/* test-gaps.c - the parts that spans leave out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gaps.h"

static void gaps_are_what_spans_leave_out(void **state)
{
	static const struct {
		struct mmapfs__span span[2];
		size_t count;
		uint64_t begin, end;
		struct mmapfs__span gap[3];
		size_t gaps;
	} cases[] = {
		{ { { 0, 0 } }, 0, 3, 9, { { 3, 9 } }, 1 },
		{ { { 0, 0 } }, 0, 3, 3, { { 0, 0 } }, 0 },
		{ { { 2, 4 }, { 6, 8 } },
		  2,
		  0,
		  10,
		  { { 0, 2 }, { 4, 6 }, { 8, 10 } },
		  3 },
		{ { { 2, 4 }, { 6, 8 } }, 2, 2, 8, { { 4, 6 } }, 1 },
		{ { { 2, 4 }, { 6, 8 } }, 2, 3, 7, { { 4, 6 } }, 1 },
		{ { { 2, 4 }, { 6, 8 } }, 2, 2, 4, { { 0, 0 } }, 0 },
		{ { { 2, 4 }, { 6, 8 } }, 2, 4, 6, { { 4, 6 } }, 1 },
		{ { { 2, 4 }, { 6, 8 } }, 2, 5, 6, { { 5, 6 } }, 1 },
		{ { { 2, 4 }, { 6, 8 } }, 2, 9, 12, { { 9, 12 } }, 1 },
		{ { { 0, UINT64_MAX } }, 1, 5, UINT64_MAX, { { 0, 0 } }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mmapfs__span span[2] = { cases[i].span[0], cases[i].span[1] };
		struct mmapfs__spans spans = { span, cases[i].count, 2 };
		struct mmapfs__span gap;
		uint64_t at = cases[i].begin;
		size_t n = 0;

		for (; mmapfs__spans_gap(&spans, at, cases[i].end, &gap); at = gap.end) {
			assert_true(n < cases[i].gaps);
			assert_int_equal(gap.begin, cases[i].gap[n].begin);
			assert_int_equal(gap.end, cases[i].gap[n].end);
			n++;
		}
		assert_int_equal(n, cases[i].gaps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gaps_are_what_spans_leave_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
