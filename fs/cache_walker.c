/* SPDX-License-Identifier: MIT */
/* cache_walker.c - a thread that does something with files, as they come and on walks. */
#include "cache_walker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_path.h"
#include "ctl_private.h"
#include "ticker.h"

#define NS_PER_S INT64_C(1000000000)
#define QUEUE_MAX 4096	/* files; each is held by it */
#define AGAIN_MS 1000	/* until a file's turn comes once more */
#define TRIES_MAX 30	/* how often */
#define IDLE_SHARE 19	/* a walk is followed by so many times its length without one */
#define SOON_SHARE 3	/* the same for one that the queue was too short for */
#define CLOCK_SLACK_NS NS_PER_S /* of the clock of the filesystem against ours */

struct waiting {
	STAILQ_ENTRY(waiting) next;
	struct inode *inode; /* one reference */
	unsigned int tries;
	uint64_t due_ms;
};
STAILQ_HEAD(waiting_list, waiting);

/* Why a walk is to be made, and how; or-ed. */
enum reason {
	WALK_NOW = 1 << 0,  /* somebody said so */
	WALK_SOON = 1 << 1, /* something was missed: when the last one was long enough ago */
	WALK_ALL = 1 << 2,  /* every file counts as new */
	WALK_ANEW = 1 << 3, /* what is under way is of no use */
};

struct walker {
	struct fs *fs;
	const struct walker_ops *ops;
	void *ctx;
	unsigned char mark;
	uint64_t interval_ms;

	/* Files with a ctime from here on are new; nanoseconds since 1970. */
	atomic_int_fast64_t new_since;

	pthread_mutex_t mutex;
	/* protected by mutex */
	struct ticker *ticker; /* NULL before the start and after the stop */
	struct waiting_list queue;
	uint64_t queued; /* waiting in either list */
	unsigned int reasons;
	bool walking;
	struct walker_figures last;

	/* used by the thread alone */
	struct waiting_list again; /* in the order of due_ms */
	bool serving;
	uint64_t next_ms; /* when a walk is due by itself */
	uint64_t soon_ms; /* when one may be made for what was missed */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int64_t timespec_ns(const struct timespec *time)
{
	return time->tv_sec * NS_PER_S + time->tv_nsec;
}

/* The clock that filesystems take their times from, with some room for those of others. */
static int64_t files_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return timespec_ns(&now) - CLOCK_SLACK_NS;
}

int64_t walker_new_since(const struct walker *walker)
{
	return atomic_load(&walker->new_since);
}

bool walker_is_new(const struct walker *walker, const struct stat *st)
{
	return timespec_ns(&st->st_ctim) >= walker_new_since(walker);
}

static bool is_stopping(const struct walker *walker)
{
	return atomic_load(&walker->fs->stopping);
}

bool walker_should_stop(struct walker *walker)
{
	SCOPE_LOCK(&walker->mutex);

	return is_stopping(walker) || (walker->reasons & WALK_ANEW);
}

/* ---- the queue ---- */

static void put_waiting(struct walker *walker, struct waiting *waiting)
{
	inode_unref(walker->fs->inodes, waiting->inode, 1);
	free(waiting);
}

/* Returns false when there is no room: a walk will find the file. */
static bool enqueue(struct walker *walker, struct waiting *waiting, bool is_dir)
{
	SCOPE_LOCK(&walker->mutex);

	if (!waiting || walker->queued == QUEUE_MAX) {
		/* What lies below a directory that was moved does not look new. */
		walker->reasons |= is_dir ? WALK_SOON | WALK_ALL : WALK_SOON;
		walker->last.overflows++;
		ticker_wake(walker->ticker);
		return false;
	}
	if (STAILQ_EMPTY(&walker->queue))
		ticker_wake(walker->ticker);
	STAILQ_INSERT_TAIL(&walker->queue, waiting, next);
	walker->queued++;
	return true;
}

void walker_queue(struct walker *walker, struct inode *inode)
{
	struct waiting *waiting;

	if (atomic_fetch_or(&inode->marks, walker->mark) & walker->mark)
		return; /* its turn is still to come */
	waiting = malloc(sizeof(*waiting));
	if (waiting) {
		inode_ref(walker->fs->inodes, inode);
		*waiting = (struct waiting){ .inode = inode };
	}
	if (enqueue(walker, waiting, S_ISDIR(inode->type)))
		return;
	atomic_fetch_and(&inode->marks, (unsigned char)~walker->mark);
	if (waiting)
		put_waiting(walker, waiting);
}

static struct waiting *dequeue(struct walker *walker)
{
	struct waiting *again = STAILQ_FIRST(&walker->again);
	struct waiting *waiting;

	if (again && again->due_ms <= now_ms()) {
		STAILQ_REMOVE_HEAD(&walker->again, next);
		return again;
	}
	SCOPE_LOCK(&walker->mutex);
	waiting = STAILQ_FIRST(&walker->queue);
	if (waiting)
		STAILQ_REMOVE_HEAD(&walker->queue, next);
	return waiting;
}

static void forget_waiting(struct walker *walker, struct waiting *waiting)
{
	put_waiting(walker, waiting);
	SCOPE_LOCK(&walker->mutex);
	walker->queued--;
}

static void add_reasons(struct walker *walker, unsigned int reasons)
{
	SCOPE_LOCK(&walker->mutex);

	walker->reasons |= reasons;
	ticker_wake(walker->ticker);
}

static int walk_below(struct walker *walker, struct inode *dir, bool all, uint64_t *ret_files,
		      uint64_t *ret_unread);

static bool serve(struct walker *walker, struct inode *inode)
{
	uint64_t files, unread;

	/* First, so that what happens to the file from now on queues it again. */
	atomic_fetch_and(&inode->marks, (unsigned char)~walker->mark);
	if (!S_ISDIR(inode->type))
		return walker->ops->queued(walker->ctx, inode);
	if (walk_below(walker, inode, true, &files, &unread) < 0)
		add_reasons(walker, WALK_SOON | WALK_ALL);
	return false;
}

static void serve_queue(struct walker *walker)
{
	struct waiting *waiting;

	if (walker->serving)
		return; /* a queued directory is being walked */
	walker->serving = true;
	while (!is_stopping(walker) && (waiting = dequeue(walker))) {
		if (serve(walker, waiting->inode) && ++waiting->tries < TRIES_MAX) {
			waiting->due_ms = now_ms() + AGAIN_MS;
			STAILQ_INSERT_TAIL(&walker->again, waiting, next);
		} else {
			forget_waiting(walker, waiting);
		}
	}
	walker->serving = false;
}

/* ---- walks ---- */

/* One walk, of the source or of a part of it. */
struct round {
	struct walker *walker;
	const struct ctl_tree *tree;
	bool all;
	uint64_t files;
	size_t top_length; /* of the path of where it began, in `path`, */
	size_t dir_length; /* and of the directory it is in: both with their slash */
	bool too_long;	   /* for `path`: the directory, and so its files */
	char path[PATH_MAX];
};

/* Put @text behind the first *@length bytes of the path. */
static bool append(struct round *round, size_t *length, const char *text)
{
	size_t more = strlen(text);

	if (more >= sizeof(round->path) - *length)
		return false;
	memcpy(round->path + *length, text, more + 1);
	*length += more;
	return true;
}

static void enter(void *ctx, const char *path)
{
	struct round *round = ctx;

	round->dir_length = round->top_length;
	round->too_long = *path && (!append(round, &round->dir_length, path) ||
				    !append(round, &round->dir_length, "/"));
}

static int begin_at(struct round *round, struct inode *dir)
{
	int r = source_path(round->walker->fs, dir, round->path);

	if (r < 0)
		return r;
	round->top_length = strlen(round->path);
	if (round->top_length && !append(round, &round->top_length, "/"))
		return -ENAMETOOLONG;
	return 0;
}

static int visit(void *ctx, int dir_fd, const char *name, const struct stat *st)
{
	struct round *round = ctx;
	struct walker *walker = round->walker;
	size_t length = round->dir_length;
	struct walker_found found = {
		.tree = round->tree,
		.dir_fd = dir_fd,
		.name = name,
		.st = st,
		.all = round->all,
	};

	if (!round->too_long && append(round, &length, name))
		found.path = round->path;
	round->files++;
	walker->ops->found(walker->ctx, &found);
	serve_queue(walker);
	return 0;
}

static bool asked_to_stop(void *ctx)
{
	return walker_should_stop(ctx);
}

static int walk_below(struct walker *walker, struct inode *dir, bool all, uint64_t *ret_files,
		      uint64_t *ret_unread)
{
	static const struct creds_user ourselves;
	const struct ctl_stop stop = { walker->fs, asked_to_stop, walker };
	const struct ctl_tree tree = { .dir = dir, .stop = &stop, .user = &ourselves,
				       .every_name = true, .enter = enter };
	struct round round = { .walker = walker, .tree = &tree, .all = all };
	int r = begin_at(&round, dir);

	if (r >= 0)
		r = ctl_walk(&tree, visit, &round, ret_unread);
	*ret_files = round.files;
	return r;
}

/* ---- when to walk ---- */

/* Returns false when it is not the time; else why, and the walk has begun. */
static bool begin_walk(struct walker *walker, unsigned int *ret_reasons)
{
	bool wanted = walker->ops->is_wanted(walker->ctx);
	uint64_t now = now_ms();
	SCOPE_LOCK(&walker->mutex);

	*ret_reasons = walker->reasons;
	if (!(walker->reasons & WALK_NOW) &&
	    !((walker->reasons & WALK_SOON) && now >= walker->soon_ms) &&
	    !(wanted && now >= walker->next_ms))
		return false;
	walker->reasons = 0;
	walker->walking = true;
	return true;
}

static void end_walk(struct walker *walker, int error, uint64_t files, unsigned int reasons)
{
	SCOPE_LOCK(&walker->mutex);

	walker->walking = false;
	if (error == -EINTR)
		walker->reasons |= reasons;
	walker->reasons &= ~(unsigned int)WALK_ANEW;
	if (error == -EINTR)
		return;
	walker->last.walks++;
	walker->last.files = files;
	walker->last.error = error;
}

/* However long a walk takes, most of the time there is none. */
static void set_pause(struct walker *walker, uint64_t begun_ms)
{
	uint64_t now = now_ms();
	uint64_t took = now - begun_ms;

	walker->soon_ms = now + u64_max(AGAIN_MS, SOON_SHARE * took);
	walker->next_ms = UINT64_MAX;
	if (walker->interval_ms)
		walker->next_ms = now + u64_max(walker->interval_ms, IDLE_SHARE * took);
}

static void walk_source(struct walker *walker, unsigned int reasons)
{
	const int64_t since = files_now_ns();
	const uint64_t begun_ms = now_ms();
	uint64_t files = 0, unread = 0;
	int r;

	walker->ops->begin(walker->ctx, reasons & WALK_ALL);
	r = walk_below(walker, inode_root(walker->fs->inodes), reasons & WALK_ALL, &files,
		       &unread);
	if (r == 0)
		walker->ops->end(walker->ctx, unread == 0);
	/* What a walk that failed did not come to is still new. */
	if (r == 0 || (r != -EINTR && (reasons & WALK_ALL)))
		atomic_store(&walker->new_since, r == 0 ? since : INT64_MIN);
	set_pause(walker, begun_ms);
	end_walk(walker, r, files, reasons);
}

static uint64_t until(uint64_t due_ms)
{
	uint64_t now = now_ms();

	return due_ms > now ? due_ms - now : 0;
}

/* Milliseconds until there is something to do, if nobody wakes the thread before. */
static uint64_t next_delay(struct walker *walker, uint64_t delay)
{
	bool wanted = walker->ops->is_wanted(walker->ctx);
	const struct waiting *again = STAILQ_FIRST(&walker->again);
	SCOPE_LOCK(&walker->mutex);

	if (is_stopping(walker))
		return TICKER_NEVER;
	if (again)
		delay = u64_min(delay, until(again->due_ms));
	if (wanted && walker->next_ms != UINT64_MAX)
		delay = u64_min(delay, until(walker->next_ms));
	if (walker->reasons & WALK_SOON)
		delay = u64_min(delay, until(walker->soon_ms));
	if (walker->reasons & WALK_NOW || !STAILQ_EMPTY(&walker->queue))
		delay = 0;
	return delay;
}

static uint64_t tick(void *arg)
{
	struct walker *walker = arg;
	uint64_t delay = walker->ops->woken(walker->ctx);
	unsigned int reasons;

	serve_queue(walker);
	if (!is_stopping(walker) && begin_walk(walker, &reasons))
		walk_source(walker, reasons);
	return next_delay(walker, delay);
}

/* ---- from outside ---- */

void walker_walk(struct walker *walker)
{
	SCOPE_LOCK(&walker->mutex);

	walker->reasons |= WALK_NOW | WALK_ALL | (walker->walking ? WALK_ANEW : 0);
	ticker_wake(walker->ticker);
}

void walker_walk_soon(struct walker *walker)
{
	add_reasons(walker, WALK_SOON);
}

void walker_wake(struct walker *walker)
{
	add_reasons(walker, 0);
}

struct walker_figures walker_figures(struct walker *walker)
{
	SCOPE_LOCK(&walker->mutex);
	struct walker_figures figures = walker->last;

	figures.queued = walker->queued;
	figures.busy = walker->queued || walker->reasons || walker->walking;
	return figures;
}

int walker_new(struct fs *fs, const struct walker_ops *ops, void *ctx, unsigned char mark,
	       unsigned int interval, struct walker **ret)
{
	struct walker *walker = calloc(1, sizeof(*walker));

	if (!walker)
		return -ENOMEM;
	*walker = (struct walker){ .fs = fs, .ops = ops, .ctx = ctx, .mark = mark,
				   .interval_ms = (uint64_t)interval * 1000 };
	atomic_init(&walker->new_since, files_now_ns());
	pthread_mutex_init(&walker->mutex, NULL);
	STAILQ_INIT(&walker->queue);
	STAILQ_INIT(&walker->again);
	*ret = walker;
	return 0;
}

int walker_start(struct walker *walker)
{
	SCOPE_LOCK(&walker->mutex);

	return ticker_start(tick, walker, 0, &walker->ticker);
}

void walker_stop(struct walker *walker)
{
	struct ticker *ticker;

	if (!walker)
		return;
	pthread_mutex_lock(&walker->mutex);
	ticker = walker->ticker;
	walker->ticker = NULL;
	pthread_mutex_unlock(&walker->mutex);
	ticker_stop(ticker);
}

static void forget_all(struct walker *walker, struct waiting_list *list)
{
	struct waiting *waiting;

	while ((waiting = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, next);
		put_waiting(walker, waiting);
	}
}

struct walker *walker_free(struct walker *walker)
{
	if (!walker)
		return NULL;
	forget_all(walker, &walker->queue);
	forget_all(walker, &walker->again);
	pthread_mutex_destroy(&walker->mutex);
	free(walker);
	return NULL;
}
