/* SPDX-License-Identifier: MIT */
/* test-names.c - every number of the public header has a word, every other has "?". */
#include <mmapfs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/macro.h"

static const struct {
	const char *(*name)(uint32_t number);
	uint32_t last;
} tables[] = {
	{ mmapfs_method_name, MMAPFS_METHOD_CACHESTAT_MINCORE },
	{ mmapfs_confidence_name, MMAPFS_CONFIDENCE_EXACT },
	{ mmapfs_reason_name, MMAPFS_REASON_DAX },
	{ mmapfs_stay_name, MMAPFS_STAY_OTHER },
};

static void every_number_has_a_word_of_its_own(void **state)
{
	uint32_t i, a, b;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		for (a = 0; a <= tables[i].last; a++) {
			const char *word = tables[i].name(a);

			assert_non_null(word);
			assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz-+"),
					 strlen(word));
			for (b = 0; b < a; b++)
				assert_string_not_equal(word, tables[i].name(b));
		}
		assert_string_equal(tables[i].name(tables[i].last + 1), "?");
		assert_string_equal(tables[i].name(UINT32_MAX), "?");
	}
}

static void documented_words_are_these(void **state)
{
	(void)state;
	assert_string_equal(mmapfs_method_name(MMAPFS_METHOD_CACHESTAT_MINCORE),
			    "cachestat+mincore");
	assert_string_equal(mmapfs_confidence_name(MMAPFS_CONFIDENCE_EXACT), "exact");
	assert_string_equal(mmapfs_reason_name(MMAPFS_REASON_NO_PERMISSION),
			    "no-permission");
	assert_string_equal(mmapfs_stay_name(MMAPFS_STAY_DIRTY), "dirty");
}

static void version_is_the_header_s(void **state)
{
	char want[32];

	(void)state;
	(void)snprintf(want, sizeof(want), "%d.%d.%d", MMAPFS_VERSION_MAJOR,
		       MMAPFS_VERSION_MINOR, MMAPFS_VERSION_PATCH);
	assert_string_equal(mmapfs_version(), want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_has_a_word_of_its_own),
		cmocka_unit_test(documented_words_are_these),
		cmocka_unit_test(version_is_the_header_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
