/* SPDX-License-Identifier: MIT */
/* interrupt.c - signals that ask for an early, orderly end. */
#include "progress.h"

#include <signal.h>
#include <stddef.h>

#include "base/macro.h"

static volatile sig_atomic_t caught;

static void note(int number)
{
	caught = number;
}

void interrupt_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	/* Once: whoever asks twice does not want to wait for a summary. */
	struct sigaction action = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };
	struct sigaction old;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		/* nohup's SIG_IGN is to stay. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &action, NULL);
	}
}

bool interrupted(void)
{
	return caught != 0;
}

int interrupt_signal(void)
{
	return caught;
}
