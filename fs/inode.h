/* SPDX-License-Identifier: MIT */
/*
 * inode.h - the files of the source that the kernel, a handle or a control has hold of.
 *
 * An inode is identified by the file handle of its file (name_to_handle_at), which also
 * tells a reused inode number from the file that had it before; it is reopened when needed,
 * so an idle inode costs memory but no descriptor. Where handles are not to be had
 * (unprivileged, overlayfs) the inode keeps an O_PATH descriptor instead.
 *
 * Model: knows nothing of FUSE. The FUSE node id of an inode is its address.
 */
#ifndef MMAPFS_FS_INODE_H
#define MMAPFS_FS_INODE_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct dir_fd;
struct dir_fds;
struct inode_table;
struct region;
struct window;

enum data_path {
	DATA_PATH_UNDECIDED = 0, /* never opened, or not since the last close */
	DATA_PATH_PASSTHROUGH,	 /* the kernel serves reads, writes and mmap by itself */
	DATA_PATH_MAPPED,	 /* the daemon serves them from its mapping */
};

/* What the cache manager remembers of an inode; see cache_treat.c. */
enum inode_mark {
	INODE_TREAT = 1 << 0,	/* waits to be treated as the policy says */
	INODE_WARM = 1 << 1,	/* waits to be warmed */
	INODE_APPEARED = 1 << 2, /* is to be warmed, because its name is new */
	INODE_TREATED = 1 << 3, /* its lock is the policy's doing */
	INODE_SEEN = 1 << 4,	/* by the walk that is under way */
	INODE_BY_HAND = 1 << 5, /* somebody said lock or unlock: the policy keeps out of it */
};

struct inode {
	struct inode *hash_next; /* protected by the table's mutex, as is refs */
	uint64_t refs;		 /* kernel lookups + handles + locks + jobs */
	uint64_t hash;
	dev_t dev;   /* of the source file */
	ino_t ino;   /* of the source file */
	mode_t type; /* S_IFMT bits; never change for one file */
	int fd;	     /* O_PATH, or -1 when `handle` names the file */
	struct window *window; /* what of it is shown, where that is not all; has fd */

	/* protected by inode_lock(inode) */
	_Atomic(enum data_path) data_path; /* written under the lock, read anywhere */
	uint32_t opens;			   /* open handles */
	atomic_uint writers; /* of those, opened for writing; written under the lock */
	int32_t backing_id;  /* passthrough: registered with the kernel while opens > 0 */

	atomic_uchar advice; /* of the whole file, see region_advice(); 0: none given */
	bool is_root;	     /* the mount's own; never changes */
	atomic_uchar marks;  /* enum inode_mark, or-ed */
	atomic_uint used_s;    /* when it was last opened or closed, see restart_used() */
	atomic_uint treatment; /* what the policy says of it, see cache_policy.h */
	/* directories: the last listing with attributes, see ops_dir.c; 0: none */
	atomic_uint listed_ms;
	atomic_uint listed_as;
	_Atomic(struct region *) region; /* control state; NULL until first needed, then kept */
	struct known_file *known; /* protected by the table it is in, see cache_known.c */

	unsigned int mount;	   /* index into the table's mounts, for open_by_handle_at */
	struct file_handle handle; /* handle_bytes 0: none, fd is used; must be last */
};

/* A descriptor of an inode for the time of one operation. */
struct inode_fd {
	int fd;
	bool owned;
	struct dir_fds *fds; /* with `kept`: it goes on to be kept by these */
	struct dir_fd *kept;
};

/* What the table asks of regions, which it does not know. */
struct inode_hooks {
	/* The last reference is gone: take the region apart. */
	void (*drop)(struct inode *inode);
	/* Only one reference more than those that are being dropped, and there is a region. Where
	 * that is the one of its locked pages, see whether anybody can still reach them. */
	void (*left)(struct inode *inode);
};

/*
 * Open a table for the tree below @root_fd (O_PATH or O_RDONLY; the table takes it). The
 * root inode is created with one reference that inode_table_free() drops.
 * @use_handles: false forces descriptors, as for an unprivileged mount.
 */
int inode_table_new(int root_fd, bool use_handles, const struct inode_hooks *hooks,
		    struct inode_table **ret);
/* The same for a mounted region table, whose root is shown by @root. */
int inode_table_new_windows(struct window *root, const struct inode_hooks *hooks,
			    struct inode_table **ret);
struct inode_table *inode_table_free(struct inode_table *table);

struct inode *inode_root(struct inode_table *table);
uint64_t inode_count(struct inode_table *table);
/* Inodes that hold a descriptor because no handle could be had. */
uint64_t inode_descriptors(struct inode_table *table);

/*
 * The inode of the open file @fd (any mode, O_PATH too) with attributes @st; one reference
 * more. @fd stays the caller's. Errors: -ENOMEM; -EMFILE where a descriptor is needed.
 */
int inode_get(struct inode_table *table, int fd, const struct stat *st, struct inode **ret);

/* The same for the file @name in the directory @dir_fd. Never follows a symbolic link, never
 * leaves the directory: a @name with a slash, "." and ".." are refused with -EINVAL. */
int inode_get_at(struct inode_table *table, int dir_fd, const char *name, struct stat *ret_st,
		 struct inode **ret);

/* An inode for @window, which stays and of which there must be none yet, with one reference.
 * It is found again by the attributes that inode_stat() gives. Errors: -ENOMEM. */
int inode_new_window(struct inode_table *table, struct window *window,
		     struct inode **ret);

/* Whether @handle is one of the file with that inode number, by its own words. False where its
 * layout is not known. */
bool inode_handle_says(const struct file_handle *handle, uint64_t ino);

/* As inode_get, but only when the table knows the file already; NULL otherwise. */
struct inode *inode_find(struct inode_table *table, int fd, const struct stat *st);

void inode_ref(struct inode_table *table, struct inode *inode);

/* Drop @count references. Takes NULL. */
void inode_unref(struct inode_table *table, struct inode *inode, uint64_t count);

/* A descriptor for operations by path (O_PATH). Errors: -ESTALE when the file is gone. */
int inode_path_fd(struct inode_table *table, struct inode *inode, struct inode_fd *ret);

/* The attributes of @inode as the mount has them, but for st_ino (see shown_ino()). */
int inode_stat(struct inode_table *table, struct inode *inode, struct stat *ret);

/* The same, where @fd is the file of @inode. */
int inode_stat_fd(const struct inode *inode, int fd, struct stat *ret);

/* Open the file itself with open(2) @flags (never O_CREAT). The caller closes the result,
 * a descriptor or a negative errno. Permission is that of the calling thread. */
int inode_open(struct inode_table *table, struct inode *inode, int flags);

void inode_fd_done(struct inode_fd *fd);
#define _cleanup_inode_fd_ __attribute__((cleanup(inode_fd_done)))
#define INODE_FD_NONE { .fd = -1 }

/* The mutex for opens, writers, data_path and backing_id: one of a fixed number, shared by
 * inodes of the same hash, so an idle inode does not pay for a mutex. Hold no other lock
 * inside but none of the table's either; never two of these at once. */
pthread_mutex_t *inode_lock(struct inode *inode);

/* "/proc/self/fd/N": a name for a descriptor, for calls that have no fd variant. */
struct fd_name {
	char text[32];
};
struct fd_name fd_name(int fd);

#endif
