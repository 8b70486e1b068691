/* SPDX-License-Identifier: MIT */
/* progress.h - how far long work is, on the terminal and for programs; and SIGINT. */
#ifndef MMAPCTL_PROGRESS_H
#define MMAPCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct options;

/*
 * From now on SIGINT, SIGTERM and SIGHUP only raise a flag; verbs look at it between pieces,
 * print a summary of what is true, and exit with 130. A second one ends the process.
 */
void interrupt_catch(void);
bool interrupted(void);
/* Which signal it was; 0: none. */
int interrupt_signal(void);

/*
 * Of bytes. Everything below may be called from any thread. There is one for the process:
 * a bar on stderr when that is a terminal (at most 10 times a second), and on
 * options->progress_fd lines like
 *	{"ev":"progress","bytes":1048576,"total":4194304,"rate":104857600}
 * `total` is null while it is not known.
 */
void progress_begin(const struct options *options, const char *what);

/* One more piece of work of @bytes has been found. */
void progress_expect(uint64_t bytes);

/* @bytes more are done. */
void progress_add(uint64_t bytes);

/* Before a line is written to stderr or stdout: takes the bar away until the next draw. */
void progress_hide(void);

/* Take the bar away, write the last line to the descriptor ("ev":"end"). */
void progress_end(void);

#endif
