/* SPDX-License-Identifier: MIT */
/* log_fuse.c - libfuse's messages among the daemon's own. */
#include "log.h"

#include <fuse_log.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

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
		log_line((int)level, "%s", line);
	length = 0;
	line[0] = '\0';
}

void log_take_libfuse(void)
{
	fuse_set_log_func(from_libfuse);
}
