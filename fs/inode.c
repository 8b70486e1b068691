/* SPDX-License-Identifier: MIT */
/* inode.c - the table of files in use, and how to reach each one again. */
#include "inode.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/macro.h"
#include "dir_fds.h"
#include "table_window.h"

#define FIRST_BUCKETS 1024
#define MOUNTS_MAX 256
#define FUSE_MAGIC 0x65735546

/* A filesystem of the source, opened so that its file handles can be. */
struct source_mount {
	int id; /* as name_to_handle_at gives it */
	int fd; /* -1: handles of this mount cannot be opened, its inodes keep descriptors */
};

struct inode_table {
	bool use_handles;
	const struct inode_hooks *hooks;
	struct inode *root;
	atomic_uint_fast64_t descriptors;
	struct dir_fds dir_fds;

	pthread_mutex_t mutex; /* protects what follows, and hash_next and refs of inodes */
	struct inode **buckets;
	size_t bucket_count; /* a power of two */
	uint64_t count;
	struct source_mount mounts[MOUNTS_MAX]; /* entries never change once counted */
	atomic_uint mount_count;		/* grows under the mutex, read anywhere */
};

/* A file handle with room for the largest. */
union any_handle {
	struct file_handle head;
	unsigned char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

struct fd_name fd_name(int fd)
{
	struct fd_name name;

	(void)snprintf(name.text, sizeof(name.text), "/proc/self/fd/%d", fd);
	return name;
}

pthread_mutex_t *inode_lock(struct inode *inode)
{
	static pthread_mutex_t stripes[64] = { [0 ... 63] = PTHREAD_MUTEX_INITIALIZER };

	return &stripes[inode->hash % ARRAY_SIZE(stripes)];
}

static uint64_t hash_file(dev_t dev, ino_t ino, const struct file_handle *handle)
{
	uint64_t hash = hash_bytes(HASH_START, &dev, sizeof(dev));

	hash = hash_bytes(hash, &ino, sizeof(ino));
	return hash_bytes(hash, handle->f_handle, handle->handle_bytes);
}

static bool same_file(const struct inode *inode, dev_t dev, ino_t ino,
		      const struct file_handle *handle)
{
	return inode->dev == dev && inode->ino == ino &&
	       inode->handle.handle_bytes == handle->handle_bytes &&
	       inode->handle.handle_type == handle->handle_type &&
	       memcmp(inode->handle.f_handle, handle->f_handle, handle->handle_bytes) == 0;
}

/*
 * The layouts that the kernel's own filesystems have, by type and length: ext4 and small xfs
 * (FILEID_INO32_GEN), tmpfs, xfs with 64 bits, btrfs.
 */
bool inode_handle_says(const struct file_handle *handle, uint64_t ino)
{
	uint32_t words[5] = { 0 };

	if (handle->handle_bytes > sizeof(words))
		return false;
	memcpy(words, handle->f_handle, handle->handle_bytes);
	if (handle->handle_type == 0x01 && handle->handle_bytes == 8)
		return words[0] == ino;
	if (handle->handle_type == 0x01 && handle->handle_bytes == 12)
		return (words[1] | (uint64_t)words[2] << 32) == ino;
	if ((handle->handle_type == 0x81 && handle->handle_bytes == 12) ||
	    (handle->handle_type == 0x4d && handle->handle_bytes == 20))
		return memcmp(words, &ino, sizeof(ino)) == 0;
	return false;
}

/* ---- mounts ---- */

/*
 * A descriptor on the mount of @fd, by which @handle can be opened again; or -1.
 * FUSE filesystems give out handles that go stale as soon as the kernel forgets the inode.
 */
static int open_mount(int fd, const struct stat *st, union any_handle *handle)
{
	_cleanup_close_ int mount_fd = -1;
	struct statfs fs;
	int probe;

	if (!S_ISDIR(st->st_mode) || fstatfs(fd, &fs) < 0 || fs.f_type == FUSE_MAGIC)
		return -1;
	mount_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount_fd < 0)
		return -1;
	probe = open_by_handle_at(mount_fd, &handle->head, O_PATH | O_CLOEXEC);
	if (probe < 0)
		return -1;
	close(probe);
	return steal_fd(&mount_fd);
}

static int find_mount(struct inode_table *table, int id)
{
	unsigned int count = atomic_load(&table->mount_count);

	for (unsigned int i = 0; i < count; i++) {
		if (table->mounts[i].id == id)
			return (int)i;
	}
	return -1;
}

static int add_mount(struct inode_table *table, int id, int fd)
{
	SCOPE_LOCK(&table->mutex);
	int index = find_mount(table, id);

	if (index >= 0 || table->mount_count == MOUNTS_MAX) {
		if (fd >= 0)
			close(fd);
		return index;
	}
	index = (int)table->mount_count;
	table->mounts[index] = (struct source_mount){ .id = id, .fd = fd };
	atomic_fetch_add(&table->mount_count, 1); /* last: see find_mount() */
	return index;
}

/*
 * Fill @handle and @ret_mount for the file @fd; handle_bytes is 0 where its inode has to
 * keep a descriptor instead.
 */
static void handle_of(struct inode_table *table, int fd, const struct stat *st,
		      union any_handle *handle, unsigned int *ret_mount)
{
	int mount_id, index;

	*ret_mount = 0;
	handle->head.handle_bytes = MAX_HANDLE_SZ;
	if (!table->use_handles ||
	    name_to_handle_at(fd, "", &handle->head, &mount_id, AT_EMPTY_PATH) < 0) {
		handle->head.handle_bytes = 0;
		handle->head.handle_type = 0;
		return;
	}
	index = find_mount(table, mount_id);
	/* A mount is entered through its root directory. Where it is a single file bound
	 * over another, no entry is made, because a directory may still come. */
	if (index < 0 && S_ISDIR(st->st_mode))
		index = add_mount(table, mount_id, open_mount(fd, st, handle));
	if (index < 0 || table->mounts[index].fd < 0) {
		handle->head.handle_bytes = 0;
		handle->head.handle_type = 0;
		return;
	}
	*ret_mount = (unsigned int)index;
}

/* ---- the hash table ---- */

static struct inode **find_link(struct inode_table *table, uint64_t hash, dev_t dev,
				ino_t ino, const struct file_handle *handle)
{
	struct inode **link = &table->buckets[hash & (table->bucket_count - 1)];

	while (*link && !((*link)->hash == hash && same_file(*link, dev, ino, handle)))
		link = &(*link)->hash_next;
	return link;
}

/* Failing to grow only makes chains longer. */
static void grow_buckets(struct inode_table *table)
{
	size_t count = table->bucket_count * 2;
	struct inode **buckets;

	if (table->count < table->bucket_count)
		return;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return;
	for (size_t i = 0; i < table->bucket_count; i++) {
		struct inode *next;

		for (struct inode *inode = table->buckets[i]; inode; inode = next) {
			struct inode **head = &buckets[inode->hash & (count - 1)];

			next = inode->hash_next;
			inode->hash_next = *head;
			*head = inode;
		}
	}
	free(table->buckets);
	table->buckets = buckets;
	table->bucket_count = count;
}

static void free_inode(struct inode_table *table, struct inode *inode)
{
	table->hooks->drop(inode);
	if (S_ISDIR(inode->type))
		dir_fds_drop(&table->dir_fds, inode);
	if (inode->fd >= 0 && !inode->window) {
		close(inode->fd);
		atomic_fetch_sub(&table->descriptors, 1);
	}
	free(inode);
}

static int new_inode(struct inode_table *table, int fd, const struct stat *st,
		     const struct file_handle *handle, unsigned int mount, uint64_t hash,
		     struct inode **ret)
{
	struct inode *inode = calloc(1, sizeof(*inode) + handle->handle_bytes);
	int r;

	if (!inode)
		return -ENOMEM;
	*inode = (struct inode){ .refs = 1, .hash = hash, .dev = st->st_dev,
				 .ino = st->st_ino, .type = st->st_mode & S_IFMT, .fd = -1,
				 .mount = mount };
	inode->handle.handle_bytes = handle->handle_bytes;
	inode->handle.handle_type = handle->handle_type;
	memcpy(inode->handle.f_handle, handle->f_handle, handle->handle_bytes);
	if (!handle->handle_bytes) {
		inode->fd = open(fd_name(fd).text, O_PATH | O_CLOEXEC);
		if (inode->fd < 0) {
			r = -errno;
			free(inode);
			return r;
		}
		atomic_fetch_add(&table->descriptors, 1);
	}
	*ret = inode;
	return 0;
}

static struct inode *find_and_ref(struct inode_table *table, uint64_t hash,
				  const struct stat *st, const struct file_handle *handle)
{
	SCOPE_LOCK(&table->mutex);
	struct inode *inode = *find_link(table, hash, st->st_dev, st->st_ino, handle);

	if (inode)
		inode->refs++;
	return inode;
}

/* Put @fresh into the table, unless another thread was faster: then its inode is it. */
static struct inode *insert_or_ref(struct inode_table *table, struct inode *fresh)
{
	SCOPE_LOCK(&table->mutex);
	struct inode **link = find_link(table, fresh->hash, fresh->dev, fresh->ino,
					&fresh->handle);

	if (*link) {
		(*link)->refs++;
		return *link;
	}
	*link = fresh;
	table->count++;
	grow_buckets(table);
	return fresh;
}

/* Without handles: what a window has open stays open. */
int inode_new_window(struct inode_table *table, struct window *window,
		     struct inode **ret)
{
	static const struct file_handle none;
	struct inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return -ENOMEM;
	*inode = (struct inode){ .refs = 1, .hash = hash_file(window->dev, window->ino, &none),
				 .dev = window->dev, .ino = window->ino,
				 .type = window->kind == WINDOW_ROOT ? S_IFDIR : S_IFREG,
				 .fd = window->fd, .window = window };
	*ret = insert_or_ref(table, inode);
	assert(*ret == inode);
	return 0;
}

/* @fd is needed only where @handle is empty. */
static int get(struct inode_table *table, int fd, const struct stat *st,
	       const union any_handle *handle, unsigned int mount, struct inode **ret)
{
	uint64_t hash = hash_file(st->st_dev, st->st_ino, &handle->head);
	struct inode *fresh = NULL;
	int r;

	*ret = find_and_ref(table, hash, st, &handle->head);
	if (*ret)
		return 0;
	r = new_inode(table, fd, st, &handle->head, mount, hash, &fresh);
	if (r < 0)
		return r;
	*ret = insert_or_ref(table, fresh);
	if (*ret != fresh)
		free_inode(table, fresh);
	return 0;
}

int inode_get(struct inode_table *table, int fd, const struct stat *st, struct inode **ret)
{
	union any_handle handle;
	unsigned int mount;

	handle_of(table, fd, st, &handle, &mount);
	return get(table, fd, st, &handle, mount, ret);
}

/*
 * The same by two system calls instead of four, which half of a cold find is made of. Both
 * take the name, which may have become another file's in between: the handle has to say the
 * inode number that the attributes have. Else one file could be reached with the rights of
 * another. -EAGAIN: by a descriptor, please.
 */
static int get_by_name(struct inode_table *table, int dir_fd, const char *name,
		       struct stat *ret_st, struct inode **ret)
{
	union any_handle handle;
	int mount_id, mount;

	handle.head.handle_bytes = MAX_HANDLE_SZ;
	if (!table->use_handles)
		return -EAGAIN;
	if (name_to_handle_at(dir_fd, name, &handle.head, &mount_id, 0) < 0)
		return errno == ENOENT ? -ENOENT : -EAGAIN;
	mount = find_mount(table, mount_id);
	if (mount < 0 || table->mounts[mount].fd < 0)
		return -EAGAIN;
	if (fstatat(dir_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!inode_handle_says(&handle.head, ret_st->st_ino))
		return -EAGAIN;
	return get(table, -1, ret_st, &handle, (unsigned int)mount, ret);
}

int inode_get_at(struct inode_table *table, int dir_fd, const char *name, struct stat *ret_st,
		 struct inode **ret)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	r = get_by_name(table, dir_fd, name, ret_st, ret);
	if (r != -EAGAIN)
		return r;
	fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	return inode_get(table, fd, ret_st, ret);
}

struct inode *inode_find(struct inode_table *table, int fd, const struct stat *st)
{
	union any_handle handle;
	unsigned int mount;

	handle_of(table, fd, st, &handle, &mount);
	return find_and_ref(table, hash_file(st->st_dev, st->st_ino, &handle.head), st,
			    &handle.head);
}

void inode_ref(struct inode_table *table, struct inode *inode)
{
	SCOPE_LOCK(&table->mutex);

	inode->refs++;
}

static bool leaves_one(const struct inode *inode, uint64_t count)
{
	return inode->refs == count + 1 && atomic_load(&inode->region);
}

enum dropped { STILL_USED, UNUSED, ASK_FIRST };

static enum dropped drop_refs(struct inode_table *table, struct inode *inode, uint64_t count,
			      bool asked)
{
	SCOPE_LOCK(&table->mutex);

	if (!asked && leaves_one(inode, count))
		return ASK_FIRST;
	inode->refs -= u64_min(count, inode->refs);
	if (inode->refs)
		return STILL_USED;
	*find_link(table, inode->hash, inode->dev, inode->ino, &inode->handle) =
		inode->hash_next;
	table->count--;
	return UNUSED;
}

void inode_unref(struct inode_table *table, struct inode *inode, uint64_t count)
{
	enum dropped dropped;

	if (!inode)
		return;
	dropped = drop_refs(table, inode, count, false);
	if (dropped == ASK_FIRST) {
		/* Without the mutex, but with our references, which keep the inode. */
		table->hooks->left(inode);
		dropped = drop_refs(table, inode, count, true);
	}
	if (dropped == UNUSED)
		free_inode(table, inode);
}

/* ---- reaching the file ---- */

int inode_path_fd(struct inode_table *table, struct inode *inode, struct inode_fd *ret)
{
	struct dir_fds *fds = S_ISDIR(inode->type) ? &table->dir_fds : NULL;
	struct dir_fd *kept = NULL;
	int fd;

	if (inode->fd >= 0) {
		*ret = (struct inode_fd){ .fd = inode->fd };
		return 0;
	}
	if (fds)
		kept = dir_fds_get(fds, inode);
	if (kept) {
		*ret = (struct inode_fd){ .fd = kept->fd, .fds = fds, .kept = kept };
		return 0;
	}
	fd = open_by_handle_at(table->mounts[inode->mount].fd, &inode->handle,
			       O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fds)
		kept = dir_fds_add(fds, inode, fd);
	*ret = (struct inode_fd){ .fd = fd, .owned = !kept, .fds = fds, .kept = kept };
	return 0;
}

int inode_stat_fd(const struct inode *inode, int fd, struct stat *ret)
{
	if (fstat(fd, ret) < 0)
		return -errno;
	if (inode->window)
		window_stat(inode->window, ret);
	return 0;
}

int inode_stat(struct inode_table *table, struct inode *inode, struct stat *ret)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	int r = inode_path_fd(table, inode, &fd);

	return r < 0 ? r : inode_stat_fd(inode, fd.fd, ret);
}

int inode_open(struct inode_table *table, struct inode *inode, int flags)
{
	int fd;

	flags |= O_CLOEXEC;
	if (inode->fd >= 0)
		fd = open(fd_name(inode->fd).text, flags & ~O_NOFOLLOW);
	else
		fd = open_by_handle_at(table->mounts[inode->mount].fd, &inode->handle, flags);
	return fd < 0 ? -errno : fd;
}

void inode_fd_done(struct inode_fd *fd)
{
	if (fd->owned && fd->fd >= 0)
		cleanup_closep(&fd->fd);
	if (fd->kept)
		dir_fds_put(fd->fds, fd->kept);
	*fd = (struct inode_fd)INODE_FD_NONE;
}

/* ---- the table itself ---- */

struct inode *inode_root(struct inode_table *table)
{
	return table->root;
}

uint64_t inode_count(struct inode_table *table)
{
	SCOPE_LOCK(&table->mutex);

	return table->count;
}

uint64_t inode_descriptors(struct inode_table *table)
{
	return atomic_load(&table->descriptors);
}

struct inode_table *inode_table_free(struct inode_table *table)
{
	if (!table)
		return NULL;
	/* The kernel forgets nothing when a filesystem is unmounted: take all that is left. */
	for (size_t i = 0; table->buckets && i < table->bucket_count; i++) {
		struct inode *next;

		for (struct inode *inode = table->buckets[i]; inode; inode = next) {
			next = inode->hash_next;
			free_inode(table, inode);
		}
	}
	for (unsigned int i = 0; i < table->mount_count; i++) {
		if (table->mounts[i].fd >= 0)
			close(table->mounts[i].fd);
	}
	dir_fds_close(&table->dir_fds);
	pthread_mutex_destroy(&table->mutex);
	free(table->buckets);
	free(table);
	return NULL;
}

static struct inode_table *new_table(bool use_handles, const struct inode_hooks *hooks)
{
	struct inode_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	pthread_mutex_init(&table->mutex, NULL);
	dir_fds_init(&table->dir_fds);
	table->use_handles = use_handles;
	table->hooks = hooks;
	table->bucket_count = FIRST_BUCKETS;
	table->buckets = calloc(table->bucket_count, sizeof(*table->buckets));
	return table->buckets ? table : inode_table_free(table);
}

int inode_table_new(int root_fd, bool use_handles, const struct inode_hooks *hooks,
		    struct inode_table **ret)
{
	struct inode_table *table = new_table(use_handles, hooks);
	struct stat st;
	int r;

	if (!table)
		return -ENOMEM;
	r = fstat(root_fd, &st) < 0 ? -errno : inode_get(table, root_fd, &st, &table->root);
	if (r < 0) {
		inode_table_free(table);
		return r;
	}
	table->root->is_root = true;
	close(root_fd);
	*ret = table;
	return 0;
}

int inode_table_new_windows(struct window *root, const struct inode_hooks *hooks,
			    struct inode_table **ret)
{
	struct inode_table *table = new_table(false, hooks);
	int r;

	if (!table)
		return -ENOMEM;
	r = inode_new_window(table, root, &table->root);
	if (r < 0) {
		inode_table_free(table);
		return r;
	}
	table->root->is_root = true;
	*ret = table;
	return 0;
}
