/* SPDX-License-Identifier: MIT */
/*
 * fuzz-glob.c - patterns: the first line is one, the rest a name or path. fnmatch(3), asked
 * part by part, has to be of the same opinion where both know the pattern.
 */
#include "fuzz.h"

#include <fnmatch.h>
#include <stdbool.h>

#include "cache_glob.h"

/* fnmatch(3) takes exponential time. */
#define ORACLE_BYTES 48
#define ORACLE_STARS 6

void fuzz_begin(void)
{
}

static size_t part_length(const char *text)
{
	return strcspn(text, "/");
}

static const char *next_part(const char *text)
{
	text += part_length(text);
	return *text ? text + 1 : text;
}

static bool oracle_part(const char *glob, const char *text)
{
	char *pattern = fuzz_text(glob, part_length(glob));
	char *name = fuzz_text(text, part_length(text));
	bool matches = fnmatch(pattern, name, 0) == 0;

	free(pattern);
	free(name);
	return matches;
}

static bool oracle(const char *glob, const char *text)
{
	if (!*glob)
		return !*text;
	if (part_length(glob) == 2 && strncmp(glob, "**", 2) == 0) {
		if (!*next_part(glob))
			return *text;
		return oracle(next_part(glob), text) || (*text && oracle(glob, next_part(text)));
	}
	return *text && oracle_part(glob, text) && oracle(next_part(glob), next_part(text));
}

/* Bracket expressions differ in detail. */
static bool oracle_knows(const char *glob, const char *text)
{
	unsigned int stars = 0;

	for (const char *at = glob; *at; at++)
		stars += *at == '*';
	return stars <= ORACLE_STARS && strlen(glob) <= ORACLE_BYTES &&
	       strlen(text) <= ORACLE_BYTES && !strchr(glob, '[');
}

static bool is_path(const char *text)
{
	size_t length = strlen(text);

	return length && text[0] != '/' && text[length - 1] != '/' && !strstr(text, "//");
}

static enum verdict match(const char *glob, const char *text)
{
	bool matches = glob_match(glob, text);

	if (oracle_knows(glob, text))
		check(matches == oracle(glob + (*glob == '/'), text));
	return matches ? ACCEPTED : REJECTED;
}

enum verdict fuzz_input(const char *data, size_t length)
{
	const char *newline = length ? memchr(data, '\n', length) : NULL;
	size_t glob_length = newline ? (size_t)(newline - data) : length;
	char *glob = fuzz_text(data, glob_length);
	char *text = newline ? fuzz_text(newline + 1, length - glob_length - 1)
			     : fuzz_text("name", 4);
	enum verdict verdict = REJECTED;

	/* A pattern has no NUL: it was cut from a line that has none. */
	if (strlen(glob) == glob_length && !glob_reject(glob, glob_length) &&
	    is_path(text))
		verdict = match(glob, text);
	free(glob);
	free(text);
	return verdict;
}
