/* SPDX-License-Identifier: MIT */
/*
 * cache_glob.c - match names and paths without ever trying the same thing twice.
 *
 * A star matches as little as it can; when the rest does not fit, the last star takes one
 * more. That only the last one is asked is enough, because what an earlier one could take
 * in addition the later one can take as well. The same holds one level up, where "**" is the
 * star and the parts between slashes are the characters. fnmatch(3) has no "**", and tries
 * all stars, which takes exponential time.
 */
#include "cache_glob.h"

#include <string.h>

/* ---- one byte of a pattern ---- */

/* Where the bracket expression that begins at @at ends: behind its "]", or NULL. */
static const char *bracket_end(const char *at, const char *end)
{
	at++;
	if (at < end && (*at == '!' || *at == '^'))
		at++;
	if (at < end && *at == ']') /* the first is a byte like any other */
		at++;
	while (at < end && *at != ']')
		at += *at == '\\' && at + 1 < end ? 2 : 1;
	return at < end ? at + 1 : NULL;
}

/* One byte of a bracket expression, perhaps escaped; moves @at behind it. */
static unsigned char bracket_byte(const char **at)
{
	if (**at == '\\')
		(*at)++;
	return (unsigned char)*(*at)++;
}

/* Is @byte in the expression at @at, which ends before @end, behind its "]"? */
static bool bracket_has(const char *at, const char *end, unsigned char byte)
{
	bool negated = at[1] == '!' || at[1] == '^';
	bool found = false;

	end--;
	for (at += negated ? 2 : 1; at < end;) {
		unsigned char from = bracket_byte(&at), to = from;

		if (at + 1 < end && *at == '-') {
			at++;
			to = bracket_byte(&at);
		}
		found = found || (byte >= from && byte <= to);
	}
	return found != negated;
}

/* Does @byte fit the element of the pattern at @glob (not a star)? In @ret_next what
 * follows the element. */
static bool element_fits(const char *glob, const char *end, char byte, const char **ret_next)
{
	*ret_next = glob + 1;
	switch (*glob) {
	case '?':
		return true;
	case '[':
		*ret_next = bracket_end(glob, end);
		return bracket_has(glob, *ret_next, (unsigned char)byte);
	case '\\':
		*ret_next = glob + 2;
		return glob[1] == byte;
	default:
		return *glob == byte;
	}
}

/* ---- a part: what is between two slashes ---- */

static bool match_part(const char *glob, const char *glob_end, const char *text,
		       const char *text_end)
{
	const char *star = NULL, *retry = NULL, *next;

	while (text < text_end) {
		if (glob < glob_end && *glob == '*') {
			star = ++glob;
			retry = text;
		} else if (glob < glob_end && element_fits(glob, glob_end, *text, &next)) {
			glob = next;
			text++;
		} else if (star) {
			glob = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (glob < glob_end && *glob == '*')
		glob++;
	return glob == glob_end;
}

static const char *part_end(const char *text)
{
	return strchrnul(text, '/');
}

/* A slash in brackets is none: glob_reject() has seen to it, and to escaped ones. */
static const char *after_part(const char *end)
{
	return *end ? end + 1 : end;
}

static bool is_double_star(const char *part, const char *end)
{
	return end - part == 2 && part[0] == '*' && part[1] == '*';
}

/* ---- a path ---- */

bool glob_match(const char *glob, const char *text)
{
	const char *star = NULL, *retry = NULL;

	glob += *glob == '/';
	while (*text) {
		const char *glob_end = part_end(glob);
		const char *text_end = part_end(text);

		if (is_double_star(glob, glob_end)) {
			if (!*glob_end)
				return true; /* takes all that is left, which is not nothing */
			star = after_part(glob_end);
			retry = text;
			glob = star;
		} else if (*glob && !*glob_end == !*text_end &&
			   match_part(glob, glob_end, text, text_end)) {
			glob = after_part(glob_end);
			text = after_part(text_end);
		} else if (star) {
			glob = star;
			text = retry = after_part(part_end(retry));
		} else {
			return false;
		}
	}
	return !*glob;
}

bool glob_has_slash(const char *glob)
{
	return strchr(glob, '/') != NULL;
}

/* ---- what is a pattern ---- */

/* "[:alpha:]" would be taken for these very bytes. */
static bool has_class(const char *at, const char *end)
{
	for (at++; at + 1 < end; at++) {
		if (*at == '[' && strchr(":.=", at[1]))
			return true;
	}
	return false;
}

static const char *reject_bracket(const char *at, const char *end, const char **ret_end)
{
	*ret_end = bracket_end(at, end);
	if (!*ret_end)
		return "\"[\" without \"]\"";
	return has_class(at, *ret_end) ? "classes such as \"[:alpha:]\" are not known" : NULL;
}

static const char *reject_part(const char *at, const char *end)
{
	const char *why = NULL;

	if (at == end)
		return "it has two slashes in a row";
	if ((end - at == 1 && *at == '.') || (end - at == 2 && at[0] == '.' && at[1] == '.'))
		return "\".\" and \"..\" are no names";
	if (is_double_star(at, end))
		return NULL;
	while (!why && at < end) {
		if (*at == '\\' && at + 1 == end)
			return "\"\\\" escapes nothing";
		if (at[0] == '*' && at + 1 < end && at[1] == '*')
			return "\"**\" must stand alone between slashes";
		if (*at == '[')
			why = reject_bracket(at, end, &at);
		else
			at += *at == '\\' ? 2 : 1;
	}
	return why;
}

/* They would spoil every list of patterns; "?" stands for any of them. */
static bool has_control(const char *glob, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)glob[i] < ' ' || glob[i] == 0x7f)
			return true;
	}
	return false;
}

const char *glob_reject(const char *glob, size_t length)
{
	const char *at = glob, *end = glob + length;
	const char *why = NULL;

	if (!length)
		return "it is empty";
	if (length > GLOB_MAX)
		return "it is too long";
	if (has_control(glob, length))
		return "it has control characters";
	at += *at == '/';
	if (at == end || end[-1] == '/')
		return "no name follows the last slash; \"**\" there is all files below";
	while (!why && at < end) {
		const char *slash = memchr(at, '/', (size_t)(end - at));

		why = reject_part(at, slash ? slash : end);
		at = slash ? slash + 1 : end;
	}
	return why;
}
