/* SPDX-License-Identifier: MIT */
/* session.h - one mount from start to end: negotiation, threads, shutdown. Wire. */
#ifndef MMAPFS_FS_SESSION_H
#define MMAPFS_FS_SESSION_H

#include "creds.h"
#include "fs.h"
#include "options.h"
#include "passthrough.h"
#include "signals.h"

struct session {
	struct passthrough passthrough; /* first: libfuse hands our userdata to its hooks */
	struct fs fs;
	struct fuse_session *fuse;
	const struct options *options;
	const char *mountpoint; /* absolute */
	dev_t device; /* of the mount; 0: not known */
	struct signals signals;
	pthread_t announcer;
	bool announcing;
	atomic_uint invalidating; /* threads that wait for the kernel to drop its copy */
	bool refused; /* the kernel did not grant what the options insist on */
	int ready_fd; /* tell whoever started us that the mount is up; -1: told */
};

/* Mount and serve until unmounted. Returns an exit code. Says what went wrong. */
int session_run(const struct options *options, int ready_fd);

static inline struct session *req_session(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct fs *req_fs(fuse_req_t req)
{
	return &req_session(req)->fs;
}

/* The kernel's name of an inode is its address, but for the root. */
static inline struct inode *node_inode(const struct session *session, fuse_ino_t ino)
{
	if (ino == FUSE_ROOT_ID)
		return inode_root(session->fs.inodes);
	return (struct inode *)(uintptr_t)ino;
}

static inline struct inode *req_inode(fuse_req_t req, fuse_ino_t ino)
{
	return node_inode(req_session(req), ino);
}

/* Who asks. @with_groups: also their supplementary groups, which costs reading /proc. */
struct creds_user req_user(fuse_req_t req, bool with_groups);

#endif
