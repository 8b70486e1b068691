/* SPDX-License-Identifier: MIT */
/* signals.c - a thread that waits for the signals that end the daemon, or steer it. */
#include "signals.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

#include <fuse_lowlevel.h>

/* Interrupts a wait, and does nothing else. */
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

void signals_take_nudge(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, NUDGE);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void signals_nudge(pthread_t thread)
{
	(void)pthread_kill(thread, NUDGE);
}

static void *wait_for_signal(void *arg)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct signals *signals = arg;
	sigset_t set = ending();
	int number;

	do {
		if (sigwait(&set, &number) != 0 || atomic_load(&signals->ended))
			return NULL;
	} while (number == SIGHUP && signals->hang_up(signals->ctx));
	fuse_session_exit(signals->session);
	/* The loop looks at the flag and then waits, in two steps: nudge it until it ends. */
	while (!atomic_load(&signals->ended)) {
		signals_nudge(signals->loop);
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
	/* Not pthread_cancel(3), which aborts when it finds no memory to load libgcc_s with. */
	(void)pthread_kill(signals->waiter, SIGTERM);
	(void)pthread_join(signals->waiter, NULL);
	signals->started = false;
}
