/* SPDX-License-Identifier: MIT */
/* test-worker.c - tasks run once each, the queue has its bound, and a stop loses nothing.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void count_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* A task that says that it runs, and goes on when it is let go. */
struct gate {
	sem_t entered;
	sem_t open;
	struct workers *workers;
	int submit_result;
};

static void gate_init(struct gate *gate, struct workers *workers)
{
	sem_init(&gate->entered, 0, 0);
	sem_init(&gate->open, 0, 0);
	gate->workers = workers;
	gate->submit_result = 0;
}

static void pass_gate(void *arg)
{
	struct gate *gate = arg;

	sem_post(&gate->entered);
	sem_wait(&gate->open);
}

static void every_task_runs_once(void **state)
{
	struct workers *workers;
	atomic_int counts[200] = { 0 };

	(void)state;
	assert_int_equal(workers_start(4, 200, &workers), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(workers_submit(workers, count_one, &counts[i]), 0);
	assert_null(workers_stop(workers));
	for (int i = 0; i < 200; i++)
		assert_int_equal(atomic_load(&counts[i]), 1);
}

static void full_queue_refuses_with_eagain(void **state)
{
	struct workers *workers;
	struct gate gate;
	atomic_int count = 0;

	(void)state;
	assert_int_equal(workers_start(1, 2, &workers), 0);
	gate_init(&gate, workers);
	assert_int_equal(workers_submit(workers, pass_gate, &gate), 0);
	sem_wait(&gate.entered);
	assert_int_equal(workers_depth(workers), 1);
	assert_int_equal(workers_submit(workers, count_one, &count), 0);
	assert_int_equal(workers_submit(workers, count_one, &count), 0);
	assert_int_equal(workers_submit(workers, count_one, &count), -EAGAIN);
	assert_int_equal(workers_depth(workers), 3);
	sem_post(&gate.open);
	workers_stop(workers);
	assert_int_equal(atomic_load(&count), 2);
}

/* Submits until the stop has begun, which the main thread does meanwhile. */
static void submit_until_refused(void *arg)
{
	struct gate *gate = arg;
	static atomic_int ignored;
	int r;

	sem_post(&gate->entered);
	do
		r = workers_submit(gate->workers, count_one, &ignored);
	while (r == 0 || r == -EAGAIN);
	gate->submit_result = r;
}

static void submit_after_stop_began_returns_eshutdown(void **state)
{
	struct workers *workers;
	struct gate gate;

	(void)state;
	assert_int_equal(workers_start(1, 4, &workers), 0);
	gate_init(&gate, workers);
	assert_int_equal(workers_submit(workers, submit_until_refused, &gate), 0);
	sem_wait(&gate.entered);
	workers_stop(workers);
	assert_int_equal(gate.submit_result, -ESHUTDOWN);
}

static void stop_takes_null_and_start_wants_a_thread(void **state)
{
	struct workers *workers = NULL;

	(void)state;
	assert_null(workers_stop(NULL));
	assert_int_equal(workers_start(0, 1, &workers), -EINVAL);
	assert_null(workers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_task_runs_once),
		cmocka_unit_test(full_queue_refuses_with_eagain),
		cmocka_unit_test(submit_after_stop_began_returns_eshutdown),
		cmocka_unit_test(stop_takes_null_and_start_wants_a_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
