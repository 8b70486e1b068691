/* SPDX-License-Identifier: MIT */
/* ops_dir.c - read directories, with or without the attributes of what is in them. */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache.h"
#include "reply.h"

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct dir_handle *dir = NULL;
	int r = dir_open(fs, req_inode(req, ino), &dir);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	fi->fh = (uintptr_t)dir;
	if (fuse_reply_open(req, fi) == -ENOENT)
		dir_close(fs, dir);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dir_close(req_fs(req), fi_dir(fi));
	reply_result(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	int fd = fi_dir(fi)->fd;

	(void)ino;
	reply_result(req, (datasync ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0);
}

/* A reply that is being filled. */
struct listing {
	fuse_req_t req;
	struct dir_handle *dir;
	char *buf;
	size_t size;
	size_t used;
};

/* Adds one entry. Returns 1 when it did not fit, 0 when it did, or an error. */
typedef int (*add_fn)(struct listing *listing, const struct dir_entry *entry);

static int add_plain(struct listing *listing, const struct dir_entry *entry)
{
	const struct stat st = { .st_ino = entry->ino, .st_mode = DTTOIF(entry->type) };
	size_t room = listing->size - listing->used;
	size_t need = fuse_add_direntry(listing->req, listing->buf + listing->used, room,
					entry->name, &st, entry->next);

	if (need > room)
		return 1;
	listing->used += need;
	return 0;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Each name is a lookup the kernel will forget one day. Nodes of "." and ".." are not looked
 * up: the kernel knows them. */
static int add_plus(struct listing *listing, const struct dir_entry *entry)
{
	struct session *session = req_session(listing->req);
	struct inode_table *inodes = session->fs.inodes;
	size_t room = listing->size - listing->used;
	struct fuse_entry_param param = { .attr = { .st_ino = entry->ino,
						    .st_mode = DTTOIF(entry->type) } };
	struct inode *inode = NULL;
	struct stat st;
	size_t need;
	int r;

	if (!is_dot(entry->name)) {
		r = inode_get_at(inodes, listing->dir->fd, entry->name, &st, &inode);
		if (r == -ENOENT) /* removed since the source listed it */
			return 0;
		/* An entry that cannot be looked up is still a name of the directory. */
		if (r == 0) {
			cache_named(&session->fs, listing->dir->inode, entry->name, inode,
				    &st);
			param = entry_of(session, inode, &st);
		}
	}
	need = fuse_add_direntry_plus(listing->req, listing->buf + listing->used, room,
				      entry->name, &param, entry->next);
	if (need > room) {
		inode_unref(inodes, inode, 1);
		return 1;
	}
	listing->used += need;
	return 0;
}

static int fill(struct listing *listing, off_t offset, add_fn add)
{
	SCOPE_LOCK(&listing->dir->mutex);
	int r = dir_seek(listing->dir, offset);

	while (r == 0) {
		struct dir_entry entry;

		r = dir_peek(listing->dir, &entry);
		if (r <= 0)
			return r;
		r = add(listing, &entry);
		if (r == 0)
			dir_next(listing->dir, &entry);
	}
	return r < 0 ? r : 0;
}

static void list(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi,
		 add_fn add)
{
	_cleanup_free_ char *buf = malloc(size);
	struct listing listing = { req, fi_dir(fi), buf, size, 0 };
	int r = buf ? fill(&listing, offset, add) : -ENOMEM;

	/* What has been listed is given out; the error comes again with the next call. */
	if (r < 0 && listing.used == 0)
		reply_result(req, r);
	else
		(void)fuse_reply_buf(req, buf, listing.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, offset, fi, add_plain);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, offset, fi, add_plus);
}
