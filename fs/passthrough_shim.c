/* SPDX-License-Identifier: MIT */
/*
 * passthrough_shim.c - passthrough on libfuse < 3.17, which does not know it.
 *
 * Four things are done behind its back, all documented in the kernel's fuse.h: flags are
 * added to the INIT reply; an open reply carries the backing id in the word
 * that was padding before; FUSE_TMPFILE, which those versions do not know, is handed to them
 * as a FUSE_CREATE of a name that cannot be; and FUSE_STATX is answered here, so that files
 * have their time of birth. Drop all of it when Debian 12 is no longer to be served.
 */
#include "passthrough.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "meter.h"

#define OP_TMPFILE 51
#define OP_STATX 52
#define OPEN_PASSTHROUGH (1u << 7) /* FOPEN_PASSTHROUGH */

/* INIT flags, the second word shifted up by 32. */
#define INIT_PARALLEL_DIROPS (1ull << 18)
#define INIT_HANDLE_KILLPRIV_V2 (1ull << 28)
#define INIT_EXT (1ull << 30)
#define INIT_DIRECT_IO_ALLOW_MMAP (1ull << 36)
#define INIT_PASSTHROUGH (1ull << 37)
#define INIT_NO_EXPORT_SUPPORT (1ull << 38)

/* The reply as of protocol 7.40: max_stack_depth follows flags2. */
struct init_reply {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth, unused[6];
};
_Static_assert(sizeof(struct init_reply) == 64, "struct fuse_init_out of 7.23 and later");

static struct fuse_open_out open_out(const struct fuse_file_info *fi, int backing_id)
{
	/* KEEP_CACHE and the like are EIO in the kernel together with passthrough. */
	return (struct fuse_open_out){ .fh = fi->fh,
				       .open_flags = OPEN_PASSTHROUGH |
						     (fi->direct_io ? FOPEN_DIRECT_IO : 0),
				       .padding = (uint32_t)backing_id };
}

static uint64_t whole_seconds(double timeout)
{
	return timeout < 1e9 ? (uint64_t)timeout : 1000000000u;
}

static uint32_t nanoseconds(double timeout)
{
	return (uint32_t)((timeout - (double)whole_seconds(timeout)) * 1e9) % 1000000000u;
}

/* ---- FUSE_STATX ---- */

/* Linux 6.6, include/uapi/linux/fuse.h. */
struct statx_request {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t flags, mask;
};

struct sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct statx_reply {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};
_Static_assert(sizeof(struct statx_reply) == 288, "struct fuse_statx_out of 7.39");

static struct sx_time sx_time(struct statx_timestamp time)
{
	return (struct sx_time){ .sec = time.tv_sec, .nsec = time.tv_nsec };
}

static struct statx_reply statx_reply(const struct statx *stx, double timeout)
{
	return (struct statx_reply){
		.attr_valid = whole_seconds(timeout),
		.attr_valid_nsec = nanoseconds(timeout),
		.mask = stx->stx_mask,
		.blksize = stx->stx_blksize,
		.attributes = stx->stx_attributes,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.mode = stx->stx_mode,
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.attributes_mask = stx->stx_attributes_mask,
		.atime = sx_time(stx->stx_atime),
		.btime = sx_time(stx->stx_btime),
		.ctime = sx_time(stx->stx_ctime),
		.mtime = sx_time(stx->stx_mtime),
		.rdev_major = stx->stx_rdev_major,
		.rdev_minor = stx->stx_rdev_minor,
	};
}

static void answer_statx(struct passthrough *pt, int fd, const struct fuse_in_header *in)
{
	const struct statx_request *request = (const void *)(in + 1);
	struct fuse_out_header out = { .len = sizeof(out), .unique = in->unique };
	struct statx_reply reply;
	struct iovec iov[] = { { &out, sizeof(out) }, { &reply, sizeof(reply) } };
	struct statx stx;
	double timeout = 0;

	out.error = pt->statx(pt, in->nodeid,
			      request->getattr_flags & FUSE_GETATTR_FH ? request->fh : 0,
			      request->mask, &stx, &timeout);
	if (out.error == 0) {
		reply = statx_reply(&stx, timeout);
		out.len += (uint32_t)sizeof(reply);
	}
	/* ENOENT: interrupted meanwhile. Nothing depends on the answer here. */
	(void)meter_writev(pt->metrics, fd, iov, out.error ? 1 : 2);
}

/* Between two reads. */
static bool took_statx(struct passthrough *pt, int fd, const struct fuse_in_header *in, ssize_t n)
{
	if (in->opcode != OP_STATX || !pt->statx ||
	    n < (ssize_t)(sizeof(*in) + sizeof(struct statx_request)))
		return false;
	answer_statx(pt, fd, in);
	return true;
}

/* ---- the way of requests and replies ---- */

static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
	struct passthrough *pt = userdata;
	struct fuse_in_header *in = buf;
	ssize_t n;

	do {
		n = meter_read(pt->metrics, fd, buf, size);
		if (n < (ssize_t)sizeof(*in))
			return n;
	} while (took_statx(pt, fd, in, n));
	if (in->opcode == FUSE_INIT &&
	    n >= (ssize_t)(sizeof(*in) + 4 * sizeof(uint32_t))) {
		const struct fuse_init_in *init = (const void *)(in + 1);

		pt->init_unique = in->unique;
		pt->offered = init->flags;
		if ((init->flags & INIT_EXT) && n >= (ssize_t)(sizeof(*in) + 5 * sizeof(uint32_t)))
			pt->offered |= (uint64_t)init->flags2 << 32;
	} else if (in->opcode == OP_TMPFILE) {
		in->opcode = FUSE_CREATE;
	}
	return n;
}

/* What of the wanted flags the kernel offered goes into the reply. */
static void complete_init(struct passthrough *pt, struct init_reply *reply)
{
	uint64_t want = INIT_PARALLEL_DIROPS | INIT_HANDLE_KILLPRIV_V2;

	if ((pt->offered & INIT_EXT) && (reply->flags & INIT_EXT)) {
		/* A file handle would be stale as soon as the kernel forgets the inode. */
		want |= INIT_DIRECT_IO_ALLOW_MMAP | INIT_NO_EXPORT_SUPPORT;
		if (pt->privileged && pt->stack_depth > 0)
			want |= INIT_PASSTHROUGH;
	}
	want &= pt->offered;
	reply->flags |= (uint32_t)want;
	reply->flags2 |= (uint32_t)(want >> 32);
	if (want & INIT_PASSTHROUGH) {
		reply->max_stack_depth = pt->stack_depth;
		pt->active = true;
	}
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct passthrough *pt = userdata;
	const struct fuse_out_header *out = iov[0].iov_base;
	ssize_t n;

	if (pt->init_unique && out->unique == pt->init_unique) {
		pt->init_unique = 0;
		if (!out->error && count > 1 && iov[1].iov_len == sizeof(struct init_reply))
			complete_init(pt, iov[1].iov_base);
	}
	n = meter_writev(pt->metrics, fd, iov, count);
	/* A page of a mapping vanished while it was being sent: the kernel has answered the
	 * request with EIO. ENOENT keeps libfuse from printing about it. */
	if (n < 0 && errno == EFAULT)
		errno = ENOENT;
	return n;
}

int passthrough_attach(struct passthrough *pt)
{
	/* No splice functions: the request has to be in memory for read_request(), and data
	 * does not come through here on the passthrough path. */
	static const struct fuse_custom_io io = { .writev = write_reply, .read = read_request };

	return fuse_session_custom_io(pt->session, &io, fuse_session_fd(pt->session));
}

/* The request for flags is made in complete_init(). */
void passthrough_init(struct passthrough *pt, struct fuse_conn_info *conn)
{
	(void)pt;
	(void)conn;
}

int passthrough_reply_open(fuse_req_t req, struct fuse_file_info *fi, int backing_id)
{
	struct fuse_open_out out;

	if (backing_id <= 0)
		return fuse_reply_open(req, fi);
	out = open_out(fi, backing_id);
	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static struct fuse_entry_out entry_out(const struct fuse_entry_param *entry)
{
	const struct stat *st = &entry->attr;

	return (struct fuse_entry_out){
		.nodeid = entry->ino,
		.generation = entry->generation,
		.entry_valid = whole_seconds(entry->entry_timeout),
		.entry_valid_nsec = nanoseconds(entry->entry_timeout),
		.attr_valid = whole_seconds(entry->attr_timeout),
		.attr_valid_nsec = nanoseconds(entry->attr_timeout),
		.attr = {
			.ino = st->st_ino,
			.size = (uint64_t)st->st_size,
			.blocks = (uint64_t)st->st_blocks,
			.atime = (uint64_t)st->st_atim.tv_sec,
			.mtime = (uint64_t)st->st_mtim.tv_sec,
			.ctime = (uint64_t)st->st_ctim.tv_sec,
			.atimensec = (uint32_t)st->st_atim.tv_nsec,
			.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
			.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
			.mode = st->st_mode,
			.nlink = (uint32_t)st->st_nlink,
			.uid = st->st_uid,
			.gid = st->st_gid,
			.rdev = (uint32_t)st->st_rdev,
			.blksize = (uint32_t)st->st_blksize,
		},
	};
}

int passthrough_reply_create(fuse_req_t req, const struct fuse_entry_param *entry,
			     struct fuse_file_info *fi, int backing_id)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;

	if (backing_id <= 0)
		return fuse_reply_create(req, entry, fi);
	out.entry = entry_out(entry);
	out.open = open_out(fi, backing_id);
	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}
