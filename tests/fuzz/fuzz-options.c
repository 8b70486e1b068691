/* SPDX-License-Identifier: MIT */
/*
 * fuzz-options.c - the command line of the mount program: a line of the input is a word of
 * it, behind the program's name. The values of -o budget are read by the attribute, too.
 */
#include "fuzz.h"

#include <errno.h>

#include "cache_budget.h"
#include "options.h"

#define WORDS_MAX 64

void fuzz_begin(void)
{
	fuzz_be_quiet();
}

static void check_options(const struct options *o)
{
	check(o->help || o->version || (o->source && o->mountpoint));
	check(o->data_path <= PATH_MAPPED);
	check(o->max_threads >= 1 && o->max_threads <= 256);
	check(o->workers >= 1 && o->workers <= 64);
	check(o->stack_depth == 1 || o->stack_depth == 2);
	check(o->attr_timeout >= 0 && o->attr_timeout <= 86400);
	check(o->entry_timeout >= 0 && o->entry_timeout <= 86400);
	check(o->negative_timeout >= 0 && o->negative_timeout <= 86400);
	check(o->snapshot_interval <= SNAPSHOT_INTERVAL_MAX);
	check(!o->snapshot || *o->snapshot);
	check(!o->policy || *o->policy);
	check(o->budget == BUDGET_OFF || o->budget >= BUDGET_MIN);
	for (size_t i = 0; i < o->lock_globs.count; i++)
		check(o->lock_globs.list[i]);
}

/* Words end with the text that they are in. */
static int split(char *text, char **words)
{
	char *save = NULL;
	int count = 0;

	words[count++] = (char *)(uintptr_t)"mmapfs";
	for (char *word = strtok_r(text, "\n", &save); word && count < WORDS_MAX;
	     word = strtok_r(NULL, "\n", &save))
		words[count++] = word;
	words[count] = NULL;
	return count;
}

static void try_budget(const char *text)
{
	uint64_t limit = 42;
	int r = budget_parse(text, &limit);

	check(r == 0 || r == -EINVAL);
	check(r < 0 ? limit == 42 : limit == BUDGET_OFF || limit >= BUDGET_MIN);
}

enum verdict fuzz_input(const char *data, size_t length)
{
	char *words[WORDS_MAX + 1];
	char *text = fuzz_text(data, length);
	struct options options;
	int r;

	try_budget(text);
	r = options_parse(split(text, words), words, &options);
	check(r == 0 || r == -EINVAL);
	if (r == 0)
		check_options(&options);
	options_free(&options);
	free(text);
	return r < 0 ? REJECTED : ACCEPTED;
}
