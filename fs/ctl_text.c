/* SPDX-License-Identifier: MIT */
/* ctl_text.c - the texts of control attributes: building answers, cutting up values. */
#include "ctl_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

/* What a list keeps free for its last line, "... OFFSET", and the newline before. */
#define CUT_LINE_MAX 27

static int reserve(struct ctl_text *text, size_t more)
{
	size_t capacity = text->capacity ? text->capacity : 256;
	char *data;

	while (capacity - text->length < more)
		capacity *= 2;
	if (capacity == text->capacity)
		return 0;
	data = realloc(text->data, capacity);
	if (!data)
		return -ENOMEM;
	text->data = data;
	text->capacity = capacity;
	return 0;
}

int ctl_text_printf(struct ctl_text *text, const char *format, ...)
{
	va_list args;
	int length, r;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		return -EOVERFLOW;
	r = reserve(text, (size_t)length + 1);
	if (r < 0)
		return r;
	va_start(args, format);
	vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
	va_end(args);
	text->length += (size_t)length;
	return 0;
}

void ctl_text_free(struct ctl_text *text)
{
	free(text->data);
	text->data = NULL;
	text->length = text->capacity = 0;
}

int ctl_words_split(const char *value, size_t length, size_t max, struct ctl_words *ret)
{
	char *save = NULL, *word;

	if (length > max || length > CTL_VALUE_MAX ||
	    (length && memchr(value, 0, length)))
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	if (length)
		memcpy(ret->text, value, length);
	for (word = strtok_r(ret->text, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		if (ret->count == CTL_WORDS_MAX)
			return -EINVAL;
		ret->word[ret->count++] = word;
	}
	return 0;
}

int ctl_words_range(const struct ctl_words *words, unsigned int index,
		    struct mmapfs_range *ret)
{
	struct mmapfs_range range = { 0, 0 };

	if (words->count > index + 1)
		return -EINVAL;
	if (words->count > index && mmapfs_range_parse(words->word[index], &range) < 0)
		return -EINVAL;
	*ret = range;
	return 0;
}

struct ctl_lines ctl_lines_begin(struct ctl_text *text)
{
	size_t limit = CTL_RANGES_MAX;

	if (text->limit && text->limit < limit)
		limit = text->limit;
	return (struct ctl_lines){ text, limit };
}

int ctl_lines_add(struct ctl_lines *lines, uint64_t offset, uint64_t length)
{
	const char *newline = lines->text->length ? "\n" : "";
	char line[64];
	int used, r;

	used = snprintf(line, sizeof(line), "%s%" PRIu64 "+%" PRIu64, newline, offset,
			length);
	if (lines->text->length + (size_t)used + CUT_LINE_MAX <= lines->limit)
		return ctl_text_printf(lines->text, "%s", line);
	r = ctl_text_printf(lines->text, "%s... %" PRIu64, newline, offset);
	return r < 0 ? r : 1;
}

const char *ctl_errno_text(char buf[MMAPFS_WORD_MAX], int error)
{
	const char *name = mmapfs_errno_name(error);

	if (name)
		return name;
	snprintf(buf, MMAPFS_WORD_MAX, "%d", error < 0 ? -error : error);
	return buf;
}
