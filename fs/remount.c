/* SPDX-License-Identifier: MIT */
/* remount.c - mount -o remount: mount(8) calls the helper for it, too. */
#include "remount.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

static bool is_the_kernels(const char *word)
{
	static const char *const words[] = {
		"ro",	    "rw",	  "suid",	 "nosuid",
		"dev",	    "nodev",	  "exec",	 "noexec",
		"atime",    "noatime",	  "diratime",	 "nodiratime",
		"relatime", "norelatime", "strictatime", "nostrictatime",
		"lazytime", "nolazytime", "sync",	 "async",
		"dirsync",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], word) == 0)
			return true;
	}
	return false;
}

/* "remount", and of @words those that are the kernel's. NULL: no memory. */
static char *choose(const char *words)
{
	_cleanup_free_ char *rest = strdup(words ? words : "");
	char *chosen = malloc(sizeof("remount") + strlen(words ? words : "") + 1);
	char *save = NULL, *end;

	if (!rest || !chosen) {
		free(chosen);
		return NULL;
	}
	end = stpcpy(chosen, "remount");
	for (char *word = strtok_r(rest, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		if (is_the_kernels(word))
			end = stpcpy(stpcpy(end, ","), word);
	}
	return chosen;
}

int remount(const char *mountpoint, const char *words)
{
	_cleanup_free_ char *chosen = choose(words);

	if (chosen) {
		/* util-linux >= 2.39 passes on the options that FUSE shows of itself, which
		 * the kernel accepts through mount(2) only. */
		(void)setenv("LIBMOUNT_FORCE_MOUNT2", "always", 1);
		/* -i: without asking this helper again. */
		(void)execlp("mount", "mount", "-i", "-o", chosen, mountpoint,
			     (char *)NULL);
	}
	(void)fprintf(stderr, "mmapfs: cannot remount '%s': cannot run mount(8): %s\n",
		      mountpoint, strerror(errno));
	return EXIT_FAILURE;
}
