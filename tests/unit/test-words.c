/* SPDX-License-Identifier: MIT */
/* test-words.c - sizes and ranges, read and written. */
#include <mmapfs.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/macro.h"
#include "sys.h"

#define UNTOUCHED UINT64_C(0xdead)

static const struct {
	const char *text;
	int r;
	uint64_t value;
} sizes[] = {
	{ "0", 0, 0 },
	{ "1", 0, 1 },
	{ "4096", 0, 4096 },
	{ "007", 0, 7 },
	{ "1K", 0, 1024 },
	{ "1k", 0, 1024 },
	{ "64M", 0, 64 << 20 },
	{ "64MiB", 0, 64 << 20 },
	{ "64MB", 0, 64 << 20 },
	{ "12B", 0, 12 },
	{ "3G", 0, UINT64_C(3) << 30 },
	{ "2T", 0, UINT64_C(2) << 40 },
	{ "2P", 0, UINT64_C(2) << 50 },
	{ "15E", 0, UINT64_C(15) << 60 },
	{ "0E", 0, 0 },
	{ "18446744073709551615", 0, UINT64_MAX },
	{ "18446744073709551616", -ERANGE, 0 },
	{ "99999999999999999999999999", -ERANGE, 0 },
	{ "16E", -ERANGE, 0 },
	{ "18014398509481984K", -ERANGE, 0 },
	{ "99999999999999999999999999x", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ NULL, -EINVAL, 0 },
	{ "K", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "+1", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
	{ "1 ", -EINVAL, 0 },
	{ "1 K", -EINVAL, 0 },
	{ "1.5G", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 },
	{ "1Ki", -EINVAL, 0 },
	{ "1iB", -EINVAL, 0 },
	{ "1KK", -EINVAL, 0 },
	{ "1BB", -EINVAL, 0 },
	{ "1Kb", -EINVAL, 0 },
	{ "1Z", -EINVAL, 0 },
};

static void size_is_parsed_exactly_or_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t value = UNTOUCHED;
		int r = mmapfs_size_parse(sizes[i].text, &value);

		if (r != sizes[i].r || value != (r ? UNTOUCHED : sizes[i].value))
			fail_msg("\"%s\": %d, %llu",
				 sizes[i].text ? sizes[i].text : "NULL", r,
				 (unsigned long long)value);
	}
}

static const struct {
	const char *text;
	int r;
	struct mmapfs_range value;
	const char *back; /* how it is written; NULL: as it was */
} ranges[] = {
	{ "", 0, { 0, 0 }, NULL },
	{ "0-", 0, { 0, 0 }, "" },
	{ "1G+64M", 0, { 1 << 30, 64 << 20 }, NULL },
	{ "0+1", 0, { 0, 1 }, NULL },
	{ "5+7", 0, { 5, 7 }, NULL },
	{ "2M-", 0, { 2 << 20, 0 }, NULL },
	{ "1024+2048", 0, { 1024, 2048 }, "1K+2K" },
	{ "1GiB+64MiB", 0, { 1 << 30, 64 << 20 }, "1G+64M" },
	{ "9223372036854775807-", 0, { INT64_MAX, 0 }, NULL },
	{ "9223372036854775806+1", 0, { INT64_MAX - 1, 1 }, NULL },
	{ "0+9223372036854775807", 0, { 0, INT64_MAX }, NULL },
	{ "9223372036854775807+1", -ERANGE, { 0, 0 }, NULL },
	{ "9223372036854775807", -ERANGE, { 0, 0 }, NULL },
	{ "8E-", -ERANGE, { 0, 0 }, NULL },
	{ "0+8E", -ERANGE, { 0, 0 }, NULL },
	{ "99E+1", -ERANGE, { 0, 0 }, NULL },
	{ "1+99E", -ERANGE, { 0, 0 }, NULL },
	{ "99E+x", -EINVAL, { 0, 0 }, NULL },
	{ "99E+0", -EINVAL, { 0, 0 }, NULL },
	{ "1+0", -EINVAL, { 0, 0 }, NULL },
	{ "1+", -EINVAL, { 0, 0 }, NULL },
	{ "+1", -EINVAL, { 0, 0 }, NULL },
	{ "-", -EINVAL, { 0, 0 }, NULL },
	{ "-1", -EINVAL, { 0, 0 }, NULL },
	{ "1-2", -EINVAL, { 0, 0 }, NULL },
	{ "1--", -EINVAL, { 0, 0 }, NULL },
	{ "1+2+3", -EINVAL, { 0, 0 }, NULL },
	{ "1+-", -EINVAL, { 0, 0 }, NULL },
	{ " ", -EINVAL, { 0, 0 }, NULL },
	{ "x", -EINVAL, { 0, 0 }, NULL },
	{ NULL, -EINVAL, { 0, 0 }, NULL },
};

static void range_is_parsed_exactly_or_refused_and_written_back(void **state)
{
	char buf[MMAPFS_WORD_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct mmapfs_range value = { UNTOUCHED, UNTOUCHED };
		int r = mmapfs_range_parse(ranges[i].text, &value);

		if (r != ranges[i].r)
			fail_msg("\"%s\": %d", ranges[i].text, r);
		if (r < 0) {
			assert_int_equal(value.offset, UNTOUCHED);
			assert_int_equal(value.length, UNTOUCHED);
			continue;
		}
		assert_int_equal(value.offset, ranges[i].value.offset);
		assert_int_equal(value.length, ranges[i].value.length);
		assert_ptr_equal(mmapfs_range_format(buf, value), buf);
		assert_string_equal(buf,
				    ranges[i].back ? ranges[i].back : ranges[i].text);
	}
}

static void bare_offset_is_one_page(void **state)
{
	uint64_t page = mmapfs__page_size();
	struct mmapfs_range range;

	(void)state;
	assert_int_equal(mmapfs_range_parse("1M", &range), 0);
	assert_int_equal(range.offset, 1 << 20);
	assert_int_equal(range.length, page);
	assert_int_equal(mmapfs_range_parse("5", &range), 0);
	assert_int_equal(range.offset, 5);
	assert_int_equal(range.length, page - 5);
}

static const struct {
	uint64_t bytes;
	const char *text;
} formats[] = {
	{ 0, "0" },
	{ 1, "1" },
	{ 1023, "1023" },
	{ 1024, "1K" },
	{ 1536, "1536" },
	{ 67108864, "64M" },
	{ 67108865, "67108865" },
	{ UINT64_C(5) << 30, "5G" },
	{ UINT64_C(1025) << 40, "1025T" },
	{ UINT64_C(7) << 60, "7E" },
	{ UINT64_MAX, "18446744073709551615" },
};

static void size_is_written_exactly(void **state)
{
	char buf[MMAPFS_WORD_MAX];
	uint64_t back;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		assert_ptr_equal(mmapfs_size_format(buf, formats[i].bytes), buf);
		assert_string_equal(buf, formats[i].text);
		assert_int_equal(mmapfs_size_parse(buf, &back), 0);
		assert_int_equal(back, formats[i].bytes);
	}
}

static void longest_range_fits(void **state)
{
	char buf[MMAPFS_WORD_MAX];

	(void)state;
	assert_string_equal(
		mmapfs_range_format(buf, (struct mmapfs_range){ UINT64_MAX, UINT64_MAX }),
		"18446744073709551615+18446744073709551615");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_is_parsed_exactly_or_refused),
		cmocka_unit_test(range_is_parsed_exactly_or_refused_and_written_back),
		cmocka_unit_test(bare_offset_is_one_page),
		cmocka_unit_test(size_is_written_exactly),
		cmocka_unit_test(longest_range_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
