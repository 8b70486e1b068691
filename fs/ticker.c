/* SPDX-License-Identifier: MIT */
/* ticker.c - a thread that does something now and then. */
#include "ticker.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "thread.h"

struct ticker {
	ticker_fn fn;
	void *arg;
	pthread_t thread;

	pthread_mutex_t mutex;
	pthread_cond_t changed;

	/* protected by mutex */
	uint64_t delay; /* milliseconds until the next call */
	bool woken;
	bool stopping;
};

static struct timespec after(uint64_t milliseconds)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	now.tv_sec += (time_t)(milliseconds / 1000);
	now.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	if (now.tv_nsec >= 1000000000) {
		now.tv_nsec -= 1000000000;
		now.tv_sec++;
	}
	return now;
}

/* Wait for the next call; false: there is none. */
static bool wait_for_turn(struct ticker *ticker)
{
	SCOPE_LOCK(&ticker->mutex);
	const bool forever = ticker->delay == TICKER_NEVER;
	const struct timespec until = after(forever ? 0 : ticker->delay);
	int r = 0;

	while (!ticker->woken && !ticker->stopping && r != ETIMEDOUT)
		r = forever ? pthread_cond_wait(&ticker->changed, &ticker->mutex)
			    : pthread_cond_timedwait(&ticker->changed, &ticker->mutex, &until);
	ticker->woken = false;
	return !ticker->stopping;
}

static void set_delay(struct ticker *ticker, uint64_t delay)
{
	SCOPE_LOCK(&ticker->mutex);

	ticker->delay = delay;
}

static void *run(void *arg)
{
	struct ticker *ticker = arg;

	while (wait_for_turn(ticker))
		set_delay(ticker, ticker->fn(ticker->arg));
	return NULL;
}

static void init_locks(struct ticker *ticker)
{
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_mutex_init(&ticker->mutex, NULL);
	pthread_cond_init(&ticker->changed, &clock);
	pthread_condattr_destroy(&clock);
}

static void destroy(struct ticker *ticker)
{
	pthread_cond_destroy(&ticker->changed);
	pthread_mutex_destroy(&ticker->mutex);
	free(ticker);
}

int ticker_start(ticker_fn fn, void *arg, uint64_t delay, struct ticker **ret)
{
	struct ticker *ticker = calloc(1, sizeof(*ticker));
	int r;

	if (!ticker)
		return -ENOMEM;
	ticker->fn = fn;
	ticker->arg = arg;
	ticker->delay = delay;
	init_locks(ticker);
	r = thread_start(run, ticker, &ticker->thread);
	if (r < 0) {
		destroy(ticker);
		return r;
	}
	*ret = ticker;
	return 0;
}

void ticker_wake(struct ticker *ticker)
{
	if (!ticker)
		return;
	SCOPE_LOCK(&ticker->mutex);
	ticker->woken = true;
	pthread_cond_signal(&ticker->changed);
}

static void begin_stop(struct ticker *ticker)
{
	SCOPE_LOCK(&ticker->mutex);

	ticker->stopping = true;
	pthread_cond_signal(&ticker->changed);
}

struct ticker *ticker_stop(struct ticker *ticker)
{
	if (!ticker)
		return NULL;
	begin_stop(ticker);
	(void)pthread_join(ticker->thread, NULL);
	destroy(ticker);
	return NULL;
}
