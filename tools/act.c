/* SPDX-License-Identifier: MIT */
/* act.c - what the verbs that act have in common: begin, end, first and last cells. */
#include "act.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "progress.h"

#define NS_PER_S UINT64_C(1000000000)
#define FLUSH_NS (NS_PER_S / 4)

/* The verb's columns, with RANGE shown: several rows of one file differ in nothing else.
 */
static struct out_column *with_range(const struct out_column *columns)
{
	struct out_column *copy;
	size_t count = 0;

	while (columns[count].name)
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	if (!copy)
		return NULL;
	memcpy(copy, columns, count * sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		if (strcmp(copy[i].name, "RANGE") == 0)
			copy[i].flags |= COLUMN_SHOWN;
	return copy;
}

int act_begin(struct act *act, const struct command *command,
	      const struct options *options)
{
	static struct out_column *shown; /* outlives the output; once per process */
	int r;

	act->options = options;
	if (options->ranges_given && !shown) {
		shown = with_range(command->columns);
		if (!shown) {
			say("%s", strerror(ENOMEM));
			return CODE_SOME_FAILED;
		}
	}
	r = out_begin(&options->out, options->ranges_given ? shown : command->columns,
		      ACT_SCHEMA, stdout, &act->out);
	if (r == -EINVAL)
		return CODE_USAGE;
	if (r < 0) {
		say("%s", strerror(-r));
		return CODE_SOME_FAILED;
	}
	return OPTIONS_GO_ON;
}

int act_run(struct act *act, const struct jobs_ops *ops)
{
	int r = jobs_run(act->options, ops, act, act->out, &act->tally);

	if (r < 0 && r != -EINTR)
		say("%s", strerror(-r));
	return r == -EINTR ? 0 : r;
}

int act_end(struct act *act, int r)
{
	int error = out_end(act->out, act->tally.interrupted);

	act->out = NULL;
	return r < 0 || error < 0 ? CODE_SOME_FAILED : tally_exit_code(&act->tally);
}

static int act_on_files(const struct command *command, struct act *act,
			struct options *options, const struct jobs_ops *ops)
{
	int r = act_begin(act, command, options);

	if (r != OPTIONS_GO_ON)
		return r;
	interrupt_catch();
	if (command->groups & GROUP_PROGRESS)
		progress_begin(options, command->name);
	r = act_run(act, ops);
	if (command->groups & GROUP_PROGRESS)
		progress_end();
	return act_end(act, r);
}

int act_main(const struct command *command, int argc, char **argv, struct act *act,
	     const struct jobs_ops *ops, act_prepare_fn prepare)
{
	struct options options;
	int r;

	r = options_parse(command, argc, argv, &options, act);
	act->options = &options;
	if (r == OPTIONS_GO_ON && prepare)
		r = prepare(act, &options);
	if (r == OPTIONS_GO_ON)
		r = options_need_operands(command, &options);
	if (r == OPTIONS_GO_ON)
		r = act_on_files(command, act, &options, ops);
	act->options = NULL;
	options_done(&options);
	return r;
}

void act_head(struct cell *cells, const struct target *target, struct mmapfs_range range,
	      const char *op, char *word)
{
	uint64_t size = (uint64_t)target->st.st_size;

	cells[0] = cell_text(target->path);
	cells[1] = cell_none();
	if (range.offset || range.length)
		cells[1] = cell_text(mmapfs_range_format(word, range));
	cells[2] = S_ISREG(target->st.st_mode) ? cell_number(size) : cell_none();
	cells[3] = cell_text(op);
}

void act_tail(struct cell *cells, int error)
{
	cells[0] = error < 0 ? cell_number((uint64_t)-error) : cell_none();
	cells[1] = error < 0 ? cell_text(mmapfs_errno_name(error)) : cell_none();
}

void act_failed(struct act *act, const char *op, const struct target *target, int error,
		const char *way_out)
{
	act->tally.failed++;
	out_error(act->out, op, target->path, error, way_out);
}

int act_row(struct act *act, const struct cell *cells)
{
	struct timespec ts;
	uint64_t now;
	int r;

	r = out_row(act->out, cells);
	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	if (act->flushed_ns == 0)
		act->flushed_ns = now;
	if (now - act->flushed_ns < FLUSH_NS)
		return 0;
	act->flushed_ns = now;
	out_flush(act->out);
	return 0;
}

void act_count(struct act *act, struct mmapfs_range range, bool unknown)
{
	const struct mmapfs_range *first = &act->options->ranges[0];

	if (range.offset != first->offset || range.length != first->length)
		return;
	out_count_file(act->out, unknown);
	act->tally.unknown += unknown;
}

void act_cells_unknown(struct cell *cells, int from, int to, const char *reason)
{
	for (int i = from; i <= to; i++)
		cells[i] = cell_unknown(reason);
}

const char *act_reason(struct target *target)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct observation seen;

	if (target_observe(target, whole, 0, &seen) < 0)
		return "?";
	return mmapfs_reason_name(seen.residency.reason);
}
