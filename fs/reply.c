/* SPDX-License-Identifier: MIT */
/* reply.c - the answers that several operations share. */
#include "reply.h"

#include <errno.h>
#include <inttypes.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"

/* Once per mount: the limit that was met is not one the caller could see. */
static void report_descriptors(const struct fs *fs)
{
	static atomic_bool reported;

	if (atomic_exchange(&reported, true))
		return;
	log_line(LOG_WARNING, "out of file descriptors (ulimit -n %ld, %" PRIu64
			      " of them for inodes, because this source has no file handles "
			      "for us)",
		 sysconf(_SC_OPEN_MAX), inode_descriptors(fs->inodes));
}

void reply_result(fuse_req_t req, int r)
{
	if (r == -EMFILE)
		report_descriptors(req_fs(req));
	(void)fuse_reply_err(req, r < 0 ? -r : 0);
}

/*
 * A source may span filesystems, whose inode numbers collide; programs that see one device
 * would take two files for hard links. So the others' numbers are moved aside, by a shift
 * that depends on the device and keeps the low bits readable.
 */
ino_t shown_ino(const struct fs *fs, dev_t dev, ino_t ino)
{
	if (dev == fs->root_dev)
		return ino;
	return ino ^ ((uint64_t)(dev ^ fs->root_dev) * 0x9e3779b97f4a7c15u & 0xffffff0000000000u);
}

/* Stores through a client's mapping change size and times without a word to anybody, so what
 * is open for writing is asked for again each time. */
double attr_timeout(const struct session *session, const struct inode *inode)
{
	return inode->writers ? 0 : session->options->attr_timeout;
}

struct fuse_entry_param entry_of(const struct session *session, const struct inode *inode,
				 const struct stat *st)
{
	struct fuse_entry_param entry = {
		.ino = (uintptr_t)inode,
		.attr = *st,
		.attr_timeout = attr_timeout(session, inode),
		.entry_timeout = session->options->entry_timeout,
	};

	entry.attr.st_ino = shown_ino(&session->fs, st->st_dev, st->st_ino);
	return entry;
}

void reply_entry(fuse_req_t req, int r, struct inode *inode, const struct stat *st)
{
	struct session *session = req_session(req);
	struct fuse_entry_param entry;

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	entry = entry_of(session, inode, st);
	/* An interrupted request is not answered: the kernel does not know the inode. */
	if (fuse_reply_entry(req, &entry) == -ENOENT)
		inode_unref(session->fs.inodes, inode, 1);
}

void reply_lookup(fuse_req_t req, int r, struct inode *inode, const struct stat *st)
{
	const struct fuse_entry_param none = {
		.ino = 0,
		.entry_timeout = req_session(req)->options->negative_timeout,
	};

	if (r != -ENOENT || none.entry_timeout <= 0) {
		reply_entry(req, r, inode, st);
		return;
	}
	/* To the kernel that is no error, to who asked it is. */
	metrics_add_error(&req_fs(req)->metrics, r);
	(void)fuse_reply_entry(req, &none);
}

void reply_attr(fuse_req_t req, int r, const struct inode *inode, const struct stat *st)
{
	struct session *session = req_session(req);
	struct fuse_entry_param entry;

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	entry = entry_of(session, inode, st);
	(void)fuse_reply_attr(req, &entry.attr, entry.attr_timeout);
}

void reply_text(fuse_req_t req, int64_t r, const char *text, size_t size)
{
	if (r < 0)
		reply_result(req, (int)r);
	else if (size == 0)
		(void)fuse_reply_xattr(req, (size_t)r);
	else if ((uint64_t)r > size)
		reply_result(req, -ERANGE);
	else
		(void)fuse_reply_buf(req, text, (size_t)r);
}
