/* SPDX-License-Identifier: MIT */
/* table_open.c - read a region table, open what its rows name, and make them inodes. */
#include "table_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "ctl.h"
#include "region.h"
#include "table_share.h"

#define MEMFD_NAME_MAX 240 /* memfd_create(2) takes 249 bytes */

/* A file of which rows show parts: one descriptor, however many they are. */
struct source {
	struct {
		dev_t dev;
		ino_t ino;
	} file;
	struct window_source shown;
	UT_hash_handle hh;
};

struct table {
	struct table_rows *rows;
	struct window *windows; /* one for each row */
	struct source *sources; /* by file */
	struct window root;
	struct stat st; /* of the table */
};

/* What opening needs besides the row. */
struct opening {
	struct fs *fs;
	int dir_fd; /* which sources are relative to */
	struct table_error *error;
};

size_t table_count(const struct table *table)
{
	return table->rows->count;
}

const char *table_name(const struct table *table, size_t number)
{
	return table->rows->row[number].name;
}

struct inode *table_inode(const struct table *table, size_t number)
{
	return table->windows[number].inode;
}

struct inode *table_find(const struct table *table, const char *name)
{
	const struct table_row *row = table_rows_find(table->rows, name);

	return row ? table->windows[row - table->rows->row].inode : NULL;
}

/* The word @field of @row cannot be as it is: @why, or what @r means where that is NULL. */
static int refuse(struct opening *opening, const struct table_row *row,
		  enum table_field field, const char *word, const char *why, int r)
{
	table_error_set(opening->error, row, field, word, why ? why : strerror(-r));
	return -EINVAL;
}

/* ---- sources ---- */

/* Keep @fd, unless the file is known by another already; then that is it. */
static int keep_source(struct fs *fs, int *fd, const struct stat *st, struct source **ret)
{
	struct table *table = fs->table;
	struct source *source = calloc(1, sizeof(*source)), *known;

	if (!source)
		return -ENOMEM;
	source->file.dev = st->st_dev;
	source->file.ino = st->st_ino;
	HASH_FIND(hh, table->sources, &source->file, sizeof(source->file), known);
	if (known) {
		free(source);
	} else {
		known = source;
		known->shown.fs = fs;
		known->shown.fd = steal_fd(fd);
		HASH_ADD(hh, table->sources, file, sizeof(known->file), known);
	}
	*ret = known;
	return 0;
}

/* May this process do with the file what the row says? Opened for good by each open. */
static int try_source(int fd, bool writable)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC;
	int tried = open(fd_name(fd).text, flags);

	if (tried < 0)
		return -errno;
	close(tried);
	return 0;
}

/* The row's file, which is to be a regular one; a FIFO is not opened for good. */
static int open_source(struct opening *opening, const struct table_row *row,
		       struct stat *ret_st, struct source **ret)
{
	_cleanup_close_ int fd = openat(opening->dir_fd, row->source, O_PATH | O_CLOEXEC);
	int r = fd < 0 || fstat(fd, ret_st) < 0 ? -errno : 0;

	if (r == 0 && !S_ISREG(ret_st->st_mode))
		return refuse(opening, row, TABLE_SOURCE, row->source, "no regular file", 0);
	if (r == 0)
		r = try_source(fd, row->writable);
	if (r < 0)
		return refuse(opening, row, TABLE_SOURCE, row->source, NULL, r);
	return keep_source(opening->fs, &fd, ret_st, ret);
}

/* Is there a window where the row says, in a source of @size bytes? */
static int check_place(struct opening *opening, const struct table_row *row, uint64_t size)
{
	char why[96], word[MMAPFS_WORD_MAX];

	(void)snprintf(why, sizeof(why), "the source ends at %llu", (unsigned long long)size);
	if (row->offset > size)
		return refuse(opening, row, TABLE_OFFSET,
			      mmapfs_size_format(word, row->offset), why, 0);
	if (row->length != TABLE_REST && row->length > size - row->offset)
		return refuse(opening, row, TABLE_LENGTH,
			      mmapfs_size_format(word, row->length), why, 0);
	return 0;
}

static int open_part(struct opening *opening, const struct table_row *row,
		     struct window *window)
{
	struct source *source = NULL;
	struct stat st;
	int r = open_source(opening, row, &st, &source);

	if (r == 0)
		r = check_place(opening, row, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	window->kind = row->length == TABLE_REST ? WINDOW_REST : WINDOW_PART;
	window->length = u64_min(row->length, INT64_MAX - row->offset);
	window->fd = source->shown.fd;
	window->source = &source->shown;
	source->shown.count++;
	return 0;
}

/* Owner and permissions are the table's, as far as this process may give it away. */
static int open_memory(struct opening *opening, const struct table_row *row,
		       struct window *window)
{
	const struct stat *st = &opening->fs->table->st;
	char name[MEMFD_NAME_MAX];
	int r = 0;

	(void)snprintf(name, sizeof(name), "%s", row->name);
	window->kind = WINDOW_MEMORY;
	window->length = row->length;
	window->fd = memfd_create(name, MFD_CLOEXEC);
	if (window->fd < 0 || ftruncate(window->fd, (off_t)row->length) < 0 ||
	    fchmod(window->fd, st->st_mode & 0666) < 0)
		r = -errno;
	if (r < 0)
		return refuse(opening, row, TABLE_SOURCE, "anon", NULL, r);
	(void)fchown(window->fd, st->st_uid, st->st_gid);
	return 0;
}

static int open_row(struct opening *opening, size_t number)
{
	struct table *table = opening->fs->table;
	const struct table_row *row = &table->rows->row[number];
	struct window *window = &table->windows[number];

	*window = (struct window){ .writable = row->writable, .fd = -1, .offset = row->offset,
				   .dev = table->root.dev, .ino = row->ino };
	return row->source ? open_part(opening, row, window)
			   : open_memory(opening, row, window);
}

static int open_rows(struct opening *opening)
{
	struct table *table = opening->fs->table;
	int r = 0;

	table->windows = calloc(table->rows->count + 1, sizeof(*table->windows));
	if (!table->windows)
		return -ENOMEM;
	for (size_t i = 0; i < table->rows->count; i++)
		table->windows[i].fd = -1;
	for (size_t i = 0; r == 0 && i < table->rows->count; i++)
		r = open_row(opening, i);
	return r;
}

/* Let each source know its windows. */
static int gather_windows(struct table *table)
{
	for (struct source *source = table->sources; source; source = source->hh.next) {
		source->shown.windows = calloc(source->shown.count, sizeof(struct window *));
		if (!source->shown.windows)
			return -ENOMEM;
		source->shown.count = 0;
	}
	for (size_t i = 0; i < table->rows->count; i++) {
		struct window_source *shown = table->windows[i].source;

		if (shown)
			shown->windows[shown->count++] = &table->windows[i];
	}
	for (struct source *source = table->sources; source; source = source->hh.next)
		window_source_sort(&source->shown);
	return 0;
}

/* ---- the text ---- */

static int read_text(int fd, char *text, size_t size, size_t *ret_length)
{
	_cleanup_close_ int file = open(fd_name(fd).text, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (file < 0)
		return -errno;
	while (length < size) {
		ssize_t n = read(file, text + length, size - length);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return 0;
}

static int read_rows(struct opening *opening, int fd)
{
	/* One byte more, to see that it is too much. */
	_cleanup_free_ char *text = malloc(TABLE_TEXT_MAX + 1);
	size_t length = 0;
	int r = text ? read_text(fd, text, TABLE_TEXT_MAX + 1, &length) : -ENOMEM;

	return r < 0 ? r : table_parse(text, length, &opening->fs->table->rows, opening->error);
}

static int open_directory_of(const char *path)
{
	_cleanup_free_ char *directory = strdup(path);
	char *slash = directory ? strrchr(directory, '/') : NULL;
	int fd;

	if (!directory)
		return -ENOMEM;
	if (slash)
		slash[slash == directory] = '\0';
	fd = open(slash ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- inodes ---- */

static int make_inodes(struct fs *fs)
{
	struct table *table = fs->table;
	int r = inode_table_new_windows(&table->root, &region_hooks, &fs->inodes);

	for (size_t i = 0; r == 0 && i < table->rows->count; i++)
		r = inode_new_window(fs->inodes, &table->windows[i],
				     &table->windows[i].inode);
	return r;
}

/* As if root had written @value to the row's attribute @name. */
static int control(struct opening *opening, size_t number, enum table_field field,
		   const char *name, const char *value)
{
	const struct ctl_caller root = { .interrupted = NULL };
	struct table *table = opening->fs->table;
	int r = ctl_set(opening->fs, table_inode(table, number), name, value, strlen(value),
			&root);

	if (r == 0)
		return 0;
	return refuse(opening, &table->rows->row[number], field,
		      field == TABLE_LOCK ? "lock" : value,
		      r == -ENOMEM ? "the limit for locks would be passed" : NULL, r);
}

/* The advice and the locks of the rows are in force from the beginning, or nothing is. */
static int apply_rows(struct opening *opening)
{
	const struct table_rows *rows = opening->fs->table->rows;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rows->count; i++) {
		const struct table_row *row = &rows->row[i];

		if (row->at[TABLE_ADVICE])
			r = control(opening, i, TABLE_ADVICE, "user.mmapfs.advise",
				    mmapfs_advice_name(row->advice));
		if (r == 0 && row->lock)
			r = control(opening, i, TABLE_LOCK, "user.mmapfs.lock", "on");
	}
	return r;
}

/* ---- the whole ---- */

static int open_all(struct opening *opening, int fd)
{
	struct fs *fs = opening->fs;
	int r = read_rows(opening, fd);

	if (r == 0)
		r = open_rows(opening);
	if (r == 0)
		r = gather_windows(fs->table);
	if (r == 0)
		r = make_inodes(fs);
	if (r == 0)
		r = share_start(fs, table_count(fs->table));
	return r < 0 ? r : apply_rows(opening);
}

int table_open(struct fs *fs, int fd, const char *path, struct table_error *ret_error)
{
	_cleanup_close_ int dir_fd = open_directory_of(path);
	struct table *table = calloc(1, sizeof(*table));
	struct opening opening = { .fs = fs, .dir_fd = dir_fd, .error = ret_error };

	*ret_error = (struct table_error){ 0 };
	fs->table = table;
	if (!table)
		return -ENOMEM;
	table->root = (struct window){ .kind = WINDOW_ROOT, .fd = -1, .ino = TABLE_ROOT_INO };
	if (dir_fd < 0)
		return dir_fd;
	table->root.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (table->root.fd < 0 || fstat(fd, &table->st) < 0)
		return -errno;
	table->root.dev = table->st.st_dev;
	return open_all(&opening, fd);
}

static void free_sources(struct table *table)
{
	struct source *source, *next;

	HASH_ITER(hh, table->sources, source, next) {
		HASH_DEL(table->sources, source);
		close(source->shown.fd);
		free(source->shown.windows);
		free(source);
	}
}

struct table *table_close(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; table->windows && i < table->rows->count; i++) {
		if (!table->windows[i].source && table->windows[i].fd >= 0)
			close(table->windows[i].fd);
	}
	free_sources(table);
	free(table->windows);
	table_rows_free(table->rows);
	if (table->root.fd >= 0)
		close(table->root.fd);
	free(table);
	return NULL;
}
