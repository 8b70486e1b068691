/* SPDX-License-Identifier: MIT */
/* cache_restart.c - when to save and to restore what is resident, and how it stands. */
#include "cache_restart_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_heat.h"
#include "ctl_private.h"
#include "log.h"
#include "ticker.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S (1000 * NS_PER_MS)
#define POLL_NS (50 * NS_PER_MS)

/* ---- clocks and waiting ---- */

uint64_t restart_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

bool restart_ends(const struct restart *restart)
{
	return atomic_load(&restart->fs->stopping) || atomic_load(&restart->cancel);
}

void restart_pause(const struct restart *restart, uint64_t ns)
{
	while (ns && !restart_ends(restart)) {
		const uint64_t part = u64_min(ns, POLL_NS);
		const struct timespec time = { .tv_nsec = (long)part };

		(void)nanosleep(&time, NULL);
		ns -= part;
	}
}

void restart_set_state(struct restart *restart, enum restart_state state)
{
	SCOPE_LOCK(&restart->mutex);

	restart->state = state;
}

bool restart_lock(struct restart *restart, uint64_t patience_ms)
{
	const uint64_t until = restart_now_ns() + patience_ms * NS_PER_MS;

	while (!restart->locked) {
		restart->locked = flock(restart->lock_fd, LOCK_EX | LOCK_NB) == 0;
		if (restart->locked || restart_now_ns() >= until || restart_ends(restart))
			break;
		restart_set_state(restart, RESTART_WAITING);
		restart_pause(restart, POLL_NS);
	}
	return restart->locked;
}

/* ---- signs of use ---- */

/* The clock of the stamps. 0 stands for never. */
static uint32_t stamp(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec + 1;
}

void restart_used(struct inode *inode)
{
	atomic_store_explicit(&inode->used_s, stamp(), memory_order_relaxed);
}

uint64_t restart_unused_s(struct inode *inode)
{
	uint32_t used_s = atomic_load_explicit(&inode->used_s, memory_order_relaxed);

	return used_s ? stamp() - used_s : HEAT_UNUSED;
}

/* ---- the thread ---- */

enum task { TASK_NONE, TASK_RESTORE, TASK_SAVE, TASK_SAVE_ASKED };

static void schedule(struct restart *restart)
{
	const uint64_t interval_s = atomic_load(&restart->interval_s);

	restart->save_at_ns =
		interval_s ? restart_now_ns() + interval_s * NS_PER_S : UINT64_MAX;
}

static enum task choose(struct restart *restart)
{
	if (restart->want_restore)
		return TASK_RESTORE;
	if (restart->want_save)
		return TASK_SAVE_ASKED;
	if (restart->reschedule)
		schedule(restart);
	restart->reschedule = false;
	return restart_now_ns() >= restart->save_at_ns ? TASK_SAVE : TASK_NONE;
}

/* From here on nobody else can ask for something, but they can cancel this. */
static enum task begin(struct restart *restart)
{
	SCOPE_LOCK(&restart->mutex);
	enum task task = choose(restart);

	atomic_store(&restart->cancel, false);
	if (task != TASK_NONE)
		restart->state = task == TASK_RESTORE ? RESTART_RESTORING : RESTART_SAVING;
	if (task == TASK_RESTORE)
		restart->want_restore = false;
	if (task == TASK_SAVE_ASKED)
		restart->want_save = false;
	return task;
}

/* A ticker_fn. */
static uint64_t turn(void *arg)
{
	struct restart *restart = arg;
	enum task task = begin(restart);
	uint64_t now;

	if (task == TASK_RESTORE)
		restart_restore(restart);
	else if (task != TASK_NONE)
		restart_save(restart, task == TASK_SAVE ? SAVE_INTERVAL : SAVE_ASKED);
	if (task != TASK_NONE) {
		schedule(restart);
		restart_set_state(restart, RESTART_IDLE);
	}
	if (restart->save_at_ns == UINT64_MAX)
		return TICKER_NEVER;
	now = restart_now_ns();
	return now < restart->save_at_ns ? (restart->save_at_ns - now) / NS_PER_MS + 1 : 0;
}

/* The first turn waits for the mutex: whoever sees what it did can wake the thread. */
static int start_thread(struct restart *restart)
{
	SCOPE_LOCK(&restart->mutex);

	return ticker_start(turn, restart, 0, &restart->ticker);
}

static struct ticker *steal_thread(struct restart *restart)
{
	SCOPE_LOCK(&restart->mutex);

	return steal_ptr(restart->ticker);
}

static void wake_thread(struct restart *restart)
{
	SCOPE_LOCK(&restart->mutex);

	ticker_wake(restart->ticker);
}

void restart_start(struct restart *restart)
{
	int r;

	if (!restart)
		return;
	restart->started = true;
	schedule(restart);
	r = start_thread(restart);
	if (r < 0)
		log_line(LOG_WARNING, "cannot start a thread: %s; nothing is restored from '%s', "
				      "nor saved to it", strerror(-r), restart->path);
}

void restart_stop(struct restart *restart)
{
	if (restart)
		ticker_stop(steal_thread(restart));
}

/* ---- where the snapshot is ---- */

static int refuse(const char *path, const char *why, int error)
{
	log_line(LOG_ERR, "cannot keep the snapshot '%s': %s", path, why);
	return error;
}

/* @path is @dir or below it; both are absolute and have no links. */
static bool is_below(const char *path, const char *dir)
{
	size_t length = strcmp(dir, "/") ? strlen(dir) : 0;

	return !strncmp(path, dir, length) && (!path[length] || path[length] == '/');
}

static int open_dir(struct restart *restart, const char *given)
{
	const char *slash = strrchr(given, '/');
	const char *name = slash ? slash + 1 : given;
	_cleanup_free_ char *dir = !slash ? strdup(".") :
				   slash == given ? strdup("/") :
						    strndup(given, (size_t)(slash - given));
	_cleanup_free_ char *full = NULL;

	if (!dir)
		return -ENOMEM;
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return refuse(given, "it must name a file", -EISDIR);
	restart->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restart->dir_fd >= 0)
		full = realpath(dir, NULL);
	if (!full)
		return refuse(given, strerror(errno), -errno);
	if (is_below(full, restart->fs->source))
		return refuse(given, "it would be a file of the source", -EINVAL);
	if (asprintf(&restart->path, "%s/%s", strcmp(full, "/") ? full : "", name) < 0) {
		restart->path = NULL;
		return -ENOMEM;
	}
	restart->name = strrchr(restart->path, '/') + 1;
	return 0;
}

/* What will be needed later, tried while somebody looks. */
static int check_place(struct restart *restart)
{
	_cleanup_free_ char *lock = NULL;
	struct stat st;

	if (fstatat(restart->dir_fd, restart->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode))
		return refuse(restart->path, "it is no regular file", -EINVAL);
	if (faccessat(restart->dir_fd, ".", W_OK, AT_EACCESS) < 0)
		return refuse(restart->path, strerror(errno), -errno);
	if (asprintf(&lock, "%s.lock", restart->name) < 0) {
		lock = NULL;
		return -ENOMEM;
	}
	restart->lock_fd = openat(restart->dir_fd, lock,
				  O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (restart->lock_fd < 0)
		return refuse(restart->path, strerror(errno), -errno);
	return 0;
}

static struct restart *restart_free(struct restart *restart)
{
	if (restart->lock_fd >= 0)
		close(restart->lock_fd);
	if (restart->dir_fd >= 0)
		close(restart->dir_fd);
	pthread_mutex_destroy(&restart->mutex);
	free(restart->path);
	free(restart);
	return NULL;
}

int restart_open(struct fs *fs, struct restart **ret)
{
	const struct options *options = fs->options;
	struct restart *restart;
	int r;

	*ret = NULL;
	if (!options->snapshot)
		return 0;
	if (fs->table)
		return refuse(options->snapshot,
			      "the source is a region table; mmapctl snapshot can save its files",
			      -EINVAL);
	restart = calloc(1, sizeof(*restart));
	if (!restart)
		return -ENOMEM;
	restart->fs = fs;
	restart->dir_fd = restart->lock_fd = -1;
	restart->want_restore = true; /* at the start, and nothing else before */
	atomic_init(&restart->interval_s, options->snapshot_interval);
	atomic_init(&restart->rate, options->snapshot_rate);
	pthread_mutex_init(&restart->mutex, NULL);
	r = open_dir(restart, options->snapshot);
	if (r == 0)
		r = check_place(restart);
	if (r < 0) {
		restart_free(restart);
		return r;
	}
	*ret = restart;
	return 0;
}

struct restart *restart_close(struct restart *restart)
{
	if (!restart)
		return NULL;
	if (!restart->started)
		return restart_free(restart);
	/* What was not restored yet would be lost. */
	if (restart->want_restore || restart->restored.outcome == OUTCOME_STOPPED)
		log_line(LOG_NOTICE, "the restore had not finished: '%s' stays as it is",
			 restart->path);
	else
		restart_save(restart, SAVE_LAST);
	return restart_free(restart);
}

/* ---- the attribute ---- */

static int ask(struct restart *restart, bool *want)
{
	SCOPE_LOCK(&restart->mutex);

	if (restart->state != RESTART_IDLE || restart->want_restore || restart->want_save)
		return -EBUSY;
	*want = true;
	return 0;
}

/* Nothing to cancel is no error: what was wanted is so. */
static int cancel(struct restart *restart)
{
	SCOPE_LOCK(&restart->mutex);

	restart->want_restore = restart->want_save = false;
	atomic_store(&restart->cancel, true);
	return 0;
}

static int set_interval(struct restart *restart, const char *word)
{
	char *end;
	unsigned long seconds = strtoul(word, &end, 10);

	if (end == word || *end || *word == '-' || seconds > SNAPSHOT_INTERVAL_MAX)
		return -EINVAL;
	atomic_store(&restart->interval_s, seconds);
	SCOPE_LOCK(&restart->mutex);
	restart->reschedule = true;
	return 0;
}

static int set_rate(struct restart *restart, const char *word)
{
	uint64_t rate;

	if (mmapfs_size_parse(word, &rate) < 0)
		return -EINVAL;
	atomic_store(&restart->rate, rate);
	return 0;
}

static int control(struct restart *restart, const struct ctl_words *words)
{
	const char *verb = words->word[0];

	if (words->count == 1 && !strcmp(verb, "save"))
		return ask(restart, &restart->want_save);
	if (words->count == 1 && !strcmp(verb, "restore"))
		return ask(restart, &restart->want_restore);
	if (words->count == 1 && !strcmp(verb, "cancel"))
		return cancel(restart);
	if (words->count == 2 && !strcmp(verb, "interval"))
		return set_interval(restart, words->word[1]);
	if (words->count == 2 && !strcmp(verb, "rate"))
		return set_rate(restart, words->word[1]);
	return -EINVAL;
}

int restart_control(struct restart *restart, const struct ctl_words *words)
{
	int r = restart ? control(restart, words) : -EOPNOTSUPP;

	if (r == 0)
		wake_thread(restart);
	return r;
}

static const char *outcome_name(enum restart_outcome outcome)
{
	static const char *const names[] = {
		[OUTCOME_NONE] = "none",	   [OUTCOME_RUNNING] = "running",
		[OUTCOME_DONE] = "done",	   [OUTCOME_CANCELLED] = "cancelled",
		[OUTCOME_STOPPED] = "cancelled",   [OUTCOME_BUDGET] = "budget",
		[OUTCOME_MEMORY] = "memory",	   [OUTCOME_FAILED] = "failed",
	};

	return names[outcome];
}

static int print_error(struct ctl_text *ret, const char *name, int error)
{
	char word[MMAPFS_WORD_MAX];

	return error ? ctl_text_printf(ret, "%s=%s\n", name, ctl_errno_text(word, error)) : 0;
}

static int print_restored(struct ctl_text *ret, const struct restore_status *status)
{
	int r = ctl_text_printf(ret,
				"restore=%s\nrestore_bytes=%" PRIu64 "/%" PRIu64
				"\nrestore_read=%" PRIu64 "\nrestore_missing=%" PRIu64
				"\nrestore_files=%" PRIu64
				"\nrestore_changed=%" PRIu64 "\nrestore_unwanted=%" PRIu64
				"\nrestore_failed=%" PRIu64 "\n",
				outcome_name(status->outcome), status->done, status->total,
				status->read, status->missing, status->files,
				status->changed, status->unwanted, status->failed);

	return r < 0 ? r : print_error(ret, "restore_error", status->error);
}

static int print_saved(struct ctl_text *ret, const struct save_status *status)
{
	time_t seconds = (time_t)status->time_s;
	char text[32] = "none";
	struct tm utc;
	int r;

	if (status->time_s && gmtime_r(&seconds, &utc))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	r = ctl_text_printf(ret,
			    "save=%s\nsave_time=%s\nsave_files=%" PRIu64
			    "\nsave_bytes=%" PRIu64 "\nsave_unknown=%" PRIu64 "\n",
			    outcome_name(status->outcome), text, status->files,
			    status->bytes, status->unknown);
	return r < 0 ? r : print_error(ret, "save_error", status->error);
}

int restart_print(struct restart *restart, struct ctl_text *ret)
{
	static const char *const names[] = { [RESTART_IDLE] = "idle",
					     [RESTART_WAITING] = "waiting",
					     [RESTART_RESTORING] = "restoring",
					     [RESTART_SAVING] = "saving" };
	int r;

	if (!restart)
		return ctl_text_printf(ret, "state=off");
	SCOPE_LOCK(&restart->mutex);
	r = ctl_text_printf(ret, "state=%s\n", restart->want_restore || restart->want_save
						       ? "queued"
						       : names[restart->state]);
	if (r >= 0)
		r = print_restored(ret, &restart->restored);
	if (r >= 0)
		r = print_saved(ret, &restart->saved);
	if (r < 0)
		return r;
	return ctl_text_printf(ret, "interval=%" PRIu64 "\nrate=%" PRIu64 "\nfile=%s",
			       (uint64_t)atomic_load(&restart->interval_s),
			       (uint64_t)atomic_load(&restart->rate), restart->path);
}
