/* SPDX-License-Identifier: MIT */
/* fuzz-table.c - region tables: from text to rows, and from names back to rows. */
#include "fuzz.h"

#include <errno.h>
#include <limits.h>

#include "table.h"

void fuzz_begin(void)
{
}

static void check_row(const struct table_rows *rows, const struct table_row *row)
{
	size_t length = strlen(row->name);

	check(length > 0 && length <= NAME_MAX && !strchr(row->name, '/'));
	check(strcmp(row->name, ".") != 0 && strcmp(row->name, "..") != 0);
	check(!row->source || (*row->source && strlen(row->source) < PATH_MAX));
	check(row->offset <= INT64_MAX && row->length > 0);
	check(row->length == TABLE_REST || row->length <= INT64_MAX - row->offset);
	check(row->source || (row->writable && row->offset == 0 && row->length != TABLE_REST));
	check(row->advice == MMAPFS_ADVICE_NORMAL ||
	      (mmapfs_advice_kinds(row->advice) & MMAPFS_ADVICE_STATE));
	check(row->ino > TABLE_ROOT_INO);
	check(row->line > 0 && row->at[TABLE_NAME] > 0 && row->at[TABLE_ACCESS] > 0);
	check(table_rows_find(rows, row->name) == row);
}

static void check_rows(const struct table_rows *rows)
{
	check(rows->count > 0 && rows->count <= TABLE_ROWS_MAX);
	for (size_t i = 0; i < rows->count; i++) {
		check_row(rows, &rows->row[i]);
		if (i > 0)
			check(rows->row[i].line > rows->row[i - 1].line);
	}
	check(!table_rows_find(rows, "no/such name"));
}

/* The place that a message names has to be one of the text. */
static void check_place(const char *data, size_t length, const struct table_error *error)
{
	const char *at = data, *end = data + length, *newline;

	for (unsigned int line = 1; line < error->line; line++) {
		newline = memchr(at, '\n', (size_t)(end - at));
		check(newline);
		at = newline + 1;
	}
	newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	check(error->column > 0);
	/* What is missing is missing behind the last byte. */
	check(error->column <= (size_t)((newline ? newline : end) - at) + 1);
}

enum verdict fuzz_input(const char *data, size_t length)
{
	struct table_error error = { .line = 0 };
	struct table_rows *rows = NULL;
	int r = table_parse(data, length, &rows, &error);

	check(r == 0 || r == -EINVAL);
	if (r < 0) {
		check(!rows);
		fuzz_check_message(error.reason, sizeof(error.reason));
		if (error.line > 0)
			check_place(data, length, &error);
	} else {
		check_rows(rows);
	}
	(void)table_rows_free(rows);
	return r < 0 ? REJECTED : ACCEPTED;
}
