/* SPDX-License-Identifier: MIT */
/* cmd_lock.c - mmapctl lock: keep files in RAM until a signal, also when they change. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "act.h"
#include "base/cleanup.h"
#include "lock_daemon.h"
#include "lock_hold.h"
#include "notify.h"
#include "out_words.h"
#include "progress.h"

struct lock {
	struct act act; /* first, for the callbacks */
	bool daemon, wait, all;
	const char *pidfile;
	struct holds *holds;
};

enum column {
	NEED,
	LOCKED,
	LIMIT,
	IN_USE,
	HEAD,
	TAIL = HEAD + ACT_HEAD,
	COLUMNS = TAIL + ACT_TAIL,
};

static const struct out_column columns[] = {
	{ "NEED", "action.need_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes that were to be locked" },
	{ "LOCKED", "action.locked_bytes", CELL_BYTES, COLUMN_SHOWN | COLUMN_SUM, 6,
	  "bytes resident and locked now" },
	{ "LIMIT", "action.limit_bytes", CELL_BYTES, 0, 6,
	  "RLIMIT_MEMLOCK; none with CAP_IPC_LOCK" },
	{ "IN_USE", "action.in_use_bytes", CELL_BYTES, 0, 6,
	  "locked by this process before" },
	ACT_HEAD_COLUMNS,
	ACT_TAIL_COLUMNS,
};

static const struct option_row rows[] = {
	{ "daemon", 'd', NULL, "hold the lock in the background", option_set_true,
	  offsetof(struct lock, daemon) },
	{ "wait", 'w', NULL, "with --daemon: return when all is locked", option_set_true,
	  offsetof(struct lock, wait) },
	{ "pidfile", 'P', "FILE", "write the process id to FILE while holding",
	  option_set_text, offsetof(struct lock, pidfile) },
	{ "all-or-nothing", 0, NULL, "hold nothing unless every file could be locked",
	  option_set_true, offsetof(struct lock, all) },
	{ 0 },
};

/* ---- locking ---- */

/* Both numbers, or the word is only a riddle. */
static void say_over_limit(struct lock *lock, const struct target *target, int error,
			   const struct mmapfs_lock_result *result)
{
	char need[MMAPFS_WORD_MAX], limit[MMAPFS_WORD_MAX], used[MMAPFS_WORD_MAX];
	char text[256];

	if (result->limit == UINT64_MAX && target->on_mount)
		(void)snprintf(text, sizeof(text),
			       "it needs %s more than the mount's lock_limit leaves",
			       mmapfs_size_format(need, result->need));
	else
		(void)snprintf(text, sizeof(text),
			       "it needs %s, the limit is %s and %s of it are in use: "
			       "see ulimit -l, LimitMEMLOCK=",
			       mmapfs_size_format(need, result->need),
			       mmapfs_size_format(limit, result->limit),
			       mmapfs_size_format(used, result->in_use));
	act_failed(&lock->act, "lock", target, error, text);
}

static const char *way_out(const struct target *target, int error)
{
	switch (error) {
	case -EPERM:
		return target->on_mount
			       ? "a mount's locks are for root, its owner and the "
				 "file's owner"
			       : "RLIMIT_MEMLOCK is 0: see ulimit -l";
	case -EMFILE:
		return "each locked file takes a descriptor: see ulimit -n";
	case -ESTALE:
		return "it was truncated meanwhile";
	default:
		return NULL;
	}
}

static void say_failed(struct lock *lock, const struct target *target, int error,
		       const struct mmapfs_lock_result *result)
{
	if (error == -ENOMEM && result->need)
		say_over_limit(lock, target, error, result);
	else
		act_failed(&lock->act, "lock", target, error, way_out(target, error));
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *unused)
{
	struct mmapfs_lock_result result;
	struct cell cells[COLUMNS] = { 0 };
	struct lock *lock = ctx;
	char word[MMAPFS_WORD_MAX];

	(void)unused;
	error = holds_add(lock->holds, target, range, &result);
	if (error == -EINTR) {
		lock->act.tally.interrupted = true;
		return -EINTR;
	}
	act_head(cells + HEAD, target, range, "lock", word);
	act_tail(cells + TAIL, error);
	cells[NEED] = cell_number(result.need);
	cells[LOCKED] = cell_number(result.locked);
	cells[LIMIT] =
		result.limit == UINT64_MAX ? cell_none() : cell_number(result.limit);
	cells[IN_USE] = cell_number(result.in_use);
	if (error < 0)
		say_failed(lock, target, error, &result);
	act_count(&lock->act, range, false);
	return act_row(&lock->act, cells);
}

/* ---- holding ---- */

static void on_change(void *ctx, const char *path, const char *change, int error)
{
	_cleanup_free_ char *quoted = path_quoted(path);
	const char *name = quoted ? quoted : "?";

	(void)ctx;
	if (error < 0)
		daemon_say("cannot lock '%s' again, which was %s: %s (will try again)",
			   name, change, strerror(-error));
	else if (strcmp(change, "gone") == 0)
		daemon_say("'%s' is gone: unlocked until it comes back", name);
	else
		daemon_say("'%s' was %s: locked as it is now", name, change);
}

static void tell_manager(const struct lock *lock, const char *prefix)
{
	char text[160], bytes[MMAPFS_WORD_MAX];

	(void)snprintf(text, sizeof(text), "%sMAINPID=%ld\nSTATUS=%zu files, %s locked\n",
		       prefix, (long)getpid(), holds_count(lock->holds),
		       bytes_format(bytes, holds_bytes(lock->holds)));
	(void)notify_send(text);
}

static void on_status(void *ctx)
{
	tell_manager(ctx, "");
}

static int hold(struct lock *lock)
{
	static const struct holds_ops ops = { on_change, on_status };
	int r;

	if (holds_unwatched(lock->holds) > 0)
		daemon_say(
			"%zu files have no inotify watch: their changes are seen every "
			"10 s (see fs.inotify.max_user_watches)",
			holds_unwatched(lock->holds));
	if (lock->act.tally.failed > 0)
		daemon_say("%" PRIu64 " files could not be locked",
			   lock->act.tally.failed);
	tell_manager(lock, "READY=1\n");
	r = holds_follow(lock->holds, &ops, lock);
	(void)notify_send("STOPPING=1\n");
	if (r < 0)
		daemon_say("cannot go on following files: %s", strerror(-r));
	return r;
}

/* ---- the verb ---- */

/* Is there something to hold, after the first pass ended with @code? */
static bool is_worth_holding(const struct lock *lock, int code)
{
	if (lock->act.tally.interrupted || holds_count(lock->holds) == 0)
		return false;
	return code == CODE_DONE || !lock->all;
}

static int lock_and_hold(struct lock *lock, const struct command *command,
			 const struct options *options)
{
	static const struct jobs_ops ops = { .deliver = deliver };
	int code, r;

	r = act_begin(&lock->act, command, options);
	if (r != OPTIONS_GO_ON)
		return r;
	progress_begin(options, command->name);
	r = act_run(&lock->act, &ops);
	progress_end();
	if (r == 0)
		r = holds_settle(lock->holds);
	code = act_end(&lock->act, r);
	(void)fflush(stdout);
	if (!is_worth_holding(lock, code))
		return lock->all && code == CODE_SOME_FAILED ? CODE_INCOMPLETE : code;
	/* Whoever stopped waiting for us does not want the lock. */
	if (daemon_ready(code) < 0)
		return CODE_INTERRUPTED;
	return hold(lock) < 0 && code == CODE_DONE ? CODE_SOME_FAILED : code;
}

/* Each locked file keeps a descriptor. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int with_holds(struct lock *lock, const struct command *command,
		      const struct options *options)
{
	int r = holds_new(options->ranges, options->range_count, &lock->holds);

	if (r < 0) {
		say("cannot follow files: %s", strerror(-r));
		return CODE_SOME_FAILED;
	}
	r = lock_and_hold(lock, command, options);
	lock->holds = holds_free(lock->holds);
	return r;
}

static int in_this_process(struct lock *lock, const struct command *command,
			   const struct options *options)
{
	struct pidfile pidfile = { NULL, -1 };
	int r;

	interrupt_catch();
	raise_descriptor_limit();
	if (lock->pidfile) {
		r = pidfile_create(lock->pidfile, &pidfile);
		if (r < 0) {
			say_cannot("write", lock->pidfile, r,
				   r == -EBUSY ? "a living process holds it" : NULL);
			return CODE_SOME_FAILED;
		}
	}
	if (!lock->wait)
		(void)daemon_ready(CODE_DONE);
	r = with_holds(lock, command, options);
	pidfile_remove(&pidfile);
	return r;
}

static int start(struct lock *lock, const struct command *command,
		 const struct options *options)
{
	int code, r = 0;

	if (lock->wait && !lock->daemon) {
		say("--wait goes with --daemon");
		return CODE_USAGE;
	}
	if (lock->daemon)
		r = daemon_start(&code);
	if (r < 0) {
		say("cannot start a daemon: %s", strerror(-r));
		return CODE_SOME_FAILED;
	}
	if (r > 0)
		return code;
	r = in_this_process(lock, command, options);
	(void)daemon_ready(r); /* nothing to hold: the parent gets the code */
	return r;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct lock lock = { 0 };
	struct options options;
	int r;

	r = options_parse(command, argc, argv, &options, &lock);
	if (r == OPTIONS_GO_ON)
		r = options_need_operands(command, &options);
	if (r == OPTIONS_GO_ON)
		r = start(&lock, command, &options);
	options_done(&options);
	return r;
}

const struct command cmd_lock = {
	.name = "lock",
	.summary = "keep files in RAM until a signal, also when they change",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Reads the files in, locks them, prints what is locked, and holds the locks until\n"
		"SIGINT or SIGTERM. A file that is replaced, grown or truncated is locked again\n"
		"as it is then. Over the limit it says how much is needed and allowed. On a\n"
		"mounted mmapfs the mount holds the locks meanwhile. Tells systemd when it is\n"
		"ready (Type=notify).\n",
	.example = "Example: lock an index in the background, go on when it is locked\n"
		   "  mmapctl lock --daemon --wait --pidfile /run/index.pid /srv/index\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_PROGRESS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
