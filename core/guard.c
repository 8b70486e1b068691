/* SPDX-License-Identifier: MIT */
/*
 * guard.c - run code that may raise SIGBUS on mapped memory, and survive it.
 *
 * A guard is a jump buffer on the stack of its thread; guards of one thread form a chain.
 * The handler reads nothing but that chain and the disposition that was there before it,
 * which does not change any more, and calls only async-signal-safe functions.
 *
 * The jump does not restore the signal mask (which would cost two system calls for each
 * guarded copy) and need not: with SA_NODEFER and an empty sa_mask the handler runs with
 * the mask that the faulting code had.
 */
#include <mmapfs.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

/*
 * glibc may allocate the thread's block of a shared library at its first use, which must
 * not happen in a signal handler: so the static block. Elsewhere (musl) it exists from
 * the start and a library that is loaded late must not ask for the static one.
 */
#ifdef __GLIBC__
#define IN_STATIC_BLOCK __attribute__((tls_model("initial-exec")))
#else
#define IN_STATIC_BLOCK
#endif

struct guard {
	sigjmp_buf env;
	struct guard *outer;
};

static __thread struct guard *volatile innermost IN_STATIC_BLOCK;

static struct sigaction previous; /* written before our handler is in place */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int install_error;

/* The page is gone or cannot be read; or the memory under it is broken. Not: misaligned
 * access, which is a bug, and signals that somebody sent (si_code <= 0). */
static bool page_is_lost(int si_code)
{
	return si_code == BUS_ADRERR || si_code == BUS_OBJERR || si_code == BUS_MCEERR_AR;
}

/* Would happen again if the handler returned, for the instruction is run again. */
static bool is_fault(int si_code)
{
	return si_code > 0 && si_code != BUS_MCEERR_AO;
}

static void set_default(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGBUS, &action, NULL);
}

/* What the kernel would have done without a handler. */
static void act_as_default(int si_code)
{
	/* One who ignores SIGBUS is still killed by a fault, but not by a signal sent. */
	if (previous.sa_handler == SIG_IGN && !is_fault(si_code))
		return;
	set_default();
	/* A fault comes again by itself, and the core dump then shows where it was. */
	if (!is_fault(si_code))
		(void)raise(SIGBUS);
}

/* Call the handler that was there before, with the mask it asked for. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	sigset_t mask = previous.sa_mask;
	sigset_t saved;

	if (previous.sa_flags & (int)SA_RESETHAND)
		set_default();
	if (!(previous.sa_flags & SA_NODEFER))
		(void)sigaddset(&mask, sig);
	(void)pthread_sigmask(SIG_BLOCK, &mask, &saved);
	if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(sig, info, context);
	else
		previous.sa_handler(sig);
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct guard *guard = innermost;
	int saved = errno;

	if (guard && page_is_lost(info->si_code)) {
		innermost = guard->outer;
		siglongjmp(guard->env, 1);
	}
	if (!(previous.sa_flags & SA_SIGINFO) &&
	    (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN))
		act_as_default(info->si_code);
	else
		pass_on(sig, info, context);
	errno = saved;
}

static void install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};

	(void)sigemptyset(&action.sa_mask);
	/* Asked for first: another thread may run into the handler at once. */
	if (sigaction(SIGBUS, NULL, &previous) < 0 ||
	    sigaction(SIGBUS, &action, NULL) < 0)
		install_error = -errno;
}

MMAPFS_PUBLIC int mmapfs_guard_call(int (*fn)(void *arg), void *arg)
{
	struct guard guard;
	int r;

	(void)pthread_once(&once, install);
	if (install_error < 0)
		return install_error;
	guard.outer = innermost;
	if (sigsetjmp(guard.env, 0) != 0)
		return -EFAULT; /* the handler has taken the guard off the chain */
	innermost = &guard;
	atomic_signal_fence(memory_order_seq_cst);
	r = fn(arg);
	atomic_signal_fence(memory_order_seq_cst);
	innermost = guard.outer;
	return r;
}
