/* SPDX-License-Identifier: MIT */
/*
 * out.h - rows of typed cells, printed as table, JSON, JSON lines or raw text.
 *
 * A verb has one static array of columns and hands over rows; it never prints data itself.
 * Rows are printed as they come (unless sorted), so memory does not grow with their number.
 */
#ifndef MMAPCTL_OUT_H
#define MMAPCTL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_t; /* jansson */

enum out_format {
	OUT_TABLE = 0,
	OUT_JSON,  /* one object: {"schema":..., "files":[...], "total":{...}, ...} */
	OUT_JSONL, /* one object for each row, then {"total":...} */
	OUT_RAW,   /* tab-separated, no padding; names escaped as \t \n \\ \xNN */
};

struct out_options {
	uint32_t format; /* enum out_format */
	const char *columns; /* "PATH,RESIDENT" or "+DIRTY"; NULL: the default ones */
	const char *sort;    /* a column; NULL: as they come. Largest number first, text a-z;
			      * "-COLUMN" the other way round */
	unsigned int top;    /* only the first N after sorting; 0: all */
	bool bytes;	     /* 1048576 instead of 1M */
	bool no_headings;
	bool totals;	/* a line of totals even where it is not the default */
	bool no_totals;
	bool summarize; /* nothing but the totals */
};

enum cell_type {
	CELL_TEXT = 0, /* free text */
	CELL_PATH,     /* a file name: any bytes. JSON: null and KEY_b64 when not UTF-8 */
	CELL_WORD,     /* one of few: "exact" */
	CELL_BYTES,    /* human form in tables, JSON and --bytes plain */
	CELL_SIGNED,   /* int64_t, printed with its sign: deltas */
	CELL_COUNT,
	CELL_PERCENT,  /* 0..100, two digits */
	CELL_BOOL,
	CELL_JSON,     /* nested JSON; `text` in the other formats */
};

enum column_flags {
	COLUMN_SHOWN = 1 << 0,	/* by default in table and raw; JSON has all */
	COLUMN_SUM = 1 << 1,	/* COUNT, BYTES, SIGNED: added up in the totals */
	COLUMN_JSON_ONLY = 1 << 2, /* cannot be asked for with -o */
};

/* The array ends with a column without a name. */
struct out_column {
	const char *name; /* "RESIDENT"; in -o also in lower case, "-" and "_" alike */
	const char *key;  /* of JSON: "resident"; "action.before" nests */
	enum cell_type type;
	uint32_t flags;
	int width; /* least width in tables */
	const char *help; /* lines of at most 59 columns, joined by \n, no full stop */
	/* Of a PERCENT whose total is the ratio of two other totals: their keys. */
	const char *part, *whole;
};

enum cell_state {
	CELL_UNKNOWN = 0, /* "?" and null; a zeroed cell is unknown */
	CELL_KNOWN,
	CELL_NONE,	  /* there is no such thing here: "-" and null, no reason needed */
};

struct cell {
	enum cell_state state;
	bool upper_bound;  /* may be too high: "<=" in tables */
	const char *reason; /* of an unknown one: word for JSON's "unknown" object; or NULL */
	union {
		uint64_t number; /* BYTES, COUNT, BOOL */
		int64_t delta;	 /* SIGNED */
		double percent;
	};
	const char *text;    /* TEXT, PATH, WORD, and CELL_JSON outside JSON */
	struct json_t *json; /* CELL_JSON: the reference is taken over by out_row() */
};

static inline struct cell cell_number(uint64_t number)
{
	return (struct cell){ .state = CELL_KNOWN, .number = number };
}

static inline struct cell cell_delta(int64_t delta)
{
	return (struct cell){ .state = CELL_KNOWN, .delta = delta };
}

static inline struct cell cell_bool(bool value)
{
	return (struct cell){ .state = CELL_KNOWN, .number = value };
}

/* @text is only borrowed until out_row() returns. NULL is CELL_NONE. */
static inline struct cell cell_text(const char *text)
{
	return (struct cell){ .state = text ? CELL_KNOWN : CELL_NONE, .text = text };
}

/* Unknown when @known is false, or, with percent_of(), CELL_NONE of an empty whole. */
static inline struct cell cell_unknown(const char *reason)
{
	return (struct cell){ .state = CELL_UNKNOWN, .reason = reason };
}

static inline struct cell cell_none(void)
{
	return (struct cell){ .state = CELL_NONE };
}

static inline struct cell cell_percent_of(uint64_t part, uint64_t all)
{
	if (all == 0)
		return cell_none();
	return (struct cell){ .state = CELL_KNOWN,
			      .percent = 100.0 * (double)part / (double)all };
}

/* Is the JSON of a CELL_JSON needed at all? Else it need not be made. */
struct out;
bool out_is_json(const struct out *out);

/* Is column @index printed, in whatever format? What is not need not be measured. */
bool out_wants(const struct out *out, size_t index);

/*
 * Begin. @columns is the verb's array; @schema is "mmapfs.residency/1" or the verb's own.
 * Writes to @file (stdout). Returns 0; -ENOMEM; -EINVAL after it has said which column is
 * not known (usage).
 */
int out_begin(const struct out_options *options, const struct out_column *columns,
	      const char *schema, FILE *file, struct out **ret);

/* One cell for each column of the array, in its order. 0 or -ENOMEM. */
int out_row(struct out *out, const struct cell *cells);

/* Count a file in the totals ("files"), and one of which nothing is known
 * ("unknown_files"): the totals of sums are then printed as ">= N". */
void out_count_file(struct out *out, bool unknown);

#define OUT_COLUMNS_MAX 64

/* What rows add up to. */
struct out_sums {
	uint64_t rows, files, unknown_files;
	struct out_sum {
		uint64_t number; /* SIGNED: two's complement */
		uint64_t known, unknown; /* members */
		bool upper_bound;        /* some of the known ones may be too high */
	} columns[OUT_COLUMNS_MAX];
};

/*
 * The same as out_row() and out_count_file() where rows are not shown (options->summarize),
 * by any number of threads: each counts rows and adds to zeroed sums of its own, and one at
 * a time hands them over.
 */
static inline void out_add_number(struct out_sums *sums, size_t column, uint64_t number,
				  bool upper_bound)
{
	sums->columns[column].known++;
	sums->columns[column].number += number;
	sums->columns[column].upper_bound |= upper_bound;
}

static inline void out_add_unknown(struct out_sums *sums, size_t column)
{
	sums->columns[column].unknown++;
}

static inline void out_add_cell(struct out_sums *sums, size_t column, struct cell cell)
{
	if (cell.state == CELL_KNOWN)
		out_add_number(sums, column, cell.number, cell.upper_bound);
	else if (cell.state == CELL_UNKNOWN)
		out_add_unknown(sums, column);
}

void out_add_file(struct out_sums *sums, bool unknown);
void out_add_sums(struct out *out, const struct out_sums *sums);

/* Put a member into the JSON's top level, before "total". Takes the reference. */
void out_member(struct out *out, const char *key, struct json_t *value);

/* Say "cannot OP 'PATH': ..." on stderr, and put it into the JSON's errors. */
void out_error(struct out *out, const char *op, const char *path, int error,
	       const char *way_out);

/* Print what has been put so far: for output that people wait for, such as watch. */
void out_flush(struct out *out);

/* Print what is held back and the totals. Returns 0, or a negative errno when stdout could
 * not be written, which it has said. Frees @out in either case; takes NULL. */
int out_end(struct out *out, bool interrupted);

#endif
