/* SPDX-License-Identifier: MIT */
/*
 * sys.h - the one place where core enters the kernel.
 *
 * Every call that core makes on files and mappings goes through this table, so that a unit
 * test can put a scripted kernel in its place and inject each errno and short count. Unlike
 * libc's, these return a negative errno.
 */
#ifndef MMAPFS_SYS_H
#define MMAPFS_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "missing.h"

struct statfs;
struct statx;

struct mmapfs__sys {
	/* files */
	int (*openat)(int dirfd, const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatfs)(int fd, struct statfs *st);
	int (*statx)(int fd, const char *path, int flags, unsigned int mask, struct statx *stx);
	int (*fcntl)(int fd, int cmd, long arg);
	int (*ftruncate)(int fd, uint64_t length);
	int (*fallocate)(int fd, int mode, uint64_t offset, uint64_t length);
	int64_t (*lseek)(int fd, int64_t offset, int whence);
	int64_t (*pread)(int fd, void *buf, size_t length, uint64_t offset);
	int64_t (*pwrite)(int fd, const void *buf, size_t length, uint64_t offset);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	/* A symbolic link, such as /proc/self/fd/N, stands for what it leads to. */
	int (*linkat)(const char *from, int dirfd, const char *to);
	int (*renameat)(int dirfd, const char *from, const char *to);
	int (*unlinkat)(int dirfd, const char *path);
	int (*sync_file_range)(int fd, uint64_t offset, uint64_t length, unsigned int flags);
	int (*fadvise)(int fd, uint64_t offset, uint64_t length, int advice);
	int (*readahead)(int fd, uint64_t offset, size_t length);
	int (*memfd_create)(const char *name, unsigned int flags);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	int64_t (*fgetxattr)(int fd, const char *name, void *value, size_t size);
	int (*fsetxattr)(int fd, const char *name, const void *value, size_t size, int flags);

	/* mappings */
	int (*mmap)(void *addr, size_t length, int prot, int flags, int fd, uint64_t offset,
		    void **ret);
	int (*munmap)(void *addr, size_t length);
	int (*mremap)(void *addr, size_t old_length, size_t new_length, int flags, void **ret);
	int (*mprotect)(void *addr, size_t length, int prot);
	int (*madvise)(void *addr, size_t length, int advice);
	int (*msync)(void *addr, size_t length, int flags);
	int (*mincore)(void *addr, size_t length, unsigned char *vec);
	int (*mlock2)(const void *addr, size_t length, unsigned int flags);
	int (*munlock)(const void *addr, size_t length);
	int (*cachestat)(int fd, const struct mmapfs__cachestat_range *range,
			 struct mmapfs__cachestat *ret);
	int64_t (*process_vm_readv)(void *dst, const void *src, size_t length);
	int64_t (*process_vm_writev)(void *dst, const void *src, size_t length);

	/* the process and the machine */
	int (*getrlimit)(int resource, struct rlimit *ret);
	int (*has_capability)(int capability);
	/* Read a whole /proc file of text into @buf, NUL-terminated; returns its length. */
	int64_t (*read_text)(const char *path, char *buf, size_t size);
	uint64_t (*now_ns)(void); /* CLOCK_MONOTONIC */
	void (*sleep_ns)(uint64_t ns);
};

/* The table in force. Tests replace it before they start threads. */
extern const struct mmapfs__sys *mmapfs__sys;

/* The real kernel, for fakes that change only a few entries. */
extern const struct mmapfs__sys mmapfs__sys_real;

/* Asked of the kernel once; a power of two. */
uint64_t mmapfs__page_size(void);

#endif
