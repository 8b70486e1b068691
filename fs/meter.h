/* SPDX-License-Identifier: MIT */
/*
 * meter.h - count requests, errors and the time between, where all of them pass: at the
 * device. Wire.
 *
 * The time of a request is kept by the thread that received it, for the reply that follows
 * from the same thread. Who has another thread answer hands it over: meter_take() here,
 * meter_give() there. Requests without an answer, such as forget, are counted and not timed.
 */
#ifndef MMAPFS_FS_METER_H
#define MMAPFS_FS_METER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "metrics.h"

/* read(2) of one request from the device. */
ssize_t meter_read(struct metrics *metrics, int fd, void *buf, size_t size);

/* writev(2) of one reply, or notification, to the device. */
ssize_t meter_writev(struct metrics *metrics, int fd, const struct iovec *iov, int count);

/* A request that was received and not answered yet. */
struct meter {
	uint64_t unique; /* 0: none */
	uint64_t start_ns;
};

struct meter meter_take(void);
void meter_give(struct meter meter);

#endif
