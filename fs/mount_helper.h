/* SPDX-License-Identifier: MIT */
/* mount_helper.h - the command line of mount.mmapfs, which mount(8) runs. */
#ifndef MMAPFS_FS_MOUNT_HELPER_H
#define MMAPFS_FS_MOUNT_HELPER_H

#include <stdbool.h>

#define MOUNT_HELPER_ARGC 5

struct mount_helper {
	bool fake; /* do all but mount */
	char *argv[MOUNT_HELPER_ARGC + 1]; /* the same for mmapfs; [4] is our own */
};

/* Was this program called by the name of a helper? */
bool mount_helper_is(const char *name);

/* Translate SOURCE DIRECTORY [-sfnv] [-o OPTIONS] [-t TYPE]. A mount by @root has set-ID bits
 * and devices unless the options say otherwise, as with any filesystem. Says what is wrong, in
 * one line on stderr. Returns 0 or -EINVAL; in both cases mount_helper_free() is due. */
int mount_helper_parse(int argc, char **argv, bool root, struct mount_helper *ret);
void mount_helper_free(struct mount_helper *helper);

#endif
