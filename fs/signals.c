/* SPDX-License-Identifier: MIT */
/* signals.c - a thread that waits for the signals that end the daemon, or steer it. */
#include "signals.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

#include <fuse_lowlevel.h>

/* Interrupts the wait of the loop, and does nothing else. */
#define NUDGE SIGUSR1

static void nothing(int number)
{
	(void)number;
}

static sigset_t ending(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	return set;
}

void signals_block(void)
{
	const struct sigaction nudge = { .sa_handler = nothing }; /* without SA_RESTART */
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set = ending();

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)sigaction(NUDGE, &nudge, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	/* Means nothing here, and by default would be the end without an unmount. */
	(void)sigaction(SIGUSR2, &ignore, NULL);
}

/* Not to be cancelled with a mutex in hand. */
static bool seen_to(struct signals *signals)
{
	int state;
	bool seen;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	seen = signals->hang_up(signals->ctx);
	(void)pthread_setcancelstate(state, &state);
	return seen;
}

static void *wait_for_signal(void *arg)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct signals *signals = arg;
	sigset_t set = ending();
	int number;

	do {
		if (sigwait(&set, &number) != 0)
			return NULL;
	} while (number == SIGHUP && seen_to(signals));
	fuse_session_exit(signals->session);
	/* The loop looks at the flag and then waits, in two steps: nudge it until it ends. */
	while (!atomic_load(&signals->ended)) {
		(void)pthread_kill(signals->loop, NUDGE);
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

int signals_start(struct signals *signals, struct fuse_session *session)
{
	int error;

	signals->session = session;
	signals->loop = pthread_self();
	error = pthread_create(&signals->waiter, NULL, wait_for_signal, signals);
	signals->started = error == 0;
	return -error;
}

void signals_end(struct signals *signals)
{
	if (!signals->started)
		return;
	atomic_store(&signals->ended, true);
	(void)pthread_cancel(signals->waiter); /* sigwait and nanosleep end at once */
	(void)pthread_join(signals->waiter, NULL);
	signals->started = false;
}
