/* SPDX-License-Identifier: MIT */
/*
 * table_open.h - a region table that is mounted: its rows, each with its source opened and
 * the inode that shows it.
 *
 * A source is opened once, when the table is, and stays open: a file that later takes its
 * name is another one. Nothing of a table changes while it is mounted. Model.
 */
#ifndef MMAPFS_FS_TABLE_OPEN_H
#define MMAPFS_FS_TABLE_OPEN_H

#include <stddef.h>

#include "fs.h"
#include "table.h"
#include "table_window.h"

struct table;

/*
 * Read the table @fd (O_PATH will do), which is called @path, into fs->table, open its
 * sources with the rights of this process, make fs->inodes and give each row the advice and
 * the lock that it asks for. Sources are relative to the table's directory. Errors: with a
 * reason in @ret_error -EINVAL; else -ENOMEM. In any case table_close() is due at the end,
 * behind inode_table_free().
 */
int table_open(struct fs *fs, int fd, const char *path, struct table_error *ret_error);

/* Takes and returns NULL. */
struct table *table_close(struct table *table);

/* Rows by number, in the order of the text. */
size_t table_count(const struct table *table);
const char *table_name(const struct table *table, size_t number);
struct inode *table_inode(const struct table *table, size_t number);

/* The inode of the row called @name, without a reference more; NULL: there is none. */
struct inode *table_find(const struct table *table, const char *name);

#endif
