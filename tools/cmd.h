/* SPDX-License-Identifier: MIT */
/* cmd.h - what a verb of mmapctl is, its exit codes, and how it speaks to the user. */
#ifndef MMAPCTL_CMD_H
#define MMAPCTL_CMD_H

#include <stdint.h>

struct option_row;
struct out_column;

/* EXIT_SUCCESS and EXIT_FAILURE say less than we promise. */
enum exit_code {
	CODE_DONE = 0,
	CODE_USAGE = 1,
	CODE_SOME_FAILED = 2, /* some path failed, the others are done */
	CODE_UNKNOWN = 3,     /* nothing could be known, or the kernel lacks what it needs */
	CODE_INCOMPLETE = 4,  /* the action did not reach all, and the output says why */
	CODE_INTERRUPTED = 130,
};

/*
 * A verb: one constant of this type in cmd_<verb>.c, and one row in commands.c. Dispatch,
 * help, the manual's list and the completions come from it.
 */
struct command {
	const char *name;
	const char *summary;	  /* one line for `mmapctl --help`, no full stop */
	const char *synopsis;	  /* what follows the name: "[OPTION]... PATH..." */
	const char *about;	  /* paragraphs, lines of at most 80 columns, final newline */
	const char *example;	  /* the last lines of the help, as about */
	uint32_t groups;	  /* enum option_group, or-ed: shared options it takes */
	const struct option_row *rows;	  /* its own; ends with a row without a name; or NULL */
	const struct out_column *columns; /* ends with one without a name; or NULL */
	/* argv[0] is the verb. Returns enum exit_code. */
	int (*run)(const struct command *command, int argc, char **argv);
};

/* In commands.c: all verbs in the order of the help; ends with NULL. */
extern const struct command *const commands[];

/* NULL when there is no such verb. */
const struct command *command_find(const char *name);

/* ---- messages, on stderr, one line each ---- */

/* "mmapctl: cannot VERB 'PATH': REASON (WAY OUT)"; @error is a negative errno, @way_out may
 * be NULL. The path is quoted so that no name can disturb a terminal. */
void say_cannot(const char *verb, const char *path, int error, const char *way_out);

/* "mmapctl: TEXT". */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* As say(), unless --quiet was given. For what the user may want to know but is no error. */
__attribute__((format(printf, 1, 2))) void say_notice(const char *format, ...);
void say_be_quiet(void);

/* @path with control characters, quotes and broken UTF-8 made visible: 'a\nb'. Returns
 * malloc'ed text, NULL when out of memory. */
char *path_quoted(const char *path);

#endif
