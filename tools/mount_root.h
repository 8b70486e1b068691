/* SPDX-License-Identifier: MIT */
/* mount_root.h - the root of a mounted mmapfs, and the attributes of the whole mount. */
#ifndef MMAPCTL_MOUNT_ROOT_H
#define MMAPCTL_MOUNT_ROOT_H

/*
 * The directory at the top of the filesystem that @path is on, as far as it can be reached
 * by going up: absolute, without links, to be freed. Errors: realpath(3), stat(2).
 */
int mount_root_of(const char *path, char **ret);

/*
 * The text of control attribute @name of the directory @root, to be freed. Keeps nothing
 * open, so that the mount can end. Errors: open(2); -EOPNOTSUPP when it is not on a mounted
 * mmapfs; -ENODATA when it has no such attribute: with one of the mount, it is not its root.
 */
int mount_root_get(const char *root, const char *name, char **ret);

#endif
