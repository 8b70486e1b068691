/* SPDX-License-Identifier: MIT */
/* file.c - the table of files that maps of this process have open, by (device, inode). */
#include "file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory must not end the process of the library's user. The macro leaves the
 * element out of the table and clears its handle; file_add() looks for that. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/cleanup.h"

struct key {
	dev_t dev;
	ino_t ino;
};

struct mmapfs__file {
	struct key key;
	unsigned int maps; /* references */
	int error;	   /* negative errno, 0: none */
	UT_hash_handle hh;
};

/* Protects the table and every field of the files in it. Held only for moments. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mmapfs__file *files;

static struct mmapfs__file *file_find(const struct key *key)
{
	struct mmapfs__file *file;

	HASH_FIND(hh, files, key, sizeof(*key), file);
	return file;
}

static struct mmapfs__file *file_add(const struct key *key)
{
	struct mmapfs__file *file;

	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;

	file->key = *key;
	HASH_ADD(hh, files, key, sizeof(file->key), file);
	if (!file->hh.tbl) {
		free(file);
		return NULL;
	}
	return file;
}

struct mmapfs__file *mmapfs__file_get(dev_t dev, ino_t ino)
{
	struct mmapfs__file *file;
	struct key key;

	/* The hash reads the bytes of the key, so its padding has to be the same. */
	memset(&key, 0, sizeof(key));
	key.dev = dev;
	key.ino = ino;

	SCOPE_LOCK(&mutex);
	file = file_find(&key);
	if (!file)
		file = file_add(&key);
	if (file)
		file->maps++;
	return file;
}

void mmapfs__file_put(struct mmapfs__file *file)
{
	if (!file)
		return;

	SCOPE_LOCK(&mutex);
	if (--file->maps > 0)
		return;
	HASH_DEL(files, file);
	free(file);
}

int mmapfs__file_fail(struct mmapfs__file *file, int error)
{
	SCOPE_LOCK(&mutex);
	if (!file->error)
		file->error = error;
	return error;
}

int mmapfs__file_error(struct mmapfs__file *file)
{
	SCOPE_LOCK(&mutex);
	return file->error;
}

void mmapfs__file_forget(struct mmapfs__file *file)
{
	SCOPE_LOCK(&mutex);
	file->error = 0;
}
