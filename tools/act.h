/* SPDX-License-Identifier: MIT */
/* act.h - what the verbs that act have in common. */
#ifndef MMAPCTL_ACT_H
#define MMAPCTL_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd.h"
#include "jobs.h"
#include "options.h"
#include "out.h"
#include "target.h"

/** Schema of what the acting verbs print: files with an "action". */
#define ACT_SCHEMA "mmapfs.residency/1"

/** One run of an acting verb. */
struct act {
	const struct options *options;
	struct out *out;
	struct tally tally;
	uint64_t flushed_ns; /* when rows were last pushed out */
};

/** Columns of every acting verb, in this order, behind its numbers; act_head() fills
 * them. */
/* clang-format off: it takes rows for blocks. */
#define ACT_HEAD_COLUMNS                                                              \
	{ "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "name of the file" },           \
	{ "RANGE", "range", CELL_TEXT, 0, 0, "the bytes that were asked for" },       \
	{ "SIZE", "size", CELL_BYTES, COLUMN_SUM, 6, "of the file" },                 \
	{ "OP", "action.op", CELL_WORD, 0, 0, "what was done" }

/** The last ones; act_tail() fills them. */
#define ACT_TAIL_COLUMNS                                                              \
	{ "ERRNO", "action.errno", CELL_COUNT, 0, 0, "number of the error" },         \
	{ "ERROR", "action.code", CELL_WORD, COLUMN_SHOWN, 0, "what went wrong" },    \
	{ 0 }
/* clang-format on */

enum { ACT_HEAD = 4, ACT_TAIL = 2 };

/** Called when the options are known, before anything is done. Returns OPTIONS_GO_ON, or
 * the exit code after it has said what is wrong. */
typedef int (*act_prepare_fn)(struct act *act, struct options *options);

/**
 * A whole acting verb: options (its own are fields of the struct that begins with @act),
 * output, every file by @ops (whose ctx is @act), summary. @prepare may be NULL. Returns
 * the exit code.
 */
int act_main(const struct command *command, int argc, char **argv, struct act *act,
	     const struct jobs_ops *ops, act_prepare_fn prepare);

/** The same in pieces. Begin the output; OPTIONS_GO_ON, or the exit code. */
int act_begin(struct act *act, const struct command *command,
	      const struct options *options);

/** Run over the files. Returns 0 or a negative errno, which has been said. */
int act_run(struct act *act, const struct jobs_ops *ops);

/** End of the output, @r being what act_run() returned; the exit code. */
int act_end(struct act *act, int r);

/** Fill ACT_HEAD cells, at @cells. @word must hold MMAPFS_WORD_MAX until out_row(). */
void act_head(struct cell *cells, const struct target *target, struct mmapfs_range range,
	      const char *op, char *word);

/** Fill the last ACT_TAIL cells, at @cells, from a negative errno or 0. */
void act_tail(struct cell *cells, int error);

/** Say "cannot OP 'PATH': ...", put it into the JSON and count it as failed. */
void act_failed(struct act *act, const char *op, const struct target *target, int error,
		const char *way_out);

/** Count a file, at the first of its ranges, in the output's totals; @unknown: nothing of
 * it could be measured. */
void act_count(struct act *act, struct mmapfs_range range, bool unknown);

/** Hand a row over; long work shows its rows as they come, also in a pipe. */
int act_row(struct act *act, const struct cell *cells);

/** Cells @from to @to, inclusive, are unknown for @reason. */
void act_cells_unknown(struct cell *cells, int from, int to, const char *reason);

/** Why residency of @target cannot be told, as a word; "?" when that is not known either.
 */
const char *act_reason(struct target *target);

#endif
