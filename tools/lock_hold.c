/* SPDX-License-Identifier: MIT */
/*
 * lock_hold.c - keep files locked: of what is behind each name now, all that was asked.
 *
 * A file that grew gets a further map for its tail, which takes in the tails before it
 * that are no longer than itself: so an appended log costs little more than what is
 * appended, and has few parts. In every other case the file is locked afresh, and what
 * was locked before is let go afterwards, so that no page is unlocked in between - except
 * where the limit does not allow both at once.
 */
#include "lock_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "follow.h"
#include "progress.h"
#include "select.h"

#define NS_PER_MS 1000000L

#define PARTS_MAX 32

/* Between a change and the look at it, and so between two looks at a busy file. */
#define SETTLE_MS 50
/* How often all names are looked at, for changes that no watch can see, and sooner when
 * something could not be locked. */
#define LOOK_MS 10000
#define RETRY_MS 1000

/* Locked in one go: as long as a signal may have to wait. */
#define PIECE_BYTES (UINT64_C(256) << 20)

struct part {
	struct target target;
	uint64_t from;	 /* bytes of the file before it belong to other parts */
	uint64_t locked; /* bytes */
};

struct hold {
	struct part *parts[PARTS_MAX];
	size_t count;
	struct follow_file file; /* as it was when it was locked */
	int error;		 /* of the last try, told only once; else 0 */
};

struct holds {
	const struct mmapfs_range *ranges;
	size_t range_count;
	struct follow *follow;
	struct hold *holds; /* the same indices as in `follow` */
	size_t count;
	struct hold adding; /* not yet followed: ranges are still being added */
	char *adding_path;
	bool adding_failed;
};

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Signals are blocked while files are held, so one that came is only pending. */
static bool is_stopping(void)
{
	sigset_t pending;

	if (interrupted())
		return true;
	if (sigpending(&pending) < 0)
		return false;
	return sigismember(&pending, SIGINT) == 1 ||
	       sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGHUP) == 1;
}

/* ---- one range of one target ---- */

/* Does what is asked in pieces fit as a whole? The first piece's numbers tell. */
static int check_whole(const struct mmapfs_lock_result *first, uint64_t more)
{
	uint64_t need = add_saturated(first->need, more);

	if (first->limit == UINT64_MAX ||
	    add_saturated(first->in_use, need) <= first->limit)
		return 0;
	return -ENOMEM;
}

static int lock_pieces(struct target *target, uint64_t begin, uint64_t end,
		       struct mmapfs_lock_result *result)
{
	struct mmapfs_lock_result one = MMAPFS_INIT(one);
	uint64_t next;
	int r;

	for (uint64_t at = begin; at < end; at = next) {
		next = u64_min(at + PIECE_BYTES, end);
		r = target_lock(target, (struct mmapfs_range){ at, next - at }, &one);
		if (at == begin)
			*result = one;
		else
			result->need = add_saturated(result->need, one.need);
		if (r == -ENOMEM && at == begin)
			result->need = add_saturated(one.need, end - next);
		if (r < 0)
			return r;
		if (at == begin && check_whole(&one, end - next) < 0) {
			result->need = add_saturated(one.need, end - next);
			return -ENOMEM;
		}
		if (at != begin)
			result->locked += one.locked;
		progress_add(next - at);
		if (is_stopping())
			return -EINTR;
	}
	return 0;
}

/* @result is always filled in as far as it is known. */
static int lock_range(struct target *target, struct mmapfs_range range,
		      struct mmapfs_lock_result *result)
{
	uint64_t size, end;
	int r;

	*result = (struct mmapfs_lock_result)MMAPFS_INIT(*result);
	r = target_size(target, &size);
	if (r < 0)
		return r;
	end = range.length ? add_saturated(range.offset, range.length) : size;
	end = u64_min(end, size);
	if (range.offset >= end)
		return 0;
	progress_expect(end - range.offset);
	return lock_pieces(target, range.offset, end, result);
}

/* ---- parts of a hold ---- */

static struct part *part_free(const struct holds *holds, struct part *part)
{
	/* A plain file's lock ends with its map; a mount has to be told. */
	for (size_t i = 0; part->target.on_mount && i < holds->range_count; i++)
		(void)target_unlock(&part->target, holds->ranges[i]);
	target_close(&part->target);
	target_done(&part->target);
	free(part);
	return NULL;
}

static void release(const struct holds *holds, struct hold *hold)
{
	while (hold->count > 0)
		(void)part_free(holds, hold->parts[--hold->count]);
}

static struct part *part_new(void)
{
	struct part *part = calloc(1, sizeof(*part));

	if (part)
		target_init(&part->target);
	return part;
}

/* A target of our own on the file that @from has open. */
static int part_of(const struct target *from, struct part **ret)
{
	struct found found = { .st = from->st };
	struct part *part = part_new();
	int r = -ENOMEM;

	if (!part)
		return r;
	part->target.path = strdup(from->path);
	found.fd = fcntl(target_fd(from), F_DUPFD_CLOEXEC, 0);
	if (found.fd < 0)
		r = -errno;
	else if (part->target.path)
		r = target_set(&part->target, &found);
	if (r < 0) {
		target_done(&part->target);
		free(part);
		return r;
	}
	*ret = part;
	return 0;
}

static int part_lock(struct part *part, struct mmapfs_range range)
{
	struct mmapfs_lock_result result;
	int r = lock_range(&part->target, range, &result);

	if (r == 0)
		part->locked += result.locked;
	return r;
}

/* Lock all ranges from byte @from on of what is behind @path now. */
static int part_open(const struct holds *holds, const char *path, uint64_t from,
		     struct part **ret, struct follow_file *ret_file)
{
	struct part *part = part_new();
	struct stat st;
	int r;

	if (!part)
		return -ENOMEM;
	part->from = from;
	r = target_open(&part->target, path, false);
	if (r == 0 && fstat(target_fd(&part->target), &st) < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < holds->range_count; i++) {
		struct mmapfs_range range = holds->ranges[i];
		uint64_t end = add_saturated(range.offset, range.length);

		if (range.length && end <= from)
			continue;
		range.offset = u64_max(range.offset, from);
		range.length = range.length ? end - range.offset : 0;
		r = part_lock(part, range);
	}
	if (r < 0) {
		(void)part_free(holds, part);
		return r;
	}
	*ret_file = follow_file_of(&st);
	*ret = part;
	return 0;
}

/* ---- after a change ---- */

/* All afresh. A mount has one lock for each file, so there the old one must go first,
 * unless it is another file's. */
static int lock_afresh(const struct holds *holds, struct hold *hold, const char *path,
		       enum follow_change change, struct follow_file *ret_file)
{
	bool on_mount = hold->count > 0 && hold->parts[0]->target.on_mount;
	struct part *part = NULL;
	int r;

	if (on_mount && change != FOLLOW_REPLACED)
		release(holds, hold);
	r = part_open(holds, path, 0, &part, ret_file);
	if (r == -ENOMEM && hold->count > 0) {
		release(holds, hold);
		r = part_open(holds, path, 0, &part, ret_file);
	}
	/* Also on failure: nobody can reach what was locked, or it is too much by now. */
	if (r == 0 || change == FOLLOW_REPLACED)
		release(holds, hold);
	if (r == 0)
		hold->parts[hold->count++] = part;
	return r;
}

/* How many parts stay when the file has grown to @size, and in @from where the new one
 * then begins. Never less than the first. */
static size_t parts_to_keep(const struct hold *hold, uint64_t size, uint64_t *from)
{
	size_t keep = hold->count;

	*from = align_up(hold->file.size, page_size());
	for (; keep > 1; keep--) {
		uint64_t last = hold->parts[keep - 1]->from;

		if (*from - last > size - u64_min(size, *from))
			break;
		*from = last;
	}
	return keep;
}

static int lock_tail(const struct holds *holds, struct hold *hold, const char *path,
		     uint64_t size, struct follow_file *ret_file)
{
	struct part *part = NULL;
	uint64_t from;
	size_t keep = parts_to_keep(hold, size, &from);
	int r;

	r = part_open(holds, path, from, &part, ret_file);
	if (r < 0)
		return r;
	while (hold->count > keep)
		(void)part_free(holds, hold->parts[--hold->count]);
	hold->parts[hold->count++] = part;
	return 0;
}

/* Again what is locked already: the pages that came where holes were are mapped and
 * locked. */
static int lock_filled(const struct holds *holds, struct hold *hold)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < hold->count; i++) {
		hold->parts[i]->locked = 0;
		for (size_t k = 0; r == 0 && k < holds->range_count; k++)
			r = part_lock(hold->parts[i], holds->ranges[k]);
	}
	return r;
}

static int relock(struct holds *holds, struct hold *hold, const char *path,
		  const struct follow_news *news, struct follow_file *ret_file)
{
	bool plain = hold->count > 0 && !hold->parts[0]->target.on_mount;

	*ret_file = news->file;
	switch (news->change) {
	case FOLLOW_GONE:
		release(holds, hold);
		return 0;
	case FOLLOW_GROWN:
		if (plain && hold->count < PARTS_MAX)
			return lock_tail(holds, hold, path, news->file.size, ret_file);
		break;
	case FOLLOW_FILLED:
		if (hold->count == 1)
			return lock_filled(holds, hold);
		break;
	default:
		break;
	}
	return lock_afresh(holds, hold, path, news->change, ret_file);
}

static void take_news(struct holds *holds, const struct follow_news *news,
		      const struct holds_ops *ops, void *ctx)
{
	const char *path = follow_path(holds->follow, news->index);
	struct hold *hold = &holds->holds[news->index];
	struct follow_file file;
	int r = relock(holds, hold, path, news, &file);

	if (r == -EINTR)
		return;
	if (r == 0) {
		hold->file = file;
		follow_accept(holds->follow, news->index, &file);
	}
	if (r == 0 || r != hold->error)
		ops->changed(ctx, path, follow_change_name(news->change), r);
	hold->error = r;
	ops->status(ctx);
}

static bool any_error(const struct holds *holds)
{
	for (size_t i = 0; i < holds->count; i++)
		if (holds->holds[i].error < 0)
			return true;
	return false;
}

static void look(struct holds *holds, const struct holds_ops *ops, void *ctx)
{
	struct follow_news news;

	while (!is_stopping() && follow_next(holds->follow, &news) > 0)
		take_news(holds, &news, ops, ctx);
}

/* 1: something happened; 0: the time is over; signals come only here. */
static int wait_for_event(int fd, long ms, const sigset_t *mask)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	const struct timespec timeout = { ms / 1000, ms % 1000 * NS_PER_MS };
	int r = ppoll(&pollfd, 1, &timeout, mask);

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r;
}

static int follow_loop(struct holds *holds, const sigset_t *mask,
		       const struct holds_ops *ops, void *ctx)
{
	int fd = follow_fd(holds->follow);
	int r;

	/* What changed between the lock and the first watch. */
	follow_mark_all(holds->follow);
	while (!is_stopping()) {
		look(holds, ops, ctx);
		r = wait_for_event(fd, any_error(holds) ? RETRY_MS : LOOK_MS, mask);
		if (r < 0)
			return r;
		if (r == 0) {
			follow_mark_all(holds->follow);
			continue;
		}
		/* Writers come in bursts; what comes meanwhile is one look. */
		r = wait_for_event(-1, SETTLE_MS, mask);
		if (r == 0)
			r = follow_read(holds->follow);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Not those that are ignored, as after nohup: once blocked they would be pending. */
static void stop_signals(sigset_t *ret)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	(void)sigemptyset(ret);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], NULL, &action) == 0 &&
		    action.sa_handler != SIG_IGN)
			(void)sigaddset(ret, signals[i]);
}

/* Signals are let in only while waiting, so that none comes between look and wait. */
int holds_follow(struct holds *holds, const struct holds_ops *ops, void *ctx)
{
	sigset_t blocked, before;
	int r;

	stop_signals(&blocked);
	(void)sigprocmask(SIG_BLOCK, &blocked, &before);
	r = follow_loop(holds, &before, ops, ctx);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* ---- adding ---- */

int holds_new(const struct mmapfs_range *ranges, size_t count, struct holds **ret)
{
	struct holds *holds = calloc(1, sizeof(*holds));
	int r;

	if (!holds)
		return -ENOMEM;
	r = follow_new(&holds->follow);
	if (r < 0) {
		free(holds);
		return r;
	}
	holds->ranges = ranges;
	holds->range_count = count;
	*ret = holds;
	return 0;
}

/* Follow the file that was being added. */
int holds_settle(struct holds *holds)
{
	_cleanup_free_ char *path = steal_ptr(holds->adding_path);
	struct hold *more;
	int64_t index;

	if (!path)
		return 0;
	if ((holds->count & (holds->count - 1)) == 0) {
		more = reallocarray(holds->holds, holds->count ? 2 * holds->count : 1,
				    sizeof(*more));
		if (!more)
			return -ENOMEM;
		holds->holds = more;
	}
	index = follow_add(holds->follow, path, &holds->adding.file);
	if (index < 0)
		return (int)index;
	holds->holds[holds->count++] = holds->adding;
	holds->adding = (struct hold){ 0 };
	return 0;
}

static void give_up(struct holds *holds)
{
	release(holds, &holds->adding);
	holds->adding = (struct hold){ 0 };
	free(holds->adding_path);
	holds->adding_path = NULL;
	holds->adding_failed = true;
}

static int begin(struct holds *holds, const struct target *target)
{
	struct stat st;
	int r;

	r = holds_settle(holds);
	if (r < 0)
		return r;
	holds->adding_failed = false;
	if (fstat(target_fd(target), &st) < 0)
		return -errno;
	r = part_of(target, &holds->adding.parts[0]);
	if (r < 0)
		return r;
	holds->adding.count = 1;
	holds->adding.file = follow_file_of(&st);
	holds->adding_path = strdup(target->path);
	return holds->adding_path ? 0 : -ENOMEM;
}

int holds_add(struct holds *holds, const struct target *target, struct mmapfs_range range,
	      struct mmapfs_lock_result *result)
{
	const struct mmapfs_range *first = &holds->ranges[0];
	int r = 0;

	*result = (struct mmapfs_lock_result)MMAPFS_INIT(*result);
	if (range.offset == first->offset && range.length == first->length)
		r = begin(holds, target);
	else if (holds->adding_failed)
		return -ECANCELED;
	if (r == 0)
		r = lock_range(&holds->adding.parts[0]->target, range, result);
	if (r < 0)
		give_up(holds);
	else
		holds->adding.parts[0]->locked += result->locked;
	return r;
}

/* ---- questions, end ---- */

size_t holds_count(const struct holds *holds)
{
	return holds->count;
}

uint64_t holds_bytes(const struct holds *holds)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < holds->count; i++)
		for (size_t k = 0; k < holds->holds[i].count; k++)
			bytes += holds->holds[i].parts[k]->locked;
	return bytes;
}

size_t holds_unwatched(const struct holds *holds)
{
	return follow_unwatched(holds->follow);
}

struct holds *holds_free(struct holds *holds)
{
	if (!holds)
		return NULL;
	give_up(holds);
	for (size_t i = 0; i < holds->count; i++)
		release(holds, &holds->holds[i]);
	(void)follow_free(holds->follow);
	free(holds->holds);
	free(holds);
	return NULL;
}
