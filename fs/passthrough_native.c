/* SPDX-License-Identifier: MIT */
/* passthrough_native.c - passthrough where libfuse (3.17 and later) negotiates it itself. */
#include "passthrough.h"

#include "fuse-compat.h"
#include "meter.h"

static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
	struct passthrough *pt = userdata;

	return meter_read(pt->metrics, fd, buf, size);
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct passthrough *pt = userdata;

	return meter_writev(pt->metrics, fd, iov, count);
}

/* Only to count: libfuse does the rest by itself. */
int passthrough_attach(struct passthrough *pt)
{
	static const struct fuse_custom_io io = { .writev = write_reply, .read = read_request };

	return fuse_session_custom_io(pt->session, &io, fuse_session_fd(pt->session));
}

void passthrough_init(struct passthrough *pt, struct fuse_conn_info *conn)
{
	if (pt->privileged && pt->stack_depth > 0) {
		conn_want(conn, FUSE_CAP_PASSTHROUGH);
		/* libfuse counts the layers below, the kernel the whole stack. */
		conn->max_backing_stack_depth = pt->stack_depth - 1;
		pt->active = conn->want_ext & FUSE_CAP_PASSTHROUGH;
	}
	/* A file handle would be stale as soon as the kernel forgets the inode. */
	conn_want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2 | FUSE_CAP_PARALLEL_DIROPS |
				FUSE_CAP_DIRECT_IO_ALLOW_MMAP | FUSE_CAP_NO_EXPORT_SUPPORT);
}

int passthrough_reply_open(fuse_req_t req, struct fuse_file_info *fi, int backing_id)
{
	fi->backing_id = backing_id;
	return fuse_reply_open(req, fi);
}

int passthrough_reply_create(fuse_req_t req, const struct fuse_entry_param *entry,
			     struct fuse_file_info *fi, int backing_id)
{
	fi->backing_id = backing_id;
	return fuse_reply_create(req, entry, fi);
}
