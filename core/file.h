/* SPDX-License-Identifier: MIT */
/*
 * file.h - what all maps of one file in this process share: its write-back error.
 *
 * The kernel reports a write error once per open file description, so the map that happens
 * to see it must leave word for the others. Keyed by (device, inode), counted by maps.
 */
#ifndef MMAPFS_FILE_H
#define MMAPFS_FILE_H

#include <sys/types.h>

struct mmapfs__file;

/* The one object of this file, created by its first map. NULL when out of memory. */
struct mmapfs__file *mmapfs__file_get(dev_t dev, ino_t ino);

/* Drop one reference. Takes NULL. */
void mmapfs__file_put(struct mmapfs__file *file);

/* Keep the first error (negative errno) until it is forgotten. Returns @error. */
int mmapfs__file_fail(struct mmapfs__file *file, int error);

int mmapfs__file_error(struct mmapfs__file *file);
void mmapfs__file_forget(struct mmapfs__file *file);

#endif
