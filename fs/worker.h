/* SPDX-License-Identifier: MIT */
/* worker.h - a few threads and a bounded queue. Model: knows nothing of FUSE. */
#ifndef MMAPFS_FS_WORKER_H
#define MMAPFS_FS_WORKER_H

#include <stddef.h>

struct workers;

/* Start @threads threads that share a queue of at most @queue_limit waiting tasks. */
int workers_start(unsigned int threads, size_t queue_limit, struct workers **ret);

/* Queue run(arg). Every task that was accepted is run, also during workers_stop().
 * Errors: -EAGAIN when the queue is full, -ESHUTDOWN after stop began. */
int workers_submit(struct workers *workers, void (*run)(void *arg), void *arg);

/* Tasks waiting and running. */
size_t workers_depth(struct workers *workers);

/* Accept no more, run what is queued, join. Takes and returns NULL. */
struct workers *workers_stop(struct workers *workers);

#endif
