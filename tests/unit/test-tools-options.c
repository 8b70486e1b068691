/* SPDX-License-Identifier: MIT */
/* test-tools-options.c - command lines of mmapctl, good and bad; help and manual. */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/macro.h"

struct own {
	bool flag;
	uint64_t size;
	unsigned int count;
	uint64_t interval_ns;
};

static const struct option_row own_rows[] = {
	{ "flag", 'f', NULL, "a flag", option_set_true, offsetof(struct own, flag), 0, 0 },
	{ "size", 0, "SIZE", "a size", option_set_size, offsetof(struct own, size), 0, 0 },
	{ "count", 'k', "N", "a count", option_set_count, offsetof(struct own, count), 0, 0 },
	{ "interval", 'i', "S", "seconds", option_set_seconds,
	  offsetof(struct own, interval_ns), 0, 0 },
	{ 0 },
};

static const struct command verb = {
	.name = "verb",
	.synopsis = "PATH",
	.about = "",
	.example = "Example: mmapctl verb\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_JOBS | GROUP_PROGRESS,
	.rows = own_rows,
};

#define ARGS_MAX 16

struct parsed {
	char *argv[ARGS_MAX + 2];
	struct options options;
	struct own own;
	int code;
};

/* @line is cut at blanks. Options point into it: it is kept. */
static void parse(struct parsed *parsed, const char *line)
{
	static char copy[512];
	char *save = NULL, *word;
	int argc = 1;

	memset(parsed, 0, sizeof(*parsed));
	snprintf(copy, sizeof(copy), "%s", line);
	parsed->argv[0] = (char *)"verb";
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < ARGS_MAX);
		parsed->argv[argc++] = word;
	}
	parsed->code = options_parse(&verb, argc, parsed->argv, &parsed->options, &parsed->own);
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct parsed parsed;

	(void)state;
	parse(&parsed, "a b");
	assert_int_equal(parsed.code, OPTIONS_GO_ON);
	assert_int_equal(parsed.options.operand_count, 2);
	assert_string_equal(parsed.options.operands[1], "b");
	assert_int_equal(parsed.options.jobs, 1);
	assert_int_equal(parsed.options.progress_fd, -1);
	assert_int_equal(parsed.options.out.format, OUT_TABLE);
	assert_int_equal(parsed.options.select.follow, FOLLOW_OPERANDS);
	assert_true(parsed.options.select.max_size == UINT64_MAX);
	assert_int_equal(parsed.options.range_count, 1);
	assert_false(parsed.options.ranges_given);
	assert_int_equal(parsed.options.ranges[0].offset, 0);
	assert_int_equal(parsed.options.ranges[0].length, 0);
	options_done(&parsed.options);
}

static void options_may_follow_operands_and_end_at_two_dashes(void **state)
{
	struct parsed parsed;

	(void)state;
	parse(&parsed, "a -f --size=4K -k 7 -i 0.5 --include *.c --include *.h -- --json");
	assert_int_equal(parsed.code, OPTIONS_GO_ON);
	assert_true(parsed.own.flag);
	assert_int_equal(parsed.own.size, 4096);
	assert_int_equal(parsed.own.count, 7);
	assert_int_equal(parsed.own.interval_ns, 500000000);
	assert_int_equal(parsed.options.select.include.count, 2);
	assert_string_equal(parsed.options.select.include.list[1], "*.h");
	assert_int_equal(parsed.options.operand_count, 2);
	assert_string_equal(parsed.options.operands[1], "--json");
	assert_int_equal(parsed.options.out.format, OUT_TABLE);
	options_done(&parsed.options);
}

static void wrong_command_lines_are_usage_errors(void **state)
{
	static const char *const lines[] = {
		"--nonsense a", "-Z a",		 "--size x a",	 "--size",
		"-k",		"-k 0 a",	 "-k -1 a",	 "-k 99999999999999 a",
		"--jobs 0 a",	"--jobs 65 a",	 "--jobs two a", "--range 1+0 a",
		"--range x a",	"--pid 0 a",	 "--pid me a",	 "--progress-fd 987 a",
		"-i 0 a",	"-i -3 a",	 "-i 1x a",	 "--json=yes a",
		"--top 0 a",	"--min-size -1 a",
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		parse(&parsed, lines[i]);
		if (parsed.code != CODE_USAGE)
			print_error("'%s' was taken\n", lines[i]);
		assert_int_equal(parsed.code, CODE_USAGE);
		options_done(&parsed.options);
	}
}

static void no_operand_is_a_usage_error_unless_there_is_a_list(void **state)
{
	static const struct {
		const char *line;
		int code;
	} rows[] = {
		{ "-f", CODE_USAGE },
		{ "-f a", OPTIONS_GO_ON },
		{ "--files-from -", OPTIONS_GO_ON },
		{ "--pid 1", OPTIONS_GO_ON },
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		parse(&parsed, rows[i].line);
		assert_int_equal(options_need_operands(&verb, &parsed.options), rows[i].code);
		options_done(&parsed.options);
	}
}

/* In pages; a length of 0 is to the end. */
static void ranges_are_widened_sorted_and_do_not_overlap(void **state)
{
	static const struct {
		const char *line;
		size_t count;
		struct mmapfs_range want[3];
	} rows[] = {
		{ "-r 0+1", 1, { { 0, 1 } } },
		{ "-r 5000+10000", 1, { { 1, 3 } } },
		{ "-r 8192+4096 -r 0+4096", 2, { { 0, 1 }, { 2, 1 } } },
		{ "-r 0+100 -r 200+100", 1, { { 0, 1 } } },
		{ "-r 0+4096 -r 4096+4096", 2, { { 0, 1 }, { 1, 1 } } },
		{ "-r 0+8192 -r 4096+8192", 1, { { 0, 3 } } },
		{ "-r 8192- -r 12288+4096", 1, { { 2, 0 } } },
		{ "-r 0+1M -r 4096-", 1, { { 0, 0 } } },
		{ "-r 0+40960 -r 4096+4096 -r 40960+1", 2, { { 0, 10 }, { 10, 1 } } },
	};
	struct parsed parsed;

	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		parse(&parsed, rows[i].line);
		assert_int_equal(parsed.code, OPTIONS_GO_ON);
		assert_int_equal(parsed.options.range_count, rows[i].count);
		for (size_t k = 0; k < rows[i].count; k++) {
			assert_int_equal(parsed.options.ranges[k].offset,
					 rows[i].want[k].offset * 4096);
			assert_int_equal(parsed.options.ranges[k].length,
					 rows[i].want[k].length * 4096);
		}
		options_done(&parsed.options);
	}
}

/* ---- the tables ---- */

static void names_and_letters_of_a_verb_are_unique(void **state)
{
	(void)state;
	for (size_t v = 0; commands[v]; v++) {
		const struct option_row *a, *b;

		for (size_t i = 0; (a = options_row(commands[v], i)); i++)
			for (size_t k = 0; k < i; k++) {
				b = options_row(commands[v], k);
				assert_string_not_equal(a->name, b->name);
				assert_true(!a->letter || a->letter != b->letter);
			}
	}
}

static char *read_file(const char *name)
{
	static char text[1 << 17];
	FILE *file;
	size_t length;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", getenv("MMAPFS_SOURCE") ?: ".", name);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = 0;
	fclose(file);
	return text;
}

/* @before @name @after is in @text, or it is said and counted. */
static int lacks(const char *text, const char *file, const char *const around[2],
		 const char *name)
{
	char word[96];

	snprintf(word, sizeof(word), "%s%s%s", around[0], name, around[1]);
	if (strstr(text, word))
		return 0;
	print_error("%s: no '%s'\n", file, word);
	return 1;
}

static int lacks_verb(const char *text, const char *file, const char *const verb_like[2],
		      const char *const option_like[2], const struct command *command)
{
	int missing = lacks(text, file, verb_like, command->name);
	const struct option_row *row;

	for (size_t k = 0; (row = options_row(command, k)); k++)
		missing += lacks(text, file, option_like, row->name);
	return missing;
}

static void manual_knows_every_verb_and_option(void **state)
{
	static const char file[] = "docs/man/mmapctl.1.scd";
	static const char *const verb_like[] = { "*mmapctl ", "*" };
	static const char *const option_like[] = { "*--", "*" };
	const char *text = read_file(file);
	int missing = 0;

	(void)state;
	if (!text)
		skip(); /* not run from the source tree */
	for (size_t v = 0; commands[v]; v++)
		missing += lacks_verb(text, file, verb_like, option_like, commands[v]);
	assert_int_equal(missing, 0);
}

/* The help of @command; freed by the next one. */
static const char *help_of(const struct command *command)
{
	static char *text;
	size_t size = 0;
	FILE *real = stdout, *file;

	free(text);
	file = open_memstream(&text, &size);
	assert_non_null(file);
	stdout = file;
	options_help(command);
	stdout = real;
	fclose(file);
	return text;
}

/* A line of @text begins with @line and goes on with a blank or ends, or it is said and
 * counted. */
static int lacks_line(const char *text, const struct command *command, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++)
		if (at > text && at[-1] == '\n' && (at[length] == ' ' || at[length] == '\n'))
			return 0;
	print_error("mmapctl %s --help: no line '%s'\n", command->name, line);
	return 1;
}

static int lacks_option_line(const char *text, const struct command *command,
			     const struct option_row *row)
{
	char line[64], letter[] = "-x,";

	letter[1] = row->letter;
	snprintf(line, sizeof(line), "  %s --%s%s%s", row->letter ? letter : "   ", row->name,
		 row->arg ? " " : "", row->arg ? row->arg : "");
	return lacks_line(text, command, line);
}

static int lacks_column_line(const char *text, const struct command *command,
			     const struct out_column *column)
{
	char line[64];

	snprintf(line, sizeof(line), "  %c %s", column->flags & COLUMN_SHOWN ? '*' : ' ',
		 column->name);
	return lacks_line(text, command, line);
}

/* They take lines apart by how they begin: see tools/completions. That they do so, in their
 * shells, is tests/cli/test_completion.py. */
static void help_has_every_option_and_column_as_completions_read_them(void **state)
{
	int missing = 0;

	(void)state;
	for (size_t v = 0; commands[v]; v++) {
		const struct out_column *column = commands[v]->columns;
		const char *text = help_of(commands[v]);
		const struct option_row *row;

		for (size_t k = 0; (row = options_row(commands[v], k)); k++)
			missing += lacks_option_line(text, commands[v], row);
		for (; column && commands[v]->groups & GROUP_OUTPUT && column->name; column++)
			if (!(column->flags & COLUMN_JSON_ONLY))
				missing += lacks_column_line(text, commands[v], column);
	}
	assert_int_equal(missing, 0);
}

/* Lines of @text that begin with no blank where nothing but a heading may, which is behind an
 * empty line, or that are too long for a terminal; each is said. */
static int misplaced(const char *text, const struct command *command)
{
	bool heads = true;
	size_t length;
	int bad = 0;

	for (; *text; text += length + 1) {
		length = strcspn(text, "\n");
		if ((*text != '\n' && *text != ' ' && !heads) || length > 80) {
			print_error("mmapctl %s --help: '%.*s'\n", command->name, (int)length,
				    text);
			bad++;
		}
		heads = length == 0;
	}
	return bad;
}

static void help_is_indented_and_fits_80_columns(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t v = 0; commands[v]; v++) {
		const char *about = strstr(help_of(commands[v]), commands[v]->about);

		assert_non_null(about);
		bad += misplaced(about + strlen(commands[v]->about), commands[v]);
	}
	assert_int_equal(bad, 0);
}

static void verbs_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(command_find("stat"), commands[0]);
	assert_null(command_find("sta"));
	assert_null(command_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(options_may_follow_operands_and_end_at_two_dashes),
		cmocka_unit_test(wrong_command_lines_are_usage_errors),
		cmocka_unit_test(no_operand_is_a_usage_error_unless_there_is_a_list),
		cmocka_unit_test(ranges_are_widened_sorted_and_do_not_overlap),
		cmocka_unit_test(names_and_letters_of_a_verb_are_unique),
		cmocka_unit_test(manual_knows_every_verb_and_option),
		cmocka_unit_test(help_has_every_option_and_column_as_completions_read_them),
		cmocka_unit_test(help_is_indented_and_fits_80_columns),
		cmocka_unit_test(verbs_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
