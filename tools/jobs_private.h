/* SPDX-License-Identifier: MIT */
/* jobs_private.h - what the parts of a run share: one file of it, and the threads. */
#ifndef MMAPCTL_JOBS_PRIVATE_H
#define MMAPCTL_JOBS_PRIVATE_H

#include <pthread.h>

#include "descriptors.h"
#include "jobs.h"
#include "select.h"

/* A file from the walk to its delivery. */
struct slot {
	struct candidate candidate;
	struct target target;
	mode_t mode;	/* of what was opened */
	int verdict;	/* enum select_verdict, a negative errno, or DROPPED */
	bool duplicate; /* of a file that was met by another name */
	int *errors;	/* of work(), for each range */
	char *results;	/* result_size bytes for each range */
};

/* A verdict: the run ended before the file was opened. */
#define DROPPED 100

struct batch;

struct run {
	const struct options *options;
	const struct jobs_ops *ops;
	void *ctx;
	struct out *out;
	struct tally *tally;
	struct seen *seen;
	bool alone; /* no threads are wanted */
	bool ended; /* deliver() wants no more; atomic */
	int result; /* what deliver() said last that was not 0 */

	unsigned int threads; /* besides the calling one; only that one reads it */
	pthread_t *thread;

	struct batch *ring;
	size_t ring_size;
	size_t batch_size;
	size_t batch_limit;    /* of the one being filled; grows up to batch_size */
	size_t head;	       /* batch being filled */
	size_t tail;	       /* oldest not delivered; [tail, head) are READY or later */
	pthread_mutex_t mutex; /* protects batch.state, next, closing */
	pthread_cond_t ready;  /* a batch became READY, or closing */
	pthread_cond_t done;   /* a batch became DONE */
	size_t next;	       /* the first that may be READY; counts like head */
	bool closing;
};

/* The directory that a thread is in. */
struct place {
	const struct own_descriptors *own;
	const struct select_dir *dir; /* NULL: none yet */
	int fd;
};

/* Open the file of @slot and work on it, in the thread whose place is @place. */
void slot_run(struct run *run, struct place *place, struct slot *slot);
void place_leave(struct place *place);

/* Deliver it, or tell why there is nothing to deliver. Returns what deliver() did. */
int slot_deliver(struct run *run, struct slot *slot);
void slot_done(struct slot *slot);

/* Tell the user, and count it. */
void run_tell_failure(struct run *run, const char *op, const char *path, int error);
void run_tell_skip(struct run *run, const char *path, const char *what);

#endif
