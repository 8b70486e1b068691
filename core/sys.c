/* SPDX-License-Identifier: MIT */
/* sys.c - the real kernel, each call returning its errno negative. */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int result(int r)
{
	return r < 0 ? -errno : r;
}

static int64_t result64(int64_t r)
{
	return r < 0 ? -errno : r;
}

static int sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return result(openat(dirfd, path, flags, mode));
}

static int sys_close(int fd)
{
	return result(close(fd));
}

static int sys_fstat(int fd, struct stat *st)
{
	return result(fstat(fd, st));
}

static int sys_fstatfs(int fd, struct statfs *st)
{
	return result(fstatfs(fd, st));
}

static int sys_statx(int fd, const char *path, int flags, unsigned int mask,
		     struct statx *stx)
{
	return result(statx(fd, path, flags, mask, stx));
}

static int sys_fcntl(int fd, int cmd, long arg)
{
	return result(fcntl(fd, cmd, arg));
}

static int sys_ftruncate(int fd, uint64_t length)
{
	return result(ftruncate(fd, (off_t)length));
}

/* Not posix_fallocate(), which writes zeros where the filesystem cannot allocate. */
static int sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
	return result(fallocate(fd, mode, (off_t)offset, (off_t)length));
}

static int64_t sys_lseek(int fd, int64_t offset, int whence)
{
	return result64(lseek(fd, offset, whence));
}

static int64_t sys_pread(int fd, void *buf, size_t length, uint64_t offset)
{
	return result64(pread(fd, buf, length, (off_t)offset));
}

static int64_t sys_pwrite(int fd, const void *buf, size_t length, uint64_t offset)
{
	return result64(pwrite(fd, buf, length, (off_t)offset));
}

static int sys_fdatasync(int fd)
{
	return result(fdatasync(fd));
}

static int sys_fsync(int fd)
{
	return result(fsync(fd));
}

static int sys_linkat(const char *from, int dirfd, const char *to)
{
	return result(linkat(AT_FDCWD, from, dirfd, to, AT_SYMLINK_FOLLOW));
}

static int sys_renameat(int dirfd, const char *from, const char *to)
{
	return result(renameat(dirfd, from, dirfd, to));
}

static int sys_unlinkat(int dirfd, const char *path)
{
	return result(unlinkat(dirfd, path, 0));
}

static int sys_sync_file_range(int fd, uint64_t offset, uint64_t length,
			       unsigned int flags)
{
	return result(sync_file_range(fd, (off_t)offset, (off_t)length, flags));
}

/* posix_fadvise returns the errno instead of setting it. */
static int sys_fadvise(int fd, uint64_t offset, uint64_t length, int advice)
{
	return -posix_fadvise(fd, (off_t)offset, (off_t)length, advice);
}

static int sys_readahead(int fd, uint64_t offset, size_t length)
{
	return result((int)readahead(fd, (off_t)offset, length));
}

static int sys_memfd_create(const char *name, unsigned int flags)
{
	return result(memfd_create(name, flags));
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
	return result(ioctl(fd, request, arg));
}

static int64_t sys_fgetxattr(int fd, const char *name, void *value, size_t size)
{
	return result64(fgetxattr(fd, name, value, size));
}

static int sys_fsetxattr(int fd, const char *name, const void *value, size_t size,
			 int flags)
{
	return result(fsetxattr(fd, name, value, size, flags));
}

static int sys_mmap(void *addr, size_t length, int prot, int flags, int fd,
		    uint64_t offset, void **ret)
{
	void *p = mmap(addr, length, prot, flags, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int sys_munmap(void *addr, size_t length)
{
	return result(munmap(addr, length));
}

static int sys_mremap(void *addr, size_t old_length, size_t new_length, int flags,
		      void **ret)
{
	void *p = mremap(addr, old_length, new_length, flags);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int sys_mprotect(void *addr, size_t length, int prot)
{
	return result(mprotect(addr, length, prot));
}

static int sys_madvise(void *addr, size_t length, int advice)
{
	return result(madvise(addr, length, advice));
}

static int sys_msync(void *addr, size_t length, int flags)
{
	return result(msync(addr, length, flags));
}

static int sys_mincore(void *addr, size_t length, unsigned char *vec)
{
	return result(mincore(addr, length, vec));
}

static int sys_mlock2(const void *addr, size_t length, unsigned int flags)
{
	return result(mlock2(addr, length, flags));
}

/* The system call: the address sanitizer makes libc's a no-op that says 0. */
static int sys_munlock(const void *addr, size_t length)
{
	return result((int)syscall(SYS_munlock, addr, length));
}

static int sys_cachestat(int fd, const struct mmapfs__cachestat_range *range,
			 struct mmapfs__cachestat *ret)
{
	return result((int)syscall(SYS_cachestat, fd, range, ret, 0));
}

static int64_t sys_process_vm_readv(void *dst, const void *src, size_t length)
{
	const struct iovec local = { dst, length };
	const struct iovec remote = { (void *)(uintptr_t)src, length };

	return result64(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static int64_t sys_process_vm_writev(void *dst, const void *src, size_t length)
{
	const struct iovec local = { (void *)(uintptr_t)src, length };
	const struct iovec remote = { dst, length };

	return result64(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static int sys_getrlimit(int resource, struct rlimit *ret)
{
	return result(getrlimit(resource, ret));
}

/* The effective set of this thread: capabilities are per thread on Linux, and the thread
 * that asks is the one that is going to lock. */
static int sys_has_capability(int capability)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (capability < 0 || capability >= 32 * _LINUX_CAPABILITY_U32S_3)
		return -EINVAL;
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	return (data[capability / 32].effective >> (capability % 32)) & 1;
}

/* Files of /proc have no size to ask for, and may give less than asked: read to EOF. */
static int64_t read_all(int fd, char *buf, size_t room)
{
	size_t length = 0;

	while (length < room) {
		ssize_t n = read(fd, buf + length, room - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (int64_t)length;
}

static int64_t sys_read_text(const char *path, char *buf, size_t size)
{
	int64_t length;
	int fd;

	if (size == 0)
		return -EINVAL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read_all(fd, buf, size - 1);
	(void)close(fd);
	if (length >= 0)
		buf[length] = '\0';
	return length;
}

static uint64_t sys_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void sys_sleep_ns(uint64_t ns)
{
	struct timespec left = {
		.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
		.tv_nsec = (long)(ns % UINT64_C(1000000000)),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

const struct mmapfs__sys mmapfs__sys_real = {
	.openat = sys_openat,
	.close = sys_close,
	.fstat = sys_fstat,
	.fstatfs = sys_fstatfs,
	.statx = sys_statx,
	.fcntl = sys_fcntl,
	.ftruncate = sys_ftruncate,
	.fallocate = sys_fallocate,
	.lseek = sys_lseek,
	.pread = sys_pread,
	.pwrite = sys_pwrite,
	.fdatasync = sys_fdatasync,
	.fsync = sys_fsync,
	.linkat = sys_linkat,
	.renameat = sys_renameat,
	.unlinkat = sys_unlinkat,
	.sync_file_range = sys_sync_file_range,
	.fadvise = sys_fadvise,
	.readahead = sys_readahead,
	.memfd_create = sys_memfd_create,
	.ioctl = sys_ioctl,
	.fgetxattr = sys_fgetxattr,
	.fsetxattr = sys_fsetxattr,
	.mmap = sys_mmap,
	.munmap = sys_munmap,
	.mremap = sys_mremap,
	.mprotect = sys_mprotect,
	.madvise = sys_madvise,
	.msync = sys_msync,
	.mincore = sys_mincore,
	.mlock2 = sys_mlock2,
	.munlock = sys_munlock,
	.cachestat = sys_cachestat,
	.process_vm_readv = sys_process_vm_readv,
	.process_vm_writev = sys_process_vm_writev,
	.getrlimit = sys_getrlimit,
	.has_capability = sys_has_capability,
	.read_text = sys_read_text,
	.now_ns = sys_now_ns,
	.sleep_ns = sys_sleep_ns,
};

const struct mmapfs__sys *mmapfs__sys = &mmapfs__sys_real;

/* Two threads that ask at once both store the same number: no lock needed. */
uint64_t mmapfs__page_size(void)
{
	static uint64_t cached;
	uint64_t size = __atomic_load_n(&cached, __ATOMIC_RELAXED);

	if (size == 0) {
		size = (uint64_t)sysconf(_SC_PAGESIZE);
		__atomic_store_n(&cached, size, __ATOMIC_RELAXED);
	}
	return size;
}
