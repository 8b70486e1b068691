/* SPDX-License-Identifier: MIT */
/* trace.h - who brings pages of files into the page cache, and who throws them out. */
#ifndef MMAPCTL_TRACE_H
#define MMAPCTL_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_COMM_MAX 32

enum trace_action {
	TRACE_ADD = 0, /* read in, or written */
	TRACE_DELETE,  /* evicted, reclaimed or truncated */
};

/** One event: a folio of a file came or went. */
struct trace_event {
	char comm[TRACE_COMM_MAX];
	pid_t pid;
	enum trace_action action;
	unsigned int dev_major, dev_minor; /* of the filesystem, not always st_dev */
	uint64_t ino;
	uint64_t offset, length; /* bytes; whole pages */
};

/**
 * Take apart one line of trace_pipe. False for a line that is none of our events, such as
 * "CPU:1 [LOST 12 EVENTS]".
 */
bool trace_parse(const char *line, uint64_t page_size, struct trace_event *ret);

/** The number of events of a "[LOST n EVENTS]" line; 0 for any other. */
uint64_t trace_parse_lost(const char *line);

struct trace_file {
	unsigned int dev_major, dev_minor;
	uint64_t ino;
};

/**
 * How the events name the file @fd: with the device of its filesystem, which on btrfs is
 * not st_dev, and on a mounted mmapfs is that of the source behind it. Errors: statx(2);
 * -EOPNOTSUPP where events come under another inode (overlayfs, other FUSE).
 */
int trace_file_of(int fd, struct trace_file *ret);

/** A tracing instance of our own. Opaque. */
struct trace;

/** What stood in the way of trace_open(): a step in the user's words, "mount tracefs". */
struct trace_failure {
	const char *step;
};

/**
 * Make an instance that records the page cache events of @files. It is gone when
 * trace_close() was called; one left by a killed process is removed by the next
 * trace_open(). Needs root. Errors: -EPERM, -EACCES; -ENOENT and -ENODEV on a kernel
 * without tracefs or these events; with @failure set then.
 */
int trace_open(const struct trace_file *files, size_t count, struct trace **ret,
	       struct trace_failure *failure);

/** Takes NULL, returns NULL. */
struct trace *trace_close(struct trace *trace);

/** To poll(2) for POLLIN. */
int trace_fd(const struct trace *trace);

/**
 * The next event of one of the files: 1 and @ret; 0 when there is none at the moment.
 * Errors: those of read(2).
 */
int trace_next(struct trace *trace, struct trace_event *ret);

/** Events that the kernel had no room for since trace_open(). */
uint64_t trace_lost(const struct trace *trace);

#endif
