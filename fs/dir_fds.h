/* SPDX-License-Identifier: MIT */
/*
 * dir_fds.h - the directories that were used last, kept open.
 *
 * Every name is looked up, made and removed relative to a directory, nearly always to the one
 * of the request before; to open that by its handle costs more than the rest of a lookup. A
 * fixed number, so that descriptors do not grow with the tree. Model.
 */
#ifndef MMAPFS_FS_DIR_FDS_H
#define MMAPFS_FS_DIR_FDS_H

#include <pthread.h>
#include <stdint.h>

#define DIR_FDS 32

struct inode;

struct dir_fds {
	pthread_mutex_t mutex; /* protects what follows; nothing else is taken inside it */
	uint64_t clock;	       /* counts uses */
	struct dir_fd {
		const struct inode *inode; /* NULL: free, once unused. No reference */
		int fd;
		unsigned int users;
		uint64_t used; /* the clock of the last use */
	} entries[DIR_FDS];
};

void dir_fds_init(struct dir_fds *fds);

/* The entry of @inode, which stays open until dir_fds_put(); NULL when there is none. */
struct dir_fd *dir_fds_get(struct dir_fds *fds, const struct inode *inode);

/* Keep @fd, an O_PATH descriptor of the directory @inode, in place of the one not used for the
 * longest time. Returns its entry, to be put; or NULL when all are in use or another thread
 * was faster: then @fd stays the caller's. */
struct dir_fd *dir_fds_add(struct dir_fds *fds, const struct inode *inode, int fd);

void dir_fds_put(struct dir_fds *fds, struct dir_fd *entry);

/* Before @inode is freed. Whoever still uses its descriptor closes it: a request is answered
 * before it puts, and the kernel may forget the directory in between. */
void dir_fds_drop(struct dir_fds *fds, const struct inode *inode);

/* Close all, at the end. */
void dir_fds_close(struct dir_fds *fds);

#endif
