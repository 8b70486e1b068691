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
	struct candidate candidate; /* names and directory are the batch's */
	int *errors;		    /* of work(), for each range */
	mode_t mode;		    /* of what was opened */
	int verdict;	/* enum select_verdict, a negative errno, or DROPPED */
	bool duplicate; /* of a file that was met by another name */
};

/* A verdict: the run ended before the file was opened. */
#define DROPPED 100

/* What came of a file. */
struct outcome {
	struct target target;
	char *results; /* result_size bytes for each range */
};

enum batch_state {
	BATCH_FREE = 0, /* only the calling thread touches it */
	BATCH_READY,
	BATCH_RUNNING, /* only the thread that runs it touches it */
	BATCH_DONE,
};

/* Files that are handed from thread to thread together. */
struct batch {
	enum batch_state state; /* under run->mutex */
	size_t count;
	struct slot *slots;	  /* run->batch_size of them */
	struct outcome *outcomes; /* one for each slot; a single one when results are added */
	void *sum;		  /* of them; ops->sum_size bytes */
	bool to_tell;		  /* when added: of a file there is more than the sum */
	size_t found;		  /* when added: files in the sum */
	char *names;		  /* of the candidates, one after the other; never moved */
	size_t names_length, names_capacity;
	struct select_dir **dirs; /* of the candidates, a reference for each in a row */
	size_t dir_count;
};

struct run {
	const struct options *options;
	const struct jobs_ops *ops;
	void *ctx;
	struct out *out;
	struct tally *tally;
	struct seen *seen;
	pthread_mutex_t seen_mutex; /* protects seen */
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

/* Results are added up, not delivered. */
static inline bool run_adds(const struct run *run)
{
	return run->ops->add;
}

/* Of slot @index. */
static inline struct outcome *batch_outcome(const struct run *run, const struct batch *batch,
					    size_t index)
{
	return &batch->outcomes[run_adds(run) ? 0 : index];
}

/* Make an empty one, and take it apart, also half made. 0 or -ENOMEM. */
int batch_make(const struct run *run, struct batch *batch);
void batch_free(const struct run *run, struct batch *batch);

/* Is there room for the names of @candidate? An empty batch makes it. */
bool batch_has_room(const struct batch *batch, const struct candidate *candidate);
/* Copy @candidate to the end. 0 or -ENOMEM. */
int batch_add(struct batch *batch, const struct candidate *candidate);
/* Let it be empty. */
void batch_clear(struct batch *batch);

/* Open file @index of @batch and work on it, in the thread whose place is @place. */
void slot_run(struct run *run, struct place *place, struct batch *batch, size_t index);
void place_leave(struct place *place);

/* Deliver it, or tell why there is nothing to deliver. Returns what deliver() did. */
int slot_deliver(struct run *run, struct batch *batch, size_t index);

/* Tell the user, and count it. */
void run_tell_failure(struct run *run, const char *op, const char *path, int error);
void run_tell_skip(struct run *run, const char *path, const char *what);

#endif
