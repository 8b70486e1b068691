/* SPDX-License-Identifier: MIT */
/* snapshot_restore.h - apply an entry of a snapshot to a file, plain or on a mount. */
#ifndef MMAPCTL_SNAPSHOT_RESTORE_H
#define MMAPCTL_SNAPSHOT_RESTORE_H

#include <mmapfs.h>

struct target;

/*
 * As mmapfs_snapshot_apply(), also on a mounted mmapfs, where the daemon reads range by
 * range and `extra` is not measured. @entry is the current one of @snapshot.
 */
int snapshot_restore(struct target *target, struct mmapfs_snapshot *snapshot,
		     const struct mmapfs_snapshot_entry *entry,
		     const struct mmapfs_snapshot_apply_opts *opts,
		     struct mmapfs_snapshot_apply_result *ret);

#endif
