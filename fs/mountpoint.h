/* SPDX-License-Identifier: MIT */
/* mountpoint.h - look at source and mount point before mounting. */
#ifndef MMAPFS_FS_MOUNTPOINT_H
#define MMAPFS_FS_MOUNTPOINT_H

#include <sys/types.h>

/*
 * Open the source, a directory or a file (O_PATH), and make the mount point usable: the
 * remains of a killed mmapfs daemon on it are unmounted. Says what is wrong on stderr.
 * Returns a descriptor and both absolute paths, to be freed; or -EINVAL.
 */
int mountpoint_prepare(const char *source, const char *mountpoint, char **ret_source,
		       char **ret_mountpoint);

/*
 * A view of the tree at @source_fd through which reading updates no access time, whatever
 * its own mount says: mounts made below it later are not in it. Returns a descriptor or a
 * negative errno: -EPERM without CAP_SYS_ADMIN.
 */
int mountpoint_without_atime(int source_fd);

/*
 * A descriptor (O_PATH) on what is mounted on @path and its device, found without asking the
 * filesystem there, which nobody may be serving. Or a negative errno.
 */
int mountpoint_open(const char *path, dev_t *ret_device);

/* Abort and detach the mount that @mount_fd of mountpoint_open() is the root of, whatever is on
 * its mountpoint by now. Errors: umount2(2). */
int mountpoint_detach(int mount_fd);

#endif
