/* SPDX-License-Identifier: MIT */
/* snapshot_name.h - what files are called in a snapshot, and messages about snapshots. */
#ifndef MMAPCTL_SNAPSHOT_NAME_H
#define MMAPCTL_SNAPSHOT_NAME_H

#include <stdbool.h>
#include <sys/stat.h>

#include <mmapfs.h>

/* The name of @path: absolute, starting from @cwd where it is not, or with @cwd NULL as it
 * is; either without "//" and "/./", and without "./" in front. malloc'ed; NULL when out of
 * memory. Pure. */
char *snapshot_name(const char *cwd, const char *path);

/* Is @path a snapshot on its way, of this process or another one? Pure. */
bool snapshot_is_temporary(const char *path);

/* Is @name one of @names, or below one that is a directory? No names: all. Pure. */
bool snapshot_name_matches(const char *name, char *const *names, int count);

/* Size, mtime and inode of @st as an entry without a name. Pure. */
struct mmapfs_snapshot_entry snapshot_identity(const struct stat *st);

/* Load @path, or say why not. Returns 0 or a negative errno. */
int snapshot_load(const char *path, struct mmapfs_snapshot **ret);

/* "size+mtime", "-" for none: the words for enum mmapfs_snapshot_change. Static. */
const char *snapshot_change_name(uint32_t changed);

#endif
