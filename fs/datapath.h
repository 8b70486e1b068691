/* SPDX-License-Identifier: MIT */
/*
 * datapath.h - who serves an inode's reads and writes: the kernel, or the daemon.
 *
 * The kernel answers EIO when one inode is open both ways at once, so the path is chosen at
 * an inode's first open and kept until its last close. Wire, because registering a backing
 * file goes through the FUSE device.
 */
#ifndef MMAPFS_FS_DATAPATH_H
#define MMAPFS_FS_DATAPATH_H

#include "handle.h"
#include "session.h"

/* Count an open of @inode and choose its path if it is the first. Returns the backing id to
 * reply with (0: mapped). */
int datapath_open(struct session *session, struct inode *inode, bool writer);

/* Of an open @inode: are reads and writes to come here past the kernel's page cache? That of a
 * window is only for memory maps; its bytes are also those of other windows. */
bool datapath_is_direct(const struct inode *inode);

/* Count a close; the last one gives the backing id back to the kernel. */
void datapath_close(struct session *session, struct inode *inode, bool writer);

#endif
