/* SPDX-License-Identifier: MIT */
/* thread.c - threads of the daemon's own. */
#include "thread.h"

#include <signal.h>
#include <stddef.h>

int thread_start(void *(*run)(void *arg), void *arg, pthread_t *ret)
{
	sigset_t blocked, before;
	int r;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGFPE);
	sigdelset(&blocked, SIGILL);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	r = -pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}
