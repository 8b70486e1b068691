/* SPDX-License-Identifier: MIT */
/* kind.h - what the filesystem of a file means for its residency. */
#ifndef MMAPFS_KIND_H
#define MMAPFS_KIND_H

#include <stdint.h>

#include "map.h"

struct statx;

/* The kind of a filesystem of this magic number (statfs f_type); DAX is never told by it. */
enum mmapfs__fs_kind mmapfs__kind_of_magic(uint32_t magic);

/*
 * The kind of the file @fd, of which statx(2), asked with MMAPFS_STATX_MASK, said @stx. The
 * filesystem of a mount never changes and the kernel never uses its unique id again, so the
 * thread remembers the last. Errors: fstatfs(2).
 */
int mmapfs__kind_find(int fd, const struct statx *stx, enum mmapfs__fs_kind *ret);

/* Forget what is remembered. For tests that change what fstatfs(2) says. */
void mmapfs__kind_forget(void);

#endif
