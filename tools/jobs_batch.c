/* SPDX-License-Identifier: MIT */
/*
 * jobs_batch.c - files that are handed from thread to thread together.
 *
 * Their names and directories belong to the batch: memory of its own for each name would be
 * taken by one thread and given back by another fifty thousand times in a tree of that size.
 */
#include "jobs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "select_dir.h"

/* Of a file, as most are; a batch of longer ones has fewer files. */
#define NAME_BYTES 64

static int make_outcomes(const struct run *run, struct batch *batch, size_t count)
{
	size_t ranges = run->options->range_count;

	batch->outcomes = calloc(count, sizeof(*batch->outcomes));
	if (!batch->outcomes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		target_init(&batch->outcomes[i].target);
	for (size_t i = 0; i < count; i++) {
		batch->outcomes[i].results = calloc(ranges, run->ops->result_size + 1);
		if (!batch->outcomes[i].results)
			return -ENOMEM;
	}
	return 0;
}

static size_t outcome_count(const struct run *run)
{
	return run_adds(run) ? 1 : run->batch_size;
}

int batch_make(const struct run *run, struct batch *batch)
{
	size_t ranges = run->options->range_count;
	int *errors;

	batch->slots = calloc(run->batch_size, sizeof(*batch->slots));
	batch->dirs = calloc(run->batch_size, sizeof(struct select_dir *));
	batch->sum = calloc(1, run->ops->sum_size + 1);
	batch->names_capacity = run->batch_size * NAME_BYTES;
	batch->names = malloc(batch->names_capacity);
	errors = calloc(run->batch_size, ranges * sizeof(*errors));
	if (batch->slots)
		batch->slots[0].errors = errors;
	else
		free(errors);
	if (!batch->slots || !batch->dirs || !batch->sum || !batch->names || !errors)
		return -ENOMEM;
	for (size_t i = 0; i < run->batch_size; i++)
		batch->slots[i].errors = errors + i * ranges;
	return make_outcomes(run, batch, outcome_count(run));
}

void batch_free(const struct run *run, struct batch *batch)
{
	batch_clear(batch);
	for (size_t i = 0; batch->outcomes && i < outcome_count(run); i++) {
		target_done(&batch->outcomes[i].target);
		free(batch->outcomes[i].results);
	}
	if (batch->slots)
		free(batch->slots[0].errors);
	free(batch->outcomes);
	free(batch->slots);
	free(batch->names);
	free(batch->dirs);
	free(batch->sum);
}

void batch_clear(struct batch *batch)
{
	while (batch->dir_count > 0)
		(void)select_dir_unref(batch->dirs[--batch->dir_count]);
	batch->names_length = 0;
	batch->count = 0;
}

static size_t names_size(const struct candidate *candidate)
{
	return strlen(candidate->name) + 1 +
	       (candidate->open_path ? strlen(candidate->open_path) + 1 : 0);
}

bool batch_has_room(const struct batch *batch, const struct candidate *candidate)
{
	return names_size(candidate) <= batch->names_capacity - batch->names_length;
}

/* There is room. */
static const char *copy_name(struct batch *batch, const char *name)
{
	size_t size = strlen(name) + 1;
	char *copy = memcpy(batch->names + batch->names_length, name, size);

	batch->names_length += size;
	return copy;
}

static int make_room(struct batch *batch, size_t size)
{
	char *grown;

	if (size <= batch->names_capacity)
		return 0;
	grown = realloc(batch->names, size);
	if (!grown)
		return -ENOMEM;
	batch->names = grown;
	batch->names_capacity = size;
	return 0;
}

static void hold_dir(struct batch *batch, struct select_dir *dir)
{
	if (batch->dir_count == 0 || batch->dirs[batch->dir_count - 1] != dir)
		batch->dirs[batch->dir_count++] = select_dir_ref(dir);
}

int batch_add(struct batch *batch, const struct candidate *candidate)
{
	struct candidate *copy = &batch->slots[batch->count].candidate;
	int r = batch->count > 0 ? 0 : make_room(batch, names_size(candidate));

	if (r < 0)
		return r;
	*copy = *candidate;
	copy->name = copy_name(batch, candidate->name);
	if (candidate->open_path)
		copy->open_path = copy_name(batch, candidate->open_path);
	if (candidate->dir)
		hold_dir(batch, candidate->dir);
	batch->count++;
	return 0;
}
