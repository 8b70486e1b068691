/* SPDX-License-Identifier: MIT */
/*
 * table.h - a region table: the text whose rows are the files of a mount.
 *
 *	# name    source          offset  length  access  [advice]  [lock]
 *	index     data/store.db   1M      64K     write   random    lock
 *	"the rest" data/store.db  1088K   rest    read
 *	board     anon            0       16M     write
 *
 * Words are separated by blanks. One that holds blanks, a quote or a leading # is put into
 * double quotes, where \" and \\ stand for " and \. From text to rows nothing is asked of
 * the system: a table can be judged without its files. Model.
 */
#ifndef MMAPFS_FS_TABLE_H
#define MMAPFS_FS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#define TABLE_TEXT_MAX (8u << 20)
#define TABLE_ROWS_MAX 65536u

/* The inode number of the directory. Those of its files are higher. */
#define TABLE_ROOT_INO 1

/* As a length: to the end of the source, wherever that is. */
#define TABLE_REST UINT64_MAX

enum table_field {
	TABLE_NAME = 0,
	TABLE_SOURCE,
	TABLE_OFFSET,
	TABLE_LENGTH,
	TABLE_ACCESS,
	TABLE_ADVICE,
	TABLE_LOCK,
	TABLE_FIELDS
};

struct table_row {
	const char *name;
	const char *source; /* NULL: anonymous memory */
	uint64_t offset;
	uint64_t length; /* or TABLE_REST */
	bool writable;
	bool lock;
	enum mmapfs_advice advice;     /* NORMAL where the row gives none */
	uint64_t ino;		       /* of the name alone, as long as no two collide */
	unsigned int line;	       /* from 1 */
	unsigned int at[TABLE_FIELDS]; /* column of each word, from 1; 0: not there */
};

/* All rows, in the order of the text. */
struct table_rows {
	struct table_row *row;
	size_t count;
	char *text;	 /* the strings */
	uint32_t *slots; /* by ino: number of a row from 1, 0: free */
	size_t slot_count; /* a power of two */
};

/* What is wrong, for "FILE:LINE:COLUMN: REASON". Line 0: with the text as a whole. */
struct table_error {
	unsigned int line;
	unsigned int column;
	char reason[224];
};

/*
 * Read @length bytes of @text. Errors: -EINVAL, with the first thing that is wrong in
 * @ret_error; -ENOMEM.
 */
int table_parse(const char *text, size_t length, struct table_rows **ret,
		struct table_error *ret_error);

/* Takes and returns NULL. */
struct table_rows *table_rows_free(struct table_rows *rows);

/* NULL: there is none of that name. */
const struct table_row *table_rows_find(const struct table_rows *rows, const char *name);

/* Say that the word @field of @row, which reads @word, is wrong: "offset '5G': @why". */
void table_error_set(struct table_error *error, const struct table_row *row,
		     enum table_field field, const char *word, const char *why);

#endif
