/* SPDX-License-Identifier: MIT */
/* select_walk.h - what the parts of the walk (operands, trees, processes) share. */
#ifndef MMAPCTL_SELECT_WALK_H
#define MMAPCTL_SELECT_WALK_H

#include "select.h"
#include "select_dir.h"

struct walk {
	const struct select_options *options;
	const struct select_ops *ops;
	void *ctx;
	struct seen *dirs; /* entered, when all links are followed: they may make circles */
	char *path;	   /* scratch */
	size_t path_capacity;
};

/* Hand @candidate over, unless a glob is against it. */
int walk_candidate(struct walk *walk, const struct candidate *candidate);

/* The same of @name in @dir (NULL: a whole path). */
int walk_file(struct walk *walk, struct select_dir *dir, const char *name,
	      unsigned char type, bool operand, bool follow);

/* Does a glob exclude @name in @dir? */
bool walk_excludes(struct walk *walk, struct select_dir *dir, const char *name);

/* Tell that @name in @dir is skipped, or failed. */
void walk_skip(struct walk *walk, struct select_dir *dir, const char *name,
	       const char *what);
void walk_error(struct walk *walk, struct select_dir *dir, const char *op,
		const char *name, int error);

/* What @path, given by the user, is or has below it. */
int walk_operand(struct walk *walk, const char *path);

/* The names in the file @path, or stdin for "-". In select_list.c. */
int walk_list(struct walk *walk, const char *path);

/* The tree below the directory @path. In select_tree.c. */
int walk_tree(struct walk *walk, const char *path);

/* What process @pid has mapped or open. In select_pid.c. */
int walk_process(struct walk *walk, pid_t pid);

#endif
