/* SPDX-License-Identifier: MIT */
/* log.c - where the daemon's messages go. */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static atomic_bool use_syslog;

void log_line(int level, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
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
