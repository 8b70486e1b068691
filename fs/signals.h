/* SPDX-License-Identifier: MIT */
/*
 * signals.h - end the loop when a signal says so, at whatever moment it comes; or read the
 * policy again.
 *
 * libfuse's own handlers only set a flag: a signal that another thread receives, or that
 * comes just before the loop begins to wait, is never seen. Here no thread receives any; one
 * waits for them. Wire.
 */
#ifndef MMAPFS_FS_SIGNALS_H
#define MMAPFS_FS_SIGNALS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fuse_session;

struct signals {
	struct fuse_session *session;
	pthread_t loop; /* the thread that runs the loop */
	pthread_t waiter;
	/* SIGHUP came: true, it has been seen to; else it ends the loop as the others do. Must
	 * not wait for anything. */
	bool (*hang_up)(void *ctx);
	void *ctx;
	bool started;
	atomic_bool ended; /* the loop has returned */
};

/* Before any thread is started: keep SIGTERM, SIGINT and SIGHUP for the waiter. */
void signals_block(void);

/* From the thread that will run the loop, with `hang_up` set. Errors: pthread_create(3). */
int signals_start(struct signals *signals, struct fuse_session *session);

/*
 * To interrupt a wait in a system call of @thread, which may be just about to begin: repeat
 * until it has been seen. Only threads that take nudges may be given one.
 */
void signals_take_nudge(void);
void signals_nudge(pthread_t thread);

/* The loop has returned. */
void signals_end(struct signals *signals);

#endif
