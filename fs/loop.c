/* SPDX-License-Identifier: MIT */
/* loop.c - the threads that take requests off the device and answer them. */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <fuse_lowlevel.h>

#include "base/cleanup.h"
#include "signals.h"
#include "thread.h"

#define MEMORY_PAUSE_NS 50000000L
#define NUDGE_EVERY_NS 20000000L
#define SECOND_NS 1000000000L

struct server {
	struct loop *loop;
	pthread_t thread;
	atomic_bool waits; /* for a request */
};

struct loop {
	struct fuse_session *fuse;
	sem_t ended; /* posted by each thread that leaves */
	atomic_int error; /* why the first one left; 0: unmounted, or told to */
	atomic_uint waiting; /* threads that wait for a request */

	pthread_mutex_t starting; /* protects started */
	unsigned int started;
	unsigned int threads_max;
	struct server servers[];
};

/*
 * An unmount ends the wait with 0 when all threads are idle (ENODEV, which libfuse takes for
 * the end). A thread that just then takes a request off the queue, such as one of the
 * RELEASEs that close(2) does not wait for, is told ECONNABORTED (fs/fuse/dev.c).
 */
static int as_error(int r)
{
	return r == -ECONNABORTED || r > 0 ? 0 : r;
}

/* Returns whether a request came; else the loop is to end. */
static bool receive(struct loop *loop, struct fuse_buf *buf)
{
	const struct timespec pause = { .tv_nsec = MEMORY_PAUSE_NS };
	int r, none = 0;

	while (!fuse_session_exited(loop->fuse)) {
		r = fuse_session_receive_buf(loop->fuse, buf);
		if (r > 0)
			return true;
		if (r == -ENOMEM) {
			/* For the buffer: the request is still in the queue. */
			(void)nanosleep(&pause, NULL);
		} else if (r != -EINTR) {
			(void)atomic_compare_exchange_strong(&loop->error, &none, as_error(r));
			return false;
		}
	}
	return false;
}

static int start_one(struct loop *loop);

static void *serve(void *arg)
{
	struct server *server = arg;
	struct loop *loop = server->loop;
	struct fuse_buf buf = { 0 };

	signals_take_nudge();
	while (receive(loop, &buf)) {
		atomic_store(&server->waits, false);
		/* Nobody else would take the next request. Where no thread can be had, we will. */
		if (atomic_fetch_sub(&loop->waiting, 1) == 1)
			(void)start_one(loop);
		fuse_session_process_buf(loop->fuse, &buf);
		atomic_fetch_add(&loop->waiting, 1);
		atomic_store(&server->waits, true);
	}
	fuse_session_exit(loop->fuse);
	free(buf.mem);
	(void)sem_post(&loop->ended);
	return NULL;
}

/* Returns 0, also when there are as many as there may be, or a negative errno. */
static int start_one(struct loop *loop)
{
	SCOPE_LOCK(&loop->starting);
	struct server *server = &loop->servers[loop->started];
	int r;

	if (loop->started == loop->threads_max)
		return 0;
	server->loop = loop;
	atomic_store(&server->waits, true);
	atomic_fetch_add(&loop->waiting, 1);
	r = thread_start(serve, server, &server->thread);
	if (r < 0)
		atomic_fetch_sub(&loop->waiting, 1);
	else
		loop->started++;
	return r;
}

/* The session is to exit. A thread looks for that and then waits, in two steps: nudge it until
 * it ends, but not while it works on a request, whose system calls that would interrupt. */
static void join(struct server *server)
{
	struct timespec until;

	do {
		if (atomic_load(&server->waits))
			signals_nudge(server->thread);
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += NUDGE_EVERY_NS;
		if (until.tv_nsec >= SECOND_NS) {
			until.tv_nsec -= SECOND_NS;
			until.tv_sec++;
		}
	} while (pthread_timedjoin_np(server->thread, NULL, &until) == ETIMEDOUT);
}

static unsigned int started(struct loop *loop)
{
	SCOPE_LOCK(&loop->starting);

	return loop->started;
}

int loop_run(struct fuse_session *fuse, unsigned int threads_max)
{
	_cleanup_free_ struct loop *loop =
		calloc(1, sizeof(*loop) + threads_max * sizeof(loop->servers[0]));
	int r;

	if (!loop)
		return -ENOMEM;
	loop->fuse = fuse;
	loop->threads_max = threads_max;
	(void)sem_init(&loop->ended, 0, 0);
	(void)pthread_mutex_init(&loop->starting, NULL);
	r = start_one(loop);
	while (r == 0 && !fuse_session_exited(fuse))
		(void)sem_wait(&loop->ended);
	/* One that still works may start another meanwhile, which then comes after it. */
	for (unsigned int i = 0; i < started(loop); i++)
		join(&loop->servers[i]);
	(void)pthread_mutex_destroy(&loop->starting);
	(void)sem_destroy(&loop->ended);
	return r < 0 ? r : atomic_load(&loop->error);
}
