/* SPDX-License-Identifier: MIT */
/*
 * trace.c - a tracing instance of our own in tracefs, with the page cache's two events.
 *
 * tracefs is mounted without a place in the tree (fsmount), so nothing is left behind and
 * nobody's mounts change. An instance has its own buffer: other users of tracing neither
 * see it nor are disturbed.
 */
#include "trace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define NAME_PREFIX "mmapctl-"
#define EVENTS "events/filemap/"
#define ADD_EVENT EVENTS "mm_filemap_add_to_page_cache"
#define DELETE_EVENT EVENTS "mm_filemap_delete_from_page_cache"

/* A filter is cut at a page. With more files than fit all events are taken, and chosen
 * from here. */
#define FILTER_MAX 3800

/* For each CPU. A 4 KiB event takes 48 bytes: 40,000 of them between two reads. */
#define BUFFER_KIB "2048"

struct trace {
	int instances_fd; /* tracefs "instances" */
	int dir_fd;	  /* of our instance */
	int pipe_fd;
	char name[32];
	struct trace_file *files; /* sorted */
	size_t count;
	uint64_t page_size;
	uint64_t lost;
	size_t begin, end; /* of what is not yet taken apart in `buffer` */
	char buffer[16384];
};

static const char *const events[] = { ADD_EVENT, DELETE_EVENT };

static int fail(struct trace_failure *failure, const char *step, int r)
{
	failure->step = step;
	return r;
}

/* ---- tracefs ---- */

static int mount_detached(void)
{
	_cleanup_close_ int context = fsopen("tracefs", FSOPEN_CLOEXEC);
	int fd;

	if (context < 0)
		return -errno;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Before Linux 5.2, or where seccomp forbids it, one that is mounted already will do. */
static int open_tracefs(void)
{
	static const char *const places[] = { "/sys/kernel/tracing",
					      "/sys/kernel/debug/tracing" };
	int r = mount_detached();

	for (size_t i = 0; r < 0 && i < ARRAY_SIZE(places); i++) {
		_cleanup_close_ int fd =
			open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && faccessat(fd, "instances", F_OK, 0) == 0)
			return steal_fd(&fd);
	}
	return r;
}

static int write_text(int dir_fd, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Instances whose process was killed. One still in use refuses to go (EBUSY). */
static void remove_stale(int instances_fd)
{
	int fd = openat(instances_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	long pid;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
			continue;
		pid = strtol(entry->d_name + strlen(NAME_PREFIX), NULL, 10);
		if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			(void)unlinkat(instances_fd, entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static int make_instance(struct trace *trace)
{
	(void)snprintf(trace->name, sizeof(trace->name), NAME_PREFIX "%ld",
		       (long)getpid());
	remove_stale(trace->instances_fd);
	if (mkdirat(trace->instances_fd, trace->name, 0700) < 0) {
		trace->name[0] = '\0';
		return -errno;
	}
	trace->dir_fd = openat(trace->instances_fd, trace->name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return trace->dir_fd < 0 ? -errno : 0;
}

/* ---- which files ---- */

static int compare_files(const void *a, const void *b)
{
	const struct trace_file *one = a, *two = b;

	if (one->ino != two->ino)
		return one->ino < two->ino ? -1 : 1;
	if (one->dev_major != two->dev_major)
		return one->dev_major < two->dev_major ? -1 : 1;
	if (one->dev_minor != two->dev_minor)
		return one->dev_minor < two->dev_minor ? -1 : 1;
	return 0;
}

static int copy_files(struct trace *trace, const struct trace_file *files, size_t count)
{
	trace->files = calloc(count ? count : 1, sizeof(*files));
	if (!trace->files)
		return -ENOMEM;
	if (count)
		memcpy(trace->files, files, count * sizeof(*files));
	trace->count = count;
	qsort(trace->files, count, sizeof(*files), compare_files);
	return 0;
}

static bool is_ours(const struct trace *trace, const struct trace_event *event)
{
	const struct trace_file key = { event->dev_major, event->dev_minor, event->ino };

	return bsearch(&key, trace->files, trace->count, sizeof(key), compare_files);
}

/* "i_ino==1||i_ino==2", or "0" (no filter) when it would be too long. */
static void build_filter(const struct trace *trace, char ret[FILTER_MAX])
{
	size_t used = 0;
	int n;

	for (size_t i = 0; i < trace->count; i++) {
		n = snprintf(ret + used, FILTER_MAX - used, "%si_ino==%" PRIu64,
			     used ? "||" : "", trace->files[i].ino);
		used += (size_t)n;
		if (used >= FILTER_MAX) {
			(void)snprintf(ret, FILTER_MAX, "0");
			return;
		}
	}
}

static int enable_events(struct trace *trace)
{
	char filter[FILTER_MAX] = "0", path[128];
	int r = 0;

	build_filter(trace, filter);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(events); i++) {
		(void)snprintf(path, sizeof(path), "%s/filter", events[i]);
		r = write_text(trace->dir_fd, path, filter);
		/* Too many terms for this kernel: as if there were none. */
		if (r < 0 && r != -ENOENT)
			r = write_text(trace->dir_fd, path, "0");
		(void)snprintf(path, sizeof(path), "%s/enable", events[i]);
		if (r >= 0)
			r = write_text(trace->dir_fd, path, "1");
	}
	return r;
}

/* ---- life ---- */

static int set_up(struct trace *trace, const struct trace_file *files, size_t count,
		  struct trace_failure *failure)
{
	_cleanup_close_ int root = -1;
	int r;

	r = copy_files(trace, files, count);
	if (r < 0)
		return fail(failure, "keep the list of files", r);
	root = open_tracefs();
	if (root < 0)
		return fail(failure, "mount tracefs", root);
	trace->instances_fd =
		openat(root, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (trace->instances_fd < 0)
		return fail(failure, "open tracefs instances", -errno);
	r = make_instance(trace);
	if (r < 0)
		return fail(failure, "make a tracing instance", r);
	(void)write_text(trace->dir_fd, "buffer_size_kb", BUFFER_KIB);
	trace->pipe_fd =
		openat(trace->dir_fd, "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (trace->pipe_fd < 0)
		return fail(failure, "open trace_pipe", -errno);
	r = enable_events(trace);
	return r < 0 ? fail(failure, "enable the filemap events", r) : 0;
}

int trace_open(const struct trace_file *files, size_t count, struct trace **ret,
	       struct trace_failure *failure)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	int r;

	if (!trace)
		return fail(failure, "allocate memory", -ENOMEM);
	trace->instances_fd = trace->dir_fd = trace->pipe_fd = -1;
	trace->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	r = set_up(trace, files, count, failure);
	if (r < 0) {
		(void)trace_close(trace);
		return r;
	}
	*ret = trace;
	return 0;
}

struct trace *trace_close(struct trace *trace)
{
	if (!trace)
		return NULL;
	cleanup_closep(&trace->pipe_fd);
	cleanup_closep(&trace->dir_fd);
	/* Not before its files are closed: an instance in use does not go. */
	if (trace->instances_fd >= 0 && trace->name[0])
		(void)unlinkat(trace->instances_fd, trace->name, AT_REMOVEDIR);
	cleanup_closep(&trace->instances_fd);
	free(trace->files);
	free(trace);
	return NULL;
}

int trace_fd(const struct trace *trace)
{
	return trace->pipe_fd;
}

uint64_t trace_lost(const struct trace *trace)
{
	return trace->lost;
}

/* ---- reading ---- */

/* trace_pipe gives whole lines; 1 when there are more, 0 when none. */
static int refill(struct trace *trace)
{
	size_t kept = trace->end - trace->begin;
	ssize_t n;

	/* A line longer than the buffer is none of ours. */
	if (kept == sizeof(trace->buffer) - 1)
		kept = 0;
	memmove(trace->buffer, trace->buffer + trace->begin, kept);
	trace->begin = 0;
	trace->end = kept;
	do
		n = read(trace->pipe_fd, trace->buffer + kept,
			 sizeof(trace->buffer) - 1 - kept);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	trace->end += (size_t)n;
	return n > 0;
}

/* The next whole line, NUL-terminated in the buffer; NULL when there is none yet. */
static const char *take_line(struct trace *trace)
{
	char *line = trace->buffer + trace->begin;
	char *newline = memchr(line, '\n', trace->end - trace->begin);

	if (!newline)
		return NULL;
	*newline = '\0';
	trace->begin = (size_t)(newline + 1 - trace->buffer);
	return line;
}

int trace_next(struct trace *trace, struct trace_event *ret)
{
	const char *line;
	int r;

	for (;;) {
		line = take_line(trace);
		if (!line) {
			r = refill(trace);
			if (r <= 0)
				return r;
			continue;
		}
		trace->lost += trace_parse_lost(line);
		if (trace_parse(line, trace->page_size, ret) && is_ours(trace, ret))
			return 1;
	}
}
