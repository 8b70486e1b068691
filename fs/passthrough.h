/* SPDX-License-Identifier: MIT */
/*
 * passthrough.h - FUSE passthrough, whichever libfuse is underneath.
 *
 * libfuse >= 3.17 negotiates it itself. Debian 12's 3.14 does not know it: there the INIT
 * exchange is completed on its way through fuse_session_custom_io(). Nobody else in fs sees
 * which. Wire.
 */
#ifndef MMAPFS_FS_PASSTHROUGH_H
#define MMAPFS_FS_PASSTHROUGH_H

#include <fuse_lowlevel.h>

#include <stdatomic.h>
#include <stdbool.h>

struct metrics;
struct statx;
struct passthrough;

/* Answer FUSE_STATX for node @ino; @fh is the open handle or 0. Returns 0 and how long the
 * attributes may be kept, in seconds; or a negative errno. */
typedef int (*passthrough_statx_fn)(struct passthrough *pt, fuse_ino_t ino, uint64_t fh,
				    unsigned int mask, struct statx *ret,
				    double *ret_timeout);

struct passthrough {
	struct fuse_session *session;
	struct metrics *metrics;  /* where what passes is counted */
	unsigned int stack_depth; /* 0: do not ask for passthrough */
	bool privileged;	  /* has CAP_SYS_ADMIN, without which the kernel refuses */
	atomic_bool active;	  /* negotiated; set during INIT, constant afterwards */
	passthrough_statx_fn statx; /* called where libfuse does not know the request */
	/* libfuse < 3.17: the INIT request seen, whose reply is to be completed */
	uint64_t init_unique;
	uint64_t offered; /* its flags, both words */
};

/* Name given to create() for a file without a name (O_TMPFILE): no file can be called so. */
#define PASSTHROUGH_TMPFILE_NAME "/"

/* Right after fuse_session_mount(), before anything is received. The session's userdata must
 * begin with a struct passthrough. Errors: -ENOMEM. */
int passthrough_attach(struct passthrough *pt);

/* From the init operation: ask for passthrough and for what goes with it (KILLPRIV_V2,
 * parallel directory operations, mmap of direct I/O files). */
void passthrough_init(struct passthrough *pt, struct fuse_conn_info *conn);

/*
 * Register the file @fd (O_PATH will do) for an inode. The kernel keeps the credentials of
 * this moment for all I/O on it: the caller sees to it that they are reduced. Returns an id
 * above 0, to be given to passthrough_backing_close(). Errors: -EPERM without CAP_SYS_ADMIN
 * or negotiation, -ELOOP when the source is itself stacked, -EOPNOTSUPP.
 */
int passthrough_backing_open(struct passthrough *pt, int fd);
void passthrough_backing_close(struct passthrough *pt, int backing_id);

/* fuse_reply_open() and fuse_reply_create(); with @backing_id above 0, for passthrough. */
int passthrough_reply_open(fuse_req_t req, struct fuse_file_info *fi, int backing_id);
int passthrough_reply_create(fuse_req_t req, const struct fuse_entry_param *entry,
			     struct fuse_file_info *fi, int backing_id);

#endif
