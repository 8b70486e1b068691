/* SPDX-License-Identifier: MIT */
/* test-table.c - which texts are region tables, what their rows say, and what is said of
 * those that are none. */
#include "table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define N_51 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define NAME_255 N_51 N_51 N_51 N_51 N_51

static struct table_rows *parse(const char *text)
{
	struct table_rows *rows = NULL;
	struct table_error error;

	if (table_parse(text, strlen(text), &rows, &error) < 0)
		fail_msg("%u:%u: %s", error.line, error.column, error.reason);
	assert_int_equal(error.line, 0);
	return rows;
}

/* ---- tables ---- */

static void assert_row(const struct table_row *row, const struct table_row *want)
{
	assert_string_equal(row->name, want->name);
	if (want->source)
		assert_string_equal(row->source, want->source);
	else
		assert_null(row->source);
	assert_int_equal(row->offset, want->offset);
	assert_int_equal(row->length, want->length);
	assert_int_equal(row->writable, want->writable);
	assert_int_equal(row->lock, want->lock);
	assert_int_equal(row->advice, want->advice);
	assert_int_equal(row->line, want->line);
}

static void a_row_says_what_it_says(void **state)
{
	static const struct {
		const char *text;
		struct table_row row;
	} rows[] = {
		{ "a b 0 1 read",
		  { "a", "b", 0, 1, .line = 1 } },
		{ "a b 1M 64K write\n",
		  { "a", "b", 1 << 20, 64 << 10, .writable = true, .line = 1 } },
		{ "\n\n  a\tb   17  rest\t read  \n\n",
		  { "a", "b", 17, TABLE_REST, .line = 3 } },
		{ "a b 0 - read", { "a", "b", 0, TABLE_REST, .line = 1 } },
		{ "a b 0 1 read random",
		  { "a", "b", 0, 1, .advice = MMAPFS_ADVICE_RANDOM, .line = 1 } },
		{ "a b 0 1 read lock", { "a", "b", 0, 1, .lock = true, .line = 1 } },
		{ "a b 0 1 read MADV_SEQUENTIAL lock",
		  { "a", "b", 0, 1, .lock = true, .advice = MMAPFS_ADVICE_SEQUENTIAL,
		    .line = 1 } },
		{ "a b 0 1 read # lock", { "a", "b", 0, 1, .line = 1 } },
		{ "#x\n # y\na b 0 1 read\r\n", { "a", "b", 0, 1, .line = 3 } },
		{ "a#b c#d 0 1 read", { "a#b", "c#d", 0, 1, .line = 1 } },
		{ "\"a b\" \"/x y/z\" 0 1 read", { "a b", "/x y/z", 0, 1, .line = 1 } },
		{ "\"#a\" \"\\\"\\\\\" \"0\" \"1\" \"read\"\t",
		  { "#a", "\"\\", 0, 1, .line = 1 } },
		{ "a\\b c\\\\d 0 1 read", { "a\\b", "c\\\\d", 0, 1, .line = 1 } },
		{ "m anon 0 1G write",
		  { "m", NULL, 0, 1 << 30, .writable = true, .line = 1 } },
		{ "m ./anon 0 1G read", { "m", "./anon", 0, 1 << 30, .line = 1 } },
		{ "... b 9223372036854775806 1 read",
		  { "...", "b", INT64_MAX - 1, 1, .line = 1 } },
		{ "\xc3\xa9\xff b 0 1 read", { "\xc3\xa9\xff", "b", 0, 1, .line = 1 } },
		{ NAME_255 " b 0 1 read", { NAME_255, "b", 0, 1, .line = 1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct table_rows *found = parse(rows[i].text);

		assert_int_equal(found->count, 1);
		assert_row(&found->row[0], &rows[i].row);
		assert_ptr_equal(table_rows_find(found, rows[i].row.name), &found->row[0]);
		table_rows_free(found);
	}
}

static void a_text_without_rows_is_no_table(void **state)
{
	static const char *const texts[] = { "", "\n", "# nothing\n", " \t\r\n\n#", "   " };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct table_rows *rows = NULL;
		struct table_error error;

		assert_int_equal(table_parse(texts[i], strlen(texts[i]), &rows, &error), -EINVAL);
		assert_null(rows);
		assert_string_equal(error.reason, "a region table without rows");
		assert_int_equal(error.line, 0);
	}
}

static void names_that_are_no_row_s_are_not_found(void **state)
{
	static const char *const names[] = { "", "A", "aa", "b", ".", "a " };
	struct table_rows *rows = parse("a b 0 1 read");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(table_rows_find(rows, names[i]));
	table_rows_free(rows);
}

static void words_remember_their_columns(void **state)
{
	struct table_rows *rows = parse("  \"a b\"  c 0\t1 read random lock");
	static const unsigned int want[] = { 3, 10, 12, 14, 16, 21, 28 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(rows->row[0].at[i], want[i]);
	table_rows_free(rows);
}

/* ---- what is no table ---- */

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *text;
		unsigned int line, column;
		const char *reason;
	} rows[] = {
		{ "a", 1, 2, "the source is missing" },
		{ "a b  \n", 1, 6, "the offset is missing" },
		{ "\na b 0", 2, 6, "the length is missing" },
		{ "a b 0 1 # read", 1, 9, "the access is missing" },
		{ "\"\" b 0 1 read", 1, 1, "name '': empty" },
		{ ". b 0 1 read", 1, 1, "name '.': is taken by the directory itself" },
		{ ".. b 0 1 read", 1, 1, "name '..': is taken by the directory itself" },
		{ " a/b b 0 1 read", 1, 2, "name 'a/b': has a slash" },
		{ "n" NAME_255 " b 0 1 read", 1, 1,
		  "name 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...': longer than 255 bytes" },
		{ "a \"\" 0 1 read", 1, 3, "source '': empty" },
		{ "a b x 1 read", 1, 5,
		  "offset 'x': not a size (digits, then perhaps K, M, G or T)" },
		{ "a b -1 1 read", 1, 5,
		  "offset '-1': not a size (digits, then perhaps K, M, G or T)" },
		{ "a b 1Q 1 read", 1, 5,
		  "offset '1Q': not a size (digits, then perhaps K, M, G or T)" },
		{ "a b rest 1 read", 1, 5,
		  "offset 'rest': not a size (digits, then perhaps K, M, G or T)" },
		{ "a b 8E 1 read", 1, 5, "offset '8E': larger than any file" },
		{ "a b 99999999999999999999 1 read", 1, 5,
		  "offset '99999999999999999999': larger than any file" },
		{ "a b 0 0 read", 1, 7,
		  "length '0': no bytes at all (rest: to the end of the source)" },
		{ "a b 0 1.5M read", 1, 7,
		  "length '1.5M': not a size (digits, then perhaps K, M, G or T)" },
		{ "a b 0 16E read", 1, 7, "length '16E': larger than any file" },
		{ "a b 1 9223372036854775807 read", 1, 7,
		  "length '9223372036854775807': ends beyond any file" },
		{ "a b 7E 1E read", 1, 8, "length '1E': ends beyond any file" },
		{ "a b 0 1 execute", 1, 9, "access 'execute': neither read nor write" },
		{ "a b 0 1 READ", 1, 9, "access 'READ': neither read nor write" },
		{ "a b 0 1 copy", 1, 9, "access 'copy': neither read nor write" },
		{ "a b 0 1 read sometimes", 1, 14,
		  "word 'sometimes': neither advice nor lock" },
		{ "a b 0 1 read willneed", 1, 14,
		  "word 'willneed': happens once and is not in force afterwards" },
		{ "a b 0 1 read remove", 1, 14,
		  "word 'remove': happens once and is not in force afterwards" },
		{ "a b 0 1 read random random", 1, 21, "only lock may follow the advice" },
		{ "a b 0 1 read lock random", 1, 19, "nothing may follow lock" },
		{ "a b 0 1 read lock lock", 1, 19, "nothing may follow lock" },
		{ "a b 0 1 read random lock x", 1, 26, "nothing may follow lock" },
		{ "a anon 1 1 write", 1, 8, "offset '1': anonymous memory begins at 0" },
		{ "a anon 0 rest write", 1, 10,
		  "length 'rest': anonymous memory has no end but its length" },
		{ "a anon 0 1 read", 1, 12,
		  "access 'read': anonymous memory that nobody may write stays empty" },
		{ "a\"b c 0 1 read", 1, 2, "a quote inside a word" },
		{ "\"a b 0 1 read", 1, 14, "the quote is not closed" },
		{ "\"a\nb\" c 0 1 read", 1, 3, "the quote is not closed" },
		{ "\"a\\", 1, 3, "a backslash that is neither \\\" nor \\\\" },
		{ "\"a\\n\" b 0 1 read", 1, 3, "a backslash that is neither \\\" nor \\\\" },
		{ "\"a\"b c 0 1 read", 1, 4, "no blank after the quote" },
		{ "a b 0 1 read\nb b 0 1 read\na b 1 1 read", 3, 1,
		  "name 'a': is in line 1 already" },
		{ "\"a\x1b[2J\tb/\" b 0 1 read", 1, 1, "name 'a?[2J?b/': has a slash" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct table_rows *found = NULL;
		struct table_error error;

		assert_int_equal(table_parse(rows[i].text, strlen(rows[i].text), &found, &error),
				 -EINVAL);
		assert_null(found);
		assert_string_equal(error.reason, rows[i].reason);
		assert_int_equal(error.line, rows[i].line);
		assert_int_equal(error.column, rows[i].column);
	}
}

static void a_nul_byte_is_no_text(void **state)
{
	static const char text[] = "a b 0 1 read\nb b\0 0 1 read\n";
	struct table_rows *rows = NULL;
	struct table_error error;

	(void)state;
	assert_int_equal(table_parse(text, sizeof(text) - 1, &rows, &error), -EINVAL);
	assert_string_equal(error.reason, "a NUL byte");
	assert_int_equal(error.line, 2);
	assert_int_equal(error.column, 4);
}

/* ---- limits ---- */

static void a_text_has_at_most_eight_mebibytes(void **state)
{
	char *text = malloc(TABLE_TEXT_MAX + 1);
	struct table_rows *rows = NULL;
	struct table_error error;

	(void)state;
	memset(text, '\n', TABLE_TEXT_MAX + 1);
	assert_int_equal(table_parse(text, TABLE_TEXT_MAX + 1, &rows, &error), -EINVAL);
	assert_string_equal(error.reason, "more than 8 MiB of text");
	assert_int_equal(error.line, 0);
	memcpy(text + TABLE_TEXT_MAX - 12, "a b 0 1 read", 12);
	assert_int_equal(table_parse(text, TABLE_TEXT_MAX, &rows, &error), 0);
	assert_int_equal(rows->count, 1);
	assert_int_equal(rows->row[0].line, TABLE_TEXT_MAX - 11);
	table_rows_free(rows);
	free(text);
}

/* @count rows with names of their own, as short as they can be. */
static size_t write_rows(char *text, unsigned int count)
{
	char *at = text;

	for (unsigned int i = 0; i < count; i++)
		at += sprintf(at, "%x b 0 1 read\n", i);
	return (size_t)(at - text);
}

static void a_table_has_at_most_65536_rows(void **state)
{
	char *text = malloc(2 * TABLE_TEXT_MAX);
	size_t length = write_rows(text, TABLE_ROWS_MAX);
	struct table_rows *rows = NULL;
	struct table_error error;
	char name[16];

	(void)state;
	assert_true(length <= TABLE_TEXT_MAX);
	assert_int_equal(table_parse(text, length, &rows, &error), 0);
	assert_int_equal(rows->count, TABLE_ROWS_MAX);
	for (unsigned int i = 0; i < TABLE_ROWS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%x", i);
		assert_ptr_equal(table_rows_find(rows, name), &rows->row[i]);
	}
	assert_null(table_rows_find(rows, "10000"));
	table_rows_free(rows);

	length = write_rows(text, TABLE_ROWS_MAX + 1);
	assert_int_equal(table_parse(text, length, &rows, &error), -EINVAL);
	assert_string_equal(error.reason, "more than 65536 rows");
	assert_int_equal(error.line, TABLE_ROWS_MAX + 1);
	free(text);
}

/* ---- inode numbers ---- */

static void inode_numbers_are_the_names_and_nothing_else(void **state)
{
	struct table_rows *one = parse("a x 0 1 read\nb x 0 1 read\nc anon 0 1 write");
	struct table_rows *two = parse("\n\nb y 7 1 write lock\n\nq x 0 1 read\na x 1 1 read\n");

	(void)state;
	assert_int_equal(table_rows_find(one, "a")->ino, table_rows_find(two, "a")->ino);
	assert_int_equal(table_rows_find(one, "b")->ino, table_rows_find(two, "b")->ino);
	for (size_t i = 0; i < 3; i++) {
		assert_true(one->row[i].ino > TABLE_ROOT_INO);
		assert_true(one->row[i].ino < 1ull << 53);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(one->row[i].ino, one->row[j].ino);
	}
	table_rows_free(one);
	table_rows_free(two);
}

static int by_ino(const void *a, const void *b)
{
	const struct table_row *one = a, *two = b;

	return (one->ino > two->ino) - (one->ino < two->ino);
}

static void no_two_rows_have_one_inode_number(void **state)
{
	char *text = malloc(TABLE_TEXT_MAX);
	size_t length = write_rows(text, TABLE_ROWS_MAX);
	struct table_rows *rows = NULL;
	struct table_error error;

	(void)state;
	assert_int_equal(table_parse(text, length, &rows, &error), 0);
	qsort(rows->row, rows->count, sizeof(rows->row[0]), by_ino);
	for (size_t i = 1; i < rows->count; i++)
		assert_true(rows->row[i - 1].ino < rows->row[i].ino);
	table_rows_free(rows);
	free(text);
}

/* ---- whatever comes ---- */

static unsigned int next_random(unsigned int *seed)
{
	return (*seed = *seed * 1103515245 + 12345) >> 16;
}

/* A good table of which up to four bytes were changed, doubled or taken away. */
static size_t mutate(char *text, unsigned int seed)
{
	static const char good[] = "# x\na \"b \\\"c\" 1M 64K write random lock\n"
				   "\"n m\" anon 0 1 write\nz y 17 rest read # z\n";
	static const char alphabet[] = " \t\n\r\"\\#-/.0179KTEanortz\x01\xff";
	size_t length = sizeof(good) - 1;

	memcpy(text, good, length);
	for (unsigned int n = next_random(&seed) % 5; n > 0; n--) {
		size_t at = next_random(&seed) % length;
		char byte = alphabet[next_random(&seed) % sizeof(alphabet)]; /* also NUL */
		unsigned int how = next_random(&seed) % 3;

		if (how == 0) {
			text[at] = byte;
			continue;
		}
		if (how == 1)
			memmove(text + at + 1, text + at, length++ - at);
		else
			memmove(text + at, text + at + 1, --length - at);
	}
	return length;
}

static void every_text_is_a_table_or_says_why_not(void **state)
{
	unsigned int good = 0, bad = 0;
	char text[256];

	(void)state;
	for (unsigned int seed = 0; seed < 200000; seed++) {
		struct table_rows *rows = NULL;
		struct table_error error;
		int r = table_parse(text, mutate(text, seed), &rows, &error);

		if (r == 0) {
			assert_true(rows->count > 0);
			assert_non_null(table_rows_find(rows, rows->row[0].name));
			good++;
		} else {
			assert_int_equal(r, -EINVAL);
			assert_true(*error.reason && error.column && !rows);
			bad++;
		}
		table_rows_free(rows);
	}
	assert_true(good > 10000);
	assert_true(bad > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_says_what_it_says),
		cmocka_unit_test(a_text_without_rows_is_no_table),
		cmocka_unit_test(names_that_are_no_row_s_are_not_found),
		cmocka_unit_test(words_remember_their_columns),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(a_nul_byte_is_no_text),
		cmocka_unit_test(a_text_has_at_most_eight_mebibytes),
		cmocka_unit_test(a_table_has_at_most_65536_rows),
		cmocka_unit_test(inode_numbers_are_the_names_and_nothing_else),
		cmocka_unit_test(no_two_rows_have_one_inode_number),
		cmocka_unit_test(every_text_is_a_table_or_says_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
