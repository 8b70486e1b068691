/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - what happened since the mount, and how it stands: counters, and the text of
 * the root's `metrics` attribute. Model: knows nothing of FUSE.
 *
 * A metric is an enumerator here and a row of the table in metrics.c; no more is needed:
 *
 *	METRIC_RELOADS,						here, before METRIC_SLOTS
 *	{ .slot = METRIC_RELOADS, .name = "mmapfs_reloads_total", .help = "..." },
 *	metrics_add(&fs->metrics, METRIC_RELOADS, 1);		where it happens
 *
 * A metric with a label takes as many slots as the label has values, and is counted at
 * METRIC_X + the number of the value. A gauge is told with metrics_set(); one that is known
 * elsewhere anyway is asked for when it is printed: a row with `read`.
 */
#ifndef MMAPFS_FS_METRICS_H
#define MMAPFS_FS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include <mmapfs.h>

struct ctl_text;
struct fs;

#define METRIC_PATHS 2	   /* a DATA_PATH_* less one */
#define METRIC_OPCODES 64  /* of the FUSE protocol; 0 is any other */
#define METRIC_ERRNOS 134  /* 0 is any other */
#define METRIC_BUCKETS 14  /* of the histogram; the last has no bound */

enum metric {
	METRIC_OPENS = 0,
	METRIC_REQUESTS = METRIC_OPENS + METRIC_PATHS,
	METRIC_ERRORS = METRIC_REQUESTS + METRIC_OPCODES,
	METRIC_TIME = METRIC_ERRORS + METRIC_ERRNOS,
	METRIC_STAYED = METRIC_TIME + METRIC_BUCKETS, /* by enum mmapfs_stay */
	METRIC_TIME_SUM = METRIC_STAYED + MMAPFS_STAY_COUNT,
	METRIC_WARMED,
	METRIC_EVICTED,
	METRIC_LOCKED,
	METRIC_START_TIME,
	METRIC_BUDGET, /* bytes; METRIC_UNKNOWN while there is none */
	METRIC_BUDGET_USED,
	METRIC_BUDGET_LOOKS, /* quick ones; the next: full ones */
	METRIC_BUDGET_EVICTED = METRIC_BUDGET_LOOKS + 2,
	METRIC_BUDGET_REFUSED,
	METRIC_BUDGET_SYNC_ERRORS,
	METRIC_POLICY_RELOADS, /* good ones, and those with an error */
	METRIC_SAVES = METRIC_POLICY_RELOADS + 2, /* the same, of snapshots */
	METRIC_SAVE_TIME = METRIC_SAVES + 2,
	METRIC_RESTORED,
	METRIC_SLOTS
};

/* Of a gauge: nobody knows, and it is left out. */
#define METRIC_UNKNOWN UINT64_MAX

/* Never more bytes than one attribute may have. */
#define METRICS_TEXT_MAX 65536

/* Threads that count at the same time mostly do so in different cache lines. By a gap and
 * not by alignment, which everything that holds one of these would have to have. */
#define METRICS_SHARDS 16

struct metrics {
	struct metrics_shard {
		atomic_uint_fast64_t slot[METRIC_SLOTS];
		char gap[64];
	} shard[METRICS_SHARDS];
};

/* Count @n more of @metric (plus the number of a label value). */
void metrics_add(struct metrics *metrics, unsigned int metric, uint64_t n);

/* Let the gauge @metric be @value from now on. Before the first time it is unknown. */
void metrics_set(struct metrics *metrics, unsigned int metric, uint64_t value);

/* One request of kind @opcode arrived; was answered with -@error; took @ns. */
void metrics_add_request(struct metrics *metrics, uint32_t opcode);
void metrics_add_error(struct metrics *metrics, int error);
void metrics_add_time(struct metrics *metrics, uint64_t ns);

/* What was counted so far. For tests and programs; people read metrics_print(). */
uint64_t metrics_value(const struct metrics *metrics, unsigned int metric);

/* All of them in the Prometheus text format 0.0.4, appended to @ret. */
int metrics_print(struct fs *fs, struct ctl_text *ret);

#endif
