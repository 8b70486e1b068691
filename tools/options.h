/* SPDX-License-Identifier: MIT */
/*
 * options.h - the options of all verbs, from tables of rows.
 *
 * A verb names the groups of shared options that it takes and adds rows of its own.
 * Parsing, --help and completion come from the rows.
 */
#ifndef MMAPCTL_OPTIONS_H
#define MMAPCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "cmd.h"
#include "out.h"
#include "select.h"

enum option_group {
	GROUP_SELECT = 1 << 0, /* which files: --include, --files-from, --pid, ... */
	GROUP_RANGE = 1 << 1,  /* --range */
	GROUP_OUTPUT = 1 << 2, /* --json, --output, --sort, ... */
	GROUP_JOBS = 1 << 3,   /* --jobs */
	GROUP_PROGRESS = 1 << 4, /* --progress-fd, --no-progress */
};

/* The shared options, with their defaults filled in. */
struct options {
	struct select_options select;
	struct out_options out;
	struct mmapfs_range *ranges; /* at least one; {0, 0} when none was given. Widened to
				      * whole pages, sorted, without overlap */
	size_t range_count;
	bool ranges_given;
	unsigned int jobs;  /* >= 1 */
	int progress_fd;    /* -1: none */
	bool no_progress;   /* no bar even on a terminal */
	bool quiet;
	char **operands; /* points into argv */
	int operand_count;
};

/*
 * Store @arg (NULL when the row takes none) at @to, which is the field of the row. Returns 0
 * or a negative errno, which becomes a usage message that quotes the row and the argument.
 */
typedef int (*option_set_fn)(void *to, const struct option_row *row, const char *arg);

struct option_row {
	const char *name;	/* long name, without dashes */
	char letter;		/* 0: none */
	const char *arg;	/* name of the argument in the help, "SIZE"; NULL: takes none */
	const char *help;	/* lines of at most 50 columns, joined by \n, no full stop */
	option_set_fn set;
	size_t offset;	/* of the field: in struct options for shared rows, else in @own */
	uint64_t value; /* for set functions that store a constant */
	uint32_t group; /* of shared rows */
};

/* Setters. What the field must be is in brackets. */
int option_set_true(void *to, const struct option_row *row, const char *arg);   /* bool */
int option_set_false(void *to, const struct option_row *row, const char *arg);  /* bool */
int option_set_value(void *to, const struct option_row *row, const char *arg);  /* uint32_t */
int option_set_size(void *to, const struct option_row *row, const char *arg);   /* uint64_t */
int option_set_count(void *to, const struct option_row *row, const char *arg);  /* unsigned, > 0 */
int option_set_fd(void *to, const struct option_row *row, const char *arg);     /* int, open */
int option_set_text(void *to, const struct option_row *row, const char *arg);   /* const char * */
int option_set_seconds(void *to, const struct option_row *row, const char *arg); /* uint64_t ns */

#define OPTIONS_GO_ON (-1)

/*
 * Parse argv (argv[0] is the verb) into @ret and, for the verb's own rows, into @own (which
 * holds the defaults). Options may follow operands; `--` ends them. Returns OPTIONS_GO_ON, or
 * the exit code when --help was answered or something was wrong and has been said. Give @ret
 * to options_done() in either case.
 */
int options_parse(const struct command *command, int argc, char **argv,
		  struct options *ret, void *own);
void options_done(struct options *options);

/* Does @command take at least one operand, --files-from or --pid? Says so if not. Returns
 * OPTIONS_GO_ON or CODE_USAGE. */
int options_need_operands(const struct command *command, const struct options *options);

/* The whole help of a verb, for stdout. Lines of at most 80 columns. */
void options_help(const struct command *command);

/* Row @i of those that @command takes (own ones first), NULL after the last. For tests and
 * completions. */
const struct option_row *options_row(const struct command *command, size_t i);

#endif
