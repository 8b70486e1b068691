/* SPDX-License-Identifier: MIT */
/* seen.c - files seen before, by device and inode, in bounded memory. */
#include "select.h"

#include <stdlib.h>

/* 4 MiB of keys. Past it nothing is remembered any more, and the walk says so. */
#define SEEN_MAX ((size_t)1 << 18)
#define SEEN_FIRST 64

struct key {
	uint64_t dev;
	uint64_t ino; /* 0: a free slot; no filesystem shows such a file */
};

/* Open addressing, at most half full. */
struct seen {
	struct key *slots;
	size_t capacity; /* power of two */
	size_t count;
	bool full;
};

struct seen *seen_new(void)
{
	return calloc(1, sizeof(struct seen));
}

void seen_free(struct seen *seen)
{
	if (!seen)
		return;
	free(seen->slots);
	free(seen);
}

bool seen_is_full(const struct seen *seen)
{
	return seen->full;
}

/* The slot of @key, or the free one where it belongs. */
static struct key *find(struct key *slots, size_t capacity, struct key key)
{
	uint64_t hash = (key.ino * UINT64_C(0x9e3779b97f4a7c15)) ^ (key.dev * 31);
	size_t i = (size_t)(hash ^ hash >> 29);

	for (;; i++) {
		struct key *slot = &slots[i & (capacity - 1)];

		if (slot->ino == 0 || (slot->ino == key.ino && slot->dev == key.dev))
			return slot;
	}
}

static bool grow(struct seen *seen)
{
	size_t capacity = seen->capacity ? 2 * seen->capacity : SEEN_FIRST;
	struct key *slots = NULL;

	if (capacity <= SEEN_MAX)
		slots = calloc(capacity, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t i = 0; i < seen->capacity; i++)
		if (seen->slots[i].ino)
			*find(slots, capacity, seen->slots[i]) = seen->slots[i];
	free(seen->slots);
	seen->slots = slots;
	seen->capacity = capacity;
	return true;
}

bool seen_before(struct seen *seen, uint64_t dev, uint64_t ino)
{
	struct key key = { dev, ino };
	struct key *slot;

	if (2 * seen->count >= seen->capacity && !seen->full && !grow(seen))
		seen->full = true;
	if (ino == 0 || seen->capacity == 0)
		return false;
	slot = find(seen->slots, seen->capacity, key);
	if (slot->ino)
		return true;
	if (seen->full)
		return false;
	*slot = key;
	seen->count++;
	return false;
}
