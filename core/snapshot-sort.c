/* SPDX-License-Identifier: MIT */
/*
 * snapshot-sort.c - sort a snapshot that was written out of order, in bounded memory.
 *
 * Stretches of the text, as many names as fit in the arena, are sorted and written as runs
 * to a file without a name; then all runs are merged into a new temporary file.
 */
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "sys.h"

#define ARENA_BYTES (UINT64_C(2) << 20)
#define LINES_MAX 32768

struct line {
	const char *name; /* in the arena */
	uint64_t begin;	  /* in the unsorted text */
	uint64_t end;
};

/* A stretch of text between two offsets of a file. */
struct stretch {
	int fd;
	uint64_t end;
};

struct sorter {
	struct mmapfs_snapshot_writer *writer;
	uint64_t text_end;
	int runs_fd;
	uint64_t *ends; /* of the runs */
	size_t run_count, run_capacity;
	struct line *lines;
	size_t line_count;
	char *arena;
	size_t used;
	struct mmapfs__snapshot_out runs; /* only to buffer what is put */
};

static int64_t fetch(void *ctx, char *bytes, size_t length, uint64_t offset)
{
	const struct stretch *stretch = ctx;

	length = u64_min(length, stretch->end - u64_min(offset, stretch->end));
	return mmapfs__snapshot_read(stretch->fd, bytes, length, offset);
}

static int store_run(void *ctx, const char *bytes, size_t length, uint64_t offset)
{
	const struct sorter *sorter = ctx;

	return mmapfs__snapshot_write(sorter->runs_fd, bytes, length, offset);
}

/* ---- runs ---- */

static int compare_lines(const void *a, const void *b)
{
	const struct line *one = a, *two = b;
	int order = mmapfs__snapshot_compare(one->name, two->name);

	if (order != 0)
		return order;
	return one->begin < two->begin ? -1 : 1;
}

static int copy_line(struct sorter *sorter, const struct line *line)
{
	char buf[8192];
	uint64_t at = line->begin;

	while (at < line->end) {
		int64_t n = mmapfs__snapshot_read(sorter->writer->fd, buf,
						  u64_min(sizeof(buf), line->end - at),
						  at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		mmapfs__snapshot_out_put(&sorter->runs, buf, (size_t)n);
		at += (uint64_t)n;
	}
	return sorter->runs.error;
}

static int end_run(struct sorter *sorter)
{
	size_t i;
	int r;

	if (sorter->line_count == 0)
		return 0;
	if (sorter->run_count == sorter->run_capacity) {
		size_t capacity = sorter->run_capacity * 2 + 16;
		uint64_t *ends = reallocarray(sorter->ends, capacity, sizeof(*ends));

		if (!ends)
			return -ENOMEM;
		sorter->ends = ends;
		sorter->run_capacity = capacity;
	}
	qsort(sorter->lines, sorter->line_count, sizeof(*sorter->lines), compare_lines);
	for (i = 0; i < sorter->line_count; i++) {
		r = copy_line(sorter, &sorter->lines[i]);
		if (r < 0)
			return r;
	}
	sorter->ends[sorter->run_count++] = sorter->runs.base + sorter->runs.have;
	sorter->line_count = 0;
	sorter->used = 0;
	return 0;
}

static int add_line(struct sorter *sorter, const char *name, uint64_t begin, uint64_t end)
{
	size_t size = strlen(name) + 1;
	char *copy;
	int r;

	if (sorter->line_count == LINES_MAX || sorter->used + size > ARENA_BYTES) {
		r = end_run(sorter);
		if (r < 0)
			return r;
	}
	copy = memcpy(sorter->arena + sorter->used, name, size);
	sorter->used += size;
	sorter->lines[sorter->line_count++] = (struct line){ copy, begin, end };
	return 0;
}

static int make_runs(struct sorter *sorter)
{
	struct mmapfs_snapshot_writer *writer = sorter->writer;
	struct stretch stretch = { writer->fd, sorter->text_end };
	_cleanup_free_ struct mmapfs__snapshot_in *in = malloc(sizeof(*in));
	struct mmapfs_snapshot_entry entry;
	struct mmapfs_range range;
	int r;

	sorter->arena = malloc(ARENA_BYTES);
	sorter->lines = malloc(LINES_MAX * sizeof(*sorter->lines));
	if (!in || !sorter->arena || !sorter->lines)
		return -ENOMEM;
	mmapfs__snapshot_in_init(in, fetch, &stretch);
	mmapfs__snapshot_in_fragment(in, writer->body, &writer->header);
	while ((r = mmapfs__snapshot_in_record(in, &entry)) > 0) {
		while ((r = mmapfs__snapshot_in_range(in, &range)) > 0)
			;
		if (r == 0)
			r = add_line(sorter, entry.name, in->record_offset,
				     in->place.offset);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = end_run(sorter);
	return r < 0 ? r : mmapfs__snapshot_out_flush(&sorter->runs);
}

/* ---- merge ---- */

struct cursor {
	struct mmapfs_snapshot_entry entry;
	bool more;
	struct stretch stretch;
	struct mmapfs__snapshot_in in;
};

static int advance(struct cursor *cursor)
{
	int r = mmapfs__snapshot_in_record(&cursor->in, &cursor->entry);

	cursor->more = r > 0;
	return r < 0 ? r : 0;
}

static int copy_record(struct mmapfs_snapshot_writer *writer, struct cursor *cursor)
{
	struct mmapfs_range range;
	int r;

	r = mmapfs_snapshot_add_entry(writer, &cursor->entry);
	if (r < 0)
		return r;
	while ((r = mmapfs__snapshot_in_range(&cursor->in, &range)) > 0) {
		r = mmapfs_snapshot_add_range(writer, range);
		if (r < 0)
			return r;
	}
	return r;
}

/* Of runs that are equal the first, which was written first. NULL at the end. */
static struct cursor *lowest(struct cursor *cursors, size_t count)
{
	struct cursor *found = NULL;
	size_t i;

	for (i = 0; i < count; i++)
		if (cursors[i].more &&
		    (!found || mmapfs__snapshot_compare(cursors[i].entry.name,
							found->entry.name) < 0))
			found = &cursors[i];
	return found;
}

static int merge(struct sorter *sorter, struct cursor *cursors)
{
	struct mmapfs_snapshot_writer *writer = sorter->writer;
	struct cursor *cursor;
	size_t i;
	int r;

	for (i = 0; i < sorter->run_count; i++) {
		struct cursor *c = &cursors[i];

		c->stretch = (struct stretch){ sorter->runs_fd, sorter->ends[i] };
		mmapfs__snapshot_in_init(&c->in, fetch, &c->stretch);
		mmapfs__snapshot_in_fragment(&c->in, i > 0 ? sorter->ends[i - 1] : 0,
					     &writer->header);
		r = advance(c);
		if (r < 0)
			return r;
	}
	while ((cursor = lowest(cursors, sorter->run_count))) {
		r = 0;
		if (mmapfs__snapshot_compare(writer->last, cursor->entry.name) != 0)
			r = copy_record(writer, cursor);
		if (r == 0)
			r = advance(cursor);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The text so far goes away, and the writer begins again in a new file. */
static int begin_again(struct mmapfs_snapshot_writer *writer)
{
	char temp[32];
	int fd, r;

	r = mmapfs__snapshot_temp(writer, temp, &fd);
	if (r < 0)
		return r;
	(void)mmapfs__sys->close(writer->fd);
	if (writer->temp[0] != '\0')
		(void)mmapfs__sys->unlinkat(writer->dir_fd, writer->temp);
	memcpy(writer->temp, temp, sizeof(temp));
	writer->fd = fd;
	writer->started = writer->has_entry = writer->unsorted = false;
	writer->last[0] = '\0';
	mmapfs__snapshot_out_init(&writer->out, writer->out.store, writer->out.ctx,
				  writer->header.page_size);
	return 0;
}

static int sort(struct sorter *sorter)
{
	_cleanup_free_ struct cursor *cursors = NULL;
	int r;

	r = make_runs(sorter);
	if (r < 0)
		return r;
	free(steal_ptr(sorter->arena));
	free(steal_ptr(sorter->lines));
	cursors = calloc(sorter->run_count, sizeof(*cursors));
	if (!cursors)
		return -ENOMEM;
	r = begin_again(sorter->writer);
	return r < 0 ? r : merge(sorter, cursors);
}

int mmapfs__snapshot_sort(struct mmapfs_snapshot_writer *writer)
{
	_cleanup_free_ struct sorter *sorter = calloc(1, sizeof(*sorter));
	char name[32];
	int r;

	if (!sorter)
		return -ENOMEM;
	sorter->writer = writer;
	sorter->text_end = writer->out.base;
	r = mmapfs__snapshot_temp(writer, name, &sorter->runs_fd);
	if (r < 0)
		return r;
	if (name[0] != '\0')
		(void)mmapfs__sys->unlinkat(writer->dir_fd, name);
	mmapfs__snapshot_out_init(&sorter->runs, store_run, sorter,
				  writer->header.page_size);
	r = sort(sorter);
	(void)mmapfs__sys->close(sorter->runs_fd);
	free(sorter->arena);
	free(sorter->lines);
	free(sorter->ends);
	/* Our own text of a moment ago, which somebody must have written to. */
	return r == -EBADMSG ? -EIO : r;
}
