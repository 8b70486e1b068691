/* SPDX-License-Identifier: MIT */
/* cmd_advise.c - mmapctl advise: give a madvise(2) word, and say what is resident after.
 */
#include "commands.h"

#include <errno.h>
#include <stdio.h>

#include "act.h"
#include "cells.h"

struct advise {
	struct act act; /* first, for the callbacks */
	bool destructive;
	enum mmapfs_advice advice;
};

struct advised {
	struct mmapfs_residency before, after;
	bool on_mount;
};

enum column {
	BEFORE,
	AFTER,
	HEAD,
	ADVICE = HEAD + ACT_HEAD,
	EFFECT,
	TAIL,
	COLUMNS = TAIL + ACT_TAIL,
};

static const struct out_column columns[] = {
	{ "BEFORE", "action.before", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "resident pages before" },
	{ "AFTER", "action.after", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "resident pages now" },
	ACT_HEAD_COLUMNS,
	{ "ADVICE", "action.advice", CELL_WORD, COLUMN_SHOWN, 0,
	  "the word that was given" },
	{ "EFFECT", "action.effect", CELL_WORD, COLUMN_SHOWN, 0,
	  "done; in-force: on the mount; ended; failed" },
	ACT_TAIL_COLUMNS,
};

static const struct option_row rows[] = {
	{ "destructive", 0, NULL, "allow words that destroy data: remove, free, ...",
	  option_set_true, offsetof(struct advise, destructive) },
	{ 0 },
};

/* ---- one file ---- */

static bool needs_writable(enum mmapfs_advice advice)
{
	return advice == MMAPFS_ADVICE_POPULATE_WRITE || advice == MMAPFS_ADVICE_REMOVE;
}

static struct mmapfs_residency observe(struct target *target, struct mmapfs_range range)
{
	struct observation seen = { 0 };

	if (target_observe(target, range, MMAPFS_OBSERVE_READY, &seen) < 0)
		seen = (struct observation){ 0 };
	return seen.residency;
}

static int give(const struct advise *advise, struct target *target,
		struct mmapfs_range range)
{
	uint32_t flags = advise->destructive ? MMAPFS_ADVISE_MAY_DESTROY : 0;
	int r = 0;

	if (needs_writable(advise->advice))
		r = target_reopen_writable(target);
	return r < 0 ? r : target_advise(target, range, advise->advice, flags);
}

static int work(void *ctx, struct target *target, struct mmapfs_range range, void *result)
{
	struct advised *advised = result;
	int r;

	advised->on_mount = target->on_mount;
	advised->before = observe(target, range);
	r = give(ctx, target, range);
	advised->after = observe(target, range);
	return r;
}

static bool is_state(const struct advise *advise)
{
	return mmapfs_advice_kinds(advise->advice) & MMAPFS_ADVICE_STATE;
}

/* State is that of a mapping: the mount keeps one, this command cannot. */
static const char *effect_of(const struct advise *advise, bool on_mount, int error)
{
	if (error < 0)
		return "failed";
	if (!is_state(advise))
		return "done";
	return on_mount ? "in-force" : "ended";
}

static const char *way_out(bool on_mount, int error)
{
	if (error == -EINVAL)
		return "not for this kind of file, or not in this kernel";
	if (error == -EPERM && on_mount)
		return "a mount takes no advice that destroys data";
	return NULL;
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	const struct advised *advised = result;
	struct advise *advise = ctx;
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX];

	act_head(cells + HEAD, target, range, "advise", word);
	act_tail(cells + TAIL, error);
	cells[ADVICE] = cell_text(mmapfs_advice_name(advise->advice));
	cells[EFFECT] = cell_text(effect_of(advise, advised->on_mount, error));
	cells[BEFORE] = cell_figure(&advised->before, MMAPFS_RESIDENT);
	cells[AFTER] = cell_figure(&advised->after, MMAPFS_RESIDENT);
	if (error < 0)
		act_failed(&advise->act, "advise", target, error,
			   way_out(advised->on_mount, error));
	else if (is_state(advise) && !advised->on_mount)
		advise->act.tally.incomplete++;
	act_count(&advise->act, range, false);
	return act_row(&advise->act, cells);
}

/* ---- the verb ---- */

static void say_words(void)
{
	char line[80] = "";
	size_t used = 0;

	for (int i = 0; i < MMAPFS_ADVICE_COUNT; i++) {
		const char *word = mmapfs_advice_name((enum mmapfs_advice)i);
		int n = snprintf(line + used, sizeof(line) - used, " %s", word);

		used += (size_t)n;
		if (used < 66 && i + 1 < MMAPFS_ADVICE_COUNT)
			continue;
		say("words:%s", line);
		used = 0;
	}
}

static bool may_destroy(enum mmapfs_advice advice)
{
	return mmapfs_advice_kinds(advice) & MMAPFS_ADVICE_DESTRUCTIVE;
}

/* The first operand is the word. */
static int prepare(struct act *act, struct options *options)
{
	struct advise *advise = (struct advise *)act;
	int advice;

	if (options->operand_count == 0) {
		say("advise needs a word, as in: mmapctl advise willneed PATH");
		return CODE_USAGE;
	}
	advice = mmapfs_advice_parse(options->operands[0]);
	if (advice < 0) {
		say("'%s' is no advice", options->operands[0]);
		say_words();
		return CODE_USAGE;
	}
	advise->advice = (enum mmapfs_advice)advice;
	if (may_destroy(advise->advice) && !advise->destructive) {
		say("advice '%s' destroys data: give --destructive if that is meant",
		    mmapfs_advice_name(advise->advice));
		return CODE_USAGE;
	}
	options->operands++;
	options->operand_count--;
	return OPTIONS_GO_ON;
}

static int run(const struct command *command, int argc, char **argv)
{
	static const struct jobs_ops ops = { sizeof(struct advised), work, deliver };
	struct advise advise = { 0 };
	int r = act_main(command, argc, argv, &advise.act, &ops, prepare);

	if (r == CODE_INCOMPLETE)
		say_notice("advice '%s' on a plain file ended with this command: "
			   "only a mounted mmapfs keeps it",
			   mmapfs_advice_name(advise.advice));
	return r;
}

const struct command cmd_advise = {
	.name = "advise",
	.summary = "give a madvise(2) word, and say what is resident after",
	.synopsis = "WORD [OPTION]... PATH...",
	.about =
		"Words that act: willneed dontneed cold pageout populate-read populate-write\n"
		"collapse dontneed-locked; with --destructive: remove (punches a hole) free.\n"
		"Words that stay in force on the mapping of a mounted mmapfs, and on a plain\n"
		"file end with the command (exit code 4): normal random sequential hugepage\n"
		"nohugepage mergeable unmergeable dontfork dofork dontdump dodump\n"
		"keeponfork; with --destructive: wipeonfork.\n",
	.example = "Example: let the mount read this file without readahead\n"
		   "  mmapctl advise random /mnt/data/index.db\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_JOBS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
