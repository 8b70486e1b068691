/* SPDX-License-Identifier: MIT */
/* test-tools-out.c - rows as table, raw text and JSON; sums, sorting, honest marks. */
#include "out.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/macro.h"
#include "base64.h"
#include "cmd.h"
#include "json_text.h"
#include "out_words.h"
#include "utf8.h"

enum { RESIDENT, PERCENT, PAGES, DELTA, PATH, WORD, LIST, COLUMNS };

static const struct out_column columns[COLUMNS + 1] = {
	[RESIDENT] = { "RESIDENT", "resident", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 0, "" },
	[PERCENT] = { "PERCENT", "percent", CELL_PERCENT, COLUMN_SHOWN, 0, "", "resident",
		      "pages" },
	[PAGES] = { "PAGES", "pages", CELL_COUNT, COLUMN_SUM, 0, "" },
	[DELTA] = { "DELTA", "act.delta", CELL_SIGNED, COLUMN_SUM, 0, "" },
	[PATH] = { "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "" },
	[WORD] = { "A-WORD", "word", CELL_WORD, 0, 0, "" },
	[LIST] = { "LIST", "act.list", CELL_JSON, 0, 0, "" },
};

struct capture {
	char *text;
	size_t length;
	FILE *file;
	struct out *out;
};

static void begin(struct capture *capture, const struct out_options *options)
{
	memset(capture, 0, sizeof(*capture));
	capture->file = open_memstream(&capture->text, &capture->length);
	assert_non_null(capture->file);
	assert_int_equal(out_begin(options, columns, "test/1", capture->file, &capture->out),
			 0);
}

static void row(struct capture *capture, const char *path, int64_t resident, uint64_t pages)
{
	struct cell cells[COLUMNS] = { 0 };

	cells[RESIDENT] = resident < 0 ? cell_unknown("no-permission")
				       : cell_number((uint64_t)resident);
	cells[PAGES] = cell_number(pages);
	cells[PERCENT] = resident < 0 ? cell_unknown("no-permission")
				      : cell_percent_of((uint64_t)resident, pages);
	cells[DELTA] = cell_delta(resident < 0 ? 0 : -resident);
	cells[PATH] = cell_text(path);
	cells[WORD] = cell_text(NULL);
	cells[LIST] = cell_number(0);
	cells[LIST].text = "some";
	if (out_is_json(capture->out))
		cells[LIST].json = json_pack("[i]", 7);
	assert_int_equal(out_row(capture->out, cells), 0);
	out_count_file(capture->out, resident < 0);
}

static void end(struct capture *capture, const char *want)
{
	assert_int_equal(out_end(capture->out, false), 0);
	fclose(capture->file);
	if (want)
		assert_string_equal(capture->text, want);
}

static void done(struct capture *capture)
{
	free(capture->text);
}

static void table_aligns_and_adds_up(void **state)
{
	const struct out_options options = { .format = OUT_TABLE };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a", 2048, 4096);
	row(&capture, "b c", 0, 0);
	end(&capture, "RESIDENT PERCENT PATH\n"
		      "    2.0K   50.00 a\n"
		      "       0       - b c\n"
		      "    2.0K   50.00 total, 2 files\n");
	done(&capture);
}

static void unknown_is_shown_and_totals_say_at_least(void **state)
{
	const struct out_options options = { .format = OUT_TABLE, .bytes = true };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a", 2048, 4096);
	row(&capture, "b", -1, 4096);
	end(&capture, "RESIDENT PERCENT PATH\n"
		      "    2048   50.00 a\n"
		      "       ?       ? b\n"
		      "  >=2048       ? total, 2 files, 1 unknown\n");
	done(&capture);
}

/* ROWS of resident: 'b' is a bound, 'k' known, '?' neither. Of JSON only the total. */
static void bounds(struct capture *capture, const struct out_options *options,
		   const char *rows)
{
	begin(capture, options);
	for (; *rows; rows++) {
		struct cell cells[COLUMNS] = { [RESIDENT] = cell_number(2048) };

		cells[RESIDENT].upper_bound = *rows == 'b';
		if (*rows == '?')
			cells[RESIDENT] = cell_unknown("no-permission");
		assert_int_equal(out_row(capture->out, cells), 0);
	}
}

static void a_total_of_bounds_is_one(void **state)
{
	const struct out_options options = { .format = OUT_TABLE,
					     .columns = "resident",
					     .summarize = true,
					     .no_headings = true };
	static const struct {
		const char *rows, *total;
	} cases[] = {
		{ "kk", "    4.0K\n" },
		{ "kb", "  <=4.0K\n" },
		{ "k?", "  >=2.0K\n" },
		{ "b?", "   ~2.0K\n" },
	};
	struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bounds(&capture, &options, cases[i].rows);
		end(&capture, cases[i].total);
		done(&capture);
	}
}

static void nothing_known_has_no_total(void **state)
{
	const struct out_options options = { .format = OUT_RAW, .totals = true };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a", -1, 4096);
	end(&capture, "RESIDENT\tPERCENT\tPATH\n?\t?\ta\n?\t?\ttotal\n");
	done(&capture);
}

static void raw_escapes_what_would_break_a_line(void **state)
{
	const struct out_options options = { .format = OUT_RAW,
					     .columns = "path,resident",
					     .no_headings = true };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a\tb\nc\\d\xff\x01\xc3\xa4", 1048577, 1);
	end(&capture, "a\\tb\\nc\\\\d\\xff\\x01\xc3\xa4\t1048577\n");
	done(&capture);
}

static void table_shows_names_that_cannot_disturb_a_terminal(void **state)
{
	const struct out_options options = { .columns = "path", .no_headings = true };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a\033[2Jb", 1, 1);
	row(&capture, "it's", 1, 1);
	row(&capture, "\xff'", 1, 1);
	end(&capture, "$'a\\x1b[2Jb'\nit's\n$'\\xff\\''\n");
	done(&capture);
}

static void columns_are_chosen_added_and_refused(void **state)
{
	static const struct {
		const char *columns;
		const char *want; /* NULL: refused */
	} rows[] = {
		{ "PATH,PAGES", "PATH\tPAGES\nf\t9\n" },
		{ "path,Path", "PATH\nf\n" },
		{ "+a_word,pages", "RESIDENT\tPERCENT\tPATH\tA-WORD\tPAGES\n3\t33.33\tf\t-\t9\n" },
		{ "list", "LIST\nsome\n" },
		{ "delta", "DELTA\n-3\n" },
		{ "PAT", NULL },
		{ "", "\n\n" },
	};
	struct out_options options = { .format = OUT_RAW };
	struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		options.columns = rows[i].columns;
		if (!rows[i].want) {
			assert_int_equal(out_begin(&options, columns, "t", stdout, &capture.out),
					 -EINVAL);
			continue;
		}
		begin(&capture, &options);
		row(&capture, "f", 3, 9);
		end(&capture, rows[i].want);
		done(&capture);
	}
}

static void rows_are_sorted_and_the_top_ones_kept(void **state)
{
	static const struct {
		const char *sort;
		unsigned int top;
		const char *want;
	} rows[] = {
		{ "resident", 0, "c\nd\na\nb\n" }, /* unknown last; as they came among equals */
		{ "-resident", 0, "b\na\nd\nc\n" },
		{ "path", 0, "a\nb\nc\nd\n" },
		{ "-PATH", 2, "d\nc\n" },
		{ "resident", 1, "c\n" },
		{ NULL, 2, "c\na\n" },
	};
	struct out_options options = { .format = OUT_RAW, .columns = "path",
				       .no_headings = true };
	struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		options.sort = rows[i].sort;
		options.top = rows[i].top;
		begin(&capture, &options);
		row(&capture, "c", 9, 9);
		row(&capture, "a", 1, 9);
		row(&capture, "b", -1, 9);
		row(&capture, "d", 5, 9);
		end(&capture, rows[i].want);
		done(&capture);
	}
}

static void top_of_very_many_rows_is_right(void **state)
{
	const struct out_options options = { .format = OUT_RAW, .columns = "pages", .top = 3,
					     .sort = "pages", .no_headings = true };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	for (unsigned int i = 0; i < 1000; i++)
		row(&capture, "x", 1, i * 7919 % 1009);
	end(&capture, "1008\n1007\n1006\n");
	done(&capture);
}

static void summary_prints_only_the_totals(void **state)
{
	const struct out_options options = { .format = OUT_RAW, .summarize = true,
					     .columns = "resident,pages,path" };
	struct capture capture;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a", 5, 9);
	row(&capture, "b", 6, 9);
	end(&capture, "RESIDENT\tPAGES\tPATH\n11\t18\ttotal\n");
	done(&capture);
}

static void percent_never_rounds_to_full_or_empty(void **state)
{
	static const struct {
		int64_t part;
		uint64_t whole;
		const char *want;
	} rows[] = {
		{ 0, 10, "0.00\n" },	     { 10, 10, "100.00\n" },
		{ 999999, 1000000, "99.99\n" }, { 1, 1000000, "0.01\n" },
	};
	const struct out_options options = { .format = OUT_RAW, .columns = "percent",
					     .no_headings = true };
	struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&capture, &options);
		row(&capture, "x", rows[i].part, rows[i].whole);
		end(&capture, rows[i].want);
		done(&capture);
	}
}

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *root = json_loads(text, 0, &error);

	if (!root)
		print_error("%s in: %s\n", error.text, text);
	assert_non_null(root);
	return root;
}

static int64_t number_at(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static json_t *parse_text(struct json_text *text)
{
	json_t *value;

	assert_false(text->failed);
	value = json_loadb(text->data, text->length, JSON_DECODE_ANY, NULL);
	assert_non_null(value);
	free(text->data);
	return value;
}

static void json_strings_are_read_as_they_were_written(void **state)
{
	struct json_text text = { 0 };
	char all[129];
	json_t *value;

	(void)state;
	for (int i = 0; i < 127; i++)
		all[i] = (char)(i + 1);
	all[127] = 0;
	json_text_string(&text, all);
	value = parse_text(&text);
	assert_string_equal(json_string_value(value), all);
	json_decref(value);
}

static void json_numbers_are_read_as_they_were_written(void **state)
{
	static const int64_t numbers[] = { 0, 9, 10, -1, -10, INT64_MAX, INT64_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct json_text text = { 0 };
		json_t *value;

		json_text_number(&text, numbers[i]);
		value = parse_text(&text);
		assert_true(json_is_integer(value));
		assert_int_equal(json_integer_value(value), numbers[i]);
		json_decref(value);
	}
}

static void json_has_every_column_and_says_why_not(void **state)
{
	const struct out_options options = { .format = OUT_JSON };
	struct capture capture;
	json_t *root, *files, *file, *total;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a", 5, 10);
	row(&capture, "b\xff", -1, 10);
	row(&capture, "c", 0, 0);
	out_error(capture.out, "open", "d", -ENOENT, NULL);
	end(&capture, NULL);
	root = parse(capture.text);
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "test/1");
	files = json_object_get(root, "files");
	assert_int_equal(json_array_size(files), 3);
	file = json_array_get(files, 0);
	assert_int_equal(number_at(file, "resident"), 5);
	assert_int_equal(number_at(json_object_get(file, "act"), "delta"), -5);
	assert_int_equal(json_array_size(json_object_get(json_object_get(file, "act"), "list")),
			 1);
	assert_null(json_object_get(file, "unknown"));
	file = json_array_get(files, 1);
	assert_true(json_is_null(json_object_get(file, "resident")));
	assert_true(json_is_null(json_object_get(file, "path")));
	assert_string_equal(json_string_value(json_object_get(file, "path_b64")), "Yv8=");
	assert_string_equal(json_string_value(json_object_get(json_object_get(file, "unknown"),
							      "resident")),
			    "no-permission");
	assert_true(json_is_null(json_object_get(json_array_get(files, 2), "percent")));
	total = json_object_get(root, "total");
	assert_int_equal(number_at(total, "files"), 3);
	assert_int_equal(number_at(total, "unknown_files"), 1);
	assert_int_equal(number_at(total, "errors"), 1);
	assert_int_equal(number_at(total, "resident"), 5);
	assert_true(json_is_null(json_object_get(total, "percent")));
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(total, "at_least"), 0)),
		"resident");
	file = json_array_get(json_object_get(root, "errors"), 0);
	assert_string_equal(json_string_value(json_object_get(file, "code")), "ENOENT");
	json_decref(root);
	done(&capture);
}

static void json_names_the_totals_that_are_bounds(void **state)
{
	const struct out_options options = { .format = OUT_JSON, .summarize = true };
	struct capture capture;
	json_t *root, *total;

	(void)state;
	bounds(&capture, &options, "kb");
	end(&capture, NULL);
	root = parse(capture.text);
	total = json_object_get(root, "total");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(total, "upper_bound"), 0)),
		"resident");
	assert_int_equal(json_array_size(json_object_get(total, "at_least")), 0);
	json_decref(root);
	done(&capture);
}

static void json_of_nothing_is_valid(void **state)
{
	static const struct out_options rows[] = {
		{ .format = OUT_JSON },
		{ .format = OUT_JSON, .summarize = true },
		{ .format = OUT_JSON, .sort = "path" },
		{ .format = OUT_JSON, .columns = "path" },
		{ .format = OUT_JSONL },
	};
	struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&capture, &rows[i]);
		end(&capture, NULL);
		json_decref(parse(capture.text));
		done(&capture);
	}
}

static void json_lines_are_one_object_each_and_totals_last(void **state)
{
	const struct out_options options = { .format = OUT_JSONL };
	struct capture capture;
	char *line, *save = NULL;
	json_t *object = NULL;
	int lines = 0;

	(void)state;
	begin(&capture, &options);
	row(&capture, "a\nb", 5, 10);
	out_error(capture.out, "open", "d", -EACCES, NULL);
	row(&capture, "b", 6, 10);
	end(&capture, NULL);
	for (line = strtok_r(capture.text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_decref(object);
		object = parse(line);
		lines++;
	}
	assert_int_equal(lines, 4);
	assert_int_equal(number_at(json_object_get(object, "total"), "resident"), 11);
	json_decref(object);
	done(&capture);
}

static void output_that_cannot_be_written_is_an_error(void **state)
{
	const struct out_options options = { .format = OUT_RAW };
	FILE *full = fopen("/dev/full", "we");
	struct capture capture = { .file = full };

	(void)state;
	assert_non_null(full);
	assert_int_equal(out_begin(&options, columns, "t", full, &capture.out), 0);
	row(&capture, "a", 1, 1);
	assert_true(out_end(capture.out, false) < 0);
	fclose(full);
}

/* ---- words ---- */

static void bytes_are_rounded_to_what_people_read(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *want;
	} rows[] = {
		{ 0, "0" },		  { 1023, "1023" },
		{ 1024, "1.0K" },	  { 1536, "1.5K" },
		{ 10239, "10K" },	  { 1048576, "1.0M" },
		{ 1047552, "1023K" },	  { 1048064, "1.0M" },
		{ 1610612736, "1.5G" },	  { UINT64_MAX, "16E" },
		{ UINT64_C(1) << 40, "1.0T" },
	};
	char buf[MMAPFS_WORD_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(bytes_format(buf, rows[i].bytes), rows[i].want);
}

static void utf8_is_told_from_other_bytes(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{ "", true },		     { "plain", true },
		{ "\xc3\xa4", true },	     { "\xe2\x82\xac", true },
		{ "\xf0\x9f\x98\x80", true }, { "\xff", false },
		{ "\xc3", false },	     { "a\xc3(", false },
		{ "\xc0\xaf", false },	     { "\xed\xa0\x80", false },
		{ "\xf4\x90\x80\x80", false }, { "\x80", false },
		{ "\xe0\x80\xaf", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(utf8_valid(rows[i].text), rows[i].valid);
	assert_int_equal(utf8_printable("\x1b"), 0);
	assert_int_equal(utf8_printable("\xc2\x85"), 0);
	assert_int_equal(utf8_printable("\xe2\x80\xae"), 0);
	assert_int_equal(utf8_printable("\xc3\xa4"), 2);
}

static void base64_is_that_of_the_standard(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },	      { "f", "Zg==" },	   { "fo", "Zm8=" },
		{ "foo", "Zm9v" },    { "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = base64_encode(rows[i][0], strlen(rows[i][0]));

		assert_string_equal(text, rows[i][1]);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_aligns_and_adds_up),
		cmocka_unit_test(unknown_is_shown_and_totals_say_at_least),
		cmocka_unit_test(a_total_of_bounds_is_one),
		cmocka_unit_test(json_names_the_totals_that_are_bounds),
		cmocka_unit_test(nothing_known_has_no_total),
		cmocka_unit_test(raw_escapes_what_would_break_a_line),
		cmocka_unit_test(table_shows_names_that_cannot_disturb_a_terminal),
		cmocka_unit_test(columns_are_chosen_added_and_refused),
		cmocka_unit_test(rows_are_sorted_and_the_top_ones_kept),
		cmocka_unit_test(top_of_very_many_rows_is_right),
		cmocka_unit_test(summary_prints_only_the_totals),
		cmocka_unit_test(percent_never_rounds_to_full_or_empty),
		cmocka_unit_test(json_strings_are_read_as_they_were_written),
		cmocka_unit_test(json_numbers_are_read_as_they_were_written),
		cmocka_unit_test(json_has_every_column_and_says_why_not),
		cmocka_unit_test(json_of_nothing_is_valid),
		cmocka_unit_test(json_lines_are_one_object_each_and_totals_last),
		cmocka_unit_test(output_that_cannot_be_written_is_an_error),
		cmocka_unit_test(bytes_are_rounded_to_what_people_read),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
		cmocka_unit_test(base64_is_that_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
