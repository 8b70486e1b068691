/* SPDX-License-Identifier: MIT */
/* lock_daemon.h - leave the terminal, keep a pid file, and speak where somebody listens.
 */
#ifndef MMAPCTL_LOCK_DAEMON_H
#define MMAPCTL_LOCK_DAEMON_H

/**
 * Fork. In the child, 0, and the parent waits for daemon_ready(). In the parent, which is
 * to exit at once, 1 and the exit code to exit with in @ret_code: what daemon_ready() was
 * given, or CODE_SOME_FAILED when the child ended before that. Errors: fork(2), pipe(2).
 */
int daemon_start(int *ret_code);

/** Let the parent exit with @code, and let go of the terminal. Later calls do nothing.
 * Returns 0, or -EPIPE when the parent was killed meanwhile. */
int daemon_ready(int code);

/** Log to syslog, from daemon_ready() on in a daemon, else to stderr. */
__attribute__((format(printf, 1, 2))) void daemon_say(const char *format, ...);

/** A pid file, locked as long as it is open. */
struct pidfile {
	const char *path; /* NULL: none */
	int fd;
};

/**
 * Write this process's id into @path. -EBUSY when a living process holds it; else errors
 * of open(2), write(2).
 */
int pidfile_create(const char *path, struct pidfile *ret);

/** Remove it, if it is still ours. */
void pidfile_remove(struct pidfile *pidfile);

#endif
