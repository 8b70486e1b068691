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

#include "base64.h"
#include "utf8.h"

/* In the array at the end; the count in "total" goes on. All are told on stderr. */
#define ERRORS_MAX 4096

struct json_state {
	json_t *errors;
	uint64_t rows;
};

static int dump(const struct out *out, const json_t *value)
{
	/* Digits enough for a share and for milliseconds, too few for 30.510000000000002. */
	return json_dumpf(value, out->file,
			  JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) < 0
		       ? -EIO
		       : 0;
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

/* Add @key to the list or map of the special ones. */
static int set_remarks(json_t *object, const struct out_column *column,
		       const struct cell *cell)
{
	json_t *bounds;
	char key[80];

	if (cell->state == CELL_UNKNOWN && cell->reason) {
		json_t *unknown = json_object_get(object, "unknown");

		if (!unknown) {
			unknown = json_object();
			if (json_object_set_new_nocheck(object, "unknown", unknown) < 0)
				return -ENOMEM;
		}
		return json_object_set_new_nocheck(unknown, column->key,
						   json_string(cell->reason));
	}
	if (cell->state != CELL_KNOWN || !cell->upper_bound)
		return 0;
	snprintf(key, sizeof(key), "upper_bound");
	bounds = json_object_get(object, key);
	if (!bounds) {
		bounds = json_array();
		if (json_object_set_new_nocheck(object, key, bounds) < 0)
			return -ENOMEM;
	}
	return json_array_append_new(bounds, json_string(column->key)) < 0 ? -ENOMEM : 0;
}

static json_t *row_json(const struct out *out, const struct cell *cells)
{
	json_t *object = json_object();
	int r = object ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < out->shown_count; i++) {
		const struct out_column *column = &out->columns[out->shown[i]];
		const struct cell *cell = &cells[out->shown[i]];

		if (column->type == CELL_PATH && cell->state == CELL_KNOWN)
			r = set_path(object, column->key, cell->text);
		else
			r = set(object, column->key, cell_json(column->type, cell));
		if (r == 0)
			r = set_remarks(object, column, cell);
	}
	if (r == 0)
		return object;
	json_decref(object);
	return NULL;
}

static int json_row(struct out *out, const struct cell *cells)
{
	bool lines = out->options.format == OUT_JSONL;
	struct json_state *state = out->state;
	json_t *object = row_json(out, cells);
	int r;

	if (!object)
		return -ENOMEM;
	if (!lines)
		fputs(state->rows ? ",\n" : "\n", out->file);
	state->rows++;
	r = dump(out, object);
	json_decref(object);
	if (lines)
		fputc('\n', out->file);
	return r;
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
	json_t *object = json_object(), *partial = json_array();

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
	}
	/* Sums that lack what is unknown. */
	(void)set(object, "at_least", partial);
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
