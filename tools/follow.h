/* SPDX-License-Identifier: MIT */
/* follow.h - notice when the file behind a name is replaced, grown, truncated or removed.
 */
#ifndef MMAPCTL_FOLLOW_H
#define MMAPCTL_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/** What is behind a name: all zero when nothing is. */
struct follow_file {
	bool exists;
	dev_t dev;
	ino_t ino;
	uint64_t size;
	uint64_t blocks;
};

enum follow_change {
	FOLLOW_SAME = 0,
	FOLLOW_GONE,	 /* the name is no more */
	FOLLOW_REPLACED, /* another file has the name, or the first one has */
	FOLLOW_GROWN,
	FOLLOW_TRUNCATED,
	FOLLOW_FILLED, /* same size, more blocks: data where a hole was */
};

/** What became of @was. Looks at nothing but its arguments. */
enum follow_change follow_compare(const struct follow_file *was,
				  const struct follow_file *now);

/** The word of a change, "replaced". Never NULL. Static. */
const char *follow_change_name(enum follow_change change);

/** The part of @st that tells files apart. */
struct follow_file follow_file_of(const struct stat *st);

/** A set of names that are followed, in the order they were added. Opaque. */
struct follow;

int follow_new(struct follow **ret);

/** Takes NULL, returns NULL. */
struct follow *follow_free(struct follow *follow);

/**
 * Follow @path, behind which @file is now. Its index, from 0. Where the kernel has no
 * watch left, the name is looked at only by follow_mark_all(): follow_unwatched() counts
 * those. Errors: -ENOMEM.
 */
int64_t follow_add(struct follow *follow, const char *path,
		   const struct follow_file *file);

/** To poll(2) for POLLIN. */
int follow_fd(const struct follow *follow);

/** Take in what the kernel reports: the names concerned are marked. Errors: read(2). */
int follow_read(struct follow *follow);

/** Mark all names: for changes that no watch can see, as on network filesystems. */
void follow_mark_all(struct follow *follow);

/** Is any name marked? */
bool follow_marked(const struct follow *follow);

struct follow_news {
	size_t index;
	enum follow_change change;
	struct follow_file file; /* what is there now */
};

/**
 * Look at the marked names, one change at a time, and unmark them: 1 and @ret, or 0 when
 * there is nothing more to tell. The caller then says what it made of it with
 * follow_accept(); else the same news come again with the next mark.
 */
int follow_next(struct follow *follow, struct follow_news *ret);

/** From now on @file is what the name at @index is compared with. */
void follow_accept(struct follow *follow, size_t index, const struct follow_file *file);

const char *follow_path(const struct follow *follow, size_t index);
size_t follow_count(const struct follow *follow);
size_t follow_unwatched(const struct follow *follow);

#endif
