/* SPDX-License-Identifier: MIT */
/* log.h - the daemon's messages: to the terminal, or to syslog once it is in the background. */
#ifndef MMAPFS_FS_LOG_H
#define MMAPFS_FS_LOG_H

/* One event, one line, without a newline. @level as syslog(3): LOG_ERR, LOG_WARNING ... */
__attribute__((format(printf, 2, 3))) void log_line(int level, const char *format, ...);

/* From now on to syslog. */
void log_to_syslog(void);

/* Messages of libfuse go the same way. */
void log_take_libfuse(void);

#endif
