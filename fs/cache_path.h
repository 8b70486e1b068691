/* SPDX-License-Identifier: MIT */
/* cache_path.h - where a directory of the source is. Model: knows nothing of FUSE. */
#ifndef MMAPFS_FS_CACHE_PATH_H
#define MMAPFS_FS_CACHE_PATH_H

#include <limits.h>

#include "fs.h"

/*
 * The path of @dir below the source, "" for the source itself: as the kernel knows it now.
 * Asks the kernel, which takes some microseconds. Errors: -ENOENT, @dir is not below the
 * source any more; -ENAMETOOLONG; those of inode_path_fd().
 */
int source_path(struct fs *fs, struct inode *dir, char ret[PATH_MAX]);

#endif
