/* SPDX-License-Identifier: MIT */
/*
 * ctl_tree.c - visit every regular file below a directory of the source.
 *
 * The directories still to be visited are remembered by their path below the first one,
 * and opened component by component, so that neither depth nor PATH_MAX nor a symbolic
 * link put in place of a directory meanwhile matters.
 */
#include "ctl_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "table_window.h"

/* Limits of what one walk remembers; a tree beyond them is refused, not miscounted. */
#define PENDING_BYTES_MAX (256u << 20)
#define LINKED_FILES_MAX (1u << 20)

struct pending {
	SLIST_ENTRY(pending) next;
	char path[]; /* below the first directory; "" is that itself */
};

/* Files with several names that were seen, by device and inode: open addressing. */
struct seen {
	struct seen_file {
		dev_t dev;
		ino_t ino; /* 0: free */
	} * slots;
	size_t count;
	size_t capacity; /* a power of two, at least twice the count */
};

struct walk {
	const struct ctl_tree *tree;
	ctl_walk_fn fn;
	void *ctx;
	int root_fd;
	SLIST_HEAD(, pending) todo;
	size_t todo_bytes;
	struct seen seen;
	uint64_t unread;
};

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int ctl_stopped(const struct ctl_stop *stop)
{
	if (atomic_load(&stop->fs->stopping) && !stop->at_end)
		return -EINTR;
	return stop->asked && stop->asked(stop->ctx) ? -EINTR : 0;
}

/* ---- files with several names ---- */

static size_t seen_slot(const struct seen *seen, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)ino ^ ((uint64_t)dev << 32)) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(hash >> 20) & (seen->capacity - 1);

	while (seen->slots[i].ino &&
	       (seen->slots[i].ino != ino || seen->slots[i].dev != dev))
		i = (i + 1) & (seen->capacity - 1);
	return i;
}

static int seen_grow(struct seen *seen)
{
	struct seen bigger = { .capacity = seen->capacity ? seen->capacity * 2 : 64 };

	if (seen->count >= LINKED_FILES_MAX)
		return -EOVERFLOW;
	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < seen->capacity; i++) {
		const struct seen_file *file = &seen->slots[i];

		if (file->ino)
			bigger.slots[seen_slot(&bigger, file->dev, file->ino)] = *file;
	}
	bigger.count = seen->count;
	free(seen->slots);
	*seen = bigger;
	return 0;
}

/* Returns 1 when the file was seen before, 0 when it is new. */
static int seen_before(struct seen *seen, const struct stat *st)
{
	size_t i;
	int r;

	if (2 * (seen->count + 1) > seen->capacity) {
		r = seen_grow(seen);
		if (r < 0)
			return r;
	}
	i = seen_slot(seen, st->st_dev, st->st_ino);
	if (seen->slots[i].ino)
		return 1;
	seen->slots[i] = (struct seen_file){ st->st_dev, st->st_ino };
	seen->count++;
	return 0;
}

/* ---- directories ---- */

static int todo_push(struct walk *walk, const char *parent, const char *name)
{
	size_t size = strlen(parent) + 1 + strlen(name) + 1;
	struct pending *pending;

	if (walk->todo_bytes + size > PENDING_BYTES_MAX)
		return -EOVERFLOW;
	pending = malloc(sizeof(*pending) + size);
	if (!pending)
		return -ENOMEM;
	stpcpy(stpcpy(stpcpy(pending->path, parent), *parent ? "/" : ""), name);
	walk->todo_bytes += strlen(pending->path) + 1;
	SLIST_INSERT_HEAD(&walk->todo, pending, next);
	return 0;
}

static struct pending *todo_pop(struct walk *walk)
{
	struct pending *pending = SLIST_FIRST(&walk->todo);

	if (!pending)
		return NULL;
	SLIST_REMOVE_HEAD(&walk->todo, next);
	walk->todo_bytes -= strlen(pending->path) + 1;
	return pending;
}

int ctl_open_below(const struct creds_user *user, int root_fd, char *path)
{
	_cleanup_creds_ struct creds creds = creds_enter_user(user);
	const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	_cleanup_close_ int at = -1;
	char *save = NULL, *name;
	int fd;

	for (name = strtok_r(path, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next = openat(at < 0 ? root_fd : at, name, O_PATH | flags);

		if (next < 0)
			return -errno;
		if (at >= 0)
			close(at);
		at = next;
	}
	fd = openat(at < 0 ? root_fd : at, ".", O_RDONLY | flags);
	return fd < 0 ? -errno : fd;
}

static int visit_file(struct walk *walk, int dir_fd, const char *name,
		      const struct stat *st)
{
	if (st->st_nlink > 1 && !walk->tree->every_name) {
		int r = seen_before(&walk->seen, st);

		if (r)
			return r < 0 ? r : 0;
	}
	return walk->fn(walk->ctx, dir_fd, name, st);
}

static int stat_as(const struct creds_user *user, int dir_fd, const char *name,
		   struct stat *ret)
{
	_cleanup_creds_ struct creds creds = creds_enter_user(user);

	return fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int visit_entry(struct walk *walk, int dir_fd, const char *path, const char *name)
{
	struct stat st;
	int r;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	r = ctl_stopped(walk->tree->stop);
	if (r < 0)
		return r;
	r = stat_as(walk->tree->user, dir_fd, name, &st);
	if (r < 0) {
		if (r != -ENOENT)
			walk->unread++;
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return todo_push(walk, path, name);
	return S_ISREG(st.st_mode) ? visit_file(walk, dir_fd, name, &st) : 0;
}

static int visit_entries(struct walk *walk, DIR *dir, const char *path)
{
	struct dirent *entry;
	int r;

	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno)
				walk->unread++;
			return 0;
		}
		r = visit_entry(walk, dirfd(dir), path, entry->d_name);
		if (r)
			return r;
	}
}

static int visit_dir(struct walk *walk, const char *path)
{
	_cleanup_free_ char *parts = strdup(path);
	_cleanup_(closedirp) DIR *dir = NULL;
	int fd;

	if (!parts)
		return -ENOMEM;
	fd = ctl_open_below(walk->tree->user, walk->root_fd, parts);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* gone since it was found */
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return fd;
	if (fd < 0) {
		walk->unread++;
		return 0;
	}
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	if (walk->tree->enter)
		walk->tree->enter(walk->ctx, path);
	return visit_entries(walk, dir, path);
}

static int walk_directory(const struct ctl_tree *tree, ctl_walk_fn fn, void *ctx,
			  uint64_t *ret_unread)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	_cleanup_close_ int root_fd = inode_open(tree->stop->fs->inodes, tree->dir, flags);
	struct walk walk = { .tree = tree, .fn = fn, .ctx = ctx, .root_fd = root_fd };
	struct pending *pending;
	int r;

	if (root_fd < 0)
		return root_fd;
	SLIST_INIT(&walk.todo);
	r = todo_push(&walk, "", "");
	while ((pending = todo_pop(&walk))) {
		if (!r)
			r = visit_dir(&walk, pending->path);
		free(pending);
	}
	free(walk.seen.slots);
	if (ret_unread && r >= 0)
		*ret_unread = walk.unread;
	return r;
}

int ctl_walk(const struct ctl_tree *tree, ctl_walk_fn fn, void *ctx, uint64_t *ret_unread)
{
	if (tree->stop->fs->table)
		return ctl_table_walk(tree, fn, ctx, ret_unread);
	return walk_directory(tree, fn, ctx, ret_unread);
}

static int open_as(const struct creds_user *user, int dir_fd, const char *name, int flags)
{
	_cleanup_creds_ struct creds creds = creds_enter_user(user);
	int fd = -1;

	flags |= O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	if (!(flags & O_PATH))
		fd = openat(dir_fd, name, flags | O_NOATIME);
	/* Only owners may leave the access time alone. */
	if (fd < 0 && (flags & O_PATH || errno == EPERM))
		fd = openat(dir_fd, name, flags);
	return fd < 0 ? -errno : fd;
}

/* The file that @st was of, if it still has the name. */
static int open_same(const struct creds_user *user, int dir_fd, const char *name,
		     const struct stat *st, int flags)
{
	_cleanup_close_ int fd = open_as(user, dir_fd, name, flags);
	struct stat now;

	if (fd < 0)
		return fd;
	if (fstat(fd, &now) < 0)
		return -errno;
	if (now.st_dev != st->st_dev || now.st_ino != st->st_ino || !S_ISREG(now.st_mode))
		return -ESTALE;
	return steal_fd(&fd);
}

int ctl_walk_open(const struct ctl_tree *tree, int dir_fd, const char *name,
		  const struct stat *st, int flags)
{
	_cleanup_close_ int fd = tree->stop->fs->table
					 ? ctl_table_open(tree, name, flags)
					 : open_same(tree->user, dir_fd, name, st, flags);
	int r;

	if (fd < 0)
		return fd;
	if (tree->change)
		r = creds_may_write(fd, tree->user);
	else
		r = flags & O_PATH ? creds_may_read(fd, tree->user) : 0;
	return r < 0 ? r : steal_fd(&fd);
}

/* ---- a map of each file ---- */

struct each_map {
	const struct ctl_tree *tree;
	uint32_t access;
	ctl_map_fn fn;
	void *ctx;
	uint64_t unopened;
	int first_error;
};

/* What of its file @inode (NULL: not known to the mount, so no window) shows. */
static const struct window *window_of(const struct inode *inode)
{
	return inode ? inode->window : NULL;
}

static int each_map_file(void *ctx, int dir_fd, const char *name, const struct stat *st)
{
	struct each_map *each = ctx;
	struct inode_table *table = each->tree->stop->fs->inodes;
	struct mmapfs_map *map = NULL;
	struct inode *inode;
	int fd, r;

	fd = ctl_walk_open(each->tree, dir_fd, name, st,
			   each->access == MMAPFS_ACCESS_WRITE ? O_RDWR : O_RDONLY);
	if (fd == -ENOENT || fd == -ESTALE || fd == -ELOOP)
		return 0; /* gone since it was found */
	if (fd == -EMFILE || fd == -ENFILE)
		return fd;
	inode = fd < 0 ? NULL : inode_find(table, fd, st);
	r = fd < 0 ? fd : region_map_fd(window_of(inode), fd, each->access, &map);
	if (r < 0)
		each->unopened++;
	else
		r = each->fn(each->ctx, inode, map, st);
	if (r < 0 && !each->first_error)
		each->first_error = r;
	mmapfs_map_close(map);
	inode_unref(table, inode, 1);
	return ctl_stopped(each->tree->stop);
}

int ctl_each_map(const struct ctl_tree *tree, uint32_t access, ctl_map_fn fn, void *ctx,
		 uint64_t *ret_unopened)
{
	struct each_map each = { .tree = tree, .access = access, .fn = fn, .ctx = ctx };
	uint64_t unread = 0;
	int r = ctl_walk(tree, each_map_file, &each, &unread);

	if (ret_unopened)
		*ret_unopened = each.unopened + unread;
	if (r < 0)
		return r;
	return each.first_error ? each.first_error : unread ? -EACCES : 0;
}

/* ---- sums ---- */

struct sum {
	const struct ctl_tree *tree;
	struct ctl_figures *figures;
	bool measure;
};

static void add_residency(struct ctl_figures *figures,
			  const struct mmapfs_residency *found)
{
	const uint32_t wanted = MMAPFS_RESIDENT | MMAPFS_OCCUPIED | MMAPFS_DIRTY |
				MMAPFS_WRITEBACK | MMAPFS_EVICTED;

	if (figures->reason == MMAPFS_REASON_NONE && (wanted & ~found->valid))
		figures->reason = found->reason;
	if (!(found->valid & MMAPFS_RESIDENT)) {
		figures->unknown_files++;
		return;
	}
	figures->missing |= wanted & ~found->valid;
	figures->upper_bound |= found->upper_bound;
	figures->changed |= found->changed;
	figures->resident += found->resident;
	figures->occupied += found->occupied;
	figures->dirty += found->dirty;
	figures->writeback += found->writeback;
	figures->evicted += found->evicted;
}

static void measure_file(struct ctl_figures *figures, const struct window *window, int fd)
{
	struct mmapfs_residency found = MMAPFS_INIT(found);
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs_map *map;

	if (region_map_fd(window, fd, MMAPFS_ACCESS_READ, &map) < 0) {
		figures->unknown_files++;
		return;
	}
	if (mmapfs_residency(map, whole, MMAPFS_OBSERVE_READY, &found) < 0)
		figures->unknown_files++;
	else
		add_residency(figures, &found);
	mmapfs_map_close(map);
}

/* What is known without looking at it. @inode may be NULL. */
static void add_file(struct ctl_figures *figures, struct inode *inode, uint64_t size)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct byte_span pages;

	figures->files++;
	figures->measured++;
	figures->size += size;
	if (!inode) {
		figures->pages += ctl_pages_of(size);
		return;
	}
	pages = region_pages(inode, whole, size);
	figures->pages += (pages.end - pages.begin) / ctl_page_size();
	figures->locked += region_locked(inode, 0, UINT64_MAX) / ctl_page_size();
}

static int sum_file(void *ctx, int dir_fd, const char *name, const struct stat *st)
{
	struct sum *sum = ctx;
	struct ctl_figures *figures = sum->figures;
	struct inode_table *table = sum->tree->stop->fs->inodes;
	struct inode *inode;
	int fd;

	if (!st->st_size) {
		figures->files++; /* nothing of it can be anywhere */
		return 0;
	}
	fd = ctl_walk_open(sum->tree, dir_fd, name, st, sum->measure ? O_RDONLY : O_PATH);
	if (fd == -ENOENT || fd == -ESTALE || fd == -ELOOP)
		return 0; /* gone since it was found */
	if (fd == -EMFILE || fd == -ENFILE)
		return fd;
	inode = fd < 0 ? NULL : inode_find(table, fd, st);
	add_file(figures, inode, (uint64_t)st->st_size);
	if (fd < 0)
		figures->unknown_files++;
	else if (sum->measure)
		measure_file(figures, window_of(inode), fd); /* takes fd */
	else
		close(fd);
	inode_unref(table, inode, 1);
	return 0;
}

struct ctl_tree ctl_request_tree(const struct ctl_request *rq, bool change)
{
	return (struct ctl_tree){ rq->inode, &rq->stop, &rq->caller->user, change };
}

int ctl_tree_figures(struct ctl_request *rq, bool measure, struct ctl_figures *ret)
{
	const struct ctl_tree tree = ctl_request_tree(rq, false);
	struct ctl_figures figures = { 0 };
	struct sum sum = { &tree, &figures, measure };
	int r;

	r = ctl_walk(&tree, sum_file, &sum, &figures.unread_dirs);
	if (r < 0)
		return r;
	if (figures.measured && figures.measured == figures.unknown_files)
		figures.missing = UINT32_MAX; /* a sum of nothing is no figure */
	figures.unknown_files += figures.unread_dirs;
	*ret = figures;
	return 0;
}
