/* SPDX-License-Identifier: MIT */
/* remount.h - mount -o remount, which is about a mount that is already there. */
#ifndef MMAPFS_FS_REMOUNT_H
#define MMAPFS_FS_REMOUNT_H

/*
 * Have mount(8) change what the kernel itself keeps of the mount on @mountpoint: ro, rw,
 * nosuid, noexec and the like among the comma separated @words (may be NULL). The others
 * are the daemon's and libfuse's, which no remount reaches; mount(8) repeats them all.
 * Returns only when mount(8) cannot be run, which it says: an exit code.
 */
int remount(const char *mountpoint, const char *words);

#endif
