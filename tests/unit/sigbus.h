/* SPDX-License-Identifier: MIT */
/* sigbus.h - the guard's handler in place under cmocka, which sets its own for each test.
 */
#ifndef SIGBUS_H
#define SIGBUS_H

#include <signal.h>
#include <stddef.h>

#include <mmapfs.h>

static inline int sigbus_nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* To be called at the start of each test that needs a guard to catch something. The
 * library installs its handler once; cmocka takes it away again after that test. */
static inline void sigbus_ready(void)
{
	static struct sigaction guard;
	static int known;

	if (!known) {
		(void)mmapfs_guard_call(sigbus_nothing, NULL);
		(void)sigaction(SIGBUS, NULL, &guard);
		known = 1;
	}
	(void)sigaction(SIGBUS, &guard, NULL);
}

#endif
