/* SPDX-License-Identifier: MIT */
/* result.h - structs of callers that were compiled against an older or newer header. */
#ifndef MMAPFS_RESULT_H
#define MMAPFS_RESULT_H

#include <stddef.h>
#include <string.h>

/* Copy the part of @from that both sides know; the caller's `size` at the start of @to
 * keeps what the caller wrote there. */
static inline void mmapfs__result_put(void *to, const void *from, size_t from_size)
{
	size_t to_size;

	memcpy(&to_size, to, sizeof(to_size));
	if (to_size < from_size)
		from_size = to_size;
	if (from_size > sizeof(to_size))
		memcpy((char *)to + sizeof(to_size), (const char *)from + sizeof(to_size),
		       from_size - sizeof(to_size));
}

#endif
