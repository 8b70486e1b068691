/* SPDX-License-Identifier: MIT */
/* select.c - operands and globs: what is asked for. */
#include "select.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "select_walk.h"

/* Path of @name in @dir in walk->path; @name itself when there is no memory. */
static const char *full_path(struct walk *walk, struct select_dir *dir, const char *name)
{
	const struct candidate at = { .dir = dir, .name = name };

	if (candidate_path(&at, &walk->path, &walk->path_capacity) < 0)
		return name;
	return walk->path;
}

void walk_skip(struct walk *walk, struct select_dir *dir, const char *name,
	       const char *what)
{
	walk->ops->skip(walk->ctx, full_path(walk, dir, name), what);
}

void walk_error(struct walk *walk, struct select_dir *dir, const char *op,
		const char *name, int error)
{
	walk->ops->error(walk->ctx, op, full_path(walk, dir, name), error);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static bool matches(struct walk *walk, const struct select_globs *globs,
		    struct select_dir *dir, const char *name)
{
	for (size_t i = 0; i < globs->count; i++) {
		const char *text = base_name(name);

		if (strchr(globs->list[i], '/'))
			text = full_path(walk, dir, name);
		if (fnmatch(globs->list[i], text, 0) == 0)
			return true;
	}
	return false;
}

bool walk_excludes(struct walk *walk, struct select_dir *dir, const char *name)
{
	return matches(walk, &walk->options->exclude, dir, name);
}

int walk_candidate(struct walk *walk, const struct candidate *candidate)
{
	const struct select_globs *include = &walk->options->include;

	if (include->count > 0 && !matches(walk, include, candidate->dir, candidate->name))
		return 0;
	if (walk_excludes(walk, candidate->dir, candidate->name))
		return 0;
	return walk->ops->candidate(walk->ctx, candidate);
}

int walk_file(struct walk *walk, struct select_dir *dir, const char *name,
	      unsigned char type, bool operand, bool follow)
{
	const struct candidate candidate = {
		.dir = dir,
		.name = name,
		.type = type,
		.operand = operand,
		.follow = follow,
	};

	return walk_candidate(walk, &candidate);
}

int walk_operand(struct walk *walk, const char *path)
{
	bool nofollow = walk->options->follow == FOLLOW_NONE;
	struct stat st;

	if (walk->ops->stop(walk->ctx))
		return -EINTR;
	if (fstatat(AT_FDCWD, path, &st, nofollow ? AT_SYMLINK_NOFOLLOW : 0) < 0) {
		walk_error(walk, NULL, "open", path, -errno);
		return 0;
	}
	if (S_ISDIR(st.st_mode) && !walk->options->no_recursion)
		return walk_tree(walk, path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		walk_skip(walk, NULL, path, select_type_name(st.st_mode));
		return 0;
	}
	return walk_file(walk, NULL, path, (unsigned char)IFTODT(st.st_mode), true, !nofollow);
}

static int walk_all(struct walk *walk, char *const *operands, int count)
{
	const struct select_options *options = walk->options;
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++)
		r = walk_operand(walk, operands[i]);
	if (r == 0 && options->files_from)
		r = walk_list(walk, options->files_from);
	for (size_t i = 0; r == 0 && i < options->pid_count; i++)
		r = walk_process(walk, options->pids[i]);
	return r;
}

int select_walk(const struct select_options *options, char *const *operands, int count,
		const struct select_ops *ops, void *ctx)
{
	struct walk walk = { .options = options, .ops = ops, .ctx = ctx };
	int r = -ENOMEM;

	walk.dirs = seen_new();
	if (walk.dirs)
		r = walk_all(&walk, operands, count);
	seen_free(walk.dirs);
	free(walk.path);
	return r;
}
