/* SPDX-License-Identifier: MIT */
/*
 * table_window.h - a row of a region table that is mounted: so many bytes of a file from
 * there on, or memory of its own.
 *
 * An inode that shows a window has a pointer to it (inode->window, NULL for the files of a
 * mounted directory); its region, locks, jobs and control attributes are then about the
 * window. Offsets are the window's own unless said. Model.
 */
#ifndef MMAPFS_FS_TABLE_WINDOW_H
#define MMAPFS_FS_TABLE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <mmapfs.h>

struct fs;
struct inode;
struct window_source;

enum window_kind {
	WINDOW_PART = 0, /* of a source: neither grows nor shrinks it */
	WINDOW_REST,	 /* to the end of a source, wherever that is: may move it */
	WINDOW_MEMORY,	 /* a memfd, at most as long as its row says */
	WINDOW_ROOT,	 /* the table itself, shown as the directory */
};

struct window {
	enum window_kind kind;
	bool writable;
	int fd;		 /* of the source (O_PATH) or the memfd; the table's */
	uint64_t offset; /* in the source */
	uint64_t length; /* at most */
	dev_t dev;	 /* as the mount shows it, like ino */
	ino_t ino;
	struct inode *inode; /* which shows it; not of WINDOW_ROOT */

	/* Windows of one source, by offset; see window_each_other(). NULL: not of a file. */
	struct window_source *source;
	size_t index;	/* among them */
	uint64_t reach; /* where the farthest of those up to this one ends in the source */

	/* protected by the mutex in table_share.c */
	struct mmapfs_range written; /* and the others' copies not forgotten yet */
	bool telling;		     /* a worker is about to see to it */
};

struct window_source {
	struct fs *fs;
	int fd;
	struct window **windows;
	size_t count;
};

/* How many bytes the window shows of a source that has @size. */
uint64_t window_length(const struct window *window, uint64_t size);

/* Turn the attributes of the source into those of the window. */
void window_stat(const struct window *window, struct stat *st);

/* Is it the whole source, whatever becomes of that? Then it is as good as the source. */
bool window_is_whole(const struct window *window);

/* May it be opened with open(2) @flags? -EACCES to write what is only to be read. */
int window_may_open(const struct window *window, int flags);

/* ---- what the operations of the same name do, on an open @fd of the source ---- */

/* How many of @size bytes may be written at @offset; -EFBIG: none. */
int64_t window_room(const struct window *window, uint64_t offset, uint64_t size);

/* -EFBIG: longer than the window may be; -EPERM: any other length, of WINDOW_PART. */
int window_truncate(const struct window *window, int fd, uint64_t length);

int window_fallocate(const struct window *window, int fd, int mode, uint64_t offset,
		     uint64_t length);

/* SEEK_DATA and SEEK_HOLE. */
int64_t window_seek(const struct window *window, int fd, uint64_t offset, int whence);

/* ---- the others of the same source ---- */

/* Receives another window that shows some of the pages, and which of its bytes they are (not
 * none: the length is never 0). */
typedef void (*window_fn)(void *ctx, const struct window *window, struct mmapfs_range range);

/* Call @fn for every other window that shows a page of @range of @window. */
void window_each_other(const struct window *window, struct mmapfs_range range, window_fn fn,
		       void *ctx);

/*
 * The part of @window that counts as its own, so that a page which several windows show counts
 * once: whole pages that no window before it in the order of its source shows. False: there is
 * none. The length is never 0.
 */
bool window_own(const struct window *window, struct mmapfs_range *ret);

/* Call @fn for every window whose own part has pages that @window shows, itself among them. */
typedef void (*window_owner_fn)(void *ctx, const struct window *owner);
void window_each_owner(const struct window *window, window_owner_fn fn, void *ctx);

/* Call @fn for windows that lie next to @window in the source, a few on either side: what the
 * kernel reads ahead and around of it is theirs. */
void window_each_near(const struct window *window, window_owner_fn fn, void *ctx);

/* Once the windows of a source are all there: put them in order. */
void window_source_sort(struct window_source *source);

#endif
