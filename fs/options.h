/* SPDX-License-Identifier: MIT */
/* options.h - the command line and the mount options, from one table. */
#ifndef MMAPFS_FS_OPTIONS_H
#define MMAPFS_FS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum path_choice {
	PATH_AUTO = 0,	  /* passthrough where it can be had, else mapped */
	PATH_PASSTHROUGH, /* or fail to start */
	PATH_MAPPED,
};

#define SNAPSHOT_INTERVAL 300 /* seconds */
#define SNAPSHOT_INTERVAL_MAX 86400
#define SNAPSHOT_RATE (UINT64_C(256) << 20)

/* Patterns of an option that may be repeated. */
struct option_globs {
	char **list;
	size_t count;
};

#define POLICY_RESCAN 60 /* seconds */

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
	char *snapshot;		     /* file for a warm restart; NULL: none */
	unsigned int snapshot_interval; /* seconds between two saves; 0: no such saves */
	uint64_t snapshot_rate;	     /* of reading in again, bytes a second; 0: any */
	char *policy;		  /* file; NULL: none */
	struct option_globs lock_globs; /* of files to be locked */
	struct option_globs warm_globs; /* of files to be warmed */
	unsigned int policy_rescan;	  /* seconds between two walks; 0: none but the first */
	uint64_t lock_limit; /* bytes; UINT64_MAX: a quarter of RAM */
	uint64_t budget;     /* bytes; 0: none */
	double attr_timeout; /* seconds */
	double entry_timeout;
	double negative_timeout; /* of names that are missing */
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
