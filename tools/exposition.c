/* SPDX-License-Identifier: MIT */
/* exposition.c - the Prometheus text format, version 0.0.4, as far as it is needed here. */
#include "exposition.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* Where the name of a sample ends. */
#define NAME_END "{ \n"

/* U+FFFD, in place of a byte that is no text. */
#define NO_TEXT "\357\277\275"

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : line;
}

/* Not a comment, nor empty. */
static bool is_sample(const char *line)
{
	return *line != '#' && *line != '\n';
}

/* Behind a sample's labels, whose values may contain anything but a newline. */
static const char *value_of(const char *line)
{
	const char *end = line + strcspn(line, "\n"), *at = end;

	while (at > line && at[-1] != ' ')
		at--;
	return at;
}

bool exposition_sum(const char *text, const char *name, uint64_t *ret)
{
	size_t length = strlen(name);
	bool found = false;
	uint64_t sum = 0;

	for (; *text; text = next_line(text)) {
		if (!is_sample(text) || strcspn(text, NAME_END) != length ||
		    memcmp(text, name, length) != 0)
			continue;
		sum += strtoull(value_of(text), NULL, 10);
		found = true;
	}
	if (found)
		*ret = sum;
	return found;
}

static void write_value(FILE *file, const char *value)
{
	while (*value) {
		size_t length = utf8_length(value);

		if (*value == '\\' || *value == '"')
			(void)fprintf(file, "\\%c", *value);
		else if (*value == '\n')
			(void)fputs("\\n", file);
		else if (length == 0)
			(void)fputs(NO_TEXT, file);
		else
			(void)fwrite(value, 1, length, file);
		value += length ? length : 1;
	}
}

static void write_sample(FILE *file, const char *line, const char *name, const char *value)
{
	size_t length = strcspn(line, NAME_END);
	bool labelled = line[length] == '{';
	const char *rest = line + length + labelled;

	(void)fprintf(file, "%.*s{%s=\"", (int)length, line, name);
	write_value(file, value);
	(void)fprintf(file, "\"%s%.*s\n", labelled ? "," : "}", (int)strcspn(rest, "\n"), rest);
}

void exposition_write(FILE *file, const char *text, const char *name, const char *value)
{
	for (; *text; text = next_line(text)) {
		if (is_sample(text))
			write_sample(file, text, name, value);
		else
			(void)fprintf(file, "%.*s\n", (int)strcspn(text, "\n"), text);
	}
}
