/* SPDX-License-Identifier: MIT */
/* utf8.h - which bytes of a name are text that can be shown. */
#ifndef MMAPCTL_UTF8_H
#define MMAPCTL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed UTF-8 character at @text; 0 when it is none. */
size_t utf8_length(const char *text);

/* The same, but 0 also for control characters, which would disturb a terminal. */
size_t utf8_printable(const char *text);

/* Is all of @text well-formed? */
bool utf8_valid(const char *text);

#endif
