/* SPDX-License-Identifier: MIT */
/* main.c - arguments to session to exit code, in the background unless told otherwise. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmapfs.h>

#include "mount_helper.h"
#include "options.h"
#include "remount.h"
#include "session.h"

/* Wait until the mount is up (0) or the daemon has failed (its exit code). */
static int wait_for_daemon(int ready_fd, pid_t pid)
{
	char byte;
	int status;

	if (read(ready_fd, &byte, 1) == 1)
		return EXIT_SUCCESS;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status);
	return EXIT_FAILURE;
}

static int run_in_background(const struct options *options)
{
	int ready[2];
	pid_t pid;

	if (pipe(ready) < 0 || (pid = fork()) < 0) {
		perror("mmapfs: cannot start the daemon");
		return EXIT_FAILURE;
	}
	if (pid > 0) {
		close(ready[1]);
		return wait_for_daemon(ready[0], pid);
	}
	close(ready[0]);
	(void)setsid();
	return session_run(options, ready[1]);
}

static int run(const struct options *options)
{
	if (options->help) {
		options_print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (options->version) {
		(void)printf("mmapfs %s, libfuse %s\n", mmapfs_version(), fuse_pkgversion());
		return EXIT_SUCCESS;
	}
	if (options->remount)
		return remount(options->mountpoint, options->libfuse_options);
	return options->foreground ? session_run(options, -1) : run_in_background(options);
}

static int run_words(int argc, char **argv)
{
	struct options options;
	int code = options_parse(argc, argv, &options) < 0 ? EXIT_FAILURE : run(&options);

	options_free(&options);
	return code;
}

/* By the name of mount.mmapfs. */
static int run_helper(int argc, char **argv)
{
	struct mount_helper helper;
	int code = EXIT_FAILURE;

	if (mount_helper_parse(argc, argv, geteuid() == 0, &helper) == 0)
		code = helper.fake ? EXIT_SUCCESS : run_words(MOUNT_HELPER_ARGC, helper.argv);
	mount_helper_free(&helper);
	return code;
}

int main(int argc, char **argv)
{
	return argc > 0 && mount_helper_is(argv[0]) ? run_helper(argc, argv)
						    : run_words(argc, argv);
}
