/* SPDX-License-Identifier: MIT */
/* table.c - from the text of a region table to its rows. */
#include "table.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/macro.h"

#define ANONYMOUS "anon"
#define WORD_SHOWN 64 /* bytes of a word in a message */
#define FIRST_INO (TABLE_ROOT_INO + 1)

/* Where the reading of the text is. */
struct scan {
	char *at;	  /* in the line, which ends with a NUL */
	const char *line; /* its beginning */
	unsigned int number;
	struct table_error *error;
};

struct word {
	char *text;
	unsigned int column;
};

static const char *const field_names[] = {
	[TABLE_NAME] = "name",	   [TABLE_SOURCE] = "source", [TABLE_OFFSET] = "offset",
	[TABLE_LENGTH] = "length", [TABLE_ACCESS] = "access", [TABLE_ADVICE] = "word",
	[TABLE_LOCK] = "word",
};

/* ---- errors ---- */

__attribute__((format(printf, 3, 4))) static int fail(struct scan *scan, const char *at,
						      const char *format, ...)
{
	va_list args;

	scan->error->line = scan->number;
	scan->error->column = (unsigned int)(at - scan->line) + 1;
	va_start(args, format);
	(void)vsnprintf(scan->error->reason, sizeof(scan->error->reason), format, args);
	va_end(args);
	return -EINVAL;
}

/* The word as it may be shown: whole where it is short, and nothing that moves a cursor. */
static void show_word(char shown[WORD_SHOWN + 4], const char *word)
{
	size_t length = strnlen(word, WORD_SHOWN + 1);
	bool cut = length > WORD_SHOWN;

	length = cut ? WORD_SHOWN : length;
	for (size_t i = 0; i < length; i++)
		shown[i] = (unsigned char)word[i] < ' ' || word[i] == 0x7f ? '?' : word[i];
	(void)strcpy(shown + length, cut ? "..." : "");
}

void table_error_set(struct table_error *error, const struct table_row *row,
		     enum table_field field, const char *word, const char *why)
{
	char shown[WORD_SHOWN + 4];

	show_word(shown, word);
	error->line = row->line;
	error->column = row->at[field];
	(void)snprintf(error->reason, sizeof(error->reason), "%s '%s': %s",
		       field_names[field], shown, why);
}

/* ---- words ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int take_plain(struct scan *scan, char **ret_end)
{
	for (; *scan->at && !is_blank(*scan->at); scan->at++) {
		if (*scan->at == '"')
			return fail(scan, scan->at, "a quote inside a word");
	}
	*ret_end = scan->at;
	return 0;
}

/* Undoes the quoting where it stands; the word only becomes shorter. */
static int take_quoted(struct scan *scan, char **ret_end)
{
	char *out = scan->at;

	for (scan->at++; *scan->at != '"'; scan->at++) {
		if (*scan->at == '\\' && (scan->at[1] == '"' || scan->at[1] == '\\'))
			scan->at++;
		else if (*scan->at == '\\')
			return fail(scan, scan->at, "a backslash that is neither \\\" nor \\\\");
		if (!*scan->at)
			return fail(scan, scan->at, "the quote is not closed");
		*out++ = *scan->at;
	}
	scan->at++;
	if (*scan->at && !is_blank(*scan->at))
		return fail(scan, scan->at, "no blank after the quote");
	*ret_end = out;
	return 0;
}

/* The next word of the line; returns 1, or 0 where there is no more. */
static int take_word(struct scan *scan, struct word *ret)
{
	char *begin, *end = NULL;
	int r;

	while (is_blank(*scan->at))
		scan->at++;
	if (!*scan->at || *scan->at == '#')
		return 0;
	begin = scan->at;
	r = *begin == '"' ? take_quoted(scan, &end) : take_plain(scan, &end);
	if (r < 0)
		return r;
	if (*scan->at)
		scan->at++;
	*end = '\0';
	*ret = (struct word){ begin, (unsigned int)(begin - scan->line) + 1 };
	return 1;
}

/* ---- fields: each returns what is wrong with its word, or NULL ---- */

static const char *set_name(struct table_row *row, const char *word)
{
	if (!*word)
		return "empty";
	if (strcmp(word, ".") == 0 || strcmp(word, "..") == 0)
		return "is taken by the directory itself";
	if (strchr(word, '/'))
		return "has a slash";
	if (strlen(word) > NAME_MAX)
		return "longer than 255 bytes";
	row->name = word;
	return NULL;
}

static const char *set_source(struct table_row *row, const char *word)
{
	if (!*word)
		return "empty";
	if (strlen(word) >= PATH_MAX)
		return "longer than 4095 bytes";
	row->source = strcmp(word, ANONYMOUS) == 0 ? NULL : word;
	return NULL;
}

static const char *set_size(const char *word, uint64_t *ret)
{
	int r = mmapfs_size_parse(word, ret);

	if (r == -ERANGE || (r == 0 && *ret > INT64_MAX))
		return "larger than any file";
	return r < 0 ? "not a size (digits, then perhaps K, M, G or T)" : NULL;
}

static const char *set_offset(struct table_row *row, const char *word)
{
	const char *wrong = set_size(word, &row->offset);

	if (!wrong && !row->source && row->offset)
		return "anonymous memory begins at 0";
	return wrong;
}

static const char *set_length(struct table_row *row, const char *word)
{
	const char *wrong;

	if (strcmp(word, "rest") == 0 || strcmp(word, "-") == 0) {
		row->length = TABLE_REST;
		return row->source ? NULL : "anonymous memory has no end but its length";
	}
	wrong = set_size(word, &row->length);
	if (wrong)
		return wrong;
	if (row->length == 0)
		return "no bytes at all (rest: to the end of the source)";
	return row->length > INT64_MAX - row->offset ? "ends beyond any file" : NULL;
}

static const char *set_access(struct table_row *row, const char *word)
{
	row->writable = strcmp(word, "write") == 0;
	if (row->writable)
		return NULL;
	if (strcmp(word, "read") != 0)
		return "neither read nor write";
	return row->source ? NULL : "anonymous memory that nobody may write stays empty";
}

static const char *set_advice(struct table_row *row, const char *word)
{
	int advice = mmapfs_advice_parse(word);

	if (advice < 0)
		return "neither advice nor lock";
	if (!(mmapfs_advice_kinds((enum mmapfs_advice)advice) & MMAPFS_ADVICE_STATE))
		return "happens once and is not in force afterwards";
	row->advice = (enum mmapfs_advice)advice;
	return NULL;
}

static const char *(*const set_field[])(struct table_row *row, const char *word) = {
	[TABLE_NAME] = set_name,     [TABLE_SOURCE] = set_source, [TABLE_OFFSET] = set_offset,
	[TABLE_LENGTH] = set_length, [TABLE_ACCESS] = set_access, [TABLE_ADVICE] = set_advice,
};

/* ---- rows ---- */

static int put_word(struct scan *scan, struct table_row *row, enum table_field field,
		    const struct word *word)
{
	const char *wrong;

	row->at[field] = word->column;
	if (field == TABLE_LOCK) {
		row->lock = true;
		return 0;
	}
	wrong = set_field[field](row, word->text);
	if (!wrong)
		return 0;
	table_error_set(scan->error, row, field, word->text, wrong);
	return -EINVAL;
}

/* Behind the access: advice, then lock; both may be left out. */
static int put_more(struct scan *scan, struct table_row *row, const struct word *word)
{
	if (row->at[TABLE_LOCK])
		return fail(scan, scan->line + word->column - 1, "nothing may follow lock");
	if (strcmp(word->text, "lock") == 0)
		return put_word(scan, row, TABLE_LOCK, word);
	if (row->at[TABLE_ADVICE])
		return fail(scan, scan->line + word->column - 1,
			    "only lock may follow the advice");
	return put_word(scan, row, TABLE_ADVICE, word);
}

/* The row in the line; returns 1, or 0 where there is none. */
static int scan_row(struct scan *scan, struct table_row *row)
{
	unsigned int count = 0;
	struct word word;
	int r;

	*row = (struct table_row){ .line = scan->number };
	while ((r = take_word(scan, &word)) > 0) {
		if (count <= TABLE_ACCESS)
			r = put_word(scan, row, (enum table_field)count, &word);
		else
			r = put_more(scan, row, &word);
		if (r < 0)
			return r;
		count++;
	}
	if (r < 0 || count == 0)
		return r;
	if (count <= TABLE_ACCESS)
		return fail(scan, scan->at, "the %s is missing", field_names[count]);
	return 1;
}

static int add_row(struct scan *scan, struct table_rows *rows, const struct table_row *row)
{
	if (rows->count == TABLE_ROWS_MAX)
		return fail(scan, scan->line, "more than %u rows", TABLE_ROWS_MAX);
	/* Doubled whenever it is full, which is at the powers of two. */
	if ((rows->count & (rows->count - 1)) == 0) {
		size_t capacity = rows->count ? rows->count * 2 : 1;
		void *more = reallocarray(rows->row, capacity, sizeof(*row));

		if (!more)
			return -ENOMEM;
		rows->row = more;
	}
	rows->row[rows->count++] = *row;
	return 0;
}

static int scan_lines(struct scan *scan, struct table_rows *rows, char *end)
{
	while (scan->at < end) {
		char *newline = memchr(scan->at, '\n', (size_t)(end - scan->at));
		char *next = newline ? newline : end;
		struct table_row row;
		int r;

		*next = '\0';
		scan->line = scan->at;
		scan->number++;
		if (strlen(scan->at) < (size_t)(next - scan->at))
			return fail(scan, scan->at + strlen(scan->at), "a NUL byte");
		r = scan_row(scan, &row);
		if (r > 0)
			r = add_row(scan, rows, &row);
		if (r < 0)
			return r;
		scan->at = next + 1;
	}
	return 0;
}

/* ---- names ---- */

/* Of 52 bits: exact also where numbers are doubles (JSON, JavaScript). */
static uint64_t ino_of(const char *name)
{
	return FIRST_INO + (hash_bytes(HASH_START, name, strlen(name)) >> 12);
}

/* Where the row numbered @ino is, or would be. */
static uint32_t *find_slot(const struct table_rows *rows, uint64_t ino)
{
	size_t i = (size_t)ino & (rows->slot_count - 1);

	while (rows->slots[i] && rows->row[rows->slots[i] - 1].ino != ino)
		i = (i + 1) & (rows->slot_count - 1);
	return &rows->slots[i];
}

/* The slot that has @name, or is free for it and belongs to the number *@ret_ino. */
static uint32_t *find_name(const struct table_rows *rows, const char *name, uint64_t *ret_ino)
{
	uint64_t ino = ino_of(name);
	uint32_t *slot;

	while (*(slot = find_slot(rows, ino)) &&
	       strcmp(rows->row[*slot - 1].name, name) != 0)
		ino++; /* two names of one hash: the later one takes the next number */
	*ret_ino = ino;
	return slot;
}

const struct table_row *table_rows_find(const struct table_rows *rows, const char *name)
{
	uint64_t ino;
	uint32_t number = *find_name(rows, name, &ino);

	return number ? &rows->row[number - 1] : NULL;
}

static int number_rows(struct table_rows *rows, struct table_error *error)
{
	char why[64];

	rows->slot_count = 16;
	while (rows->slot_count < rows->count * 2)
		rows->slot_count *= 2;
	rows->slots = calloc(rows->slot_count, sizeof(*rows->slots));
	if (!rows->slots)
		return -ENOMEM;
	for (size_t i = 0; i < rows->count; i++) {
		struct table_row *row = &rows->row[i];
		uint32_t *slot = find_name(rows, row->name, &row->ino);

		if (*slot) {
			(void)snprintf(why, sizeof(why), "is in line %u already",
				       rows->row[*slot - 1].line);
			table_error_set(error, row, TABLE_NAME, row->name, why);
			return -EINVAL;
		}
		*slot = (uint32_t)i + 1;
	}
	return 0;
}

/* ---- the whole ---- */

struct table_rows *table_rows_free(struct table_rows *rows)
{
	if (!rows)
		return NULL;
	free(rows->slots);
	free(rows->row);
	free(rows->text);
	free(rows);
	return NULL;
}

static void free_rowsp(struct table_rows **rows)
{
	table_rows_free(*rows);
}

int table_parse(const char *text, size_t length, struct table_rows **ret,
		struct table_error *ret_error)
{
	_cleanup_(free_rowsp) struct table_rows *rows = calloc(1, sizeof(*rows));
	struct scan scan = { .line = text, .error = ret_error };
	int r;

	*ret_error = (struct table_error){ 0 };
	if (!rows)
		return -ENOMEM;
	if (length > TABLE_TEXT_MAX)
		return fail(&scan, scan.line, "more than 8 MiB of text");
	rows->text = malloc(length + 1);
	if (!rows->text)
		return -ENOMEM;
	if (length)
		memcpy(rows->text, text, length);
	scan.at = rows->text;
	r = scan_lines(&scan, rows, rows->text + length);
	if (r == 0 && rows->count == 0) {
		/* Rather another file by mistake than a directory without files. */
		scan.number = 0;
		r = fail(&scan, scan.line, "a region table without rows");
	}
	if (r == 0)
		r = number_rows(rows, ret_error);
	if (r < 0)
		return r;
	*ret = steal_ptr(rows);
	return 0;
}
