/* SPDX-License-Identifier: MIT */
/*
 * out_json.c - rows as one JSON object, or as JSON lines (the last one has the totals).
 *
 * The object is written piece by piece: each row is one line of the array "files", so that
 * memory does not grow with their number, and an interrupted run still ends as valid JSON.
 */
#include "out_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "base64.h"
#include "json_text.h"
#include "utf8.h"

/* In the array at the end; the count in "total" goes on. All are told on stderr. */
#define ERRORS_MAX 4096

struct json_state {
	json_t *errors;
	uint64_t rows;
	struct json_text row; /* the last one; its memory is used again */
};

/* Digits enough for a share and for milliseconds, too few for 30.510000000000002. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12))

static int dump(const struct out *out, const json_t *value)
{
	return json_dumpf(value, out->file, DUMP_FLAGS) < 0 ? -EIO : 0;
}

/* The reference to @value is taken. "a.b" is b in the object a. */
static int set(json_t *object, const char *key, json_t *value)
{
	const char *dot = strchr(key, '.');
	char head[32];
	json_t *inner;

	if (!dot)
		return json_object_set_new_nocheck(object, key, value) < 0 ? -ENOMEM : 0;
	snprintf(head, sizeof(head), "%.*s", (int)(dot - key), key);
	inner = json_object_get(object, head);
	if (!inner) {
		inner = json_object();
		if (json_object_set_new_nocheck(object, head, inner) < 0) {
			json_decref(value);
			return -ENOMEM;
		}
	}
	return set(inner, dot + 1, value);
}

/* A name, and its bytes where it is no text. */
static int set_path(json_t *object, const char *key, const char *path)
{
	char b64_key[48];
	char *b64;
	int r;

	snprintf(b64_key, sizeof(b64_key), "%s_b64", key);
	if (utf8_valid(path)) {
		r = set(object, key, json_string_nocheck(path));
		return r < 0 ? r : set(object, b64_key, json_null());
	}
	b64 = base64_encode(path, strlen(path));
	if (!b64)
		return -ENOMEM;
	r = set(object, key, json_null());
	if (r == 0)
		r = set(object, b64_key, json_string(b64));
	free(b64);
	return r;
}

static json_t *rounded(double percent)
{
	/* Two digits are what is meant; the rest is noise that diffs trip over. */
	return json_real((double)(int64_t)(percent * 100 + 0.5) / 100);
}

static json_t *cell_json(enum cell_type type, const struct cell *cell)
{
	if (cell->state != CELL_KNOWN)
		return json_null();
	switch (type) {
	case CELL_BYTES:
	case CELL_COUNT:
		return json_integer((json_int_t)cell->number);
	case CELL_SIGNED:
		return json_integer((json_int_t)cell->delta);
	case CELL_PERCENT:
		return rounded(cell->percent);
	case CELL_BOOL:
		return json_boolean(cell->number);
	case CELL_JSON:
		return cell->json ? json_incref(cell->json) : json_null();
	default:
		return json_string(cell->text ? cell->text : "") ?: json_null();
	}
}

/* ---- rows ---- */

/* Two digits are what is meant, and enough: 50.0, 12.5, 99.99. */
static void put_percent(struct json_text *text, double percent)
{
	int64_t hundredths = (int64_t)(percent * 100 + 0.5);

	json_text_number(text, hundredths / 100);
	json_text_literal(text, ".");
	json_text_number(text, hundredths / 10 % 10);
	if (hundredths % 10)
		json_text_number(text, hundredths % 10);
}

static void put_nested(struct json_text *text, const json_t *value)
{
	char *dumped = json_dumps(value, DUMP_FLAGS);

	if (dumped)
		json_text_bytes(text, dumped, strlen(dumped));
	else
		text->failed = true;
	free(dumped);
}

static void put_value(struct json_text *text, enum cell_type type, const struct cell *cell)
{
	const char *string = cell->text ? cell->text : "";

	if (cell->state != CELL_KNOWN || (type == CELL_JSON && !cell->json))
		json_text_literal(text, "null");
	else if (type == CELL_BYTES || type == CELL_COUNT)
		json_text_number(text, (int64_t)cell->number);
	else if (type == CELL_SIGNED)
		json_text_number(text, cell->delta);
	else if (type == CELL_PERCENT)
		put_percent(text, cell->percent);
	else if (type == CELL_BOOL && cell->number)
		json_text_literal(text, "true");
	else if (type == CELL_BOOL)
		json_text_literal(text, "false");
	else if (type == CELL_JSON)
		put_nested(text, cell->json);
	else if (utf8_valid(string))
		json_text_string(text, string);
	else
		json_text_literal(text, "null");
}

/* A name is there twice: as text, and as bytes where it is none. */
static void put_bytes_of_name(struct json_text *text, const char *key, const char *path)
{
	_cleanup_free_ char *b64 = NULL;
	char b64_key[48];

	snprintf(b64_key, sizeof(b64_key), "%s_b64", key);
	json_text_key(text, b64_key);
	if (utf8_valid(path)) {
		json_text_literal(text, "null");
		return;
	}
	b64 = base64_encode(path, strlen(path));
	if (b64)
		json_text_string(text, b64);
	else
		text->failed = true;
}

/* @key: of the column, within the object that it is in. */
static void put_member(struct json_text *text, const char *key,
		       const struct out_column *column, const struct cell *cell)
{
	json_text_key(text, key);
	put_value(text, column->type, cell);
	if (column->type == CELL_PATH && cell->state == CELL_KNOWN)
		put_bytes_of_name(text, key, cell->text);
}

static const struct out_column *shown_column(const struct out *out, size_t at)
{
	return &out->columns[out->shown[at]];
}

/* Is the key of column @at "HEAD.something"? */
static bool is_below(const struct out *out, size_t at, const char *head, size_t length)
{
	const char *key = shown_column(out, at)->key;

	return strncmp(key, head, length) == 0 && key[length] == '.';
}

/* The object that column @at is in, with all others of it; nothing if that was done. */
static void put_object(const struct out *out, const struct cell *cells, size_t at,
		       struct json_text *text)
{
	const char *key = shown_column(out, at)->key;
	size_t length = strcspn(key, ".");
	char head[32];

	for (size_t i = 0; i < at; i++)
		if (is_below(out, i, key, length))
			return;
	snprintf(head, sizeof(head), "%.*s", (int)length, key);
	json_text_key(text, head);
	json_text_literal(text, "{");
	for (size_t i = at; i < out->shown_count; i++)
		if (is_below(out, i, key, length))
			put_member(text, shown_column(out, i)->key + length + 1,
				   shown_column(out, i), &cells[out->shown[i]]);
	json_text_literal(text, "}");
}

static bool has_reason(const struct cell *cell)
{
	return cell->state == CELL_UNKNOWN && cell->reason;
}

static bool is_bound(const struct cell *cell)
{
	return cell->state == CELL_KNOWN && cell->upper_bound;
}

/* Why figures are missing: of all columns, @at being the first such. */
static void put_unknown(const struct out *out, const struct cell *cells, size_t at,
			struct json_text *text)
{
	json_text_key(text, "unknown");
	json_text_literal(text, "{");
	for (size_t i = at; i < out->shown_count; i++) {
		const struct cell *cell = &cells[out->shown[i]];

		if (!has_reason(cell))
			continue;
		json_text_key(text, shown_column(out, i)->key);
		json_text_string(text, cell->reason);
	}
	json_text_literal(text, "}");
}

/* Which figures may be too high, likewise. */
static void put_upper_bound(const struct out *out, const struct cell *cells, size_t at,
			    struct json_text *text)
{
	json_text_key(text, "upper_bound");
	json_text_literal(text, "[");
	for (size_t i = at; i < out->shown_count; i++) {
		if (!is_bound(&cells[out->shown[i]]))
			continue;
		if (i > at)
			json_text_literal(text, ",");
		json_text_string(text, shown_column(out, i)->key);
	}
	json_text_literal(text, "]");
}

static void put_row(const struct out *out, const struct cell *cells, struct json_text *text)
{
	bool unknown = false, bound = false;

	json_text_literal(text, "{");
	for (size_t i = 0; i < out->shown_count; i++) {
		const struct out_column *column = shown_column(out, i);
		const struct cell *cell = &cells[out->shown[i]];

		if (strchr(column->key, '.'))
			put_object(out, cells, i, text);
		else
			put_member(text, column->key, column, cell);
		if (has_reason(cell) && !unknown)
			put_unknown(out, cells, i, text);
		if (is_bound(cell) && !bound)
			put_upper_bound(out, cells, i, text);
		unknown |= has_reason(cell);
		bound |= is_bound(cell);
	}
	json_text_literal(text, "}");
}

static int json_row(struct out *out, const struct cell *cells)
{
	bool lines = out->options.format == OUT_JSONL;
	struct json_state *state = out->state;
	struct json_text *text = &state->row;

	text->length = 0;
	put_row(out, cells, text);
	if (lines)
		json_text_literal(text, "\n");
	if (text->failed)
		return -ENOMEM;
	if (!lines)
		fputs(state->rows ? ",\n" : "\n", out->file);
	state->rows++;
	fwrite(text->data, 1, text->length, out->file);
	return 0;
}

/* ---- the frame around the rows ---- */

static json_t *time_now(void)
{
	char text[64], whole[32];
	struct timespec ts;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03ldZ", whole, ts.tv_nsec / 1000000);
	return json_string(text);
}

static json_t *capabilities(const struct mmapfs_probe *probe)
{
	json_t *object = json_object();

	for (uint32_t i = 0; object && i < MMAPFS_FEATURE_COUNT; i++)
		(void)set(object, mmapfs_feature_name((enum mmapfs_feature)i),
			  json_boolean(probe->feature[i] > 0));
	return object;
}

/* Members of @object, without the braces. */
static int dump_members(const struct out *out, json_t *object, const char *before)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach(object, key, value) {
		fprintf(out->file, "%s\"%s\":", before, key);
		r = r ?: dump(out, value);
		before = ",";
	}
	return r;
}

/* What every run says of itself and of where it ran. */
static void set_frame(const struct out *out, json_t *object)
{
	struct mmapfs_probe probe = { .size = sizeof(probe) };
	struct utsname uts = { 0 };

	(void)mmapfs_probe(&probe);
	(void)uname(&uts);
	(void)set(object, "schema", json_string(out->schema));
	(void)set(object, "t", time_now());
	(void)set(object, "page_size", json_integer(probe.page_size));
	(void)set(object, "kernel", json_string(uts.release));
	(void)set(object, "cap", capabilities(&probe));
}

static int json_begin(struct out *out)
{
	struct json_state *state = calloc(1, sizeof(*state));
	json_t *head = json_object();
	int r = 0;

	out->state = state;
	if (!state || !head) {
		json_decref(head);
		return -ENOMEM;
	}
	state->errors = json_array();
	if (out->options.format == OUT_JSON) {
		set_frame(out, head);
		fputc('{', out->file);
		r = dump_members(out, head, "");
		fputs(",\"files\":[", out->file);
	}
	json_decref(head);
	return r;
}

static json_t *total_json(const struct out *out, const struct cell *total)
{
	json_t *object = json_object(), *partial = json_array(), *bounds = json_array();

	(void)set(object, "files", json_integer((json_int_t)out->sums.files));
	(void)set(object, "unknown_files", json_integer((json_int_t)out->sums.unknown_files));
	(void)set(object, "errors", json_integer((json_int_t)out->errors));
	(void)set(object, "rows", json_integer((json_int_t)out->sums.rows));
	for (size_t i = 0; i < out->shown_count; i++) {
		size_t index = out->shown[i];
		const struct out_column *column = &out->columns[index];

		if (!(column->flags & COLUMN_SUM) && !column->part)
			continue;
		(void)set(object, column->key, cell_json(column->type, &total[index]));
		if (out_at_least(out, index) && total[index].state == CELL_KNOWN)
			(void)json_array_append_new(partial, json_string(column->key));
		if (is_bound(&total[index]))
			(void)json_array_append_new(bounds, json_string(column->key));
	}
	/* Sums that lack what is unknown. */
	(void)set(object, "at_least", partial);
	/* And those with members that may be too high. */
	(void)set(object, "upper_bound", bounds);
	return object;
}

static int json_end(struct out *out, const struct cell *total, bool interrupted)
{
	struct json_state *state = out->state;
	bool lines = out->options.format == OUT_JSONL;
	json_t *tail = json_copy(out->members);
	double elapsed = (double)(out_clock_ns() - out->started_ns) / 1e6;
	int r;

	if (!tail)
		return -ENOMEM;
	if (lines)
		set_frame(out, tail);
	if (total)
		(void)set(tail, "total", total_json(out, total));
	if (!lines)
		(void)set(tail, "errors", json_incref(state->errors));
	(void)set(tail, "interrupted", json_boolean(interrupted));
	(void)set(tail, "elapsed_ms", json_real((double)(int64_t)(elapsed * 1000) / 1000));
	if (lines) {
		r = dump(out, tail);
	} else {
		fputs(state->rows ? "\n]" : "]", out->file);
		r = dump_members(out, tail, ",");
		fputc('}', out->file);
	}
	fputc('\n', out->file);
	json_decref(tail);
	return r;
}

static void json_error_row(struct out *out, const char *op, const char *path, int error)
{
	struct json_state *state = out->state;
	const char *name = mmapfs_errno_name(error);
	json_t *object = json_object(), *line;

	(void)set_path(object, "path", path);
	(void)set(object, "op", json_string(op));
	(void)set(object, "errno", json_integer(abs(error)));
	(void)set(object, "code", name ? json_string(name) : json_null());
	(void)set(object, "message", json_string(strerror(abs(error))));
	if (out->options.format == OUT_JSONL) {
		line = json_pack("{s:o}", "error", object);
		(void)dump(out, line);
		fputc('\n', out->file);
		json_decref(line);
	} else if (json_array_size(state->errors) < ERRORS_MAX) {
		(void)json_array_append_new(state->errors, object);
	} else {
		json_decref(object);
	}
}

static int json_flush(struct out *out)
{
	(void)out;
	return 0;
}

static void json_done(struct out *out)
{
	struct json_state *state = out->state;

	if (!state)
		return;
	json_decref(state->errors);
	free(state->row.data);
	free(state);
}

const struct renderer render_json = {
	.begin = json_begin,
	.row = json_row,
	.flush = json_flush,
	.end = json_end,
	.error = json_error_row,
	.done = json_done,
};
