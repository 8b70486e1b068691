/* SPDX-License-Identifier: MIT */
/* options.h - the command line and the mount options, from one table. */
#ifndef MMAPFS_FS_OPTIONS_H
#define MMAPFS_FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum path_choice {
	PATH_AUTO = 0,	  /* passthrough where it can be had, else mapped */
	PATH_PASSTHROUGH, /* or fail to start */
	PATH_MAPPED,
};

struct options {
	char *source;	  /* as given */
	char *mountpoint; /* as given */
	bool foreground;
	bool debug;
	bool help;
	bool version;
	bool list_xattrs;
	bool no_acl;
	bool noatime; /* for the source, too: the mount's own word does not reach it */
	bool remount; /* of a mount that is there, see remount.h */
	enum path_choice data_path;
	uint64_t lock_limit; /* bytes; UINT64_MAX: a quarter of RAM */
	double attr_timeout; /* seconds */
	double entry_timeout;
	unsigned int max_threads; /* that answer requests */
	unsigned int workers;	  /* for long work, in each of two pools */
	unsigned int stack_depth; /* 1, or 2 for a source that is stacked itself */
	char *libfuse_options;	  /* those for libfuse and the kernel, comma separated */
};

/* Parse @argv. Says what is wrong, in one line on stderr. Returns 0, or -EINVAL; in both
 * cases options_free() is due. */
int options_parse(int argc, char **argv, struct options *ret);
void options_free(struct options *options);
void options_print_help(FILE *out);

#endif
