/* SPDX-License-Identifier: MIT */
/* ctl_act.c - the control attributes that do something before they answer. */
#include "ctl_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"

static void close_mapp(struct mmapfs_map **map)
{
	mmapfs_map_close(*map);
}

static void put_viewp(struct view **view)
{
	view_put(*view);
}

/* ---- advise ---- */

struct advising {
	struct mmapfs_range range;
	enum mmapfs_advice advice;
};

/* Words that tell what each page is to become want pages that may be written. */
static uint32_t access_for(enum mmapfs_advice advice)
{
	return advice == MMAPFS_ADVICE_POPULATE_WRITE ? MMAPFS_ACCESS_WRITE
						      : MMAPFS_ACCESS_READ;
}

static int parse_advice(struct ctl_request *rq, struct advising *ret)
{
	int advice;

	if (!rq->words.count)
		return -EINVAL;
	advice = mmapfs_advice_parse(rq->words.word[0]);
	if (advice < 0)
		return -EINVAL;
	if (mmapfs_advice_kinds((enum mmapfs_advice)advice) & MMAPFS_ADVICE_DESTRUCTIVE)
		return -EPERM;
	ret->advice = (enum mmapfs_advice)advice;
	return ctl_words_range(&rq->words, 1, &ret->range);
}

/* Advise the region's own view where there is one; else a map that is gone afterwards,
 * which still acts on the page cache, and finds out whether the kernel takes the advice.
 */
static int advise_file(struct fs *fs, struct inode *inode,
		       const struct advising *advising)
{
	_cleanup_(put_viewp) struct view *view = NULL;
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	uint32_t access = access_for(advising->advice);
	int r;

	if (access == MMAPFS_ACCESS_READ)
		view = view_peek(inode);
	if (view)
		return mmapfs_advise(view_map(view), advising->range, advising->advice,
				     0);
	r = region_open_map(fs, inode, access, &map);
	if (r < 0)
		return r;
	return mmapfs_advise(map, advising->range, advising->advice, 0);
}

static bool is_state(const struct advising *advising)
{
	return mmapfs_advice_kinds(advising->advice) & MMAPFS_ADVICE_STATE;
}

static int advise_tree_file(void *ctx, struct inode *inode, struct mmapfs_map *map,
			    const struct stat *st)
{
	const struct advising *advising = ctx;
	_cleanup_(put_viewp) struct view *view = NULL;
	int r;

	(void)st;
	/* Files that the mount does not know yet inherit it when they are looked up. */
	if (is_state(advising) && !inode)
		return 0;
	if (inode && access_for(advising->advice) == MMAPFS_ACCESS_READ)
		view = view_peek(inode);
	r = mmapfs_advise(view ? view_map(view) : map, advising->range, advising->advice,
			  0);
	return r < 0 || !is_state(advising)
		       ? r
		       : region_remember_advice(inode, advising->range, advising->advice);
}

int ctl_set_advise(struct ctl_request *rq)
{
	struct advising advising;
	struct ctl_tree tree;
	int r = parse_advice(rq, &advising);

	if (r < 0)
		return r;
	if (S_ISDIR(rq->inode->type)) {
		if (advising.range.offset || advising.range.length)
			return -EINVAL;
		tree = ctl_request_tree(rq, true);
		r = ctl_each_map(&tree, access_for(advising.advice), advise_tree_file,
				 &advising, NULL);
	} else {
		r = advise_file(rq->fs, rq->inode, &advising);
	}
	return r < 0 || !is_state(&advising)
		       ? r
		       : region_remember_advice(rq->inode, advising.range, advising.advice);
}

int ctl_get_advise(struct ctl_request *rq, struct ctl_text *ret)
{
	struct region *region = region_peek(rq->inode);
	char word[MMAPFS_WORD_MAX];
	int r = ctl_text_printf(ret, "%s", mmapfs_advice_name(region_advice(rq->inode)));

	if (r < 0 || !region)
		return r;
	SCOPE_LOCK(&region->mutex);
	for (unsigned int i = 0; r >= 0 && i < region->part_count; i++)
		r = ctl_text_printf(ret, "\n%s %s",
				    mmapfs_advice_name(region->parts[i].advice),
				    mmapfs_range_format(word, region->parts[i].range));
	return r;
}

/* ---- sync ---- */

static const char *const sync_words[] = {
	[MMAPFS_SYNC] = "sync",
	[MMAPFS_SYNC_ASYNC] = "async",
	[MMAPFS_SYNC_INVALIDATE] = "invalidate",
};

static uint64_t range_end(struct mmapfs_range range)
{
	return range.length ? add_saturated(range.offset, range.length) : UINT64_MAX;
}

/* Let the kernel write back and forget what it has under the mount's own inode: copies of
 * what was read by the mapped path, and what clients stored into maps of them. */
static void forget_copies(struct fs *fs, struct inode *inode, struct mmapfs_range range)
{
	if (fs->invalidate)
		fs->invalidate(fs->invalidate_ctx, inode, range.offset, range.length);
}

struct syncing {
	struct fs *fs;
	struct mmapfs_range range;
	enum mmapfs_sync_level level;
};

/* Move the write error that stays with the file in core to where each handle, and the
 * sync control, get it once. */
static void take_sync_error(struct inode *inode, struct mmapfs_map *map)
{
	static pthread_mutex_t taking =
		PTHREAD_MUTEX_INITIALIZER; /* see, forget: one step */
	SCOPE_LOCK(&taking);
	int error = mmapfs_sync_error(map);

	if (error >= 0)
		return;
	mmapfs_sync_forget_error(map);
	if (inode)
		region_sync_failed(inode, error);
}

/* The error of an earlier write-back that the sync control has not told yet, or 0. */
static int unreported_error(struct inode *inode)
{
	struct region *region = region_peek(inode);

	if (!region)
		return 0;
	SCOPE_LOCK(&region->mutex);
	if (region->sync_control_seen == region->sync_errors)
		return 0;
	region->sync_control_seen = region->sync_errors;
	return region->sync_error;
}

int ctl_sync_map(struct fs *fs, struct inode *inode, struct mmapfs_map *map,
		 struct mmapfs_range range, enum mmapfs_sync_level level)
{
	int earlier, r;

	/* msync looks only at its own mapping; the locks are on the region's. */
	if (level == MMAPFS_SYNC_INVALIDATE && inode &&
	    region_locked(inode, range.offset, range_end(range)))
		return -EBUSY;
	if (inode && inode->writers && inode->data_path == DATA_PATH_MAPPED)
		forget_copies(fs, inode, range);
	r = mmapfs_sync(map, range, level);
	take_sync_error(inode, map);
	earlier = inode ? unreported_error(inode) : 0;
	return r < 0 ? r : earlier;
}

static int sync_tree_file(void *ctx, struct inode *inode, struct mmapfs_map *map,
			  const struct stat *st)
{
	const struct syncing *syncing = ctx;

	(void)st;
	return ctl_sync_map(syncing->fs, inode, map, syncing->range, syncing->level);
}

static int parse_sync(struct ctl_request *rq, struct syncing *ret)
{
	if (!rq->words.count)
		return -EINVAL;
	for (unsigned int i = 0; i < ARRAY_SIZE(sync_words); i++) {
		if (strcmp(rq->words.word[0], sync_words[i]))
			continue;
		ret->level = (enum mmapfs_sync_level)i;
		return ctl_words_range(&rq->words, 1, &ret->range);
	}
	return -EINVAL;
}

int ctl_set_sync(struct ctl_request *rq)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct syncing syncing = { .fs = rq->fs };
	struct ctl_tree tree;
	int r = parse_sync(rq, &syncing);

	if (r < 0)
		return r;
	if (S_ISDIR(rq->inode->type)) {
		if (syncing.range.offset || syncing.range.length)
			return -EINVAL;
		tree = ctl_request_tree(rq, true);
		return ctl_each_map(&tree, MMAPFS_ACCESS_READ, sync_tree_file, &syncing, NULL);
	}
	r = region_open_map(rq->fs, rq->inode, MMAPFS_ACCESS_READ, &map);
	return r < 0 ? r : ctl_sync_map(rq->fs, rq->inode, map, syncing.range, syncing.level);
}

/* ---- lock ---- */

/* Locked memory is lost to everybody else, so write permission is not enough. */
static int may_lock(struct ctl_request *rq)
{
	struct stat st;
	int r;

	if (rq->caller->user.uid == 0 || rq->caller->user.uid == rq->fs->owner)
		return 0;
	r = inode_stat(rq->fs->inodes, rq->inode, &st);
	if (r < 0)
		return r;
	return st.st_uid == rq->caller->user.uid ? 0 : -EPERM;
}

int ctl_set_lock(struct ctl_request *rq)
{
	struct mmapfs_range range;
	bool on;
	int r;

	if (!rq->words.count)
		return -EINVAL;
	on = !strcmp(rq->words.word[0], "on");
	if (!on && strcmp(rq->words.word[0], "off") != 0)
		return -EINVAL;
	r = ctl_words_range(&rq->words, 1, &range);
	if (r >= 0)
		r = may_lock(rq);
	if (r < 0)
		return r;
	atomic_fetch_or(&rq->inode->marks, INODE_BY_HAND);
	return on ? region_lock(rq->fs, rq->inode, range)
		  : region_unlock(rq->fs, rq->inode, range);
}

int ctl_get_lock(struct ctl_request *rq, struct ctl_text *ret)
{
	struct region *region = region_peek(rq->inode);
	struct ctl_lines lines = ctl_lines_begin(ret);
	int r = 0;

	if (!region)
		return 0;
	SCOPE_LOCK(&region->mutex);
	for (size_t i = 0; !r && i < region->locked_count; i++) {
		const struct mmapfs_range locked = region_bytes(rq->inode, region->locked[i]);

		r = ctl_lines_add(&lines, locked.offset, locked.length);
	}
	return r < 0 ? r : 0;
}

/* ---- evict ---- */

/* What was read in again while it was evicted is no page dropped. */
static void count_evicted(struct metrics *metrics, const struct mmapfs_evict_result *result)
{
	metrics_add(metrics, METRIC_EVICTED,
		    result->before - u64_min(result->before, result->after));
	for (unsigned int i = 0; i < MMAPFS_STAY_COUNT; i++)
		metrics_add(metrics, METRIC_STAYED + i, result->stayed[i]);
}

static void add_evicted(struct evict_sums *sums, const struct mmapfs_evict_result *result)
{
	sums->files++;
	if (!result->valid) {
		sums->unknown_files++;
		return;
	}
	sums->exact = sums->exact && result->exact;
	sums->before += result->before;
	sums->after += result->after;
	for (unsigned int i = 0; i < MMAPFS_STAY_COUNT; i++)
		sums->stayed[i] += result->stayed[i];
}

/*
 * The kernel does not mark the last folio of a file as locked when it reaches beyond the
 * end, though a locked mapping keeps it all the same: it then shows as mapped.
 */
static void count_own_locks(struct inode *inode, struct mmapfs_range range,
			    struct mmapfs_evict_result *result)
{
	uint64_t ours = region_locked(inode, range.offset, range_end(range)) / ctl_page_size();
	uint64_t *locked = &result->stayed[MMAPFS_STAY_LOCKED];
	uint64_t *mapped = &result->stayed[MMAPFS_STAY_MAPPED];
	uint64_t moved = ours > *locked ? u64_min(ours - *locked, *mapped) : 0;

	*locked += moved;
	*mapped -= moved;
}

int ctl_evict_map(struct fs *fs, struct inode *inode, struct mmapfs_map *map,
		  struct mmapfs_range range, uint32_t flags, struct evict_sums *sums)
{
	struct mmapfs_evict_result result = MMAPFS_INIT(result);
	int r;

	if (inode) {
		/* Not only on the mapped path: also after a readahead(2) by a client. First, for
		 * what is written back by it makes pages of the source dirty. */
		forget_copies(fs, inode, range);
		region_release_pages(inode, range);
	}
	r = mmapfs_evict(map, range, flags, &result);
	if (flags & MMAPFS_EVICT_SYNC)
		take_sync_error(inode, map);
	if (r < 0)
		return r;
	if (inode)
		count_own_locks(inode, range, &result);
	add_evicted(sums, &result);
	if (result.valid)
		count_evicted(&fs->metrics, &result);
	return 0;
}

static int evict_file(struct ctl_request *rq, struct mmapfs_range range, uint32_t flags)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct evict_sums sums = { .any = true, .exact = true };
	struct region *region = region_of(rq->inode);
	int r;

	if (!region)
		return -ENOMEM;
	r = region_open_map(rq->fs, rq->inode, MMAPFS_ACCESS_READ, &map);
	if (r >= 0)
		r = ctl_evict_map(rq->fs, rq->inode, map, range, flags, &sums);
	if (r < 0)
		return r;
	SCOPE_LOCK(&region->mutex);
	region->evict = sums;
	return 0;
}

int ctl_set_evict(struct ctl_request *rq)
{
	struct mmapfs_range range;
	uint32_t flags = 0;
	int r;

	if (S_ISDIR(rq->inode->type))
		return ctl_set_evict_tree(rq);
	if (rq->words.count && !strcmp(rq->words.word[0], "sync"))
		flags = MMAPFS_EVICT_SYNC;
	r = ctl_words_range(&rq->words, flags ? 1 : 0, &range);
	return r < 0 ? r : evict_file(rq, range, flags);
}

static int print_evicted(const struct evict_sums *sums, struct ctl_text *ret)
{
	int r;

	if (sums->files == sums->unknown_files)
		return ctl_text_printf(ret, "before=unknown after=unknown");
	r = ctl_text_printf(ret, "before=%" PRIu64 " after=%" PRIu64, sums->before,
			    sums->after);
	for (unsigned int i = 0; r >= 0 && i < MMAPFS_STAY_COUNT; i++) {
		if (sums->stayed[i])
			r = ctl_text_printf(ret, " %s=%" PRIu64, mmapfs_stay_name(i),
					    sums->stayed[i]);
	}
	if (r >= 0 && sums->after)
		r = ctl_text_printf(ret, " reasons=%s",
				    sums->exact ? "exact" : "inferred");
	return r;
}

static struct evict_sums last_evict(struct inode *inode)
{
	struct region *region = region_peek(inode);

	if (!region)
		return (struct evict_sums){ 0 };
	SCOPE_LOCK(&region->mutex);
	return region->evict;
}

int ctl_get_evict(struct ctl_request *rq, struct ctl_text *ret)
{
	struct evict_sums sums = last_evict(rq->inode);
	bool tree = S_ISDIR(rq->inode->type);
	int r;

	if (tree) {
		r = ctl_job_print(rq->inode, JOB_EVICT, ret);
		if (r < 0 || !sums.any)
			return r;
		r = ctl_text_printf(ret, " files=%" PRIu64 " unknown_files=%" PRIu64 " ",
				    sums.files, sums.unknown_files);
		return r < 0 ? r : print_evicted(&sums, ret);
	}
	return sums.any ? print_evicted(&sums, ret) : ctl_text_printf(ret, "idle");
}
