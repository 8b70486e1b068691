/* SPDX-License-Identifier: MIT */
/* test-exposition.c - the Prometheus text format: sums of samples, one label more. */
#include "exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "# HELP x_total a x_total 7\n"
			   "# TYPE x_total counter\n"
			   "x_total{a=\"1\"} 3\n"
			   "x_total{a=\"x_total 9 {\"} 40\n"
			   "\n"
			   "x 18446744073709551615\n"
			   "x_bucket{le=\"+Inf\"} 5\n";

static void samples_of_a_name_are_summed_up(void **state)
{
	static const struct {
		const char *name;
		bool found;
		uint64_t sum;
	} cases[] = {
		{ "x_total", true, 43 }, { "x", true, UINT64_MAX }, { "x_bucket", true, 5 },
		{ "x_tota", false, 1 },	 { "x_totals", false, 1 },  { "#", false, 1 },
		{ "", false, 1 },	 { "y", false, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t sum = 1; /* kept where nothing is found */

		assert_int_equal(exposition_sum(text, cases[i].name, &sum), cases[i].found);
		assert_int_equal(sum, cases[i].sum);
	}
}

static void no_text_has_no_samples(void **state)
{
	uint64_t sum = 1;

	(void)state;
	assert_false(exposition_sum("", "x", &sum));
	assert_true(exposition_sum("x 2", "x", &sum)); /* without the last newline */
	assert_int_equal(sum, 2);
}

static char *written(const char *from, const char *value)
{
	char *result = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&result, &size);

	assert_non_null(file);
	exposition_write(file, from, "m", value);
	assert_int_equal(fclose(file), 0);
	return result;
}

static void every_sample_gets_the_label_and_nothing_else_changes(void **state)
{
	char *result = written(text, "/mnt");

	(void)state;
	assert_string_equal(result, "# HELP x_total a x_total 7\n"
				    "# TYPE x_total counter\n"
				    "x_total{m=\"/mnt\",a=\"1\"} 3\n"
				    "x_total{m=\"/mnt\",a=\"x_total 9 {\"} 40\n"
				    "\n"
				    "x{m=\"/mnt\"} 18446744073709551615\n"
				    "x_bucket{m=\"/mnt\",le=\"+Inf\"} 5\n");
	free(result);
}

static void label_values_are_escaped(void **state)
{
	static const struct {
		const char *value, *written;
	} cases[] = {
		{ "", "x{m=\"\"} 1\n" },
		{ "a\\b\"c\nd", "x{m=\"a\\\\b\\\"c\\nd\"} 1\n" },
		{ "\303\244", "x{m=\"\303\244\"} 1\n" },
		{ "\377a\303", "x{m=\"\357\277\275a\357\277\275\"} 1\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *result = written("x 1\n", cases[i].value);

		assert_string_equal(result, cases[i].written);
		free(result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_of_a_name_are_summed_up),
		cmocka_unit_test(no_text_has_no_samples),
		cmocka_unit_test(every_sample_gets_the_label_and_nothing_else_changes),
		cmocka_unit_test(label_values_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
