/* SPDX-License-Identifier: MIT */
/* jobs_file.c - one file of a run: open it, work on it, deliver what came of it. */
#include "jobs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "out.h"
#include "progress.h"
#include "select_dir.h"

/* Is it a file that was seen under another name? */
static bool is_duplicate(struct run *run, const struct stat *st)
{
	bool linked = st->st_nlink > 1 || run->options->select.follow == FOLLOW_ALL;
	bool before, was_full, is_full;

	if (!linked || run->options->select.count_links)
		return false;
	pthread_mutex_lock(&run->seen_mutex);
	was_full = seen_is_full(run->seen);
	before = seen_before(run->seen, st->st_dev, st->st_ino);
	is_full = seen_is_full(run->seen);
	pthread_mutex_unlock(&run->seen_mutex);
	if (is_full && !was_full)
		say_notice("very many hard links: from here on some may be counted twice");
	return before;
}

static void work(struct run *run, struct batch *batch, size_t index,
		 const struct statx *fresh)
{
	struct outcome *outcome = batch_outcome(run, batch, index);
	const struct mmapfs_range *ranges = run->options->ranges;
	const struct jobs_ops *ops = run->ops;
	int *errors = batch->slots[index].errors;

	outcome->target.fresh = fresh;
	for (size_t i = 0; i < run->options->range_count; i++) {
		void *result = outcome->results + i * ops->result_size;

		memset(result, 0, ops->result_size);
		errors[i] = ops->work(run->ctx, &outcome->target, ranges[i], result);
		if (ops->add && errors[i] == 0)
			ops->add(run->ctx, ranges[i], result, batch->sum);
	}
	outcome->target.fresh = NULL;
}

void place_leave(struct place *place)
{
	if (place->dir)
		own_descriptors_return(place->own, place->fd);
	place->dir = NULL;
}

/* @dir in the thread's own descriptor table. A candidate of the batch refers to it, so that
 * no other directory can come to have its address. */
static int go_to(struct place *place, const struct select_dir *dir, int *ret)
{
	*ret = AT_FDCWD;
	if (!dir)
		return 0;
	if (dir != place->dir) {
		place_leave(place);
		*ret = own_descriptors_borrow(place->own, dir->fd);
		if (*ret < 0)
			return *ret;
		place->dir = dir;
		place->fd = *ret;
	}
	*ret = place->fd;
	return 0;
}

static int open_slot(struct run *run, struct place *place, struct slot *slot,
		     struct found *ret)
{
	int dirfd, r;

	ret->st.st_mode = 0;
	r = go_to(place, slot->candidate.dir, &dirfd);
	return r < 0 ? r
		     : select_open_at(&run->options->select, &slot->candidate, dirfd, ret);
}

/* Of a file that is added: is it more than a number? */
static void note(const struct run *run, struct batch *batch, size_t index)
{
	const struct slot *slot = &batch->slots[index];
	bool counted = slot->verdict == VERDICT_FOUND && !slot->duplicate;

	batch->found += counted;
	batch->to_tell |= slot->verdict < 0 || slot->verdict == VERDICT_SKIP;
	for (size_t i = 0; counted && i < run->options->range_count; i++)
		batch->to_tell |= slot->errors[i] < 0;
}

/* Let @target be what was @found. */
static int set_target(struct run *run, const struct candidate *candidate,
		      const struct found *found, struct target *target)
{
	int r = target_set(target, found);

	if (r < 0 || run_adds(run))
		return r;
	return candidate_path(candidate, &target->path, &target->path_capacity);
}

static void open_and_work(struct run *run, struct place *place, struct batch *batch,
			  size_t index)
{
	struct target *target = &batch_outcome(run, batch, index)->target;
	struct slot *slot = &batch->slots[index];
	struct found found;
	int r;

	slot->verdict = DROPPED;
	if (interrupted() || __atomic_load_n(&run->ended, __ATOMIC_RELAXED))
		return;
	slot->verdict = open_slot(run, place, slot, &found);
	slot->mode = found.st.st_mode;
	if (slot->verdict != VERDICT_FOUND)
		return;
	r = set_target(run, &slot->candidate, &found, target);
	if (r < 0) {
		slot->verdict = r;
		return;
	}
	/* With several threads only delivery knows which name came first. In a sum it makes no
	 * difference. */
	slot->duplicate = (run->alone || run_adds(run)) && is_duplicate(run, &target->st);
	if (!slot->duplicate && run->ops->work)
		work(run, batch, index, &found.stx);
}

void slot_run(struct run *run, struct place *place, struct batch *batch, size_t index)
{
	open_and_work(run, place, batch, index);
	if (run_adds(run))
		note(run, batch, index);
}

void run_tell_failure(struct run *run, const char *op, const char *path, int error)
{
	run->tally->failed++;
	if (run->out)
		out_error(run->out, op, path, error, NULL);
	else
		say_cannot(op, path, error, NULL);
}

void run_tell_skip(struct run *run, const char *path, const char *what)
{
	_cleanup_free_ char *quoted = path_quoted(path);

	run->tally->skipped++;
	say_notice("skipping '%s': %s", quoted ? quoted : "?", what);
}

static void tell_failure(struct run *run, const struct slot *slot, const char *op, int error)
{
	_cleanup_free_ char *path = NULL;
	size_t capacity = 0;

	if (candidate_path(&slot->candidate, &path, &capacity) == 0)
		run_tell_failure(run, op, path, error);
}

static void tell_skip(struct run *run, const struct slot *slot)
{
	_cleanup_free_ char *path = NULL;
	size_t capacity = 0;

	if (candidate_path(&slot->candidate, &path, &capacity) == 0)
		run_tell_skip(run, path, select_type_name(slot->mode));
}

/* Range @i of a file, if there is something to deliver. */
static int deliver_range(struct run *run, struct batch *batch, size_t index, size_t i)
{
	struct outcome *outcome = batch_outcome(run, batch, index);
	const struct slot *slot = &batch->slots[index];
	const struct jobs_ops *ops = run->ops;

	if (slot->errors[i] < 0 && ops->verb)
		tell_failure(run, slot, ops->verb, slot->errors[i]);
	else if (!run_adds(run))
		return ops->deliver(run->ctx, &outcome->target, run->options->ranges[i],
				    slot->errors[i], outcome->results + i * ops->result_size);
	return 0;
}

static int deliver_found(struct run *run, struct batch *batch, size_t index)
{
	struct slot *slot = &batch->slots[index];
	int r = 0;

	if (!run->alone && !run_adds(run))
		slot->duplicate = is_duplicate(run, &batch->outcomes[index].target.st);
	if (slot->duplicate)
		return 0;
	run->tally->files++;
	for (size_t i = 0; r == 0 && i < run->options->range_count; i++)
		r = deliver_range(run, batch, index, i);
	return r;
}

int slot_deliver(struct run *run, struct batch *batch, size_t index)
{
	const struct slot *slot = &batch->slots[index];
	int r = 0;

	if (slot->verdict == VERDICT_FOUND && !run->ended)
		r = deliver_found(run, batch, index);
	else if (slot->verdict == VERDICT_SKIP)
		tell_skip(run, slot);
	else if (slot->verdict < 0)
		tell_failure(run, slot, "open", slot->verdict);
	if (r != 0)
		__atomic_store_n(&run->ended, true, __ATOMIC_RELAXED);
	target_close(&batch_outcome(run, batch, index)->target);
	return r;
}
