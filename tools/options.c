/* SPDX-License-Identifier: MIT */
/* options.c - the shared options, and parsing and help for all from rows. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define ROWS_MAX 64

/* Above the values of letters. */
#define LONG_BASE 256

#define JOBS_MAX 64

/* ---- setters of fields that only shared rows have ---- */

static int add_glob(void *to, const struct option_row *row, const char *arg)
{
	struct select_globs *globs = to;
	const char **list;

	(void)row;
	list = reallocarray(globs->list, globs->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	globs->list = list;
	list[globs->count++] = arg;
	return 0;
}

static int add_range(void *to, const struct option_row *row, const char *arg)
{
	struct options *options = to;
	struct mmapfs_range *ranges, range;
	int r;

	(void)row;
	r = mmapfs_range_parse(arg, &range);
	if (r < 0)
		return r;
	ranges = reallocarray(options->ranges, options->range_count + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	options->ranges = ranges;
	ranges[options->range_count++] = range;
	options->ranges_given = true;
	return 0;
}

static int add_pid(void *to, const struct option_row *row, const char *arg)
{
	struct select_options *select = to;
	unsigned int pid;
	pid_t *pids;
	int r;

	r = option_set_count(&pid, row, arg);
	if (r < 0)
		return r;
	pids = reallocarray((pid_t *)select->pids, select->pid_count + 1, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	select->pids = pids;
	pids[select->pid_count++] = (pid_t)pid;
	return 0;
}

static int set_jobs(void *to, const struct option_row *row, const char *arg)
{
	unsigned int jobs;
	int r = option_set_count(&jobs, row, arg);

	if (r == 0 && jobs > JOBS_MAX)
		return -ERANGE;
	if (r == 0)
		*(unsigned int *)to = jobs;
	return r;
}

/* ---- the shared rows ---- */

#define AT(field) offsetof(struct options, field)

static const struct option_row shared_rows[] = {
	{ "include", 0, "GLOB", "only files whose name matches; a GLOB with a / is\n"
	  "matched against the whole path; repeatable", add_glob, AT(select.include), 0,
	  GROUP_SELECT },
	{ "exclude", 0, "GLOB", "not these files, and not into these directories", add_glob,
	  AT(select.exclude), 0, GROUP_SELECT },
	{ "min-size", 0, "SIZE", "only files of at least SIZE", option_set_size,
	  AT(select.min_size), 0, GROUP_SELECT },
	{ "max-size", 0, "SIZE", "only files of at most SIZE", option_set_size,
	  AT(select.max_size), 0, GROUP_SELECT },
	{ "files-from", 0, "FILE", "also the paths listed in FILE (-: stdin), one\n"
	  "a line",
	  option_set_text, AT(select.files_from), 0, GROUP_SELECT },
	{ "null", '0', NULL, "names in --files-from end with NUL, not newline",
	  option_set_true, AT(select.nul), 0, GROUP_SELECT },
	{ "pid", 'p', "PID", "also the files that PID has mapped or open", add_pid,
	  AT(select), 0, GROUP_SELECT },
	{ "no-recursion", 0, NULL, "do not enter directories", option_set_true,
	  AT(select.no_recursion), 0, GROUP_SELECT },
	{ "follow", 0, NULL, "follow symbolic links, also inside of directories",
	  option_set_value, AT(select.follow), FOLLOW_ALL, GROUP_SELECT },
	{ "no-follow", 0, NULL, "follow none, also not those given as PATH",
	  option_set_value, AT(select.follow), FOLLOW_NONE, GROUP_SELECT },
	{ "one-file-system", 'x', NULL, "stay on the filesystem of each PATH",
	  option_set_true, AT(select.one_file_system), 0, GROUP_SELECT },
	{ "count-links", 'l', NULL, "count a file once for each of its hard links",
	  option_set_true, AT(select.count_links), 0, GROUP_SELECT },
	{ "range", 'r', "RANGE", "OFFSET+LENGTH, OFFSET- or OFFSET (one page), with\n"
	  "K M G T; repeatable", add_range, 0, 0, GROUP_RANGE },
	{ "json", 'J', NULL, "one JSON object", option_set_value, AT(out.format), OUT_JSON,
	  GROUP_OUTPUT },
	{ "jsonl", 0, NULL, "JSON lines, one object for each row", option_set_value,
	  AT(out.format), OUT_JSONL, GROUP_OUTPUT },
	{ "raw", 0, NULL, "tab-separated, plain numbers", option_set_value, AT(out.format),
	  OUT_RAW, GROUP_OUTPUT },
	{ "output", 'o', "COLUMNS", "these columns; +COLUMNS adds to the default ones",
	  option_set_text, AT(out.columns), 0, GROUP_OUTPUT },
	{ "bytes", 'b', NULL, "sizes in bytes, not 1.5G", option_set_true, AT(out.bytes), 0,
	  GROUP_OUTPUT },
	{ "no-headings", 'n', NULL, "no line of headings", option_set_true,
	  AT(out.no_headings), 0, GROUP_OUTPUT },
	{ "totals", 'c', NULL, "a line of totals, also for one row or --raw",
	  option_set_true, AT(out.totals), 0, GROUP_OUTPUT },
	{ "no-totals", 0, NULL, "no line of totals", option_set_true, AT(out.no_totals), 0,
	  GROUP_OUTPUT },
	{ "summarize", 's', NULL, "only the totals", option_set_true, AT(out.summarize), 0,
	  GROUP_OUTPUT },
	{ "sort", 0, "COLUMN", "largest first, names a to z; -COLUMN turns round",
	  option_set_text, AT(out.sort), 0, GROUP_OUTPUT },
	{ "top", 0, "N", "only the first N rows, after --sort", option_set_count,
	  AT(out.top), 0, GROUP_OUTPUT },
	{ "jobs", 'j', "N", "work on N files at a time (1)", set_jobs, AT(jobs), 0,
	  GROUP_JOBS },
	{ "progress-fd", 0, "FD", "write progress to FD as JSON lines", option_set_fd,
	  AT(progress_fd), 0, GROUP_PROGRESS },
	{ "no-progress", 0, NULL, "no progress bar", option_set_true, AT(no_progress), 0,
	  GROUP_PROGRESS },
	{ "quiet", 'q', NULL, "no notices, only errors", option_set_true, AT(quiet), 0, 0 },
};

static const struct option_row help_row = { "help", 'h', NULL, "show this", NULL, 0, 0, 0 };

static bool takes(const struct command *command, const struct option_row *row)
{
	return row->group == 0 || (command->groups & row->group);
}

static size_t own_count(const struct command *command)
{
	size_t n = 0;

	while (command->rows && command->rows[n].name)
		n++;
	return n;
}

const struct option_row *options_row(const struct command *command, size_t i)
{
	size_t own = own_count(command);

	if (i < own)
		return &command->rows[i];
	i -= own;
	for (size_t k = 0; k < ARRAY_SIZE(shared_rows); k++)
		if (takes(command, &shared_rows[k]) && i-- == 0)
			return &shared_rows[k];
	return i == 0 ? &help_row : NULL;
}

/* ---- help ---- */

/* The first line goes on where the cursor is, the others begin at @column, below it. */
static void print_lines(const char *lines, int column)
{
	for (;;) {
		size_t n = strcspn(lines, "\n");

		printf("%.*s\n", (int)n, lines);
		if (!lines[n])
			break;
		lines += n + 1;
		printf("%*s", column, "");
	}
}

static void print_row(const struct option_row *row)
{
	char left[40], letter[5] = "   ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c,", row->letter);
	snprintf(left, sizeof(left), "  %s --%s%s%s", letter, row->name, row->arg ? " " : "",
		 row->arg ? row->arg : "");
	printf("%-28s", left);
	if (strlen(left) > 27)
		printf("\n%-28s", "");
	print_lines(row->help, 28);
}

static void print_columns(const struct out_column *columns)
{
	puts("\nColumns (* by default):");
	for (; columns->name; columns++) {
		if (columns->flags & COLUMN_JSON_ONLY)
			continue;
		printf("  %c %-16s ", columns->flags & COLUMN_SHOWN ? '*' : ' ', columns->name);
		print_lines(columns->help ? columns->help : "", 21);
	}
}

void options_help(const struct command *command)
{
	static const struct {
		uint32_t group;
		const char *title;
	} groups[] = {
		{ GROUP_SELECT, "Which files" },     { GROUP_RANGE, "Which part of them" },
		{ GROUP_OUTPUT, "Output" },	     { GROUP_JOBS, "Work" },
		{ GROUP_PROGRESS, "Progress" },	     { 0, "Other" },
	};

	printf("Usage: mmapctl %s %s\n\n%s", command->name, command->synopsis, command->about);
	if (own_count(command) > 0)
		puts("\nOptions:");
	for (size_t i = 0; i < own_count(command); i++)
		print_row(&command->rows[i]);
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		if (groups[g].group && !(command->groups & groups[g].group))
			continue;
		printf("\n%s:\n", groups[g].title);
		for (size_t i = 0; i < ARRAY_SIZE(shared_rows); i++)
			if (shared_rows[i].group == groups[g].group)
				print_row(&shared_rows[i]);
	}
	print_row(&help_row);
	if (command->columns && command->groups & GROUP_OUTPUT)
		print_columns(command->columns);
	printf("\n%s", command->example);
}

/* ---- parsing ---- */

struct parser {
	const struct command *command;
	const struct option_row *rows[ROWS_MAX];
	struct option longs[ROWS_MAX + 1];
	char letters[2 * ROWS_MAX + 4];
};

static void parser_init(struct parser *parser, const struct command *command)
{
	char *to = parser->letters;
	size_t i;

	memset(parser, 0, sizeof(*parser));
	parser->command = command;
	*to++ = ':'; /* tell a missing argument from an unknown option */
	for (i = 0; i < ROWS_MAX && (parser->rows[i] = options_row(command, i)); i++) {
		const struct option_row *row = parser->rows[i];

		parser->longs[i] = (struct option){
			.name = row->name,
			.has_arg = row->arg ? required_argument : no_argument,
			.val = LONG_BASE + (int)i,
		};
		if (row->letter)
			*to++ = row->letter;
		if (row->letter && row->arg)
			*to++ = ':';
	}
}

static const struct option_row *parser_row(const struct parser *parser, int value)
{
	if (value >= LONG_BASE)
		return parser->rows[value - LONG_BASE];
	for (size_t i = 0; i < ROWS_MAX && parser->rows[i]; i++)
		if (parser->rows[i]->letter == value)
			return parser->rows[i];
	return NULL;
}

static bool is_own(const struct command *command, const struct option_row *row)
{
	return command->rows && row >= command->rows &&
	       row < command->rows + own_count(command);
}

static int refuse(const struct command *command, const char *what, const char *option)
{
	_cleanup_free_ char *quoted = path_quoted(option);

	say("%s '%s'; see mmapctl %s --help", what, quoted ? quoted : "?", command->name);
	return CODE_USAGE;
}

static const char *why_refused(int error)
{
	switch (error) {
	case -EINVAL:
		return "not understood";
	case -ERANGE:
		return "out of range";
	default:
		return strerror(-error);
	}
}

static int store(const struct command *command, const struct option_row *row,
		 struct options *options, void *own)
{
	char *to = is_own(command, row) ? own : (void *)options;
	int r = row->set(to + row->offset, row, optarg);

	if (r >= 0)
		return OPTIONS_GO_ON;
	say("--%s %s: %s; see mmapctl %s --help", row->name, optarg ? optarg : "",
	    why_refused(r), command->name);
	return CODE_USAGE;
}

static int parse_one(const struct parser *parser, int value, char **argv,
		     struct options *options, void *own)
{
	const struct option_row *row;
	char letter[] = { '-', (char)optopt, 0 };
	bool is_long = optopt == 0 || optopt >= LONG_BASE;

	if (value == ':')
		return refuse(parser->command, "an argument is missing after",
			      is_long ? argv[optind - 1] : letter);
	if (value == '?')
		return refuse(parser->command, "unknown option",
			      is_long ? argv[optind - 1] : letter);
	row = parser_row(parser, value);
	if (row != &help_row)
		return store(parser->command, row, options, own);
	options_help(parser->command);
	return fflush(stdout) == 0 ? CODE_DONE : CODE_SOME_FAILED;
}

/* ---- ranges ---- */

static int by_offset(const void *a, const void *b)
{
	const struct mmapfs_range *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return 0;
}

static uint64_t end_of(const struct mmapfs_range *range)
{
	return range->length ? add_saturated(range->offset, range->length) : UINT64_MAX;
}

/* No page is to be counted twice. Ranges that only touch stay apart: they were asked for
 * one by one. */
static void merge_ranges(struct options *options)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct mmapfs_range *ranges = options->ranges;
	size_t kept = 0;

	for (size_t i = 0; i < options->range_count; i++) {
		uint64_t end = end_of(&ranges[i]);

		ranges[i].offset = align_down(ranges[i].offset, page);
		if (end != UINT64_MAX)
			ranges[i].length = align_up(end, page) - ranges[i].offset;
	}
	qsort(ranges, options->range_count, sizeof(*ranges), by_offset);
	for (size_t i = 1; i < options->range_count; i++) {
		uint64_t end = end_of(&ranges[kept]);

		if (ranges[i].offset >= end) {
			ranges[++kept] = ranges[i];
			continue;
		}
		end = u64_max(end, end_of(&ranges[i]));
		ranges[kept].length = end == UINT64_MAX ? 0 : end - ranges[kept].offset;
	}
	options->range_count = kept + 1;
}

static int finish_ranges(struct options *options)
{
	if (options->range_count > 0) {
		merge_ranges(options);
		return OPTIONS_GO_ON;
	}
	options->ranges = calloc(1, sizeof(*options->ranges));
	if (!options->ranges)
		return CODE_SOME_FAILED;
	options->range_count = 1;
	return OPTIONS_GO_ON;
}

int options_parse(const struct command *command, int argc, char **argv,
		  struct options *ret, void *own)
{
	struct parser parser;
	int value, code;

	*ret = (struct options){ .jobs = 1, .progress_fd = -1 };
	ret->select.max_size = UINT64_MAX;
	parser_init(&parser, command);
	opterr = 0;
	optind = 0; /* glibc: start afresh, also a second time in one process */
	for (;;) {
		optopt = 0;
		value = getopt_long(argc, argv, parser.letters, parser.longs, NULL);
		if (value < 0)
			break;
		code = parse_one(&parser, value, argv, ret, own);
		if (code != OPTIONS_GO_ON)
			return code;
	}
	ret->operands = argv + optind;
	ret->operand_count = argc - optind;
	if (ret->quiet)
		say_be_quiet();
	return finish_ranges(ret);
}

void options_done(struct options *options)
{
	free(options->ranges);
	free(options->select.include.list);
	free(options->select.exclude.list);
	free((pid_t *)options->select.pids);
	options->ranges = NULL;
	options->select.include.list = options->select.exclude.list = NULL;
	options->select.pids = NULL;
}

int options_need_operands(const struct command *command, const struct options *options)
{
	if (options->operand_count > 0 || options->select.files_from ||
	    options->select.pid_count > 0)
		return OPTIONS_GO_ON;
	say("no path given; see mmapctl %s --help", command->name);
	return CODE_USAGE;
}
