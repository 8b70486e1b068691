/* SPDX-License-Identifier: MIT */
/* ops_dir.c - read directories, with or without the attributes of what is in them. */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "cache.h"
#include "reply.h"

/*
 * Attributes with every name are what makes a listing cheap for programs that look at the
 * files next. One that comes again right after (git status, find in a loop) needs none: the
 * kernel has them, and names alone cost a fifth. Right after is half of what the kernel was
 * told to keep them for, and no more than ten seconds; an entry that has gone meanwhile is
 * looked up by itself.
 *
 * The names it may keep as well, for a listing right after. For one that is rewound it goes by
 * the directory's mtime, which a change that comes right after another may leave as it is: so not
 * of a directory that has just changed.
 */
#define AGAIN_MS_MAX 10000
#define SETTLED_SECONDS 2 /* the coarsest time stamps are that coarse */

static uint32_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000) | 1;
}

/* Not the mtime, which may be set to what it was. */
static struct timespec changed_at(const struct dir_handle *dir)
{
	struct stat st = { 0 };

	(void)fstat(dir->fd, &st);
	return st.st_ctim;
}

/* Changes when names come or go, so that new ones are listed with attributes. */
static uint32_t state_of(struct timespec changed)
{
	return (uint32_t)hash_bytes(HASH_START, &changed, sizeof(changed));
}

/* False also where the clocks of source and daemon do not agree. */
static bool is_settled(struct timespec changed)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return changed.tv_sec && changed.tv_sec < now.tv_sec - SETTLED_SECONDS;
}

static uint32_t again_ms(const struct options *options)
{
	double life = options->attr_timeout < options->entry_timeout ? options->attr_timeout
								     : options->entry_timeout;

	return life * 500 < AGAIN_MS_MAX ? (uint32_t)(life * 500) : AGAIN_MS_MAX;
}

static bool was_listed(const struct options *options, const struct dir_handle *dir,
		       struct timespec changed)
{
	uint32_t since = atomic_load(&dir->inode->listed_ms);

	return since && now_ms() - since < again_ms(options) &&
	       atomic_load(&dir->inode->listed_as) == state_of(changed);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct dir_handle *dir = NULL;
	struct timespec changed;
	int r = dir_open(fs, req_inode(req, ino), &dir);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	changed = changed_at(dir);
	dir->names_only = was_listed(fs->options, dir, changed);
	fi->cache_readdir = is_settled(changed);
	fi->keep_cache = dir->names_only;
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

	if (!is_dot(entry->name) && !listing->dir->names_only) {
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

/* With dir->mutex held. Only what is read from its start to its end has been listed. */
static void note_start(struct dir_handle *dir, off_t offset)
{
	if (offset == 0) {
		dir->state = state_of(changed_at(dir));
		dir->since_ms = now_ms();
	} else if (offset != dir->position) {
		dir->since_ms = 0;
	}
}

static void note_end(struct dir_handle *dir)
{
	if (!dir->since_ms || dir->names_only)
		return;
	atomic_store(&dir->inode->listed_as, dir->state);
	atomic_store(&dir->inode->listed_ms, dir->since_ms);
}

static int fill(struct listing *listing, off_t offset, add_fn add)
{
	struct dir_handle *dir = listing->dir;
	SCOPE_LOCK(&dir->mutex);
	int r;

	if (add == add_plus)
		note_start(dir, offset);
	r = dir_seek(dir, offset);
	while (r == 0) {
		struct dir_entry entry;

		r = dir_peek(dir, &entry);
		if (r == 0 && add == add_plus)
			note_end(dir);
		if (r <= 0)
			return r;
		r = add(listing, &entry);
		if (r == 0)
			dir_next(dir, &entry);
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
