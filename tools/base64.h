/* SPDX-License-Identifier: MIT */
/* base64.h - bytes as text, for names in JSON that are not UTF-8. */
#ifndef MMAPCTL_BASE64_H
#define MMAPCTL_BASE64_H

#include <stddef.h>

/* RFC 4648, with padding. Malloc'ed; NULL when out of memory. */
char *base64_encode(const void *data, size_t length);

#endif
