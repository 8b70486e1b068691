/* SPDX-License-Identifier: MIT */
/* fs-fixture.h - a filesystem model without a mount, over the scratch directory. */
#ifndef FS_FIXTURE_H
#define FS_FIXTURE_H

#include "scratch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs.h"
#include "inode.h"
#include "region.h"
#include "worker.h"

#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))

static struct fs fs;

/* One job thread, so that a task in it holds up all that follow. */
static inline int fs_setup_table(void **state, bool use_handles)
{
	int fd;

	if (scratch_setup(state))
		return -1;
	fs = (struct fs){ .pinned.mutex = PTHREAD_MUTEX_INITIALIZER };
	fs.owner = 1234;
	fs.lock_limit = 1u << 30;
	fd = open(scratch_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || inode_table_new(fd, use_handles, &region_hooks, &fs.inodes) < 0)
		return -1;
	return workers_start(1, 2, &fs.job_workers);
}

static inline int fs_setup(void **state)
{
	return fs_setup_table(state, true);
}

/* As unprivileged, or on overlayfs: inodes keep a descriptor. */
static inline int fs_setup_no_handles(void **state)
{
	return fs_setup_table(state, false);
}

static inline int fs_teardown(void **state)
{
	fs.job_workers = workers_stop(fs.job_workers);
	fs.inodes = inode_table_free(fs.inodes);
	/* Whatever was locked is given back with the inodes. */
	if (atomic_load(&fs.locked_bytes) != 0)
		return -1;
	return scratch_teardown(state);
}

/* The inode of @name below the scratch directory; the caller unrefs it. */
static inline struct inode *inode_of(const char *name)
{
	struct inode *inode = NULL;
	struct stat st;
	int fd = open(scratch_path(name), O_PATH | O_NOFOLLOW | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(inode_get(fs.inodes, fd, &st, &inode), 0);
	close(fd);
	return inode;
}

/* A clean file of @pages whole pages, and its inode. */
static inline struct inode *make_file(const char *name, uint64_t pages)
{
	int fd = open(scratch_file(name, pages * PAGE), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	return inode_of(name);
}

static inline void drop(struct inode *inode)
{
	inode_unref(fs.inodes, inode, 1);
}

/* All pages of the file in this process's page tables, where no reclaimer takes them. */
static inline void *hold_pages(const char *name, uint64_t pages)
{
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	void *addr = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(fd >= 0);
	assert_true(addr != MAP_FAILED);
	close(fd);
	assert_int_equal(madvise(addr, pages * PAGE, MADV_POPULATE_READ), 0);
	return addr;
}

static inline void release_pages(void *addr, uint64_t pages)
{
	assert_int_equal(munmap(addr, pages * PAGE), 0);
}

#endif
