/* SPDX-License-Identifier: MIT */
/* message.c - what mmapctl says on stderr. */
#include "cmd.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "progress.h"
#include "utf8.h"

static bool quiet;

void say_be_quiet(void)
{
	quiet = true;
}

__attribute__((format(printf, 1, 0))) static void say_list(const char *format,
							   va_list args)
{
	progress_hide();
	flockfile(stderr);
	fputs("mmapctl: ", stderr);
	(void)vfprintf(stderr, format, args);
	fputc('\n', stderr);
	funlockfile(stderr);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_list(format, args);
	va_end(args);
}

void say_notice(const char *format, ...)
{
	va_list args;

	if (quiet)
		return;
	va_start(args, format);
	say_list(format, args);
	va_end(args);
}

void say_cannot(const char *verb, const char *path, int error, const char *way_out)
{
	_cleanup_free_ char *quoted = path_quoted(path);
	const char *shown = quoted ? quoted : "?";

	if (way_out)
		say("cannot %s '%s': %s (%s)", verb, shown, strerror(abs(error)), way_out);
	else
		say("cannot %s '%s': %s", verb, shown, strerror(abs(error)));
}

char *path_quoted(const char *path)
{
	char *text = malloc(4 * strlen(path) + 1);
	char *to = text;
	size_t n;

	if (!text)
		return NULL;
	for (; *path; path += n) {
		n = utf8_printable(path);
		if (n > 0 && *path != '\'' && *path != '\\') {
			memcpy(to, path, n);
			to += n;
			continue;
		}
		n = 1;
		switch (*path) {
		case '\n':
			to = stpcpy(to, "\\n");
			break;
		case '\t':
			to = stpcpy(to, "\\t");
			break;
		case '\'':
		case '\\':
			*to++ = '\\';
			*to++ = *path;
			break;
		default:
			to += sprintf(to, "\\x%02x", (unsigned char)*path);
		}
	}
	*to = 0;
	return text;
}
