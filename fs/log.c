/* SPDX-License-Identifier: MIT */
/* log.c - where the daemon's messages go. */
#include "log.h"

#include <fuse_log.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static atomic_bool use_syslog;

static void write_line(int level, const char *format, va_list args)
{
	char line[1024];
	size_t length;

	(void)vsnprintf(line, sizeof(line), format, args);
	length = strlen(line);
	while (length && line[length - 1] == '\n')
		line[--length] = '\0';
	if (!length)
		return;
	if (atomic_load(&use_syslog))
		syslog(level, "%s", line);
	else
		(void)fprintf(stderr, "mmapfs: %s\n", line);
}

void log_line(int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(level, format, args);
	va_end(args);
}

void log_to_syslog(void)
{
	openlog("mmapfs", LOG_PID, LOG_DAEMON);
	atomic_store(&use_syslog, true);
}

/* The levels of libfuse have the numbers of syslog. */
static void from_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	write_line((int)level, format, args);
}

void log_take_libfuse(void)
{
	fuse_set_log_func(from_libfuse);
}
