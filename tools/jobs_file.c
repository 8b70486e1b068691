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
	bool was_full = seen_is_full(run->seen);

	if (!linked || run->options->select.count_links)
		return false;
	if (seen_before(run->seen, st->st_dev, st->st_ino))
		return true;
	if (!was_full && seen_is_full(run->seen))
		say_notice("very many hard links: from here on some may be counted twice");
	return false;
}

static void work(struct run *run, struct slot *slot, const struct statx *fresh)
{
	const struct options *options = run->options;
	size_t size = run->ops->result_size;

	slot->target.fresh = fresh;
	if (size > 0)
		memset(slot->results, 0, size * options->range_count);
	for (size_t i = 0; i < options->range_count; i++)
		slot->errors[i] = run->ops->work(run->ctx, &slot->target, options->ranges[i],
						 slot->results + i * size);
	slot->target.fresh = NULL;
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

void slot_run(struct run *run, struct place *place, struct slot *slot)
{
	struct target *target = &slot->target;
	struct found found;
	int r;

	slot->verdict = DROPPED;
	if (interrupted() || __atomic_load_n(&run->ended, __ATOMIC_RELAXED))
		return;
	slot->verdict = open_slot(run, place, slot, &found);
	slot->mode = found.st.st_mode;
	if (slot->verdict != VERDICT_FOUND)
		return;
	r = target_set(target, &found);
	if (r == 0)
		r = candidate_path(&slot->candidate, &target->path, &target->path_capacity);
	if (r < 0) {
		slot->verdict = r;
		return;
	}
	/* With several threads only delivery knows which name came first. */
	slot->duplicate = run->alone && is_duplicate(run, &target->st);
	if (!slot->duplicate && run->ops->work)
		work(run, slot, &found.stx);
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

static void tell_verdict(struct run *run, struct slot *slot)
{
	_cleanup_free_ char *path = NULL;
	size_t capacity = 0;

	if (slot->verdict == VERDICT_FILTERED || slot->verdict == DROPPED)
		return;
	if (candidate_path(&slot->candidate, &path, &capacity) < 0)
		return;
	if (slot->verdict == VERDICT_SKIP)
		run_tell_skip(run, path, select_type_name(slot->mode));
	else
		run_tell_failure(run, "open", path, slot->verdict);
}

static int deliver_found(struct run *run, struct slot *slot)
{
	const struct options *options = run->options;
	int r = 0;

	if (!run->alone)
		slot->duplicate = is_duplicate(run, &slot->target.st);
	if (slot->duplicate)
		return 0;
	run->tally->files++;
	for (size_t i = 0; r == 0 && i < options->range_count; i++)
		r = run->ops->deliver(run->ctx, &slot->target, options->ranges[i],
				      slot->errors[i],
				      slot->results + i * run->ops->result_size);
	return r;
}

int slot_deliver(struct run *run, struct slot *slot)
{
	int r = 0;

	if (slot->verdict == VERDICT_FOUND && !run->ended)
		r = deliver_found(run, slot);
	else if (slot->verdict != VERDICT_FOUND)
		tell_verdict(run, slot);
	if (r != 0)
		__atomic_store_n(&run->ended, true, __ATOMIC_RELAXED);
	target_close(&slot->target);
	candidate_done(&slot->candidate);
	return r;
}

void slot_done(struct slot *slot)
{
	candidate_done(&slot->candidate);
	target_done(&slot->target);
	free(slot->errors);
	free(slot->results);
}
