/* SPDX-License-Identifier: MIT */
/* lock_daemon.c - leave the terminal, keep a pid file, and speak where somebody listens.
 */
#include "lock_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd.h"

static int ready_fd = -1; /* in the daemon, until its parent was told */
static bool detached;

/* ---- fork ---- */

static int wait_for_child(int fd)
{
	unsigned char code;
	ssize_t n;

	do
		n = read(fd, &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	/* It has said itself why it ended. */
	return n == sizeof(code) ? code : CODE_SOME_FAILED;
}

int daemon_start(int *ret_code)
{
	_cleanup_close_ int reader = -1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = fds[0];
	ready_fd = fds[1];
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		cleanup_closep(&ready_fd);
		return r;
	}
	if (pid == 0) {
		(void)setsid();
		/* A parent that was killed is to be an error, not our end. */
		(void)signal(SIGPIPE, SIG_IGN);
		return 0;
	}
	cleanup_closep(&ready_fd);
	ready_fd = -1;
	*ret_code = wait_for_child(reader);
	return 1;
}

static void let_go_of_terminal(void)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)fflush(NULL);
	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	if (null <= STDERR_FILENO)
		null = -1;
}

int daemon_ready(int code)
{
	unsigned char byte = (unsigned char)code;
	int r = 0;

	if (ready_fd < 0)
		return 0;
	openlog("mmapctl", LOG_PID, LOG_DAEMON);
	let_go_of_terminal();
	detached = true;
	if (write(ready_fd, &byte, sizeof(byte)) < 0)
		r = -errno;
	cleanup_closep(&ready_fd);
	ready_fd = -1;
	return r;
}

void daemon_say(const char *format, ...)
{
	char text[4096 + 256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (detached)
		syslog(LOG_NOTICE, "%s", text);
	else
		say_notice("%s", text);
}

/* ---- pid file ---- */

static int write_pid(int fd)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0)
		return -errno;
	return write(fd, text, (size_t)length) < 0 ? -errno : 0;
}

/* Does the name still lead to the file that is open? Else another has removed it. */
static bool is_at(int fd, const char *path)
{
	struct stat open_st, st;

	return fstat(fd, &open_st) == 0 && stat(path, &st) == 0 &&
	       open_st.st_dev == st.st_dev && open_st.st_ino == st.st_ino;
}

int pidfile_create(const char *path, struct pidfile *ret)
{
	_cleanup_close_ int fd = -1;
	int r;

	do {
		cleanup_closep(&fd);
		fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		/* The lock says whether the process lives; a number alone may be reused.
		 */
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
	} while (!is_at(fd, path));
	r = write_pid(fd);
	if (r < 0)
		return r;
	*ret = (struct pidfile){ path, steal_fd(&fd) };
	return 0;
}

void pidfile_remove(struct pidfile *pidfile)
{
	if (!pidfile->path)
		return;
	if (is_at(pidfile->fd, pidfile->path))
		(void)unlink(pidfile->path);
	cleanup_closep(&pidfile->fd);
	pidfile->path = NULL;
}
