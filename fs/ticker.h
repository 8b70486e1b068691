/* SPDX-License-Identifier: MIT */
/* ticker.h - a thread that does something now and then. Model: knows nothing of FUSE. */
#ifndef MMAPFS_FS_TICKER_H
#define MMAPFS_FS_TICKER_H

#include <stdint.h>

struct ticker;

/* Until woken or stopped. */
#define TICKER_NEVER UINT64_MAX

/* Does one piece of work; returns the milliseconds until the next. */
typedef uint64_t (*ticker_fn)(void *arg);

/* Start a thread that calls fn(arg), the first time after @delay milliseconds. Errors:
 * -ENOMEM; -EAGAIN from pthread_create(3). */
int ticker_start(ticker_fn fn, void *arg, uint64_t delay, struct ticker **ret);

/* Call fn now, or once more when it is running. Takes NULL. */
void ticker_wake(struct ticker *ticker);

/* Wait for the end of the call that runs, make no other, free. Takes and returns NULL. */
struct ticker *ticker_stop(struct ticker *ticker);

#endif
