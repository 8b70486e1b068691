/* SPDX-License-Identifier: MIT */
/*
 * follow.c - follow the files behind names with inotify.
 *
 * An event never decides anything: it only marks a name to be looked at. So events that
 * were merged, lost (IN_Q_OVERFLOW) or come late do no harm, and the same code serves
 * those who can only poll.
 */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define DIR_EVENTS                                                                       \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |          \
	 IN_MOVE_SELF | IN_ONLYDIR)
/* IN_ATTRIB: the link count fell, also where an open descriptor keeps the inode. */
#define FILE_EVENTS (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)

struct dir {
	char *path;
	int wd; /* -1: not watched */
};

struct entry {
	char *path;
	const char *name; /* in `path` */
	size_t dir;
	int wd; /* of the file, -1: not watched */
	bool marked;
	struct follow_file file;
};

struct follow {
	int fd;
	struct dir *dirs;
	size_t dir_count;
	struct entry *entries;
	size_t count;
	size_t next; /* where follow_next() goes on */
};

/* ---- what a change is ---- */

enum follow_change follow_compare(const struct follow_file *was,
				  const struct follow_file *now)
{
	if (!now->exists)
		return was->exists ? FOLLOW_GONE : FOLLOW_SAME;
	if (!was->exists || was->dev != now->dev || was->ino != now->ino)
		return FOLLOW_REPLACED;
	if (now->size != was->size)
		return now->size > was->size ? FOLLOW_GROWN : FOLLOW_TRUNCATED;
	return now->blocks > was->blocks ? FOLLOW_FILLED : FOLLOW_SAME;
}

const char *follow_change_name(enum follow_change change)
{
	static const char *const names[] = { "same",  "gone",	   "replaced",
					     "grown", "truncated", "filled" };

	return (unsigned int)change < ARRAY_SIZE(names) ? names[change] : "?";
}

struct follow_file follow_file_of(const struct stat *st)
{
	return (struct follow_file){ .exists = true,
				     .dev = st->st_dev,
				     .ino = st->st_ino,
				     .size = (uint64_t)st->st_size,
				     .blocks = (uint64_t)st->st_blocks };
}

/* ---- life ---- */

int follow_new(struct follow **ret)
{
	struct follow *follow = calloc(1, sizeof(*follow));
	int r;

	if (!follow)
		return -ENOMEM;
	follow->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (follow->fd < 0) {
		r = -errno;
		free(follow);
		return r;
	}
	*ret = follow;
	return 0;
}

struct follow *follow_free(struct follow *follow)
{
	if (!follow)
		return NULL;
	for (size_t i = 0; i < follow->count; i++)
		free(follow->entries[i].path);
	for (size_t i = 0; i < follow->dir_count; i++)
		free(follow->dirs[i].path);
	free(follow->entries);
	free(follow->dirs);
	close(follow->fd);
	free(follow);
	return NULL;
}

/* Room for one more element of @size at every power of two. */
static int grow(void **array, size_t count, size_t size)
{
	void *more;

	if (count & (count - 1))
		return 0;
	more = reallocarray(*array, count ? 2 * count : 1, size);
	if (!more)
		return -ENOMEM;
	*array = more;
	return 0;
}

/* ---- watches ---- */

/* Where the path leads elsewhere now, the watch follows. Should another path need the old
 * one, its IN_IGNORED makes that look again too. */
static void watch_dir(struct follow *follow, struct dir *dir)
{
	int old = dir->wd;

	dir->wd = inotify_add_watch(follow->fd, dir->path, DIR_EVENTS);
	if (old >= 0 && old != dir->wd)
		(void)inotify_rm_watch(follow->fd, old);
}

static bool is_watched(const struct follow *follow, int wd)
{
	for (size_t i = 0; i < follow->count; i++)
		if (follow->entries[i].wd == wd)
			return true;
	return false;
}

/* Names that are links of one file share its watch. */
static void watch_file(struct follow *follow, struct entry *entry)
{
	int old = entry->wd;

	entry->wd = -1;
	if (entry->file.exists)
		entry->wd = inotify_add_watch(follow->fd, entry->path, FILE_EVENTS);
	if (old >= 0 && !is_watched(follow, old))
		(void)inotify_rm_watch(follow->fd, old);
}

/* "/" for "/a", "." for "a". */
static char *dir_name(const char *path, size_t name_at)
{
	if (name_at == 0)
		return strdup(".");
	while (name_at > 1 && path[name_at - 1] == '/')
		name_at--;
	return strndup(path, name_at);
}

static int64_t find_dir(struct follow *follow, const char *path, size_t name_at)
{
	_cleanup_free_ char *name = dir_name(path, name_at);
	int r;

	if (!name)
		return -ENOMEM;
	/* From the end: a walk comes by the files of one directory together. */
	for (size_t i = follow->dir_count; i > 0; i--)
		if (strcmp(follow->dirs[i - 1].path, name) == 0)
			return (int64_t)i - 1;
	r = grow((void **)&follow->dirs, follow->dir_count, sizeof(*follow->dirs));
	if (r < 0)
		return r;
	follow->dirs[follow->dir_count] = (struct dir){ steal_ptr(name), -1 };
	watch_dir(follow, &follow->dirs[follow->dir_count]);
	return (int64_t)follow->dir_count++;
}

int64_t follow_add(struct follow *follow, const char *path,
		   const struct follow_file *file)
{
	_cleanup_free_ char *copy = strdup(path);
	const char *slash = strrchr(path, '/');
	size_t name_at = slash ? (size_t)(slash + 1 - path) : 0;
	struct entry *entry;
	int64_t dir;
	int r;

	r = grow((void **)&follow->entries, follow->count, sizeof(*follow->entries));
	if (r < 0 || !copy)
		return -ENOMEM;
	dir = find_dir(follow, path, name_at);
	if (dir < 0)
		return dir;
	entry = &follow->entries[follow->count];
	*entry = (struct entry){
		.name = copy + name_at, .dir = (size_t)dir, .wd = -1, .file = *file
	};
	entry->path = steal_ptr(copy);
	watch_file(follow, entry);
	return (int64_t)follow->count++;
}

/* ---- events ---- */

static void mark_dir(struct follow *follow, size_t dir, const char *name)
{
	for (size_t i = 0; i < follow->count; i++) {
		struct entry *entry = &follow->entries[i];

		if (entry->dir == dir && (!name || strcmp(entry->name, name) == 0))
			entry->marked = true;
	}
}

/* The directory itself was moved or removed: what has its name is to be watched now. */
static void dir_event(struct follow *follow, size_t dir,
		      const struct inotify_event *event)
{
	if (event->mask & IN_IGNORED)
		follow->dirs[dir].wd = -1;
	if (event->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED))
		mark_dir(follow, dir, NULL);
	else if (event->len > 0)
		mark_dir(follow, dir, event->name);
}

static void take_event(struct follow *follow, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW) {
		follow_mark_all(follow);
		return;
	}
	for (size_t i = 0; i < follow->dir_count; i++)
		if (follow->dirs[i].wd == event->wd)
			dir_event(follow, i, event);
	for (size_t i = 0; i < follow->count; i++) {
		struct entry *entry = &follow->entries[i];

		if (entry->wd != event->wd)
			continue;
		entry->marked = true;
		if (event->mask & IN_IGNORED)
			entry->wd = -1;
	}
}

int follow_read(struct follow *follow)
{
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *event;
	ssize_t n;

	for (;;) {
		n = read(follow->fd, buffer, sizeof(buffer));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		for (ssize_t at = 0; at < n;
		     at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const struct inotify_event *)(const void *)(buffer + at);
			take_event(follow, event);
		}
	}
}

void follow_mark_all(struct follow *follow)
{
	for (size_t i = 0; i < follow->count; i++)
		follow->entries[i].marked = true;
}

bool follow_marked(const struct follow *follow)
{
	for (size_t i = 0; i < follow->count; i++)
		if (follow->entries[i].marked)
			return true;
	return false;
}

/* ---- looking ---- */

static struct follow_file look(const char *path)
{
	struct stat st;

	/* What is no file can be neither locked nor followed: a directory in its place.
	 */
	if (stat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return (struct follow_file){ 0 };
	return follow_file_of(&st);
}

/* Unmarked before it is looked at: a change that comes now marks it again. */
static bool look_at(struct follow *follow, size_t index, struct follow_news *ret)
{
	struct entry *entry = &follow->entries[index];

	entry->marked = false;
	/* Adding a watch again is how it is moved to what has the name now. */
	watch_dir(follow, &follow->dirs[entry->dir]);
	ret->index = index;
	ret->file = look(entry->path);
	ret->change = follow_compare(&entry->file, &ret->file);
	return ret->change != FOLLOW_SAME;
}

int follow_next(struct follow *follow, struct follow_news *ret)
{
	for (; follow->next < follow->count; follow->next++) {
		if (follow->entries[follow->next].marked &&
		    look_at(follow, follow->next, ret)) {
			follow->next++;
			return 1;
		}
	}
	follow->next = 0;
	return 0;
}

void follow_accept(struct follow *follow, size_t index, const struct follow_file *file)
{
	struct entry *entry = &follow->entries[index];
	bool same = entry->file.exists && file->exists && entry->file.dev == file->dev &&
		    entry->file.ino == file->ino;

	entry->file = *file;
	if (!same || entry->wd < 0)
		watch_file(follow, entry);
}

/* ---- questions ---- */

int follow_fd(const struct follow *follow)
{
	return follow->fd;
}

const char *follow_path(const struct follow *follow, size_t index)
{
	return follow->entries[index].path;
}

size_t follow_count(const struct follow *follow)
{
	return follow->count;
}

size_t follow_unwatched(const struct follow *follow)
{
	size_t unwatched = 0;

	for (size_t i = 0; i < follow->count; i++)
		unwatched += follow->entries[i].wd < 0 ||
			     follow->dirs[follow->entries[i].dir].wd < 0;
	return unwatched;
}
