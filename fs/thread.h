/* SPDX-License-Identifier: MIT */
/* thread.h - threads of the daemon's own. Model: knows nothing of FUSE. */
#ifndef MMAPFS_FS_THREAD_H
#define MMAPFS_FS_THREAD_H

#include <pthread.h>

/*
 * pthread_create(3) with all signals blocked that are sent to the process: those are for the
 * thread that ends the session. What an instruction raises stays deliverable, or the fault
 * guard could not catch it. Returns 0 or a negative errno.
 */
int thread_start(void *(*run)(void *arg), void *arg, pthread_t *ret);

#endif
