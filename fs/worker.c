/* SPDX-License-Identifier: MIT */
/* worker.c - a few threads and a bounded queue, for what must not hold up a request. */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "thread.h"

struct task {
	STAILQ_ENTRY(task) next;
	void (*run)(void *arg);
	void *arg;
};

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t work; /* a task was queued, or stopping was set */

	/* protected by mutex */
	STAILQ_HEAD(, task) queue;
	size_t waiting;
	size_t running;
	bool stopping;

	/* fixed once started */
	size_t queue_limit;
	unsigned int thread_count;
	pthread_t threads[];
};

/* The next task, or NULL when there will be none. Waits. */
static struct task *next_task(struct workers *workers)
{
	SCOPE_LOCK(&workers->mutex);
	struct task *task;

	while (STAILQ_EMPTY(&workers->queue) && !workers->stopping)
		pthread_cond_wait(&workers->work, &workers->mutex);
	task = STAILQ_FIRST(&workers->queue);
	if (!task)
		return NULL;
	STAILQ_REMOVE_HEAD(&workers->queue, next);
	workers->waiting--;
	workers->running++;
	return task;
}

static void task_finished(struct workers *workers)
{
	SCOPE_LOCK(&workers->mutex);

	assert(workers->running > 0);
	workers->running--;
}

static void *thread_main(void *arg)
{
	struct workers *workers = arg;
	struct task *task;

	while ((task = next_task(workers))) {
		task->run(task->arg);
		free(task);
		task_finished(workers);
	}
	return NULL;
}

int workers_start(unsigned int threads, size_t queue_limit, struct workers **ret)
{
	struct workers *workers;
	int r;

	if (!threads)
		return -EINVAL;
	workers = calloc(1, sizeof(*workers) + threads * sizeof(workers->threads[0]));
	if (!workers)
		return -ENOMEM;
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_cond_init(&workers->work, NULL);
	STAILQ_INIT(&workers->queue);
	workers->queue_limit = queue_limit;

	for (unsigned int i = 0; i < threads; i++) {
		r = thread_start(thread_main, workers, &workers->threads[i]);
		if (r < 0) {
			workers_stop(workers);
			return r;
		}
		workers->thread_count++;
	}
	*ret = workers;
	return 0;
}

int workers_submit(struct workers *workers, void (*run)(void *arg), void *arg)
{
	_cleanup_free_ struct task *task = malloc(sizeof(*task));

	if (!task)
		return -ENOMEM;
	task->run = run;
	task->arg = arg;

	SCOPE_LOCK(&workers->mutex);
	if (workers->stopping)
		return -ESHUTDOWN;
	if (workers->waiting >= workers->queue_limit)
		return -EAGAIN;
	STAILQ_INSERT_TAIL(&workers->queue, task, next);
	task = NULL; /* the thread that runs it frees it */
	workers->waiting++;
	pthread_cond_signal(&workers->work);
	return 0;
}

size_t workers_depth(struct workers *workers)
{
	SCOPE_LOCK(&workers->mutex);

	return workers->waiting + workers->running;
}

static void begin_stop(struct workers *workers)
{
	SCOPE_LOCK(&workers->mutex);

	workers->stopping = true;
	pthread_cond_broadcast(&workers->work);
}

struct workers *workers_stop(struct workers *workers)
{
	if (!workers)
		return NULL;
	begin_stop(workers);
	for (unsigned int i = 0; i < workers->thread_count; i++)
		pthread_join(workers->threads[i], NULL);
	assert(STAILQ_EMPTY(&workers->queue) || !workers->thread_count);
	pthread_cond_destroy(&workers->work);
	pthread_mutex_destroy(&workers->mutex);
	free(workers);
	return NULL;
}
