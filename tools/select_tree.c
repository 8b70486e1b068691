/* SPDX-License-Identifier: MIT */
/*
 * select_tree.c - the tree below a directory, in memory and descriptors that do not grow
 * with the number of files.
 *
 * Files of a directory come first, then its subdirectories. Only the names of directories
 * that are still to be entered are remembered. The directories between the root and the
 * present one are kept open down to a certain depth; deeper ones are opened again, name by
 * name, when the walk comes back to them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "select_walk.h"

#define KEPT_OPEN 32
#define ENTRIES_SIZE 32768
/* The smallest takes 24 bytes. */
#define ENTRIES_MAX (ENTRIES_SIZE / 24)

/* A directory between the root and the present one, itself included. */
struct level {
	struct select_dir *dir; /* NULL: closed, being deeper than KEPT_OPEN */
	size_t path_length;
};

/* What follows a name in `todo`. */
struct todo_end {
	uint32_t length; /* of the name with its NUL */
	uint32_t depth;
};

/* As the kernel writes it. */
struct entry {
	uint64_t ino;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

struct tree {
	struct walk *walk;
	dev_t dev;  /* of the root */
	char *todo; /* directories to be entered, last in first out: name, todo_end */
	size_t todo_length, todo_capacity;
	struct level *levels; /* [0] is the root */
	size_t level_count, level_capacity;
	char *path; /* of the deepest level */
	size_t path_capacity;
	char entries[ENTRIES_SIZE] __attribute__((aligned(16)));
	const struct entry *sorted[ENTRIES_MAX];
};

static int reserve(void *buf, size_t *capacity, size_t need)
{
	void **p = buf, *grown;

	if (need <= *capacity)
		return 0;
	grown = realloc(*p, 2 * need);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*capacity = 2 * need;
	return 0;
}

/* ---- directories to be entered ---- */

static int todo_push(struct tree *tree, const char *name, size_t depth)
{
	const struct todo_end end = { (uint32_t)strlen(name) + 1, (uint32_t)depth };
	int r = reserve(&tree->todo, &tree->todo_capacity,
			tree->todo_length + end.length + sizeof(end));

	if (r < 0)
		return r;
	memcpy(tree->todo + tree->todo_length, name, end.length);
	tree->todo_length += end.length;
	memcpy(tree->todo + tree->todo_length, &end, sizeof(end));
	tree->todo_length += sizeof(end);
	return 0;
}

/* The name is good until the next push. NULL when there is none left. */
static const char *todo_pop(struct tree *tree, size_t *depth)
{
	struct todo_end end;

	if (tree->todo_length == 0)
		return NULL;
	tree->todo_length -= sizeof(end);
	memcpy(&end, tree->todo + tree->todo_length, sizeof(end));
	tree->todo_length -= end.length;
	*depth = end.depth;
	return tree->todo + tree->todo_length;
}

/* ---- levels ---- */

static void leave_to(struct tree *tree, size_t count)
{
	while (tree->level_count > count) {
		struct level *level = &tree->levels[--tree->level_count];

		level->dir = select_dir_unref(level->dir);
	}
}

/* Let tree->path be the path of the level before the last, and @name below it. */
static int path_to(struct tree *tree, const char *name)
{
	size_t base = tree->level_count ? tree->levels[tree->level_count - 1].path_length : 0;
	size_t length = strlen(name);
	int r = reserve(&tree->path, &tree->path_capacity, base + length + 2);

	if (r < 0)
		return r;
	if (base > 0 && tree->path[base - 1] != '/')
		tree->path[base++] = '/';
	memcpy(tree->path + base, name, length + 1);
	return 0;
}

/* Add the directory tree->path, open as @fd, which this takes over. */
static int enter(struct tree *tree, int fd)
{
	_cleanup_close_ int own = fd;
	struct level *level;
	int r;

	r = reserve(&tree->levels, &tree->level_capacity,
		    (tree->level_count + 1) * sizeof(*level));
	if (r < 0)
		return r;
	level = &tree->levels[tree->level_count];
	level->path_length = strlen(tree->path);
	level->dir = select_dir_new(own, tree->path);
	if (!level->dir)
		return -ENOMEM;
	(void)steal_fd(&own);
	tree->level_count++;
	/* One above is in the way only when it is deep; candidates may still hold it. */
	if (tree->level_count >= 2 && tree->level_count - 2 >= KEPT_OPEN)
		level[-1].dir = select_dir_unref(level[-1].dir);
	return 0;
}

static int open_dir(int at, const char *name, bool nofollow)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK |
					  (nofollow ? O_NOFOLLOW : 0));

	return fd < 0 ? -errno : fd;
}

/* Open the deepest level again, from the deepest that is still open: its path may be
 * longer than the kernel takes at once. */
static int reopen_deepest(struct tree *tree, bool nofollow)
{
	size_t from = tree->level_count - 1;
	_cleanup_free_ char *rest = NULL;
	char *name, *save = NULL;
	int fd, next;

	while (!tree->levels[from].dir)
		from--;
	tree->path[tree->levels[tree->level_count - 1].path_length] = 0;
	rest = strdup(tree->path + tree->levels[from].path_length);
	if (!rest)
		return -ENOMEM;
	fd = fcntl(tree->levels[from].dir->fd, F_DUPFD_CLOEXEC, 0);
	for (name = strtok_r(rest, "/", &save); fd >= 0 && name;
	     name = strtok_r(NULL, "/", &save)) {
		next = open_dir(fd, name, nofollow);
		(void)close(fd);
		fd = next;
	}
	return fd == -1 ? -errno : fd;
}

static int open_child(struct tree *tree, const char *name)
{
	struct level *parent = &tree->levels[tree->level_count - 1];
	bool nofollow = tree->walk->options->follow != FOLLOW_ALL;
	int fd;

	if (!parent->dir) {
		fd = reopen_deepest(tree, nofollow);
		if (fd < 0)
			return fd;
		tree->path[parent->path_length] = 0;
		parent->dir = select_dir_new(fd, tree->path);
		if (!parent->dir) {
			(void)close(fd);
			return -ENOMEM;
		}
	}
	return open_dir(parent->dir->fd, name, nofollow);
}

/* Is the directory @fd one to be entered at all? */
static bool wanted(struct tree *tree, int fd)
{
	const struct select_options *options = tree->walk->options;
	struct stat st;

	if (!options->one_file_system && options->follow != FOLLOW_ALL)
		return true;
	if (fstat(fd, &st) < 0)
		return true;
	if (options->one_file_system && st.st_dev != tree->dev)
		return false;
	/* Links may lead in circles, and to what was seen by another way. */
	return options->follow != FOLLOW_ALL ||
	       !seen_before(tree->walk->dirs, st.st_dev, st.st_ino);
}

/* ---- entries ---- */

static unsigned char type_of(mode_t mode)
{
	return (unsigned char)IFTODT(mode);
}

/* What a symbolic link that is to be followed leads to; DT_LNK when nowhere. */
static unsigned char type_behind(struct tree *tree, struct select_dir *dir,
				 const char *name)
{
	struct stat st;

	if (fstatat(dir->fd, name, &st, 0) == 0)
		return type_of(st.st_mode);
	walk_skip(tree->walk, dir, name,
		  errno == ELOOP ? "a symbolic link in a circle"
				 : "a symbolic link that leads nowhere");
	return DT_LNK;
}

static int visit(struct tree *tree, struct select_dir *dir, const struct entry *entry)
{
	bool follow = tree->walk->options->follow == FOLLOW_ALL;
	unsigned char type = entry->type;
	struct stat st;

	if (type == DT_UNKNOWN && fstatat(dir->fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		type = type_of(st.st_mode);
	if (type == DT_LNK && follow)
		type = type_behind(tree, dir, entry->name);
	switch (type) {
	case DT_REG:
	case DT_UNKNOWN:
		return walk_file(tree->walk, dir, entry->name, type, false, follow);
	case DT_DIR:
		if (walk_excludes(tree->walk, dir, entry->name))
			return 0;
		return todo_push(tree, entry->name, tree->level_count);
	case DT_LNK:
		return 0;
	default:
		walk_skip(tree->walk, dir, entry->name, select_type_name(DTTOIF(type)));
		return 0;
	}
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

static int by_inode(const void *a, const void *b)
{
	const struct entry *const *left = a, *const *right = b;

	if ((*left)->ino != (*right)->ino)
		return (*left)->ino < (*right)->ino ? -1 : 1;
	return strcmp((*left)->name, (*right)->name);
}

/* By inode number, in which they lie on the disk and, nearly, in the kernel's memory: in
 * the order of the listing, that of a hash, opening them takes longer. */
static int visit_all(struct tree *tree, struct select_dir *dir, ssize_t length)
{
	size_t count = 0;
	int r = 0;

	for (ssize_t at = 0; at < length;) {
		const struct entry *entry = (const void *)(tree->entries + at);

		at += entry->length;
		if (!is_dots(entry->name))
			tree->sorted[count++] = entry;
	}
	qsort(tree->sorted, count, sizeof(*tree->sorted), by_inode);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = visit(tree, dir, tree->sorted[i]);
	return r;
}

/* List the deepest level. */
static int list(struct tree *tree)
{
	struct select_dir *dir = select_dir_ref(tree->levels[tree->level_count - 1].dir);
	ssize_t length;
	int r = 0;

	while (r == 0) {
		length = getdents64(dir->fd, tree->entries, ENTRIES_SIZE);
		if (length < 0)
			walk_error(tree->walk, NULL, "list", dir->path, -errno);
		if (length <= 0)
			break;
		r = tree->walk->ops->stop(tree->walk->ctx) ? -EINTR
							    : visit_all(tree, dir, length);
	}
	(void)select_dir_unref(dir);
	return r;
}

/* Enter the directory @name at @depth, and list it. */
static int descend(struct tree *tree, const char *name, size_t depth)
{
	int fd, r;

	leave_to(tree, depth);
	fd = open_child(tree, name);
	r = path_to(tree, name);
	if (r < 0 || fd == -ENOMEM) {
		if (fd >= 0)
			(void)close(fd);
		return -ENOMEM;
	}
	if (fd == -ENOENT)
		return 0; /* gone since it was listed */
	if (fd < 0) {
		walk_error(tree->walk, NULL, "open", tree->path, fd);
		return 0;
	}
	if (!wanted(tree, fd)) {
		(void)close(fd);
		return 0;
	}
	r = enter(tree, fd);
	return r < 0 ? r : list(tree);
}

static int walk_root(struct tree *tree, const char *path)
{
	int fd = open_dir(AT_FDCWD, path, tree->walk->options->follow == FOLLOW_NONE);
	const char *name;
	struct stat st;
	size_t depth;
	int r;

	if (fd < 0) {
		walk_error(tree->walk, NULL, "open", path, fd);
		return 0;
	}
	if (fstat(fd, &st) == 0)
		tree->dev = st.st_dev;
	if (!wanted(tree, fd)) {
		(void)close(fd);
		return 0;
	}
	r = path_to(tree, path);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	r = enter(tree, fd);
	if (r == 0)
		r = list(tree);
	while (r == 0 && (name = todo_pop(tree, &depth)))
		r = descend(tree, name, depth);
	return r;
}

int walk_tree(struct walk *walk, const char *path)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	int r;

	if (!tree)
		return -ENOMEM;
	tree->walk = walk;
	r = walk_root(tree, path);
	leave_to(tree, 0);
	free(tree->levels);
	free(tree->path);
	free(tree->todo);
	free(tree);
	return r;
}
