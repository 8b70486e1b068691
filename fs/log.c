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

#include "base/cleanup.h"

static atomic_bool use_syslog;

static void write_line(int level, const char *line)
{
	if (atomic_load(&use_syslog))
		syslog(level, "%s", line);
	else
		(void)fprintf(stderr, "mmapfs: %s\n", line);
}

void log_line(int level, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	write_line(level, line);
}

void log_to_syslog(void)
{
	openlog("mmapfs", LOG_PID, LOG_DAEMON);
	atomic_store(&use_syslog, true);
}

/* libfuse writes some lines in pieces. Its levels have the numbers of syslog. */
__attribute__((format(printf, 2, 0)))
static void from_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static char line[1024];
	static size_t length;
	SCOPE_LOCK(&mutex);

	(void)vsnprintf(line + length, sizeof(line) - length, format, args);
	length = strlen(line);
	if (length < sizeof(line) - 1 && (!length || line[length - 1] != '\n'))
		return;
	while (length && line[length - 1] == '\n')
		line[--length] = '\0';
	if (length)
		write_line((int)level, line);
	length = 0;
	line[0] = '\0';
}

void log_take_libfuse(void)
{
	fuse_set_log_func(from_libfuse);
}
