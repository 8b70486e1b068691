/* SPDX-License-Identifier: MIT */
/* meter.c - what passes between the kernel and us, counted. */
#include "meter.h"

#include <errno.h>
#include <linux/fuse.h>
#include <time.h>
#include <unistd.h>

static _Thread_local struct meter own;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct meter meter_take(void)
{
	struct meter taken = own;

	own.unique = 0;
	return taken;
}

void meter_give(struct meter meter)
{
	own = meter;
}

ssize_t meter_read(struct metrics *metrics, int fd, void *buf, size_t size)
{
	const struct fuse_in_header *in = buf;
	ssize_t n = read(fd, buf, size);

	if (n < (ssize_t)sizeof(*in))
		return n;
	own = (struct meter){ in->unique, now_ns() };
	metrics_add_request(metrics, in->opcode);
	return n;
}

/* Before it is sent: who was answered may look at once. */
static void count_error(struct metrics *metrics, const struct fuse_out_header *out)
{
	if (out->unique && out->error) /* else a notification, with its number as error */
		metrics_add_error(metrics, out->error);
}

ssize_t meter_writev(struct metrics *metrics, int fd, const struct iovec *iov, int count)
{
	/* The reply may be what lets its memory go. */
	const struct fuse_out_header out = *(const struct fuse_out_header *)iov[0].iov_base;
	ssize_t n;

	count_error(metrics, &out);
	n = writev(fd, iov, count);
	/* A page of a mapping could not be read: the kernel has answered with EIO. */
	if (n < 0 && errno == EFAULT)
		metrics_add_error(metrics, EIO);
	if (out.unique && out.unique == own.unique)
		metrics_add_time(metrics, now_ns() - meter_take().start_ns);
	return n;
}
