/* SPDX-License-Identifier: MIT */
/* words.c - sizes and ranges as people write them, and back. */
#include <mmapfs.h>

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "sys.h"

static const char suffixes[] = "KMGTPE"; /* each 1024 times the one before */

/* The power of two that the suffix at *@text stands for, 0 for none; steps over it. */
static unsigned int take_suffix(const char **text)
{
	const char *p = *text;
	const char *found = NULL;
	unsigned int shift = 0;

	if (*p != '\0')
		found = strchr(suffixes, *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
	if (found) {
		shift = 10 * (unsigned int)(found - suffixes + 1);
		p++;
		if (p[0] == 'i' && p[1] == 'B')
			p++;
	}
	if (*p == 'B')
		p++;
	*text = p;
	return shift;
}

/* Read a size at the start of *@text and step over it. */
static int take_size(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;
	unsigned int shift;
	int overflow = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		overflow |= __builtin_mul_overflow(value, 10, &value);
		overflow |=
			__builtin_add_overflow(value, (unsigned int)(*p - '0'), &value);
	}
	shift = take_suffix(&p);
	overflow |= value > UINT64_MAX >> shift;
	*text = p;
	*ret = value << shift;
	return overflow ? -ERANGE : 0;
}

MMAPFS_PUBLIC int mmapfs_size_parse(const char *text, uint64_t *ret)
{
	uint64_t value;
	int r;

	if (!text)
		return -EINVAL;
	r = take_size(&text, &value);
	/* "99999999999999999999x" is no size at all, rather than one too big. */
	if (r == -EINVAL || *text != '\0')
		return -EINVAL;
	if (r < 0)
		return r;
	*ret = value;
	return 0;
}

/* What stands after the offset: "+LENGTH", "-" or nothing. */
static int take_length(const char **text, uint64_t offset, uint64_t *ret)
{
	uint64_t page = mmapfs__page_size();
	int r = 0;

	switch (**text) {
	case '+':
		(*text)++;
		r = take_size(text, ret);
		return r == 0 && *ret == 0 ? -EINVAL : r;
	case '-':
		(*text)++;
		*ret = 0;
		return 0;
	default:
		/* To the end of the page that has @offset, so that it stays one page. */
		*ret = page - (offset & (page - 1));
		return 0;
	}
}

MMAPFS_PUBLIC int mmapfs_range_parse(const char *text, struct mmapfs_range *ret)
{
	struct mmapfs_range range = { 0, 0 };
	int offset_error, r;

	if (!text)
		return -EINVAL;
	if (*text == '\0') {
		*ret = range;
		return 0;
	}
	offset_error = take_size(&text, &range.offset);
	if (offset_error == -EINVAL)
		return -EINVAL;
	r = take_length(&text, range.offset, &range.length);
	if (r == -EINVAL || *text != '\0')
		return -EINVAL;
	if (r < 0 || offset_error < 0)
		return -ERANGE;
	if (add_saturated(range.offset, range.length) > INT64_MAX)
		return -ERANGE;
	*ret = range;
	return 0;
}

MMAPFS_PUBLIC const char *mmapfs_size_format(char buf[MMAPFS_WORD_MAX], uint64_t bytes)
{
	char suffix[2] = "";
	size_t i = 0;

	while (bytes != 0 && bytes % 1024 == 0 && suffixes[i] != '\0') {
		bytes /= 1024;
		i++;
	}
	suffix[0] = i > 0 ? suffixes[i - 1] : '\0';
	(void)snprintf(buf, MMAPFS_WORD_MAX, "%" PRIu64 "%s", bytes, suffix);
	return buf;
}

MMAPFS_PUBLIC const char *mmapfs_range_format(char buf[MMAPFS_WORD_MAX],
					      struct mmapfs_range range)
{
	char length[MMAPFS_WORD_MAX];
	size_t at;

	if (range.offset == 0 && range.length == 0) {
		buf[0] = '\0';
		return buf;
	}
	(void)mmapfs_size_format(buf, range.offset);
	at = strlen(buf);
	if (range.length == 0)
		(void)snprintf(buf + at, MMAPFS_WORD_MAX - at, "-");
	else
		(void)snprintf(buf + at, MMAPFS_WORD_MAX - at, "+%.*s",
			       (int)(MMAPFS_WORD_MAX - at - 2),
			       mmapfs_size_format(length, range.length));
	return buf;
}
