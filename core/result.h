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
	to = (char *)to + sizeof(to_size);
	from = (const char *)from + sizeof(to_size);
	/* Nearly always, and then of a size that the compiler knows. */
	if (to_size >= from_size)
		memcpy(to, from, from_size - sizeof(to_size));
	else if (to_size > sizeof(to_size))
		memcpy(to, from, to_size - sizeof(to_size));
}

#endif
