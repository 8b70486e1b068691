/* SPDX-License-Identifier: MIT */
/* fuse-compat.h - ask for capabilities in the way this libfuse understands. Wire. */
#ifndef MMAPFS_FS_FUSE_COMPAT_H
#define MMAPFS_FS_FUSE_COMPAT_H

#include <fuse_lowlevel.h>

#include <stdint.h>

/*
 * compat: libfuse 3.17 widened the field `want` to `want_ext` and refuses a session that
 * touched both. Drop the older half with Debian 12.
 */
static inline void conn_want(struct fuse_conn_info *conn, uint64_t capabilities)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	conn->want_ext |= conn->capable_ext & capabilities;
#else
	conn->want |= conn->capable & (uint32_t)capabilities;
#endif
}

static inline void conn_refuse(struct fuse_conn_info *conn, uint64_t capabilities)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	conn->want_ext &= ~capabilities;
#else
	conn->want &= ~(uint32_t)capabilities;
#endif
}

#endif
