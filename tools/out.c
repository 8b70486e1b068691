/* SPDX-License-Identifier: MIT */
/* out.c - rows: which columns, in which order, and what they add up to. */
#include "out_private.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cmd.h"
#include "out_hold.h"

uint64_t out_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

bool out_is_json(const struct out *out)
{
	return out->options.format == OUT_JSON || out->options.format == OUT_JSONL;
}

bool out_wants(const struct out *out, size_t index)
{
	return out->wanted[index];
}

bool out_at_least(const struct out *out, size_t index)
{
	return out->sums.columns[index].unknown > 0;
}

/* ---- columns ---- */

static char plain(char c)
{
	return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static bool same_name(const char *name, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length && name[i]; i++)
		if (plain(name[i]) != plain(text[i]))
			return false;
	return i == length && !name[i];
}

/* -EINVAL after saying so. */
static int find_column(const struct out *out, const char *text, size_t length, size_t *ret)
{
	for (size_t i = 0; i < out->column_count; i++) {
		if (out->columns[i].flags & COLUMN_JSON_ONLY ||
		    !same_name(out->columns[i].name, text, length))
			continue;
		*ret = i;
		return 0;
	}
	say("unknown column '%.*s'; --help lists them", (int)length, text);
	return -EINVAL;
}

static void show(struct out *out, size_t index)
{
	for (size_t i = 0; i < out->shown_count; i++)
		if (out->shown[i] == index)
			return;
	out->shown[out->shown_count++] = index;
}

static void show_default(struct out *out)
{
	bool all = out_is_json(out);

	for (size_t i = 0; i < out->column_count; i++)
		if (all || out->columns[i].flags & COLUMN_SHOWN)
			show(out, i);
}

static int show_listed(struct out *out, const char *list)
{
	while (*list) {
		size_t length = strcspn(list, ","), index;
		int r = find_column(out, list, length, &index);

		if (r < 0)
			return r;
		show(out, index);
		list += length + (list[length] == ',');
	}
	return 0;
}

static int choose_columns(struct out *out)
{
	const char *list = out->options.columns;

	if (!list || *list == '+')
		show_default(out);
	return list ? show_listed(out, list + (*list == '+')) : 0;
}

static int choose_sort(struct out *out)
{
	const char *name = out->options.sort;

	out->sort_by = SIZE_MAX;
	if (!name)
		return 0;
	out->sort_reverse = *name == '-';
	name += *name == '-';
	return find_column(out, name, strlen(name), &out->sort_by);
}

static void want_key(struct out *out, const char *key)
{
	for (size_t i = 0; key && i < out->column_count; i++)
		if (strcmp(out->columns[i].key, key) == 0)
			out->wanted[i] = true;
}

static void choose_wanted(struct out *out)
{
	for (size_t i = 0; i < out->shown_count; i++) {
		const struct out_column *column = &out->columns[out->shown[i]];

		want_key(out, column->part);
		want_key(out, column->whole);
		if (!out->options.summarize || column->flags & COLUMN_SUM)
			out->wanted[out->shown[i]] = true;
	}
	if (out->sort_by != SIZE_MAX)
		out->wanted[out->sort_by] = true;
	for (size_t i = 0; i < out->column_count; i++) {
		if (out->wanted[i])
			out->added[out->added_count++] = i;
		out->has_json |= out->columns[i].type == CELL_JSON;
	}
}

/* ---- begin ---- */

static const struct renderer *const renderers[] = {
	[OUT_TABLE] = &render_table,
	[OUT_JSON] = &render_json,
	[OUT_JSONL] = &render_json,
	[OUT_RAW] = &render_raw,
};

static struct out *out_free(struct out *out)
{
	if (!out)
		return NULL;
	if (out->renderer)
		out->renderer->done(out);
	hold_drop_all(out);
	json_decref(out->members);
	free(out->shown);
	free(out->wanted);
	free(out->added);
	free(out);
	return NULL;
}

static void out_freep(struct out **out)
{
	*out = out_free(*out);
}

static int make_arrays(struct out *out)
{
	while (out->columns[out->column_count].name)
		out->column_count++;
	assert(out->column_count <= OUT_COLUMNS_MAX);
	out->shown = calloc(out->column_count, sizeof(*out->shown));
	out->wanted = calloc(out->column_count, sizeof(*out->wanted));
	out->added = calloc(out->column_count, sizeof(*out->added));
	out->members = json_object();
	return out->shown && out->wanted && out->added && out->members ? 0 : -ENOMEM;
}

int out_begin(const struct out_options *options, const struct out_column *columns,
	      const char *schema, FILE *file, struct out **ret)
{
	_cleanup_(out_freep) struct out *out = calloc(1, sizeof(*out));
	int r;

	if (!out)
		return -ENOMEM;
	out->options = *options;
	out->columns = columns;
	out->schema = schema;
	out->file = file;
	out->started_ns = out_clock_ns();
	r = make_arrays(out);
	if (r == 0)
		r = choose_columns(out);
	if (r == 0)
		r = choose_sort(out);
	if (r < 0)
		return r;
	choose_wanted(out);
	out->renderer = renderers[options->format];
	r = out->renderer->begin(out);
	if (r < 0)
		return r;
	*ret = steal_ptr(out);
	return 0;
}

/* ---- rows ---- */

static void add_row(const struct out *out, const struct cell *cells, struct out_sums *sums)
{
	sums->rows++;
	for (size_t at = 0; at < out->added_count; at++) {
		size_t i = out->added[at];

		if (cells[i].state == CELL_UNKNOWN || out->columns[i].flags & COLUMN_SUM)
			out_add_cell(sums, i, cells[i]);
	}
}

void out_add_file(struct out_sums *sums, bool unknown)
{
	sums->files++;
	sums->unknown_files += unknown;
}

void out_add_sums(struct out *out, const struct out_sums *sums)
{
	out->sums.rows += sums->rows;
	out->sums.files += sums->files;
	out->sums.unknown_files += sums->unknown_files;
	for (size_t i = 0; i < out->column_count; i++) {
		struct out_sum *sum = &out->sums.columns[i];

		sum->number += sums->columns[i].number;
		sum->known += sums->columns[i].known;
		sum->unknown += sums->columns[i].unknown;
		sum->upper_bound |= sums->columns[i].upper_bound;
	}
}

static void drop_json(const struct out *out, const struct cell *cells)
{
	for (size_t i = 0; out->has_json && i < out->column_count; i++)
		json_decref(cells[i].json);
}

static int note(struct out *out, int r)
{
	if (r < 0 && out->failed == 0)
		out->failed = r;
	return r;
}

static int print_row(struct out *out, const struct cell *cells)
{
	int r = out->renderer->row(out, cells);

	if (r == 0 && ferror(out->file))
		r = -EIO;
	return note(out, r);
}

int out_row(struct out *out, const struct cell *cells)
{
	bool cut = out->sort_by == SIZE_MAX && out->options.top > 0 &&
		   out->sums.rows >= out->options.top;
	int r = 0;

	add_row(out, cells, &out->sums);
	if (out->options.summarize || cut)
		drop_json(out, cells);
	else if (out->sort_by != SIZE_MAX)
		return note(out, hold_row(out, cells)); /* takes the JSON */
	else
		r = print_row(out, cells);
	if (!out->options.summarize && !cut)
		drop_json(out, cells);
	return r;
}

void out_count_file(struct out *out, bool unknown)
{
	out_add_file(&out->sums, unknown);
}

void out_member(struct out *out, const char *key, struct json_t *value)
{
	(void)json_object_set_new(out->members, key, value);
}

void out_error(struct out *out, const char *op, const char *path, int error,
	       const char *way_out)
{
	say_cannot(op, path, error, way_out);
	out->errors++;
	if (out->renderer->error)
		out->renderer->error(out, op, path, error);
}

void out_flush(struct out *out)
{
	(void)note(out, out->renderer->flush(out));
	(void)fflush(out->file);
}

/* ---- totals ---- */

static const struct out_sum *sum_of_key(const struct out *out, const char *key)
{
	for (size_t i = 0; i < out->column_count; i++)
		if (strcmp(out->columns[i].key, key) == 0)
			return &out->sums.columns[i];
	return NULL;
}

static struct cell total_percent(const struct out *out, const struct out_column *column)
{
	const struct out_sum *part = sum_of_key(out, column->part);
	const struct out_sum *whole = sum_of_key(out, column->whole);

	/* Without the unknown members the share of the others is no share of all. */
	if (!part || !whole || part->unknown || whole->unknown)
		return cell_unknown(NULL);
	return cell_percent_of(part->number, whole->number);
}

static struct cell total_cell(const struct out *out, size_t i)
{
	const struct out_column *column = &out->columns[i];
	const struct out_sum *sum = &out->sums.columns[i];
	struct cell cell = cell_number(sum->number);

	if (column->type == CELL_PERCENT && column->part)
		return total_percent(out, column);
	if (!(column->flags & COLUMN_SUM))
		return cell_none();
	if (sum->known == 0 && sum->unknown > 0)
		return cell_unknown(NULL);
	cell.upper_bound = sum->upper_bound;
	return cell;
}

static bool has_sums(const struct out *out)
{
	for (size_t i = 0; i < out->shown_count; i++)
		if (out->columns[out->shown[i]].flags & COLUMN_SUM)
			return true;
	return false;
}

static bool wants_totals(const struct out *out)
{
	const struct out_options *options = &out->options;

	if (options->no_totals || (!has_sums(out) && !out_is_json(out)))
		return false;
	if (options->totals || options->summarize || out_is_json(out))
		return true;
	return options->format == OUT_TABLE && !options->no_headings && out->sums.rows > 1;
}

static int print_end(struct out *out, bool interrupted)
{
	_cleanup_free_ struct cell *total = calloc(out->column_count, sizeof(*total));
	int r;

	if (!total)
		return -ENOMEM;
	r = hold_print_all(out, print_row);
	if (r < 0)
		return r;
	for (size_t i = 0; i < out->column_count; i++)
		total[i] = total_cell(out, i);
	r = out->renderer->end(out, wants_totals(out) ? total : NULL, interrupted);
	if (r == 0 && (fflush(out->file) != 0 || ferror(out->file)))
		r = errno ? -errno : -EIO;
	return r;
}

int out_end(struct out *out, bool interrupted)
{
	int r;

	if (!out)
		return 0;
	errno = 0;
	r = out->failed;
	if (r == 0)
		r = print_end(out, interrupted);
	(void)out_free(out);
	if (r < 0)
		say("cannot write the output: %s", strerror(-r));
	return r;
}
