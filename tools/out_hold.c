/* SPDX-License-Identifier: MIT */
/* out_hold.c - rows kept until all are there, to be sorted. */
#include "out_hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

struct held_row {
	size_t number; /* as it came: the last resort, so that sorting is stable */
	struct cell *cells;
};

static void drop_cells(const struct out *out, struct cell *cells)
{
	for (size_t i = 0; cells && i < out->column_count; i++) {
		free((char *)cells[i].text);
		json_decref(cells[i].json);
	}
	free(cells);
}

static struct cell *copy_cells(const struct out *out, const struct cell *cells)
{
	struct cell *copy = calloc(out->column_count, sizeof(*copy));
	bool failed = !copy;

	for (size_t i = 0; copy && i < out->column_count; i++) {
		copy[i] = cells[i];
		copy[i].text = cells[i].text ? strdup(cells[i].text) : NULL;
		failed |= cells[i].text && !copy[i].text;
	}
	if (!failed)
		return copy;
	drop_cells(out, copy);
	return NULL;
}

/* Larger numbers first, a before z, unknown last. */
static int compare_cells(enum cell_type type, const struct cell *a, const struct cell *b)
{
	if (a->state != CELL_KNOWN || b->state != CELL_KNOWN)
		return (b->state == CELL_KNOWN) - (a->state == CELL_KNOWN);
	switch (type) {
	case CELL_BYTES:
	case CELL_COUNT:
	case CELL_BOOL:
		return (b->number > a->number) - (b->number < a->number);
	case CELL_SIGNED:
		return (b->delta > a->delta) - (b->delta < a->delta);
	case CELL_PERCENT:
		return (b->percent > a->percent) - (b->percent < a->percent);
	default:
		return strcmp(a->text ? a->text : "", b->text ? b->text : "");
	}
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct held_row *left = a, *right = b;
	const struct out *out = arg;
	size_t by = out->sort_by;
	int r = compare_cells(out->columns[by].type, &left->cells[by], &right->cells[by]);

	if (r != 0)
		return out->sort_reverse ? -r : r;
	return left->number < right->number ? -1 : 1;
}

static void keep_top(struct out *out)
{
	qsort_r(out->held, out->held_count, sizeof(*out->held), compare_rows, out);
	while (out->options.top > 0 && out->held_count > out->options.top)
		drop_cells(out, out->held[--out->held_count].cells);
}

static int make_room(struct out *out)
{
	size_t top = out->options.top;
	size_t capacity = out->held_capacity ? 2 * out->held_capacity : 64;
	struct held_row *grown;

	if (top > 0 && out->held_count >= 2 * top && out->held_count >= 64)
		keep_top(out);
	if (out->held_count < out->held_capacity)
		return 0;
	grown = reallocarray(out->held, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	out->held = grown;
	out->held_capacity = capacity;
	return 0;
}

int hold_row(struct out *out, const struct cell *cells)
{
	struct cell *copy = copy_cells(out, cells);
	int r = copy ? make_room(out) : -ENOMEM;

	if (r < 0) {
		if (copy)
			drop_cells(out, copy);
		return r;
	}
	out->held[out->held_count++] = (struct held_row){ (size_t)out->sums.rows, copy };
	return 0;
}

int hold_print_all(struct out *out, int (*print)(struct out *, const struct cell *))
{
	int r = 0;

	if (out->held_count == 0)
		return 0;
	keep_top(out);
	for (size_t i = 0; r == 0 && i < out->held_count; i++)
		r = print(out, out->held[i].cells);
	hold_drop_all(out);
	return r;
}

void hold_drop_all(struct out *out)
{
	for (size_t i = 0; i < out->held_count; i++)
		drop_cells(out, out->held[i].cells);
	free(out->held);
	out->held = NULL;
	out->held_count = out->held_capacity = 0;
}
