/* SPDX-License-Identifier: MIT */
/*
 * handle.h - open files and directories.
 *
 * A file opened only to be read on the passthrough path keeps no descriptor: the kernel
 * reads it without asking. One opened for writing does, so that fsync reports write errors
 * to this open exactly as the source would. Model.
 */
#ifndef MMAPFS_FS_HANDLE_H
#define MMAPFS_FS_HANDLE_H

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fs.h"

struct handle {
	struct inode *inode; /* one reference */
	int fd;		     /* -1: none, see handle_fd() */
	bool reader, writer; /* what it was opened for */
	uint32_t sync_seen; /* see region_sync_report(); used by one fsync at a time */
	LIST_ENTRY(handle) all; /* in fs->handles */
};

/*
 * Open @inode with open(2) @flags as the user @uid, @gid. O_APPEND and O_DIRECT are left to
 * the kernel's side. @need_fd: keep a descriptor also for reading. Errors: open(2).
 */
int handle_open(struct fs *fs, struct inode *inode, int flags, uid_t uid, gid_t gid,
		bool need_fd, struct handle **ret);

/* A handle for the just created file @fd, which it takes. Errors: -ENOMEM. */
int handle_adopt(struct fs *fs, struct inode *inode, int flags, int *fd, struct handle **ret);

/* The handle's descriptor, or one opened for reading for the time of an operation. */
int handle_fd(struct fs *fs, struct handle *handle, struct inode_fd *ret);

/* fsync(2) or fdatasync(2), with the error this handle has not been told yet. */
int handle_sync(struct fs *fs, struct handle *handle, bool data_only);

/* Takes NULL. */
void handle_close(struct fs *fs, struct handle *handle);

/* An open directory. Entries are read in blocks; positions are those of the source. */
struct dir_handle {
	struct inode *inode; /* one reference */
	LIST_ENTRY(dir_handle) all; /* in fs->dirs */
	pthread_mutex_t mutex; /* protects what follows */
	int fd;
	off_t position; /* of the next entry to give out */
	size_t at;	/* of it in `block` */
	size_t filled;
	uint32_t since_ms; /* when a listing with attributes began at its start; 0: none did */
	uint32_t state;	   /* what it was then, see ops_dir.c */
	bool names_only;   /* constant: the kernel has the attributes from just now */
	_Alignas(struct dirent) char block[32768];
};

/* One entry; `next` is the position after it. */
struct dir_entry {
	const char *name;
	ino_t ino;
	unsigned char type; /* DT_* */
	off_t next;
};

int dir_open(struct fs *fs, struct inode *inode, struct dir_handle **ret);
void dir_close(struct fs *fs, struct dir_handle *dir);

/* At the end: the kernel drops closes that are still queued when a mount goes. */
void handle_close_all(struct fs *fs);

/* With dir->mutex held: go to @position, then look at the entry there (1; 0: the end), and
 * step over it. Errors: getdents64(2), lseek(2). */
int dir_seek(struct dir_handle *dir, off_t position);
int dir_peek(struct dir_handle *dir, struct dir_entry *ret);
void dir_next(struct dir_handle *dir, const struct dir_entry *entry);

#endif
