/* SPDX-License-Identifier: MIT */
/*
 * ctl-help.h - what the tests of control attributes share: asking and setting as root, a
 * kernel of the test's own, and jobs that wait at a gate.
 */
#ifndef CTL_HELP_H
#define CTL_HELP_H

#include "ctl.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "fs-fixture.h"
#include "sys.h"

#define NAME_MAX_LENGTH 64

/* ---- asking ---- */

static struct ctl_caller caller; /* root, never interrupted */
static char answer[70000];

static inline const char *full(const char *name)
{
	static char buf[2 * NAME_MAX_LENGTH];

	(void)snprintf(buf, sizeof(buf), "user.mmapfs%s%s",
		       *name == '.' || !*name ? "" : ".", name);
	return buf;
}

/* The value in `answer`; returns 0 or the error. */
static inline int get_within(struct inode *inode, const char *name, size_t limit)
{
	struct ctl_text text = { .limit = limit };
	int r = ctl_get(&fs, inode, full(name), &caller, &text);

	assert_true(text.length < sizeof(answer));
	if (text.length)
		memcpy(answer, text.data, text.length);
	answer[text.length] = 0;
	ctl_text_free(&text);
	return r;
}

static inline const char *get(struct inode *inode, const char *name)
{
	assert_int_equal(get_within(inode, name, 0), 0);
	return answer;
}

static inline int get_error(struct inode *inode, const char *name)
{
	return get_within(inode, name, 0);
}

static inline int set(struct inode *inode, const char *name, const char *value)
{
	return ctl_set(&fs, inode, full(name), value, strlen(value), &caller);
}

static inline void assert_has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no \"%s\" in:\n%s", line, text);
}

static inline void wait_until_at_rest(struct inode *inode, const char *name)
{
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < 20000; i++) {
		get(inode, name);
		if (strncmp(answer, "queued", 6) && strncmp(answer, "running", 7))
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("still \"%s\"", answer);
}

/* ---- a kernel of the test's own ---- */

static struct mmapfs__sys fake;
static atomic_int fake_error;

static inline void fake_begin(void)
{
	fake = mmapfs__sys_real;
	mmapfs__sys = &fake;
}

static inline void fake_end(void)
{
	mmapfs__sys = &mmapfs__sys_real;
}

static inline int cachestat_forbidden(int fd, const struct mmapfs__cachestat_range *range,
			       struct mmapfs__cachestat *ret)
{
	(void)fd;
	(void)range;
	(void)ret;
	return -EPERM;
}

/* As of a file that the caller may not look at. */
static inline int mincore_lying(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 1, (length + PAGE - 1) / PAGE);
	return 0;
}

/* Once, with the error in `fake_error`. */
static inline int fdatasync_failing(int fd)
{
	int error = atomic_exchange(&fake_error, 0);

	return error ? error : mmapfs__sys_real.fdatasync(fd);
}

/* ---- jobs ---- */

static sem_t gate_entered, gate_open;

static inline void wait_at_gate(void *arg)
{
	(void)arg;
	sem_post(&gate_entered);
	sem_wait(&gate_open);
}

/* The only job thread is busy until sem_post(&gate_open). */
static inline void block_jobs(void)
{
	sem_init(&gate_entered, 0, 0);
	sem_init(&gate_open, 0, 0);
	assert_int_equal(workers_submit(fs.job_workers, wait_at_gate, NULL), 0);
	sem_wait(&gate_entered);
}

#endif
