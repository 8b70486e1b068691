/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - run over selected files on several threads, deliver in order.
 *
 * The walk fills batches of candidates in a ring. Batches are run by whoever is free and
 * delivered by the calling thread in ring order. When the ring is full that thread waits
 * for the oldest batch, and runs others meanwhile.
 *
 * Of a tree of small files nearly all the time is the kernel's: openat, statx, cachestat and
 * close. Threads whose files are closed before delivery have descriptor tables of their own,
 * so that they do not wait for each other there.
 */
#include "jobs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/macro.h"
#include "cmd.h"
#include "progress.h"

/* Of quick work: files in the first batch, so that a small tree too is work for several
 * threads, and in a later one at most. */
#define BATCH_FIRST 16
#define BATCH_MAX 128

/* Results in all batches, one for each range of each file: a bound on memory. */
#define RING_RESULTS_MAX 4096

/* Descriptors for everything but the files in the ring and their directories. */
#define SPARE_DESCRIPTORS 128

static struct batch *batch_at(struct run *run, size_t index)
{
	return &run->ring[index % run->ring_size];
}

/* Is no file open any more when its batch has been run? */
static bool batches_close(const struct run *run)
{
	return run->ops->work && !run->ops->keep_open;
}

static void run_batch(struct run *run, const struct own_descriptors *own,
		      struct batch *batch)
{
	struct place place = { .own = own };
	int list[BATCH_MAX];
	size_t count = 0;

	for (size_t i = 0; i < batch->count; i++) {
		slot_run(run, &place, batch, i);
		if (!batches_close(run))
			continue;
		list[count] = target_take_fd(&batch_outcome(run, batch, i)->target);
		count += list[count] >= 0;
	}
	place_leave(&place);
	descriptors_close(list, count);
}

/* Take a READY batch, under the mutex; NULL when there is none. */
static struct batch *take(struct run *run)
{
	struct batch *batch;

	if (run->next >= run->head)
		return NULL;
	batch = batch_at(run, run->next++);
	batch->state = BATCH_RUNNING;
	return batch;
}

/* Run what take() gave. The mutex is held before and after. */
static void run_taken(struct run *run, const struct own_descriptors *own,
		      struct batch *batch)
{
	pthread_mutex_unlock(&run->mutex);
	run_batch(run, own, batch);
	pthread_mutex_lock(&run->mutex);
	batch->state = BATCH_DONE;
	pthread_cond_signal(&run->done);
}

static void *worker(void *arg)
{
	struct own_descriptors own = { .process = -1 };
	struct run *run = arg;

	if (run->ops->quick && batches_close(run))
		own_descriptors_begin(&own);
	pthread_mutex_lock(&run->mutex);
	for (;;) {
		struct batch *batch = take(run);

		if (batch)
			run_taken(run, &own, batch);
		else if (run->closing)
			break;
		else
			pthread_cond_wait(&run->ready, &run->mutex);
	}
	pthread_mutex_unlock(&run->mutex);
	own_descriptors_end(&own);
	return NULL;
}

static int deliver_slots(struct run *run, struct batch *batch)
{
	int r = 0;

	for (size_t i = 0; i < batch->count; i++)
		r = slot_deliver(run, batch, i) ?: r;
	return r;
}

/* Most often nothing is to be told of any file, and they need not be gone through again. */
static int deliver_sum(struct run *run, struct batch *batch)
{
	int r = 0;

	if (batch->to_tell)
		r = deliver_slots(run, batch);
	else if (!run->ended)
		run->tally->files += batch->found;
	if (!run->ended) {
		r = run->ops->deliver_sum(run->ctx, batch->sum) ?: r;
		memset(batch->sum, 0, run->ops->sum_size);
	}
	batch->to_tell = false;
	batch->found = 0;
	return r;
}

static int deliver_batch(struct run *run, struct batch *batch)
{
	int r = run_adds(run) ? deliver_sum(run, batch) : deliver_slots(run, batch);

	if (r != 0)
		__atomic_store_n(&run->ended, true, __ATOMIC_RELAXED);
	batch_clear(batch);
	return r;
}

/* Deliver the oldest batch. */
static int deliver_oldest(struct run *run)
{
	static const struct own_descriptors shared = { .process = -1 };
	struct batch *batch = batch_at(run, run->tail);
	int r;

	pthread_mutex_lock(&run->mutex);
	while (batch->state != BATCH_DONE) {
		struct batch *other = take(run);

		if (other)
			run_taken(run, &shared, other);
		else
			pthread_cond_wait(&run->done, &run->mutex);
	}
	pthread_mutex_unlock(&run->mutex);
	run->tail++;
	r = deliver_batch(run, batch);
	batch->state = BATCH_FREE;
	return r;
}

/* Give the batch that was filled to the threads, and make room for the next. */
static int submit(struct run *run)
{
	struct batch *batch = batch_at(run, run->head);
	int r = 0;

	if (batch->count == 0)
		return 0;
	run->batch_limit = u64_min(2 * run->batch_limit, run->batch_size);
	pthread_mutex_lock(&run->mutex);
	batch->state = BATCH_READY;
	run->head++;
	pthread_cond_signal(&run->ready);
	pthread_mutex_unlock(&run->mutex);
	while (r == 0 && run->head - run->tail == run->ring_size)
		r = deliver_oldest(run);
	return r;
}

/* ---- callbacks of the walk ---- */

/* A batch ends where its directory does, unless it is small: threads that open files of the
 * same directory get into each other's way in the kernel. */
static bool batch_ends_before(const struct run *run, const struct batch *batch,
			      const struct candidate *candidate)
{
	if (batch->count == 0)
		return false;
	if (!batch_has_room(batch, candidate))
		return true;
	return 4 * batch->count >= run->batch_limit &&
	       batch->slots[batch->count - 1].candidate.dir != candidate->dir;
}

static int on_candidate(void *ctx, const struct candidate *candidate)
{
	struct run *run = ctx;
	struct batch *batch = batch_at(run, run->head);
	int r;

	if (batch_ends_before(run, batch, candidate)) {
		run->result = submit(run) ?: run->result;
		batch = batch_at(run, run->head);
	}
	r = batch_add(batch, candidate);
	if (r < 0)
		return r;
	if (batch->count >= run->batch_limit)
		run->result = submit(run) ?: run->result;
	return run->result;
}

/* Deliver all that was found so far. */
static int drain(struct run *run)
{
	int r = submit(run);

	while (run->tail < run->head)
		r = deliver_oldest(run) ?: r;
	return r;
}

/* What the walk has to tell comes after the files before it. */
static void on_error(void *ctx, const char *op, const char *path, int error)
{
	struct run *run = ctx;

	run->result = drain(run) ?: run->result;
	run_tell_failure(run, op, path, error);
}

static void on_skip(void *ctx, const char *path, const char *what)
{
	struct run *run = ctx;

	run->result = drain(run) ?: run->result;
	run_tell_skip(run, path, what);
}

static bool on_stop(void *ctx)
{
	(void)ctx;
	return interrupted();
}

/* ---- beginning and end ---- */

/* Returns how many files, and as many directories, may be open beside the rest. */
static size_t allow_descriptors(size_t files)
{
	size_t need = 2 * files + SPARE_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return files;
	if (limit.rlim_cur < need) {
		limit.rlim_cur = u64_min(need, limit.rlim_max);
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= need)
		return files;
	return limit.rlim_cur > SPARE_DESCRIPTORS
		       ? (limit.rlim_cur - SPARE_DESCRIPTORS) / 2
		       : 0;
}

static void choose_sizes(struct run *run)
{
	size_t results = run->ring_size * run->options->range_count;
	size_t most = 1, allowed;

	if (run->ops->work && run->ops->quick)
		most = u64_max(u64_min(BATCH_MAX, RING_RESULTS_MAX / results), 1);
	allowed = allow_descriptors(most * run->ring_size);
	run->batch_size = u64_max(u64_min(most, allowed / run->ring_size), 1);
	run->batch_limit = u64_min(run->batch_size, BATCH_FIRST);
}

static int make_ring(struct run *run)
{
	int r = 0;

	run->ring = calloc(run->ring_size, sizeof(*run->ring));
	if (!run->ring)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < run->ring_size; i++)
		r = batch_make(run, &run->ring[i]);
	return r;
}

static void free_ring(struct run *run)
{
	for (size_t i = 0; run->ring && i < run->ring_size; i++)
		batch_free(run, &run->ring[i]);
	free(run->ring);
}

static void start_threads(struct run *run, unsigned int count)
{
	run->thread = calloc(count + 1, sizeof(*run->thread));
	while (run->thread && run->threads < count) {
		if (pthread_create(&run->thread[run->threads], NULL, worker, run) != 0)
			break; /* slower, not wrong */
		run->threads++;
	}
}

static void stop_threads(struct run *run)
{
	pthread_mutex_lock(&run->mutex);
	run->closing = true;
	pthread_cond_broadcast(&run->ready);
	pthread_mutex_unlock(&run->mutex);
	for (unsigned int i = 0; i < run->threads; i++)
		(void)pthread_join(run->thread[i], NULL);
	free(run->thread);
}

static int walk_and_deliver(struct run *run)
{
	static const struct select_ops walk_ops = {
		.candidate = on_candidate,
		.error = on_error,
		.skip = on_skip,
		.stop = on_stop,
	};
	const struct options *options = run->options;
	int r, rest;

	r = select_walk(&options->select, options->operands, options->operand_count,
			&walk_ops, run);
	/* What was begun is told, also when nothing more is wanted. */
	rest = drain(run);
	if (r != 0 && r != -EINTR)
		return r;
	return rest ?: run->result;
}

int jobs_run(const struct options *options, const struct jobs_ops *ops, void *ctx,
	     struct out *out, struct tally *tally)
{
	unsigned int jobs = ops->work ? options->jobs : 1;
	struct run run = {
		.options = options,
		.ops = ops,
		.ctx = ctx,
		.out = out,
		.tally = tally,
		.alone = jobs == 1,
		.ring_size = jobs > 1 ? 2 * jobs + 2 : 1,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.seen_mutex = PTHREAD_MUTEX_INITIALIZER,
		.ready = PTHREAD_COND_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER,
	};
	int r;

	choose_sizes(&run);
	run.seen = seen_new();
	r = run.seen ? make_ring(&run) : -ENOMEM;
	if (r == 0) {
		start_threads(&run, jobs - 1);
		r = walk_and_deliver(&run);
		stop_threads(&run);
	}
	free_ring(&run);
	seen_free(run.seen);
	tally->interrupted = interrupted();
	return r;
}

int tally_exit_code(const struct tally *tally)
{
	if (tally->interrupted)
		return CODE_INTERRUPTED;
	if (tally->failed > 0)
		return CODE_SOME_FAILED;
	if (tally->incomplete > 0)
		return CODE_INCOMPLETE;
	if (tally->files == 0 ? tally->skipped > 0 : tally->unknown >= tally->files)
		return CODE_UNKNOWN;
	return CODE_DONE;
}
