/* SPDX-License-Identifier: MIT */
/* hash.h - a hash of bytes, for tables whose keys nobody picks to collide. */
#ifndef MMAPFS_BASE_HASH_H
#define MMAPFS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* FNV-1a from @hash on, then a final mix because tables go by the low bits. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *byte = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return hash ^ (hash >> 29);
}

#endif
