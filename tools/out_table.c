/* SPDX-License-Identifier: MIT */
/*
 * out_table.c - rows as an aligned table.
 *
 * Rows are laid out in chunks, each with at least the widths of the one before: memory does
 * not grow with their number, and only a chunk that needs more room breaks the alignment.
 */
#include "out_private.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "utf8.h"

#define CHUNK 512

/* Wider than any name. */
#define LINE_MAX_WIDTH 65536

struct table {
	struct libscols_table *rows; /* NULL: nothing waits */
	size_t count;
	size_t *widths; /* by position; what has been printed so far */
	bool headed;	/* the headings are out */
};

static bool is_number(const struct out_column *column)
{
	switch (column->type) {
	case CELL_BYTES:
	case CELL_SIGNED:
	case CELL_COUNT:
	case CELL_PERCENT:
		return true;
	default:
		return false;
	}
}

/* Characters, near enough to columns for alignment. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void widen(struct table *table, size_t at, const char *text)
{
	size_t width = width_of(text);

	if (width > table->widths[at])
		table->widths[at] = width;
}

static int add_column(struct out *out, struct libscols_table *rows, size_t at)
{
	const struct out_column *column = &out->columns[out->shown[at]];
	struct table *table = out->state;
	int flags = 0;

	if (is_number(column))
		flags |= SCOLS_FL_RIGHT;
	if (!scols_table_new_column(rows, column->name, (double)table->widths[at], flags))
		return -ENOMEM;
	return 0;
}

static int new_chunk(struct out *out)
{
	struct table *table = out->state;
	struct libscols_table *rows = scols_new_table();
	int r = 0;

	if (!rows)
		return -ENOMEM;
	scols_table_set_stream(rows, out->file);
	scols_table_enable_noencoding(rows, 1);
	scols_table_enable_noheadings(rows, table->headed || out->options.no_headings);
	/* The same whatever the terminal: a line that is too long wraps, none is cut. */
	scols_table_set_termforce(rows, SCOLS_TERMFORCE_ALWAYS);
	scols_table_set_termwidth(rows, LINE_MAX_WIDTH);
	for (size_t i = 0; r == 0 && i < out->shown_count; i++)
		r = add_column(out, rows, i);
	if (r < 0) {
		scols_unref_table(rows);
		return r;
	}
	table->rows = rows;
	return 0;
}

static int table_flush(struct out *out)
{
	struct table *table = out->state;
	struct libscols_column *column;
	int r;

	if (!table->rows)
		return 0;
	for (size_t i = 0; i < out->shown_count; i++) {
		column = scols_table_get_column(table->rows, i);
		scols_column_set_whint(column, (double)table->widths[i]);
	}
	r = scols_print_table(table->rows);
	scols_unref_table(table->rows);
	table->rows = NULL;
	table->count = 0;
	table->headed = true;
	return r;
}

/* Names that could disturb a terminal are shown as the shell would take them. */
static char *printable(const char *text)
{
	const char *at = text;
	char *quoted, *whole;
	size_t n;

	while (*at && (n = utf8_printable(at)) > 0)
		at += n;
	if (!*at)
		return strdup(text);
	quoted = path_quoted(text);
	if (!quoted || asprintf(&whole, "$'%s'", quoted) < 0)
		whole = NULL;
	free(quoted);
	return whole;
}

static int set_cell(struct out *out, struct libscols_line *line, size_t at,
		    const char *text)
{
	char *shown = printable(text);

	if (!shown)
		return -ENOMEM;
	widen(out->state, at, shown);
	return scols_line_refer_data(line, at, shown) < 0 ? -ENOMEM : 0;
}

static struct libscols_line *new_line(struct out *out)
{
	struct table *table = out->state;

	if (!table->rows && new_chunk(out) < 0)
		return NULL;
	table->count++;
	return scols_table_new_line(table->rows, NULL);
}

static int table_row(struct out *out, const struct cell *cells)
{
	struct libscols_line *line = new_line(out);
	struct table *table = out->state;
	char buf[CELL_TEXT_MAX];
	int r = line ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < out->shown_count; i++) {
		size_t index = out->shown[i];

		r = set_cell(out, line, i, cell_format(out, &out->columns[index],
						       &cells[index], false, buf));
	}
	return r == 0 && table->count >= CHUNK ? table_flush(out) : r;
}

static void total_name(const struct out *out, char *buf, size_t size)
{
	int n = snprintf(buf, size, "total");

	if (out->sums.files > 0)
		n += snprintf(buf + n, size - (size_t)n, ", %llu file%s",
			      (unsigned long long)out->sums.files, out->sums.files == 1 ? "" : "s");
	if (out->sums.unknown_files > 0)
		snprintf(buf + n, size - (size_t)n, ", %llu unknown",
			 (unsigned long long)out->sums.unknown_files);
}

static int table_end(struct out *out, const struct cell *total, bool interrupted)
{
	struct libscols_line *line;
	char buf[CELL_TEXT_MAX], name[96];
	int r = 0;

	(void)interrupted;
	if (!total)
		return table_flush(out);
	line = new_line(out);
	if (!line)
		return -ENOMEM;
	total_name(out, name, sizeof(name));
	for (size_t i = 0; r == 0 && i < out->shown_count; i++) {
		size_t index = out->shown[i];
		const struct out_column *column = &out->columns[index];
		const char *text = cell_format(out, column, &total[index],
					       out_at_least(out, index), buf);

		r = set_cell(out, line, i,
			     column->type == CELL_PATH		  ? name
			     : total[index].state == CELL_NONE ? ""
								  : text);
	}
	return r < 0 ? r : table_flush(out);
}

static int table_begin(struct out *out)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	out->state = table;
	table->widths = calloc(out->shown_count + 1, sizeof(*table->widths));
	if (!table->widths)
		return -ENOMEM;
	for (size_t i = 0; i < out->shown_count; i++) {
		const struct out_column *column = &out->columns[out->shown[i]];

		table->widths[i] = column->width > 0 ? (size_t)column->width : 0;
		widen(table, i, column->name);
	}
	return 0;
}

static void table_done(struct out *out)
{
	struct table *table = out->state;

	if (!table)
		return;
	if (table->rows)
		scols_unref_table(table->rows);
	free(table->widths);
	free(table);
}

const struct renderer render_table = {
	.begin = table_begin,
	.row = table_row,
	.flush = table_flush,
	.end = table_end,
	.done = table_done,
};
