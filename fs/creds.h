/* SPDX-License-Identifier: MIT */
/*
 * creds.h - whose rights the daemon uses, for which operation.
 *
 * The kernel checks permissions itself (default_permissions), so the daemon does not judge.
 * But what a system call on the source leaves behind - owner, group, whether set-user-ID
 * bits fall, whether reserved blocks may be used - follows the calling thread. So such calls
 * are made with the file system user and group of the caller and with just the capabilities
 * they need. An unprivileged daemon has only one user to serve, itself, and none of this
 * does anything. Model.
 */
#ifndef MMAPFS_FS_CREDS_H
#define MMAPFS_FS_CREDS_H

#include <stdbool.h>
#include <sys/types.h>

enum creds_role {
	/* Make an object: owned by the caller, in any directory the kernel let them use, with
	 * the mode bits that the kernel has already checked. */
	CREDS_CREATE,
	/* Change contents: write, truncate, allocate. Without CAP_FSETID, so that
	 * set-user-ID bits and file capabilities drop as they would for the caller. */
	CREDS_CHANGE,
	/* Nobody: the kernel keeps these for all passthrough I/O on a backing file. With the
	 * daemon's own, any user could write into blocks reserved for root, and
	 * set-user-ID bits would survive a write. */
	CREDS_BACKING,
};

/* Somebody, as permissions see them. Of more groups than fit the rest is left out, which can
 * only deny. All zeros is root. */
#define CREDS_GROUPS_MAX 256
struct creds_user {
	uid_t uid;
	gid_t gid;
	unsigned int group_count;
	gid_t groups[CREDS_GROUPS_MAX];
};

/* Restored by creds_leave(), which must come in the same thread. */
struct creds {
	bool entered;
	bool groups; /* the supplementary groups were changed too */
	bool fixed_up; /* the capabilities were left to the kernel */
};
#define _cleanup_creds_ __attribute__((cleanup(creds_leave), unused))

/* Before any thread is started: keep the capabilities that fs needs, drop the others, for what
 * is executed too. Errors: -EPERM. An unprivileged process keeps what it has (nothing), and the
 * right to gain some by executing: fusermount3 mounts and unmounts for it. */
int creds_drop_unneeded(void);

/* Is this process able to take on other users' rights? */
bool creds_privileged(void);

/* Take on @role for @uid and @gid (ignored for CREDS_BACKING) in this thread. */
struct creds creds_enter(enum creds_role role, uid_t uid, gid_t gid);
void creds_leave(struct creds *creds);

/*
 * Be @user for a moment, with their groups and without any capability: for what the kernel
 * has not checked on their behalf, such as walking a tree for them. Nothing for root.
 */
struct creds creds_enter_user(const struct creds_user *user);

/* The same for what the kernel has checked, but whose effect depends on the groups too:
 * with the capabilities to reach the file and to act as its owner. */
struct creds creds_enter_owner(const struct creds_user *user);

/* Set this thread's umask; other threads keep theirs. */
void creds_umask(mode_t umask);

/* May @user write the file @fd (O_PATH will do), whether or not its filesystem is mounted
 * read-only? Returns 0, -EACCES or -EPERM (immutable). */
int creds_may_write(int fd, const struct creds_user *user);

/* May @user read it? Returns 0 or -EACCES. */
int creds_may_read(int fd, const struct creds_user *user);

#endif
