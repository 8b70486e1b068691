/* SPDX-License-Identifier: MIT */
/* test-ticker.c - calls come when they are due or asked for, and none after the stop. */
#include "ticker.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct counted {
	sem_t called;
	atomic_int calls;
	uint64_t delay; /* until the next call */
};

static uint64_t count(void *arg)
{
	struct counted *counted = arg;

	atomic_fetch_add(&counted->calls, 1);
	sem_post(&counted->called);
	return counted->delay;
}

static void counted_init(struct counted *counted, uint64_t delay)
{
	sem_init(&counted->called, 0, 0);
	atomic_init(&counted->calls, 0);
	counted->delay = delay;
}

static void is_called_again_after_each_delay(void **state)
{
	struct counted counted;
	struct ticker *ticker;

	(void)state;
	counted_init(&counted, 1);
	assert_int_equal(ticker_start(count, &counted, 0, &ticker), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sem_wait(&counted.called), 0);
	assert_null(ticker_stop(ticker));
}

static void never_waits_for_a_wake(void **state)
{
	struct counted counted;
	struct ticker *ticker;

	(void)state;
	counted_init(&counted, TICKER_NEVER);
	assert_int_equal(ticker_start(count, &counted, TICKER_NEVER, &ticker), 0);
	for (int i = 0; i < 3; i++) {
		ticker_wake(ticker);
		assert_int_equal(sem_wait(&counted.called), 0);
	}
	assert_null(ticker_stop(ticker));
	assert_int_equal(atomic_load(&counted.calls), 3);
}

static void a_long_delay_is_cut_short_by_wake_and_by_stop(void **state)
{
	struct counted counted;
	struct ticker *ticker;

	(void)state;
	counted_init(&counted, 86400 * 1000ull);
	assert_int_equal(ticker_start(count, &counted, 86400 * 1000ull, &ticker), 0);
	ticker_wake(ticker);
	assert_int_equal(sem_wait(&counted.called), 0);
	assert_null(ticker_stop(ticker));
	assert_int_equal(atomic_load(&counted.calls), 1);
}

/* Asks for itself while it runs: that call must not get lost. */
struct self {
	struct ticker *_Atomic ticker;
	sem_t twice;
	int calls;
};

static uint64_t wake_self(void *arg)
{
	struct self *self = arg;

	if (++self->calls == 1)
		ticker_wake(atomic_load(&self->ticker));
	else
		sem_post(&self->twice);
	return TICKER_NEVER;
}

static void a_wake_during_the_call_means_one_more(void **state)
{
	struct self self = { .calls = 0 };
	struct ticker *ticker;

	(void)state;
	sem_init(&self.twice, 0, 0);
	assert_int_equal(ticker_start(wake_self, &self, TICKER_NEVER, &ticker), 0);
	atomic_store(&self.ticker, ticker);
	ticker_wake(ticker);
	assert_int_equal(sem_wait(&self.twice), 0);
	assert_null(ticker_stop(ticker));
}

static void nothing_to_stop_or_wake_is_fine(void **state)
{
	(void)state;
	ticker_wake(NULL);
	assert_null(ticker_stop(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_called_again_after_each_delay),
		cmocka_unit_test(never_waits_for_a_wake),
		cmocka_unit_test(a_long_delay_is_cut_short_by_wake_and_by_stop),
		cmocka_unit_test(a_wake_during_the_call_means_one_more),
		cmocka_unit_test(nothing_to_stop_or_wake_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
