/* SPDX-License-Identifier: MIT */
/*
 * ctl.c - the table of the control attributes, and the way from a name to its row.
 *
 * getxattr, setxattr, listxattr, the ioctl, user.mmapfs.help and the tests come from the
 * rows; a new attribute is a row here and its functions in one of the ctl_*.c files.
 */
#include "ctl.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "cache.h"
#include "cache_restart.h"
#include "cache_treat.h"
#include "ctl_private.h"

#define FULL_NAME "user.mmapfs"

#define ANY (CTL_FILE | CTL_DIR)
#define NUMBER_MAX 20 /* digits of 2^64 */
#define STAT_MAX 1024
#define JOB_MAX 128
#define EVICT_MAX 640
#define BUDGET_MAX 640
#define SNAPSHOT_MAX (4096 + 640) /* the name of the file, and the lines before it */
#define ADVISE_MAX 1536 /* a line for each part of REGION_PART_ADVICE_MAX, and one */

static int get_metrics(struct ctl_request *rq, struct ctl_text *ret);
static int get_snapshot(struct ctl_request *rq, struct ctl_text *ret);
static int set_snapshot(struct ctl_request *rq);
static int get_version(struct ctl_request *rq, struct ctl_text *ret);
static int get_help(struct ctl_request *rq, struct ctl_text *ret);

static const struct ctl_row rows[] = {
	{ .name = "",
	  .where = ANY,
	  .long_get = ANY,
	  .answer_max = STAT_MAX + 128 + JOB_MAX + EVICT_MAX,
	  .get = ctl_get_summary,
	  .help = "all of the below that fits one screen" },
	{ .name = "stat",
	  .where = ANY,
	  .long_get = ANY,
	  .takes_range = true,
	  .answer_max = STAT_MAX,
	  .get = ctl_get_stat,
	  .help = "key=value lines, counts in pages; of a directory: sums over its tree" },
	{ .name = "pages",
	  .where = ANY,
	  .long_get = CTL_DIR,
	  .takes_range = true,
	  .answer_max = NUMBER_MAX,
	  .get = ctl_get_pages,
	  .help = "pages that the file has" },
	{ .name = "resident",
	  .where = ANY,
	  .long_get = ANY,
	  .takes_range = true,
	  .figure = MMAPFS_RESIDENT,
	  .answer_max = NUMBER_MAX,
	  .get = ctl_get_figure,
	  .help = "pages in RAM and ready" },
	{ .name = "dirty",
	  .where = ANY,
	  .long_get = ANY,
	  .takes_range = true,
	  .figure = MMAPFS_DIRTY,
	  .answer_max = NUMBER_MAX,
	  .get = ctl_get_figure,
	  .help = "pages not yet written to disk" },
	{ .name = "writeback",
	  .where = ANY,
	  .long_get = ANY,
	  .takes_range = true,
	  .figure = MMAPFS_WRITEBACK,
	  .answer_max = NUMBER_MAX,
	  .get = ctl_get_figure,
	  .help = "pages being written to disk" },
	{ .name = "evicted",
	  .where = ANY,
	  .long_get = ANY,
	  .takes_range = true,
	  .figure = MMAPFS_EVICTED,
	  .answer_max = NUMBER_MAX,
	  .get = ctl_get_figure,
	  .help = "pages that the kernel pushed out" },
	{ .name = "locked",
	  .where = ANY,
	  .long_get = CTL_DIR,
	  .takes_range = true,
	  .answer_max = NUMBER_MAX,
	  .get = ctl_get_locked,
	  .help = "pages that this mount keeps in RAM" },
	{ .name = "ranges",
	  .where = CTL_FILE,
	  .long_get = CTL_FILE,
	  .takes_range = true,
	  .answer_max = CTL_RANGES_MAX,
	  .get = ctl_get_ranges,
	  .help = "resident runs, OFFSET+LENGTH a line; cut: last line \"... OFFSET\"" },
	{ .name = "map",
	  .where = CTL_FILE,
	  .long_get = CTL_FILE,
	  .takes_range = true,
	  .answer_max = 64,
	  .get = ctl_get_map,
	  .help = "64 cells by share resident: . none, then :-=+*#% rising, @ all" },
	{ .name = "advise",
	  .where = ANY,
	  .long_set = ANY,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = ADVISE_MAX,
	  .get = ctl_get_advise,
	  .set = ctl_set_advise,
	  .values = "ADVICE [RANGE]",
	  .help = "madvise the daemon's mapping; reads the advice in force" },
	{ .name = "sync",
	  .where = ANY,
	  .long_set = ANY,
	  .value_max = CTL_VALUE_MAX,
	  .set = ctl_set_sync,
	  .values = "sync|async|invalidate [RANGE]",
	  .help = "write dirty pages back; an error is told once" },
	{ .name = "warm",
	  .where = ANY,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = JOB_MAX,
	  .get = ctl_get_warm,
	  .set = ctl_set_warm,
	  .values = "[RANGE]|cancel",
	  .help = "read in what is missing; reads STATE DONE/TOTAL, bytes" },
	{ .name = "evict",
	  .where = ANY,
	  .long_set = CTL_FILE,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = EVICT_MAX,
	  .get = ctl_get_evict,
	  .set = ctl_set_evict,
	  .values = "[sync] [RANGE]|cancel",
	  .help = "drop clean pages; reads before, after, why pages stayed" },
	{ .name = "lock",
	  .where = CTL_FILE,
	  .long_set = CTL_FILE,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = CTL_RANGES_MAX,
	  .get = ctl_get_lock,
	  .set = ctl_set_lock,
	  .values = "on|off [RANGE]",
	  .help = "keep in RAM while mounted; reads the locked ranges" },
	{ .name = "budget",
	  .where = CTL_ROOT,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = BUDGET_MAX,
	  .get = ctl_get_budget,
	  .set = ctl_set_budget,
	  .values = "SIZE|N%|off",
	  .help = "what may stay in RAM of all files; reads key=value lines" },
	{ .name = "metrics",
	  .where = CTL_ROOT,
	  .answer_max = METRICS_TEXT_MAX,
	  .get = get_metrics,
	  .help = "of the mount's root: counters, in the Prometheus text format" },
	{ .name = "policy",
	  .where = CTL_ROOT,
	  .long_set = CTL_ROOT,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = TREAT_TEXT_MAX,
	  .get = ctl_get_policy,
	  .set = ctl_set_policy,
	  .values = "reload",
	  .help = "what is locked, warm ... by name; reads key=value lines, then sections" },
	{ .name = "snapshot",
	  .where = CTL_ROOT,
	  .value_max = CTL_VALUE_MAX,
	  .answer_max = SNAPSHOT_MAX,
	  .get = get_snapshot,
	  .set = set_snapshot,
	  .values = "save|restore|cancel|interval SECONDS|rate SIZE",
	  .help = "warm restart; reads key=value lines" },
	{ .name = "version",
	  .where = ANY | CTL_OTHER,
	  .answer_max = 32,
	  .get = get_version,
	  .help = "version of mmapfs" },
	{ .name = "help", .where = ANY, .get = get_help, .help = "this list" },
};

static const char help_head[] =
	"Attributes user.mmapfs.NAME. A RANGE is OFFSET+LENGTH, OFFSET- or OFFSET (a page),\n"
	"in bytes or with K M G T; where @ is shown it may follow the name: resident@1G+64M\n";

static const char help_tail[] =
	"\nFigures that cannot be known are \"unknown\" in stat, and ENODATA by themselves.";

/* ---- names ---- */

/* enum ctl_where, or-ed. */
static unsigned int kind_of(const struct inode *inode)
{
	if (S_ISREG(inode->type))
		return CTL_FILE;
	if (!S_ISDIR(inode->type))
		return CTL_OTHER;
	return inode->is_root ? CTL_DIR | CTL_ROOT : CTL_DIR;
}

/* What follows "user.mmapfs" in @name, without the dot; NULL when it is not ours. */
static const char *short_name(const char *name)
{
	const size_t length = sizeof(FULL_NAME) - 1;

	if (strncmp(name, FULL_NAME, length))
		return NULL;
	if (!name[length])
		return name + length;
	/* "user.mmapfs." alone is ours, but the name of nothing. */
	return name[length] == '.' ? name + length + 1 : NULL;
}

bool ctl_is_ours(const char *name)
{
	return short_name(name) != NULL;
}

/* The row of @name on this kind of inode, or NULL; in *@ret_at what follows an @, or
 * NULL. */
static const struct ctl_row *find_row(const struct inode *inode, const char *name,
				      const char **ret_at)
{
	const char *key = short_name(name);
	const char *at;
	size_t length;

	if (!key || (!*key && name[sizeof(FULL_NAME) - 1]))
		return NULL;
	at = strchr(key, '@');
	length = at ? (size_t)(at - key) : strlen(key);
	*ret_at = at ? at + 1 : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strlen(rows[i].name) == length &&
		    !memcmp(rows[i].name, key, length) &&
		    (rows[i].where & kind_of(inode)))
			return &rows[i];
	}
	return NULL;
}

bool ctl_get_is_long(const struct inode *inode, const char *name)
{
	const char *at;
	const struct ctl_row *row = find_row(inode, name, &at);

	return row && (row->long_get & kind_of(inode));
}

bool ctl_set_is_long(const struct inode *inode, const char *name)
{
	const char *at;
	const struct ctl_row *row = find_row(inode, name, &at);

	return row && (row->long_set & kind_of(inode));
}

int64_t ctl_get_bound(const struct inode *inode, const char *name)
{
	struct ctl_text text = { 0 };
	const char *at;
	const struct ctl_row *row = find_row(inode, name, &at);
	int64_t bound;
	int r;

	if (!row || !row->get)
		return -ENODATA;
	if (row->answer_max)
		return row->answer_max;
	/* help needs no measuring: it is as long as it is. */
	r = get_help(NULL, &text);
	bound = (int64_t)text.length;
	ctl_text_free(&text);
	return r < 0 ? r : bound;
}

int ctl_list(const struct inode *inode, struct ctl_text *ret)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++) {
		const char *name = rows[i].name;

		if (!rows[i].get || rows[i].set || !(rows[i].where & kind_of(inode)))
			continue;
		r = ctl_text_printf(ret, FULL_NAME "%s%s%c", *name ? "." : "", name, 0);
	}
	return r;
}

/* ---- requests ---- */

static struct ctl_request new_request(struct fs *fs, struct inode *inode,
				      const struct ctl_row *row,
				      const struct ctl_caller *caller)
{
	return (struct ctl_request){
		.fs = fs,
		.inode = inode,
		.row = row,
		.caller = caller,
		.stop = { fs, caller->interrupted, caller->ctx },
	};
}

int ctl_get(struct fs *fs, struct inode *inode, const char *name,
	    const struct ctl_caller *caller, struct ctl_text *ret)
{
	const char *at;
	const struct ctl_row *row = find_row(inode, name, &at);
	struct ctl_request rq;

	if (!row || !row->get)
		return -ENODATA;
	rq = new_request(fs, inode, row, caller);
	if (at) {
		/* A tree has no bytes to number. */
		if (!row->takes_range || !S_ISREG(inode->type))
			return -EINVAL;
		if (mmapfs_range_parse(at, &rq.range) < 0)
			return -EINVAL;
	}
	return row->get(&rq, ret);
}

int ctl_set(struct fs *fs, struct inode *inode, const char *name, const char *value,
	    size_t length, const struct ctl_caller *caller)
{
	const char *at;
	const struct ctl_row *row = find_row(inode, name, &at);
	struct ctl_request rq;
	int r;

	if (!row || !row->set)
		return -EOPNOTSUPP;
	if (at)
		return -EINVAL; /* the range is part of the value */
	rq = new_request(fs, inode, row, caller);
	r = ctl_words_split(value, length, row->value_max, &rq.words);
	if (r >= 0)
		r = row->set(&rq);
	/* A lock, advice and more read pages in. */
	if (S_ISREG(inode->type))
		cache_reading(fs, inode, 0);
	return r;
}

/* ---- the cache manager ---- */

static struct restart *restart_of(const struct ctl_request *rq)
{
	return rq->fs->cache ? rq->fs->cache->restart : NULL;
}

static int get_snapshot(struct ctl_request *rq, struct ctl_text *ret)
{
	return restart_print(restart_of(rq), ret);
}

static int set_snapshot(struct ctl_request *rq)
{
	const uid_t uid = rq->caller->user.uid;

	if (uid != 0 && uid != rq->fs->owner)
		return -EPERM;
	return restart_control(restart_of(rq), &rq->words);
}

/* ---- about ourselves ---- */

static int get_metrics(struct ctl_request *rq, struct ctl_text *ret)
{
	return metrics_print(rq->fs, ret);
}

static int get_version(struct ctl_request *rq, struct ctl_text *ret)
{
	(void)rq;
	return ctl_text_printf(ret, "%s", mmapfs_version());
}

static const char *access_text(const struct ctl_row *row)
{
	if (!row->set)
		return "r-";
	return row->get ? "rw" : "-w";
}

static const char *only_where(const struct ctl_row *row)
{
	if (row->where == CTL_ROOT)
		return "  (the mount's root only)";
	return row->where & CTL_DIR ? "" : "  (files only)";
}

static int help_row(const struct ctl_row *row, struct ctl_text *ret)
{
	int r;

	r = ctl_text_printf(ret, "\n%-10s %s %s  %s", *row->name ? row->name : "(none)",
			    access_text(row), row->takes_range ? "@" : " ", row->help);
	if (r < 0 || !row->values)
		return r;
	return ctl_text_printf(ret, "\n%16s= %s%s", "", row->values, only_where(row));
}

static int get_help(struct ctl_request *rq, struct ctl_text *ret)
{
	int r;

	(void)rq;
	r = ctl_text_printf(ret, "%s", help_head);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++)
		r = help_row(&rows[i], ret);
	return r < 0 ? r : ctl_text_printf(ret, "\n%s", help_tail);
}
