/* SPDX-License-Identifier: MIT */
/* fuzz-range.c - sizes, ranges and advice words: read, written, and read again. */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>

#include <mmapfs.h>

void fuzz_begin(void)
{
}

static bool try_size(const char *text)
{
	uint64_t size = 42, again = 0;
	char word[MMAPFS_WORD_MAX];
	int r = mmapfs_size_parse(text, &size);

	check(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r < 0) {
		check(size == 42);
		return false;
	}
	check(mmapfs_size_format(word, size) == word);
	check(mmapfs_size_parse(word, &again) == 0 && again == size);
	return true;
}

static void check_round_trip(struct mmapfs_range range)
{
	struct mmapfs_range again = { 0, 0 };
	char word[MMAPFS_WORD_MAX];

	check(mmapfs_range_format(word, range) == word);
	check(strnlen(word, sizeof(word)) < sizeof(word));
	check(mmapfs_range_parse(word, &again) == 0);
	check(again.offset == range.offset && again.length == range.length);
}

static bool try_range(const char *text)
{
	struct mmapfs_range range = { 42, 42 };
	int r = mmapfs_range_parse(text, &range);

	check(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r < 0) {
		check(range.offset == 42 && range.length == 42);
		return false;
	}
	check(range.offset <= INT64_MAX);
	check(range.length <= INT64_MAX - range.offset);
	check_round_trip(range);
	return true;
}

static bool try_advice(const char *text)
{
	int advice = mmapfs_advice_parse(text);
	const char *name;

	check(advice == -EINVAL || (advice >= 0 && advice < MMAPFS_ADVICE_COUNT));
	if (advice < 0)
		return false;
	name = mmapfs_advice_name((enum mmapfs_advice)advice);
	check(name && mmapfs_advice_parse(name) == advice);
	check(mmapfs_advice_kinds((enum mmapfs_advice)advice) != 0);
	return true;
}

/* The bytes as numbers: every range there is has to be written so that it ends in time, and
 * every one that can be of a file has to be read back. */
static void try_numbers(const char *data, size_t length)
{
	struct mmapfs_range range;
	char word[MMAPFS_WORD_MAX];

	if (length != sizeof(range))
		return;
	memcpy(&range, data, sizeof(range));
	(void)mmapfs_range_format(word, range);
	check(strnlen(word, sizeof(word)) < sizeof(word));
	range.offset &= INT64_MAX;
	range.length = range.offset ? range.length % (UINT64_C(1) + INT64_MAX - range.offset)
				    : range.length & INT64_MAX;
	check_round_trip(range);
}

enum verdict fuzz_input(const char *data, size_t length)
{
	char *text = fuzz_text(data, length);
	/* A size is a range as well, as long as it is not too large for one. */
	bool size = try_size(text), range = try_range(text), advice = try_advice(text);

	try_numbers(data, length);
	free(text);
	return size || range || advice ? ACCEPTED : REJECTED;
}
