/* SPDX-License-Identifier: MIT */
/* test-meter.c - requests and replies on their way through the device, counted. */
#include "meter.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* "The device": what the kernel writes at [0] we read at [1], and the other way round. */
static int device[2];
static struct metrics metrics;

static int setup(void **state)
{
	(void)state;
	memset((void *)&metrics, 0, sizeof(metrics));
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, device);
}

static int teardown(void **state)
{
	(void)state;
	(void)meter_take();
	return close(device[0]) | close(device[1]);
}

static void request(uint32_t opcode, uint64_t unique)
{
	struct fuse_in_header in = { .len = sizeof(in), .opcode = opcode, .unique = unique };
	char buf[128];

	assert_int_equal(write(device[0], &in, sizeof(in)), sizeof(in));
	assert_int_equal(meter_read(&metrics, device[1], buf, sizeof(buf)), sizeof(in));
	assert_memory_equal(buf, &in, sizeof(in));
}

static ssize_t reply(uint64_t unique, int error, void *data, size_t size)
{
	struct fuse_out_header out = { .len = sizeof(out), .unique = unique, .error = error };
	struct iovec iov[] = { { &out, sizeof(out) }, { data, size } };

	return meter_writev(&metrics, device[1], iov, data ? 2 : 1);
}

static uint64_t answered(void)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < METRIC_BUCKETS; i++)
		count += metrics_value(&metrics, METRIC_TIME + i);
	return count;
}

static uint64_t errors(void)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < METRIC_ERRNOS; i++)
		count += metrics_value(&metrics, METRIC_ERRORS + i);
	return count;
}

static void a_request_and_its_reply_are_counted(void **state)
{
	char data[] = "data", buf[128];

	(void)state;
	request(FUSE_LOOKUP, 2);
	assert_int_equal(metrics_value(&metrics, METRIC_REQUESTS + FUSE_LOOKUP), 1);
	assert_int_equal(answered(), 0);
	assert_int_equal(reply(2, 0, data, sizeof(data)),
			 sizeof(struct fuse_out_header) + sizeof(data));
	assert_int_equal(read(device[0], buf, sizeof(buf)),
			 sizeof(struct fuse_out_header) + sizeof(data));
	assert_int_equal(answered(), 1);
	assert_int_equal(errors(), 0);
	assert_true(metrics_value(&metrics, METRIC_TIME_SUM) > 0);
}

static void an_error_is_counted_by_its_number(void **state)
{
	(void)state;
	request(FUSE_LOOKUP, 2);
	assert_true(reply(2, -ENOENT, NULL, 0) > 0);
	assert_int_equal(metrics_value(&metrics, METRIC_ERRORS + ENOENT), 1);
	assert_int_equal(errors(), 1);
	assert_int_equal(answered(), 1);
}

/* Its `error` is the number of the notification. */
static void a_notification_is_no_error(void **state)
{
	(void)state;
	request(FUSE_LOOKUP, 2);
	assert_true(reply(0, FUSE_NOTIFY_INVAL_INODE, NULL, 0) > 0);
	assert_int_equal(errors(), 0);
	assert_int_equal(answered(), 0);
}

static void a_page_that_cannot_be_read_is_eio(void **state)
{
	void *nowhere = (void *)(uintptr_t)4096;

	(void)state;
	request(FUSE_READ, 2);
	assert_int_equal(reply(2, 0, nowhere, 4096), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(metrics_value(&metrics, METRIC_ERRORS + EIO), 1);
	assert_int_equal(answered(), 1);
}

static void a_request_without_an_answer_has_no_time(void **state)
{
	(void)state;
	request(FUSE_FORGET, 2);
	request(FUSE_GETATTR, 4);
	assert_true(reply(4, 0, NULL, 0) > 0);
	assert_int_equal(metrics_value(&metrics, METRIC_REQUESTS + FUSE_FORGET), 1);
	assert_int_equal(metrics_value(&metrics, METRIC_REQUESTS + FUSE_GETATTR), 1);
	assert_int_equal(answered(), 1);
}

static void what_is_no_request_is_not_counted(void **state)
{
	struct metrics none;
	char buf[128];

	(void)state;
	memset((void *)&none, 0, sizeof(none));
	assert_int_equal(write(device[0], "short", 5), 5);
	assert_int_equal(meter_read(&metrics, device[1], buf, sizeof(buf)), 5);
	assert_int_equal(meter_read(&metrics, -1, buf, sizeof(buf)), -1);
	assert_int_equal(errno, EBADF);
	assert_memory_equal((void *)&metrics, (void *)&none, sizeof(none));
}

static void *reply_elsewhere(void *meter)
{
	assert_true(reply(2, 0, NULL, 0) > 0);
	assert_int_equal(answered(), 0); /* not ours yet */
	meter_give(*(struct meter *)meter);
	assert_true(reply(2, 0, NULL, 0) > 0);
	return NULL;
}

static void a_request_can_be_handed_to_another_thread(void **state)
{
	struct meter meter;
	pthread_t thread;

	(void)state;
	request(FUSE_GETXATTR, 2);
	meter = meter_take();
	assert_int_equal(meter.unique, 2);
	assert_int_equal(meter_take().unique, 0);
	request(FUSE_GETATTR, 4);
	assert_int_equal(pthread_create(&thread, NULL, reply_elsewhere, &meter), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(answered(), 1);
	assert_true(reply(4, 0, NULL, 0) > 0);
	assert_int_equal(answered(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_request_and_its_reply_are_counted),
		T(an_error_is_counted_by_its_number),
		T(a_notification_is_no_error),
		T(a_page_that_cannot_be_read_is_eio),
		T(a_request_without_an_answer_has_no_time),
		T(what_is_no_request_is_not_counted),
		T(a_request_can_be_handed_to_another_thread),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
