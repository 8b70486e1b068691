/* SPDX-License-Identifier: MIT */
/* snapshot.h - what is inside a snapshot being read and one being written. */
#ifndef MMAPFS_SNAPSHOT_H
#define MMAPFS_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "snapshot-format.h"

struct mmapfs_snapshot {
	int fd;
	bool checked; /* the first reading is over: any change since is -ESTALE */
	bool current; /* `entry` is one, not skipped */
	uint64_t size;
	int64_t ctime_ns;
	struct mmapfs__snapshot_counts counts;
	struct mmapfs_snapshot_entry entry;
	struct mmapfs__snapshot_in in;
};

struct mmapfs_snapshot_writer {
	int dir_fd; /* where `name` and the temporary files are */
	int fd;
	char *name;    /* of the snapshot to be, without a directory */
	char temp[32]; /* "": there is none, or it has no name */
	bool started;  /* the header is written */
	bool has_entry;
	bool unsorted;	    /* the text has to be sorted before it is a snapshot */
	uint32_t heat;	    /* of what is added by map */
	uint64_t body;	    /* offset of the first record */
	char last[MMAPFS__SNAPSHOT_NAME_SIZE]; /* name of the last record */
	struct mmapfs__snapshot_header header;
	struct mmapfs__snapshot_out out;
};

/* A new file for @writer beside the snapshot, its name in @ret_name: "" where the filesystem
 * lets it have none. Errors: open(2). */
int mmapfs__snapshot_temp(struct mmapfs_snapshot_writer *writer, char ret_name[32],
			  int *ret_fd);

/* Let the writer's text be sorted, each name once: a new temporary file takes the place of
 * the old one. All of the text has been stored, without its `end` line. Errors: open(2),
 * read(2), write(2); -ENOMEM. */
int mmapfs__snapshot_sort(struct mmapfs_snapshot_writer *writer);

/* pwrite and pread through core/sys.h until all is done. */
int mmapfs__snapshot_write(int fd, const char *bytes, size_t length, uint64_t offset);
int64_t mmapfs__snapshot_read(int fd, char *bytes, size_t length, uint64_t offset);

/* What differs between the identities of two entries, or-ed. Pure. */
uint32_t mmapfs__snapshot_changed(const struct mmapfs_snapshot_entry *a,
				  const struct mmapfs_snapshot_entry *b);

/* The entry of the file @st, without a name. */
struct stat;
struct mmapfs_snapshot_entry mmapfs__snapshot_identity(const struct stat *st);

#endif
