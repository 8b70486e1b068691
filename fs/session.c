/* SPDX-License-Identifier: MIT */
/*
 * session.c - one mount from start to end.
 *
 * Everything that can fail is done before the loop starts, so that a failed start is one
 * line and an exit code. At the end the order matters: jobs are told to stop and waited for
 * while the session still stands, because they reply and invalidate through it.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache.h"
#include "creds.h"
#include "handle.h"
#include "log.h"
#include "loop.h"
#include "mountpoint.h"
#include "ops.h"
#include "region.h"
#include "table_open.h"
#include "thread.h"
#include "worker.h"

#define REQUESTS_WAITING 1024
#define JOBS_WAITING 4096
#define SHUTDOWN_SECONDS 30
#define DESCRIPTORS_MAX (1u << 20) /* what fs.nr_open has by default */

/* From the terminal of the starter into the background. */
static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR);

	(void)chdir("/");
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
}

static void tell_starter(struct session *session)
{
	if (session->ready_fd < 0)
		return;
	log_to_syslog();
	leave_terminal();
	(void)write(session->ready_fd, "", 1);
	close(session->ready_fd);
	session->ready_fd = -1;
}

struct question {
	const char *mountpoint;
	bool answered;
};

/*
 * Without descriptors: should the daemon be killed now, this thread could not be, because its
 * request is with the daemon; and it would keep the device open, which has to be closed for
 * the request to end. compat: before Linux 5.9 it has them; drop with that.
 */
static void *ask(void *arg)
{
	struct question *question = arg;
	struct statvfs st;

	(void)close_range(3, ~0U, CLOSE_RANGE_UNSHARE);
	question->answered = statvfs(question->mountpoint, &st) == 0;
	return NULL;
}

/* End a start that has failed. */
static void refuse(struct session *session)
{
	session->refused = true;
	(void)kill(getpid(), SIGTERM);
}

static bool mount_answers(struct session *session)
{
	struct question question = { .mountpoint = session->mountpoint };
	pthread_t asker;
	int r = thread_start(ask, &question, &asker);

	if (r < 0) {
		log_line(LOG_ERR, "cannot start a thread: %s", strerror(-r));
		refuse(session);
		return false;
	}
	pthread_join(asker, NULL);
	return question.answered;
}

/*
 * Runs beside the loop: when the mount answers a request, tell the starter so. Only then is
 * it up - the INIT exchange, which comes first, may still have failed.
 */
static void *announce(void *arg)
{
	struct session *session = arg;

	if (!mount_answers(session))
		return NULL;
	if (session->options->data_path == PATH_PASSTHROUGH && !session->passthrough.active) {
		log_line(LOG_ERR, "data_path=passthrough: the kernel does not grant it to %s",
			 creds_privileged() ? "this mount" : "an unprivileged mount");
		refuse(session);
		return NULL;
	}
	cache_start(&session->fs);
	tell_starter(session);
	return NULL;
}

/* Descriptors and locked memory, as much as allowed: the hard limit, and beyond it where we
 * are allowed to raise that to @more (CAP_SYS_RESOURCE). */
static void raise_limit(int resource, rlim_t more)
{
	const struct rlimit beyond = { more, more };
	struct rlimit limit;

	if (getrlimit(resource, &limit) == 0 &&
	    (limit.rlim_max >= more || setrlimit(resource, &beyond) < 0)) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(resource, &limit);
	}
}

static uint64_t default_lock_limit(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4;
}

/* Wire side of fs.invalidate. ENOENT (not cached) and ENOSYS do not matter. */
static void invalidate(void *ctx, struct inode *inode, uint64_t offset, uint64_t length)
{
	struct session *session = ctx;
	fuse_ino_t ino = inode == inode_root(session->fs.inodes) ? FUSE_ROOT_ID
								 : (uintptr_t)inode;

	/* Before the look at `stopping`: so who sets that sees it. */
	atomic_fetch_add(&session->invalidating, 1);
	if (!atomic_load(&session->fs.stopping))
		(void)fuse_lowlevel_notify_inval_inode(session->fuse, ino, (off_t)offset,
						       (off_t)length);
	atomic_fetch_sub(&session->invalidating, 1);
}

/* ---- start ---- */

static int add_option(struct fuse_args *args, const char *name, const char *value)
{
	char *options = NULL;
	char *pair = NULL;
	int r = asprintf(&pair, "%s=%s", name, value) < 0 ||
		fuse_opt_add_opt_escaped(&options, pair) < 0 ||
		fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, options) < 0;

	free(pair);
	free(options);
	return r ? -ENOMEM : 0;
}

static int fuse_arguments(const struct options *options, const char *source,
			  struct fuse_args *args)
{
	int r = fuse_opt_add_arg(args, "mmapfs") | fuse_opt_add_arg(args, "-o") |
		fuse_opt_add_arg(args, "default_permissions,subtype=mmapfs");

	r |= add_option(args, "fsname", source);
	if (options->libfuse_options)
		r |= fuse_opt_add_arg(args, "-o") |
		     fuse_opt_add_arg(args, options->libfuse_options);
	if (options->debug)
		r |= fuse_opt_add_arg(args, "-d");
	return r ? -ENOMEM : 0;
}

static bool hang_up(void *ctx)
{
	struct session *session = ctx;

	return cache_reload(&session->fs);
}

static int mount_session(struct session *session, const char *source)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	const struct fuse_lowlevel_ops *handlers = session->fs.table ? &ops_table : &ops;
	int r = fuse_arguments(session->options, source, &args);

	/* libfuse says itself what it does not like about options or the mount. */
	session->fuse = r < 0 ? NULL : fuse_session_new(&args, handlers, sizeof(ops), session);
	fuse_opt_free_args(&args);
	if (!session->fuse)
		return -EINVAL;
	session->passthrough.session = session->fuse;
	session->passthrough.metrics = &session->fs.metrics;
	session->signals.hang_up = hang_up;
	session->signals.ctx = session;
	r = signals_start(&session->signals, session->fuse);
	if (r < 0) {
		log_line(LOG_ERR, "cannot start a thread: %s", strerror(-r));
		return r;
	}
	if (fuse_session_mount(session->fuse, session->mountpoint) < 0)
		return -EIO;
	r = mountpoint_open(session->mountpoint, &session->device);
	if (r >= 0)
		close(r);
	return passthrough_attach(&session->passthrough);
}

static int start_model(struct session *session, int root_fd)
{
	struct fs *fs = &session->fs;
	struct stat st;
	int r;

	if (fstat(root_fd, &st) < 0)
		return -errno;
	fs->root_dev = st.st_dev;
	metrics_set(&fs->metrics, METRIC_START_TIME, (uint64_t)time(NULL));
	fs->options = session->options;
	fs->owner = getuid();
	fs->lock_limit = session->options->lock_limit == UINT64_MAX ? default_lock_limit()
								    : session->options->lock_limit;
	fs->invalidate = invalidate;
	fs->invalidate_ctx = session;
	r = workers_start(session->options->workers, REQUESTS_WAITING, &fs->request_workers);
	if (r == 0)
		r = workers_start(session->options->workers, JOBS_WAITING, &fs->job_workers);
	if (r == 0)
		r = pinned_start(fs);
	return r;
}

static void say_why_not(const char *source, const struct table_error *error, int r)
{
	if (error->line)
		log_line(LOG_ERR, "%s:%u:%u: %s", source, error->line, error->column,
			 error->reason);
	else
		log_line(LOG_ERR, "cannot mount the source '%s': %s", source,
			 *error->reason ? error->reason : strerror(-r));
}

/* A directory, or a region table. */
static int open_source(struct session *session, const char *source, int root_fd)
{
	struct fs *fs = &session->fs;
	struct table_error error = { 0 };
	struct stat st;
	int r = fstat(root_fd, &st) < 0 ? -errno : 0;

	if (r == 0 && S_ISDIR(st.st_mode)) {
		session->passthrough.statx = answer_statx;
		r = inode_table_new(dup(root_fd), true, &region_hooks, &fs->inodes);
	} else if (r == 0) {
		r = table_open(fs, root_fd, source, &error);
	}
	if (r < 0)
		say_why_not(source, &error, r);
	return r;
}

/* ---- serve ---- */

static int serve(struct session *session)
{
	int r;

	session->announcing = pthread_create(&session->announcer, NULL, announce, session) == 0;
	r = loop_run(session->fuse, session->options->max_threads);
	return session->refused ? -EPERM : r;
}

static void too_late(int signal)
{
	(void)signal;
	_exit(EXIT_FAILURE);
}

static size_t depth(struct workers *workers)
{
	return workers ? workers_depth(workers) : 0;
}

static bool has_work(struct session *session)
{
	const struct fs *fs = &session->fs;

	return depth(fs->request_workers) + depth(fs->job_workers) + depth(fs->turns) > 0 ||
	       atomic_load(&session->invalidating) > 0;
}

/* Unmounted, or aborted. What is on the mountpoint then is not ours. */
static bool connection_ended(struct session *session)
{
	struct pollfd device = { .fd = fuse_session_fd(session->fuse) };

	return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

/* Or an error. Nobody else has the device while the connection stands. */
static int open_own_mount(struct session *session)
{
	dev_t device;
	int fd = mountpoint_open(session->mountpoint, &device);

	if (fd >= 0 && device != session->device) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

/* To the kernel this is the end of the connection, to libfuse it was unmounted already: it
 * would go by the path. */
static void close_device(struct session *session)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	close(ends[0]); /* and so POLLERR at the other */
	(void)dup3(ends[1], fuse_session_fd(session->fuse), O_CLOEXEC);
	close(ends[1]);
}

/*
 * End the connection, and detach the mount where it still is on its mountpoint: after a
 * lazy unmount with files open it is not, and what is there since is not to be touched. An
 * ordinary user's own mount is left to libfuse, which asks fusermount3.
 */
static void unmount(struct session *session)
{
	_cleanup_close_ int mount_fd = -1;

	if (!session->fuse || !session->device || connection_ended(session))
		return;
	mount_fd = open_own_mount(session);
	if (mount_fd < 0)
		close_device(session);
	else if (creds_privileged())
		(void)mountpoint_detach(mount_fd);
}

/*
 * A job may be waiting in the kernel for a page that only this daemon could deliver, and
 * nobody serves requests any more: end the connection, so that such a wait ends too. Should
 * one not, leave all the same; what was written is in the page cache of the source.
 */
static void stop_workers(struct session *session)
{
	struct fs *fs = &session->fs;

	atomic_store(&fs->stopping, true);
	if (has_work(session))
		unmount(session);
	(void)signal(SIGALRM, too_late);
	(void)alarm(SHUTDOWN_SECONDS);
	cache_stop(fs);
	fs->request_workers = workers_stop(fs->request_workers);
	fs->job_workers = workers_stop(fs->job_workers);
	fs->turns = workers_stop(fs->turns);
	pinned_stop(fs);
	(void)alarm(0);
}

static int run(struct session *session, const char *source, int root_fd)
{
	int r = start_model(session, root_fd);

	if (r < 0) {
		log_line(LOG_ERR, "cannot start: %s", strerror(-r));
		return r;
	}
	r = open_source(session, source, root_fd);
	if (r == 0)
		r = cache_open(&session->fs);
	if (r == 0)
		r = mount_session(session, source);
	if (r == 0)
		r = serve(session);
	signals_end(&session->signals);
	stop_workers(session);
	unmount(session);
	if (session->fuse) {
		fuse_session_unmount(session->fuse);
		/* Where the loop ended before INIT came, it is only now that its request ends. */
		if (session->announcing)
			pthread_join(session->announcer, NULL);
		fuse_session_destroy(session->fuse);
	}
	return r;
}

/* The kernel's passthrough and our own reads go by the mount that the source is on. */
static int take_noatime(const struct options *options, int root_fd)
{
	int fd = options->noatime ? mountpoint_without_atime(root_fd) : -EINVAL;

	if (fd < 0) {
		if (options->noatime)
			log_line(LOG_NOTICE, "noatime: access times of the source will change "
					     "(%s)", strerror(-fd));
		return root_fd;
	}
	close(root_fd);
	return fd;
}

int session_run(const struct options *options, int ready_fd)
{
	struct session session = { .options = options,
				   .ready_fd = ready_fd,
				   .fs.pinned.mutex = PTHREAD_MUTEX_INITIALIZER };
	_cleanup_free_ char *source = NULL, *mountpoint = NULL;
	_cleanup_close_ int root_fd = -1;
	int r;

	signals_block();
	log_take_libfuse();
	root_fd = mountpoint_prepare(options->source, options->mountpoint, &source, &mountpoint);
	if (root_fd < 0)
		return EXIT_FAILURE;
	root_fd = take_noatime(options, root_fd);
	raise_limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
	raise_limit(RLIMIT_MEMLOCK, 0);
	if (creds_drop_unneeded() < 0) {
		log_line(LOG_ERR, "cannot set capabilities: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	umask(0);
	session.passthrough.privileged = creds_privileged();
	session.passthrough.stack_depth =
		options->data_path == PATH_MAPPED ? 0 : options->stack_depth;
	session.mountpoint = mountpoint;
	session.fs.source = source;
	r = run(&session, source, root_fd);
	handle_close_all(&session.fs);
	cache_close(&session.fs);
	inode_table_free(session.fs.inodes);
	table_close(session.fs.table);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
