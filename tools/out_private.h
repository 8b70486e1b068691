/* SPDX-License-Identifier: MIT */
/* out_private.h - what out.c and its renderers share. */
#ifndef MMAPCTL_OUT_PRIVATE_H
#define MMAPCTL_OUT_PRIVATE_H

#include <jansson.h>

#include "out.h"

/* Enough for a formatted number with its marks. */
#define CELL_TEXT_MAX 64

struct renderer {
	int (*begin)(struct out *out);
	/* Cells of all columns, in the order of the array. */
	int (*row)(struct out *out, const struct cell *cells);
	int (*flush)(struct out *out);
	/* @total: cells of all columns, or NULL when no totals are wanted. */
	int (*end)(struct out *out, const struct cell *total, bool interrupted);
	/* May be NULL. */
	void (*error)(struct out *out, const char *op, const char *path, int error);
	void (*done)(struct out *out); /* free what begin() made */
};

extern const struct renderer render_table;
extern const struct renderer render_json; /* and JSON lines */
extern const struct renderer render_raw;

struct held_row;

struct out {
	struct out_options options;
	const struct out_column *columns;
	size_t column_count;
	size_t *shown; /* indexes of what is printed, in that order */
	size_t shown_count;
	bool *wanted; /* by index: shown, summed or sorted by */
	size_t *added; /* indexes of what is wanted */
	size_t added_count;
	bool has_json; /* there are columns of nested JSON */
	const char *schema;
	FILE *file;
	const struct renderer *renderer;
	void *state; /* the renderer's */

	struct out_sums sums; /* columns by index */
	uint64_t errors;
	uint64_t started_ns;
	int failed; /* the first error of a renderer */

	size_t sort_by; /* SIZE_MAX: as they come */
	bool sort_reverse;
	struct held_row *held;
	size_t held_count, held_capacity;

	json_t *members; /* of the top level */
};

/*
 * A cell as text for tables and raw output, in @buf, or the cell's own text. PATH and TEXT
 * are not escaped here. @at_least: a total that lacks members.
 */
const char *cell_format(const struct out *out, const struct out_column *column,
			const struct cell *cell, bool at_least, char buf[CELL_TEXT_MAX]);

/* Has the total of column @index members that are unknown? */
bool out_at_least(const struct out *out, size_t index);

uint64_t out_clock_ns(void);

#endif
