/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - do something with every selected file, on several threads, in order.
 *
 * The calling thread walks, and works too when the others have enough to do. Results are
 * delivered one at a time, in the order in which the walk found the files; how far the
 * threads may run ahead is bounded.
 */
#ifndef MMAPCTL_JOBS_H
#define MMAPCTL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "options.h"
#include "target.h"

struct out;

/* What happened, for the exit code and the totals. */
struct tally {
	uint64_t files;	     /* delivered, each once whatever its ranges */
	uint64_t failed;     /* paths that failed; jobs_run() counts those of the walk */
	uint64_t skipped;    /* FIFOs and the like */
	uint64_t unknown;    /* files of which nothing could be known; the verb counts */
	uint64_t incomplete; /* files that the action did not reach wholly; the verb counts */
	bool interrupted;
};

struct jobs_ops {
	size_t result_size;
	/*
	 * Look at, or act on, @range of @target, and leave what came of it in @result
	 * (result_size bytes, zeroed). Runs on any thread; several run at once on different
	 * targets. Returns 0 or a negative errno for deliver(). May be NULL: then all is
	 * done in deliver(), one file after the other.
	 */
	int (*work)(void *ctx, struct target *target, struct mmapfs_range range,
		    void *result);
	/*
	 * Receive it: @error is what work() returned. One call at a time, in the order of
	 * the walk, ranges ascending. Non-zero ends the run. The target is open only when
	 * work is NULL or keep_open is set, and may then be taken by target_steal().
	 */
	int (*deliver)(void *ctx, struct target *target, struct mmapfs_range range,
		       int error, void *result);
	bool keep_open;
	/* "measure": files on which work() fails are told and counted as ones that it could
	 * not do that to, and are not delivered. Needed with add. */
	const char *verb;
	/* work() takes microseconds: hand files out in batches. Unless keep_open is set it may
	 * run in a thread whose descriptors are its own, not those of /proc/self/fd. */
	bool quick;
	/*
	 * Where only a sum is wanted: add @result to @sum (sum_size bytes, zeroed), in the
	 * thread that worked. The sums, of some files each and in no order, go to
	 * deliver_sum(), one call at a time; deliver() is not called, and work() sees no
	 * target->path, for none is made. Non-zero ends the run.
	 */
	void (*add)(void *ctx, struct mmapfs_range range, const void *result, void *sum);
	int (*deliver_sum)(void *ctx, const void *sum);
	size_t sum_size;
};

/*
 * Run over everything that @options select. Paths that cannot be walked or opened are told
 * to the user and to @out (may be NULL), and counted in @tally; FIFOs and the like are
 * skipped with a notice. A SIGINT (see progress.h) ends it early with tally->interrupted.
 * Returns 0, what deliver() returned, or -ENOMEM.
 */
int jobs_run(const struct options *options, const struct jobs_ops *ops, void *ctx,
	     struct out *out, struct tally *tally);

/* The exit code that a tally means. */
int tally_exit_code(const struct tally *tally);

#endif
