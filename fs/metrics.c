/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - the table of the metrics, their counters, and their text.
 *
 * Counting happens in every request, so it takes no lock and orders nothing: a thread adds
 * to its own share of a counter, and whoever prints sums up the shares.
 */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "cache.h"
#include "cache_treat.h"
#include "ctl.h"
#include "worker.h"

#define NS_PER_S UINT64_C(1000000000)

enum type { COUNTER = 0, GAUGE, HISTOGRAM };

static const char *const type_names[] = {
	[COUNTER] = "counter",
	[GAUGE] = "gauge",
	[HISTOGRAM] = "histogram",
};

struct row {
	unsigned int slot;  /* enum metric: of the first label value */
	unsigned int count; /* of values of the label; 0 without one */
	enum type type;
	const char *name;
	const char *help;
	const char *label;
	/* The label's value of that number; NULL: there is none. */
	const char *(*label_value)(unsigned int number);
	/* Asked for when printing; NULL: in the slot. */
	uint64_t (*read)(struct fs *fs, unsigned int number);
	bool only_seen; /* leave out what never happened */
};

/* ---- label values ---- */

static const char *path_name(unsigned int number)
{
	return number + 1 == DATA_PATH_MAPPED ? "mapped" : "passthrough";
}

/* As enum fuse_opcode of the kernel numbers them, which will never change. */
static const char *const opcode_names[METRIC_OPCODES] = {
	[0] = "other",
	[1] = "lookup",
	[2] = "forget",
	[3] = "getattr",
	[4] = "setattr",
	[5] = "readlink",
	[6] = "symlink",
	[8] = "mknod",
	[9] = "mkdir",
	[10] = "unlink",
	[11] = "rmdir",
	[12] = "rename",
	[13] = "link",
	[14] = "open",
	[15] = "read",
	[16] = "write",
	[17] = "statfs",
	[18] = "release",
	[20] = "fsync",
	[21] = "setxattr",
	[22] = "getxattr",
	[23] = "listxattr",
	[24] = "removexattr",
	[25] = "flush",
	[26] = "init",
	[27] = "opendir",
	[28] = "readdir",
	[29] = "releasedir",
	[30] = "fsyncdir",
	[31] = "getlk",
	[32] = "setlk",
	[33] = "setlkw",
	[34] = "access",
	[35] = "create",
	[36] = "interrupt",
	[37] = "bmap",
	[38] = "destroy",
	[39] = "ioctl",
	[40] = "poll",
	[41] = "notify_reply",
	[42] = "batch_forget",
	[43] = "fallocate",
	[44] = "readdirplus",
	[45] = "rename2",
	[46] = "lseek",
	[47] = "copy_file_range",
	[48] = "setupmapping",
	[49] = "removemapping",
	[50] = "syncfs",
	[51] = "tmpfile",
	[52] = "statx",
	[53] = "copy_file_range_64",
};

static const char *opcode_name(unsigned int number)
{
	return opcode_names[number];
}

static const char *error_name(unsigned int number)
{
	return number ? mmapfs_errno_name((int)number) : "other";
}

static const char *stay_name(unsigned int number)
{
	return mmapfs_stay_name(number);
}

static const char *look_name(unsigned int number)
{
	return number ? "all" : "in_use";
}

static const char *reload_result(unsigned int number)
{
	return number ? "error" : "ok";
}

static const char *pool_name(unsigned int number)
{
	return number ? "job" : "request";
}

static const char *version(unsigned int number)
{
	(void)number;
	return mmapfs_version();
}

/* ---- what is known elsewhere ---- */

static uint64_t read_one(struct fs *fs, unsigned int number)
{
	(void)fs;
	(void)number;
	return 1;
}

static uint64_t read_inodes(struct fs *fs, unsigned int number)
{
	(void)number;
	return inode_count(fs->inodes);
}

static uint64_t read_descriptors(struct fs *fs, unsigned int number)
{
	(void)number;
	return inode_descriptors(fs->inodes);
}

static uint64_t read_queue(struct fs *fs, unsigned int number)
{
	struct workers *workers = number ? fs->job_workers : fs->request_workers;

	return workers ? workers_depth(workers) : METRIC_UNKNOWN;
}

static uint64_t read_locked(struct fs *fs, unsigned int number)
{
	(void)number;
	return atomic_load(&fs->locked_bytes);
}

static uint64_t read_lock_limit(struct fs *fs, unsigned int number)
{
	(void)number;
	return fs->lock_limit;
}

static uint64_t read_page_size(struct fs *fs, unsigned int number)
{
	(void)fs;
	(void)number;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What the policy wants of files and what became of it; numbers of label values. */
enum { POLICY_LOCKED = 0, POLICY_REFUSED, POLICY_NO_ROOM, POLICY_FAILED, POLICY_QUEUED,
       POLICY_STATES };

static const char *policy_state_name(unsigned int number)
{
	static const char *const names[] = { [POLICY_LOCKED] = "locked",
					     [POLICY_REFUSED] = "lock_refused",
					     [POLICY_NO_ROOM] = "warm_no_room",
					     [POLICY_FAILED] = "failed",
					     [POLICY_QUEUED] = "queued" };

	return names[number];
}

static uint64_t read_policy(struct fs *fs, unsigned int number)
{
	struct treat_figures figures;

	if (!fs->cache || !fs->cache->policy)
		return METRIC_UNKNOWN;
	treat_figures(fs->cache->policy, &figures);
	const uint64_t values[] = { [POLICY_LOCKED] = figures.locked.files,
				    [POLICY_REFUSED] = figures.refused.files,
				    [POLICY_NO_ROOM] = figures.no_room.files,
				    [POLICY_FAILED] = figures.failed,
				    [POLICY_QUEUED] = figures.queued };
	return values[number];
}

static uint64_t read_policy_refused_bytes(struct fs *fs, unsigned int number)
{
	struct treat_figures figures;

	(void)number;
	if (!fs->cache || !fs->cache->policy)
		return METRIC_UNKNOWN;
	treat_figures(fs->cache->policy, &figures);
	return figures.refused.bytes;
}

/* ---- the table ---- */

static const struct row rows[] = {
	{ .type = GAUGE,
	  .name = "mmapfs_build_info",
	  .help = "What serves the mount; always 1.",
	  .count = 1,
	  .label = "version",
	  .label_value = version,
	  .read = read_one },
	{ .slot = METRIC_START_TIME,
	  .type = GAUGE,
	  .name = "mmapfs_start_time_seconds",
	  .help = "When the mount was made, in seconds since 1970." },
	{ .slot = METRIC_OPENS,
	  .count = METRIC_PATHS,
	  .name = "mmapfs_opens_total",
	  .help = "Opens of regular files, by who serves reads and writes.",
	  .label = "data_path",
	  .label_value = path_name },
	{ .slot = METRIC_REQUESTS,
	  .count = METRIC_OPCODES,
	  .name = "mmapfs_requests_total",
	  .help = "Requests that the kernel sent, by kind.",
	  .label = "opcode",
	  .label_value = opcode_name },
	{ .slot = METRIC_ERRORS,
	  .count = METRIC_ERRNOS,
	  .only_seen = true,
	  .name = "mmapfs_errors_total",
	  .help = "Requests that were answered with an error.",
	  .label = "errno",
	  .label_value = error_name },
	{ .slot = METRIC_TIME,
	  .count = METRIC_BUCKETS,
	  .type = HISTOGRAM,
	  .name = "mmapfs_request_duration_seconds",
	  .help = "Time from receiving a request to having answered it." },
	{ .slot = METRIC_WARMED,
	  .name = "mmapfs_warmed_pages_total",
	  .help = "Pages that were read in to warm files." },
	{ .slot = METRIC_EVICTED,
	  .name = "mmapfs_evicted_pages_total",
	  .help = "Pages that evicting dropped from the page cache." },
	{ .slot = METRIC_STAYED,
	  .count = MMAPFS_STAY_COUNT,
	  .name = "mmapfs_evict_stayed_pages_total",
	  .help = "Pages that were to be evicted and stayed, by reason.",
	  .label = "reason",
	  .label_value = stay_name },
	{ .slot = METRIC_LOCKED,
	  .name = "mmapfs_locked_pages_total",
	  .help = "Pages that were locked, also if unlocked since." },
	{ .type = GAUGE,
	  .name = "mmapfs_locked_bytes",
	  .help = "Bytes that the mount keeps in RAM now.",
	  .read = read_locked },
	{ .type = GAUGE,
	  .name = "mmapfs_lock_limit_bytes",
	  .help = "Bytes that the mount may keep in RAM.",
	  .read = read_lock_limit },
	{ .count = POLICY_STATES,
	  .type = GAUGE,
	  .name = "mmapfs_policy_files",
	  .help = "Files that the policy speaks of, by what became of them; only with a policy.",
	  .label = "state",
	  .label_value = policy_state_name,
	  .read = read_policy },
	{ .type = GAUGE,
	  .name = "mmapfs_policy_lock_refused_bytes",
	  .help = "Bytes that the policy wants locked and a limit does not allow.",
	  .read = read_policy_refused_bytes },
	{ .slot = METRIC_POLICY_RELOADS,
	  .count = 2,
	  .name = "mmapfs_policy_reloads_total",
	  .help = "How often the policy was read again.",
	  .label = "result",
	  .label_value = reload_result },
	{ .slot = METRIC_BUDGET,
	  .type = GAUGE,
	  .name = "mmapfs_budget_bytes",
	  .help = "Bytes that may be resident; only with a budget." },
	{ .slot = METRIC_BUDGET_USED,
	  .type = GAUGE,
	  .name = "mmapfs_budget_used_bytes",
	  .help = "Bytes that were resident at the budget's last look." },
	{ .slot = METRIC_BUDGET_LOOKS,
	  .count = 2,
	  .name = "mmapfs_budget_looks_total",
	  .help = "Times that the budget looked at the files in use, and at all.",
	  .label = "at",
	  .label_value = look_name },
	{ .slot = METRIC_BUDGET_EVICTED,
	  .name = "mmapfs_budget_evicted_bytes_total",
	  .help = "Bytes that were evicted to keep the budget." },
	{ .slot = METRIC_BUDGET_REFUSED,
	  .name = "mmapfs_budget_refused_bytes_total",
	  .help = "Bytes that were to be evicted for the budget and stayed." },
	{ .slot = METRIC_BUDGET_SYNC_ERRORS,
	  .name = "mmapfs_budget_sync_errors_total",
	  .help = "Times that a file stayed because it could not be written back." },
	{ .slot = METRIC_SAVES,
	  .count = 2,
	  .name = "mmapfs_snapshot_saves_total",
	  .help = "How often a snapshot of what is resident was saved.",
	  .label = "result",
	  .label_value = reload_result },
	{ .slot = METRIC_SAVE_TIME,
	  .type = GAUGE,
	  .name = "mmapfs_snapshot_time_seconds",
	  .help = "When the last good one was saved, since 1970." },
	{ .slot = METRIC_RESTORED,
	  .name = "mmapfs_restored_bytes_total",
	  .help = "Bytes that were read in to restore a snapshot." },
	{ .type = GAUGE,
	  .name = "mmapfs_page_size_bytes",
	  .help = "Bytes of a page.",
	  .read = read_page_size },
	{ .type = GAUGE,
	  .name = "mmapfs_inodes",
	  .help = "Files that the kernel or the mount has hold of.",
	  .read = read_inodes },
	{ .type = GAUGE,
	  .name = "mmapfs_inode_descriptors",
	  .help = "Of those, the ones that cost a file descriptor.",
	  .read = read_descriptors },
	{ .count = 2,
	  .type = GAUGE,
	  .name = "mmapfs_queue_depth",
	  .help = "Tasks waiting or running, by pool of workers.",
	  .label = "pool",
	  .label_value = pool_name,
	  .read = read_queue },
};

/* ---- counting ---- */

static atomic_uint_fast64_t *own_slot(struct metrics *metrics, unsigned int metric)
{
	static _Thread_local unsigned int own; /* 0: none yet */
	static atomic_uint threads;

	if (!own)
		own = atomic_fetch_add(&threads, 1) % METRICS_SHARDS + 1;
	return &metrics->shard[own - 1].slot[metric];
}

void metrics_add(struct metrics *metrics, unsigned int metric, uint64_t n)
{
	atomic_fetch_add_explicit(own_slot(metrics, metric), n, memory_order_relaxed);
}

/* Inverted, so that metrics which are all zero know nothing yet. */
void metrics_set(struct metrics *metrics, unsigned int metric, uint64_t value)
{
	atomic_store_explicit(&metrics->shard[0].slot[metric], ~value, memory_order_relaxed);
}

static uint64_t gauge_value(const struct metrics *metrics, unsigned int metric)
{
	return ~atomic_load_explicit(&metrics->shard[0].slot[metric], memory_order_relaxed);
}

uint64_t metrics_value(const struct metrics *metrics, unsigned int metric)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < METRICS_SHARDS; i++)
		sum += atomic_load_explicit(&metrics->shard[i].slot[metric],
					    memory_order_relaxed);
	return sum;
}

void metrics_add_request(struct metrics *metrics, uint32_t opcode)
{
	bool known = opcode < METRIC_OPCODES && opcode_names[opcode];

	metrics_add(metrics, METRIC_REQUESTS + (known ? opcode : 0), 1);
}

void metrics_add_error(struct metrics *metrics, int error)
{
	unsigned int number = error < 0 ? -(unsigned int)error : (unsigned int)error;
	bool known = number < METRIC_ERRNOS && mmapfs_errno_name((int)number);

	metrics_add(metrics, METRIC_ERRORS + (known ? number : 0), 1);
}

/* Upper bounds, in the text and in nanoseconds; the last bucket has none. */
static const struct {
	const char *text;
	uint64_t ns;
} bounds[METRIC_BUCKETS] = {
	{ "1e-05", 10000 },	   { "2.5e-05", 25000 },    { "5e-05", 50000 },
	{ "0.0001", 100000 },	   { "0.00025", 250000 },   { "0.0005", 500000 },
	{ "0.001", 1000000 },	   { "0.005", 5000000 },    { "0.025", 25000000 },
	{ "0.1", 100000000 },	   { "0.5", 500000000 },    { "2.5", 2500000000 },
	{ "10", 10000000000 },	   { "+Inf", UINT64_MAX },
};

void metrics_add_time(struct metrics *metrics, uint64_t ns)
{
	unsigned int bucket = 0;

	while (ns > bounds[bucket].ns)
		bucket++;
	metrics_add(metrics, METRIC_TIME + bucket, 1);
	metrics_add(metrics, METRIC_TIME_SUM, ns);
}

/* ---- the text ---- */

static int print_head(const struct row *row, struct ctl_text *ret)
{
	return ctl_text_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help,
			       row->name, type_names[row->type]);
}

/* The count is that of the buckets just printed, so that they always agree. */
static int print_histogram(const struct row *row, struct fs *fs, struct ctl_text *ret)
{
	uint64_t sum = metrics_value(&fs->metrics, METRIC_TIME_SUM);
	uint64_t count = 0;
	int r = print_head(row, ret);

	for (unsigned int i = 0; r >= 0 && i < row->count; i++) {
		count += metrics_value(&fs->metrics, row->slot + i);
		r = ctl_text_printf(ret, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", row->name,
				    bounds[i].text, count);
	}
	if (r < 0)
		return r;
	return ctl_text_printf(ret, "%s_sum %" PRIu64 ".%09" PRIu64 "\n%s_count %" PRIu64 "\n",
			       row->name, sum / NS_PER_S, sum % NS_PER_S, row->name, count);
}

static uint64_t value_of(const struct row *row, struct fs *fs, unsigned int number)
{
	if (row->read)
		return row->read(fs, number);
	if (row->type == GAUGE)
		return gauge_value(&fs->metrics, row->slot + number);
	return metrics_value(&fs->metrics, row->slot + number);
}

static bool is_shown(const struct row *row, uint64_t value)
{
	return row->type == GAUGE ? value != METRIC_UNKNOWN : value || !row->only_seen;
}

static int print_sample(const struct row *row, const char *label_value, uint64_t value,
			struct ctl_text *ret)
{
	if (!row->label)
		return ctl_text_printf(ret, "%s %" PRIu64 "\n", row->name, value);
	return ctl_text_printf(ret, "%s{%s=\"%s\"} %" PRIu64 "\n", row->name, row->label,
			       label_value, value);
}

static int print_row(const struct row *row, struct fs *fs, struct ctl_text *ret)
{
	bool head = false;
	int r = 0;

	for (unsigned int i = 0; r >= 0 && i < row->count + !row->label; i++) {
		const char *label_value = row->label ? row->label_value(i) : "";
		uint64_t value = label_value ? value_of(row, fs, i) : 0;

		if (!label_value || !is_shown(row, value))
			continue;
		if (!head)
			r = print_head(row, ret);
		head = true;
		if (r >= 0)
			r = print_sample(row, label_value, value, ret);
	}
	return r;
}

int metrics_print(struct fs *fs, struct ctl_text *ret)
{
	int r = 0;

	for (unsigned int i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++)
		r = rows[i].type == HISTOGRAM ? print_histogram(&rows[i], fs, ret)
					      : print_row(&rows[i], fs, ret);
	return r;
}
