/* SPDX-License-Identifier: MIT */
/* select_dir.h - an open directory, shared by the walk and the candidates in it. */
#ifndef MMAPCTL_SELECT_DIR_H
#define MMAPCTL_SELECT_DIR_H

#include <stdatomic.h>
#include <stddef.h>

struct select_dir {
	atomic_uint references;
	int fd;
	size_t path_length;
	char path[]; /* as to be shown */
};

/* Owns @fd from then on. NULL when out of memory; @fd is then still the caller's. */
struct select_dir *select_dir_new(int fd, const char *path);
struct select_dir *select_dir_ref(struct select_dir *dir);
/* Returns NULL. */
struct select_dir *select_dir_unref(struct select_dir *dir);

#endif
