/* SPDX-License-Identifier: MIT */
/* log.c - where the daemon's messages go. */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static atomic_bool use_syslog;

#define MESSAGE_MAX 1024
#define ESCAPED 4 /* characters of "\\x0a" */

/* There may be names in it, which users choose: a newline would forge a line, and an escape
 * sequence act on the terminal of the reader. */
static void escape(const char *text, char out[MESSAGE_MAX * ESCAPED])
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			out += sprintf(out, "\\x%02x", (unsigned char)*text);
		else
			*out++ = *text;
	}
	*out = '\0';
}

void log_line(int level, const char *format, ...)
{
	char raw[MESSAGE_MAX], line[MESSAGE_MAX * ESCAPED];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	escape(raw, line);
	if (atomic_load(&use_syslog))
		syslog(level, "%s", line);
	else
		(void)fprintf(stderr, "mmapfs: %s\n", line);
}

void log_to_syslog(void)
{
	openlog("mmapfs", LOG_PID, LOG_DAEMON);
	atomic_store(&use_syslog, true);
}
