/* SPDX-License-Identifier: MIT */
/*
 * ctl_job.c - the work that goes on after its control request was answered: warm, and the
 * evict of a tree.
 *
 * A region has one job of each kind. Who starts one moves its state from a resting one to
 * QUEUED under the region's mutex, and only the job itself moves it on from there.
 */
#include "ctl_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"
#include "worker.h"

struct task {
	struct fs *fs;
	struct inode *inode; /* one reference, which keeps the region too */
	struct region *region;
	struct job *job;
	struct creds_user user; /* on whose behalf a tree is walked */
	struct mmapfs_range range;
	uint32_t flags; /* of an evict */
	int (*work)(struct task *task);
	uint64_t error_offset; /* where work failed */

	/* during the walk of a tree */
	uint64_t finished; /* bytes of the files before this one */
	struct inode *reading; /* warm: this one; NULL: no memory for it */
	struct evict_sums sums;
	int error; /* the first */
};

static const char *const state_names[] = {
	[JOB_IDLE] = "idle", [JOB_QUEUED] = "queued",	    [JOB_RUNNING] = "running",
	[JOB_DONE] = "done", [JOB_CANCELLED] = "cancelled", [JOB_FAILED] = "failed",
};

static bool is_active(const struct job *job)
{
	return job->state == JOB_QUEUED || job->state == JOB_RUNNING;
}

/* ---- life of a job ---- */

static bool is_cancelled(void *ctx)
{
	const struct task *task = ctx;

	return atomic_load(&task->job->cancel);
}

static struct ctl_stop stop_of(struct task *task)
{
	return (struct ctl_stop){ task->fs, is_cancelled, task };
}

static bool should_stop(struct task *task)
{
	return atomic_load(&task->fs->stopping) || is_cancelled(task);
}

static void set_state(struct task *task, enum job_state state, int error)
{
	SCOPE_LOCK(&task->region->mutex);

	task->job->state = state;
	task->job->error = error;
	task->job->error_offset = task->error_offset;
}

static void task_free(struct task *task)
{
	inode_unref(task->fs->inodes, task->inode, 1);
	free(task);
}

static void task_run(void *arg)
{
	struct task *task = arg;
	int r = -ECANCELED;

	if (!should_stop(task)) {
		set_state(task, JOB_RUNNING, 0);
		r = task->work(task);
	}
	if (r == -ECANCELED || r == -EINTR)
		set_state(task, JOB_CANCELLED, 0);
	else
		set_state(task, r < 0 ? JOB_FAILED : JOB_DONE, r < 0 ? r : 0);
	task_free(task);
}

/* Take the job for us, or -EBUSY when it has something to do. */
static int job_claim(struct region *region, struct job *job)
{
	SCOPE_LOCK(&region->mutex);

	if (is_active(job))
		return -EBUSY;
	job->state = JOB_QUEUED;
	atomic_store(&job->cancel, false);
	atomic_store(&job->done, 0);
	atomic_store(&job->total, 0);
	return 0;
}

static int job_start(struct ctl_request *rq, enum job_kind kind,
		     struct mmapfs_range range, uint32_t flags,
		     int (*work)(struct task *task))
{
	struct region *region = region_of(rq->inode);
	_cleanup_free_ struct task *task = calloc(1, sizeof(*task));
	int r;

	if (!task || !region)
		return -ENOMEM;
	*task = (struct task){ .fs = rq->fs,
			       .inode = rq->inode,
			       .region = region,
			       .job = &region->jobs[kind],
			       .user = rq->caller->user,
			       .range = range,
			       .flags = flags,
			       .work = work };
	r = job_claim(region, task->job);
	if (r < 0)
		return r;
	inode_ref(rq->fs->inodes, rq->inode);
	r = workers_submit(rq->fs->job_workers, task_run, task);
	if (r < 0) {
		set_state(task, JOB_IDLE, 0);
		inode_unref(rq->fs->inodes, rq->inode, 1);
		return r;
	}
	task = NULL; /* the job's now */
	return 0;
}

/* Nothing to cancel is no error: what was wanted is so. */
static int job_cancel(struct inode *inode, enum job_kind kind)
{
	struct region *region = region_peek(inode);

	if (region)
		atomic_store(&region->jobs[kind].cancel, true);
	return 0;
}

/* "" and "cancel" ask for no range. */
static bool asks_cancel(const struct ctl_words *words)
{
	return words->count == 1 && !strcmp(words->word[0], "cancel");
}

int ctl_job_print(struct inode *inode, enum job_kind kind, struct ctl_text *ret)
{
	struct region *region = region_peek(inode);
	char word[MMAPFS_WORD_MAX];
	struct job *job;
	uint64_t done;
	int r;

	if (!region)
		return ctl_text_printf(ret, "idle 0/0");
	SCOPE_LOCK(&region->mutex);
	job = &region->jobs[kind];
	done = atomic_load(&job->done); /* before total, which is set first */
	r = ctl_text_printf(ret, "%s %" PRIu64 "/%" PRIu64, state_names[job->state], done,
			    atomic_load(&job->total));
	if (r >= 0 && job->state == JOB_FAILED)
		r = ctl_text_printf(ret, " %s at %" PRIu64,
				    ctl_errno_text(word, job->error), job->error_offset);
	return r;
}

/* ---- warm ---- */

static int file_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct task *task = ctx;

	atomic_store(&task->job->total, total);
	atomic_store(&task->job->done, done);
	cache_reading(task->fs, task->inode, 0);
	return should_stop(task);
}

static int warm_map(struct fs *fs, struct mmapfs_map *map, struct mmapfs_range range,
		    const struct mmapfs_warm_opts *opts, struct mmapfs_warm_result *result)
{
	int r = mmapfs_warm(map, range, opts, result);

	metrics_add(&fs->metrics, METRIC_WARMED, ctl_pages_of(result->requested));
	return r;
}

static int warm_file(struct task *task)
{
	struct mmapfs_warm_opts opts = MMAPFS_INIT(opts);
	struct mmapfs_warm_result result = MMAPFS_INIT(result);
	struct mmapfs_map *map;
	int r;

	r = region_open_map(task->fs, task->inode, MMAPFS_ACCESS_READ, &map);
	if (r < 0)
		return r;
	opts.progress = file_progress;
	opts.ctx = task;
	r = warm_map(task->fs, map, task->range, &opts, &result);
	mmapfs_map_close(map);
	task->error_offset = result.error_offset;
	if (r >= 0) {
		atomic_store(&task->job->total, result.total);
		/* What was evicted again meanwhile is not done. */
		if (result.valid)
			atomic_store(&task->job->done,
				     result.total -
					     u64_min(result.missing, result.total));
	}
	return r;
}

/* First walk of a tree: how much there is. */
static int add_size(void *ctx, int dir_fd, const char *name, const struct stat *st)
{
	struct task *task = ctx;

	(void)dir_fd;
	(void)name;
	atomic_fetch_add(&task->job->total, (uint64_t)st->st_size);
	return 0;
}

/* Second walk: that file is done, whatever became of it. */
static void tree_finished(struct task *task, const struct stat *st)
{
	task->finished += (uint64_t)st->st_size;
	atomic_store(&task->job->done, task->finished);
}

static int tree_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct task *task = ctx;

	(void)total;
	atomic_store(&task->job->done, task->finished + done);
	if (task->reading)
		cache_reading(task->fs, task->reading, 0);
	return should_stop(task);
}

static int warm_tree_file(void *ctx, struct inode *inode, struct mmapfs_map *map,
			  const struct stat *st)
{
	struct task *task = ctx;
	struct mmapfs_warm_opts opts = MMAPFS_INIT(opts);
	struct mmapfs_warm_result result = MMAPFS_INIT(result);
	const struct mmapfs_range whole = { 0, 0 };
	int r;

	(void)inode;
	/* The budget is to see also what no program has opened. */
	if (inode_get(task->fs->inodes, mmapfs_map_fd(map), st, &task->reading) < 0)
		task->reading = NULL;
	opts.progress = tree_progress;
	opts.ctx = task;
	r = warm_map(task->fs, map, whole, &opts, &result);
	(void)tree_progress(task, result.total, result.total);
	inode_unref(task->fs->inodes, task->reading, 1);
	if (r == -ECANCELED)
		return 0; /* the walk asks again whether to stop, and does */
	if (r < 0 && !task->error) {
		task->error = r;
		task->error_offset = result.error_offset;
	}
	tree_finished(task, st);
	return r;
}

static int warm_tree(struct task *task)
{
	const struct ctl_stop stop = stop_of(task);
	const struct ctl_tree tree = { task->inode, &stop, &task->user, true };
	int r = ctl_walk(&tree, add_size, task, NULL);

	if (r < 0)
		return r;
	r = ctl_each_map(&tree, MMAPFS_ACCESS_READ, warm_tree_file, task, NULL);
	if (r != task->error)
		task->error_offset = 0; /* the first error was another file's */
	return r;
}

int ctl_set_warm(struct ctl_request *rq)
{
	bool tree = S_ISDIR(rq->inode->type);
	struct mmapfs_range range;
	int r;

	if (asks_cancel(&rq->words))
		return job_cancel(rq->inode, JOB_WARM);
	if (tree && rq->words.count)
		return -EINVAL;
	r = ctl_words_range(&rq->words, 0, &range);
	if (r < 0)
		return r;
	return job_start(rq, JOB_WARM, range, 0, tree ? warm_tree : warm_file);
}

int ctl_get_warm(struct ctl_request *rq, struct ctl_text *ret)
{
	return ctl_job_print(rq->inode, JOB_WARM, ret);
}

/* ---- evict of a tree ---- */

static int evict_tree_file(void *ctx, struct inode *inode, struct mmapfs_map *map,
			   const struct stat *st)
{
	struct task *task = ctx;
	const struct mmapfs_range whole = { 0, 0 };
	int r = ctl_evict_map(task->fs, inode, map, whole, task->flags, &task->sums);

	tree_finished(task, st);
	return r;
}

static int evict_tree(struct task *task)
{
	const struct ctl_stop stop = stop_of(task);
	const struct ctl_tree tree = { task->inode, &stop, &task->user, true };
	uint64_t unopened = 0;
	int r = ctl_walk(&tree, add_size, task, NULL);

	task->sums = (struct evict_sums){ .any = true, .exact = true };
	if (r >= 0)
		r = ctl_each_map(&tree, MMAPFS_ACCESS_READ, evict_tree_file, task, &unopened);
	task->sums.files += unopened;
	task->sums.unknown_files += unopened;
	SCOPE_LOCK(&task->region->mutex);
	task->region->evict = task->sums;
	return r;
}

int ctl_set_evict_tree(struct ctl_request *rq)
{
	const struct mmapfs_range whole = { 0, 0 };
	uint32_t flags = 0;

	if (asks_cancel(&rq->words))
		return job_cancel(rq->inode, JOB_EVICT);
	if (rq->words.count == 1 && !strcmp(rq->words.word[0], "sync"))
		flags = MMAPFS_EVICT_SYNC;
	else if (rq->words.count)
		return -EINVAL;
	return job_start(rq, JOB_EVICT, whole, flags, evict_tree);
}
