/* SPDX-License-Identifier: MIT */
/*
 * mount_helper.c - the command line of mount.mmapfs, which mount(8) runs.
 *
 * It is not that of mmapfs: -f is not the foreground but a mount that is not made, and options
 * of mount(8) itself are handed on.
 */
#include "mount_helper.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PREFIX "mount."

bool mount_helper_is(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strncmp(slash ? slash + 1 : name, PREFIX, strlen(PREFIX)) == 0;
}

static int refuse(const char *why)
{
	(void)fprintf(stderr, "mount.mmapfs: %s; see mount.mmapfs(8)\n", why);
	return -EINVAL;
}

/* What comes later counts, for libfuse and for the kernel. */
static int append(char **options, const char *more)
{
	char *joined = NULL;

	if (asprintf(&joined, "%s%s%s", *options ? *options : "", *options ? "," : "", more) < 0)
		return refuse("out of memory");
	free(*options);
	*options = joined;
	return 0;
}

static int take_letter(int letter, char **options, struct mount_helper *ret)
{
	switch (letter) {
	case 's': /* be lenient: so we are with words of mount(8) */
	case 'n': /* no /etc/mtab: there is none */
	case 'v':
	case 't': /* mmapfs, or fuse.mmapfs */
		return 0;
	case 'f':
		ret->fake = true;
		return 0;
	case 'o':
		return append(options, optarg);
	default:
		return refuse("wrong usage");
	}
}

int mount_helper_parse(int argc, char **argv, bool root, struct mount_helper *ret)
{
	_cleanup_free_ char *options = NULL;
	int letter, r;

	*ret = (struct mount_helper){ .fake = false };
	r = append(&options, root ? "suid,dev" : "rw");
	optind = 0; /* glibc: from the beginning, also a second time */
	opterr = 0;
	while (r == 0 && (letter = getopt(argc, argv, "sfnvo:t:")) != -1)
		r = take_letter(letter, &options, ret);
	if (r < 0)
		return r;
	if (argc - optind != 2)
		return refuse("a source directory and a mount point are needed");
	ret->argv[0] = (char *)(uintptr_t)"mmapfs";
	ret->argv[1] = argv[optind];
	ret->argv[2] = argv[optind + 1];
	ret->argv[3] = (char *)(uintptr_t)"-o";
	ret->argv[4] = steal_ptr(options);
	return 0;
}

void mount_helper_free(struct mount_helper *helper)
{
	free(helper->argv[4]);
	*helper = (struct mount_helper){ .fake = false };
}
