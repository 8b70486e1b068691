/* SPDX-License-Identifier: MIT */
/* control.c - the control attributes of a mounted mmapfs, from the user's side. */
#include <mmapfs.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "sys.h"

#define FUSE_MAGIC 0x65735546

#define ATTRIBUTE_MAX (sizeof(MMAPFS_CONTROL_PREFIX) + MMAPFS_CONTROL_NAME_MAX)

static int attribute_name(const char *name, char buf[ATTRIBUTE_MAX])
{
	size_t length = name ? strnlen(name, MMAPFS_CONTROL_NAME_MAX) : 0;

	if (length == 0 || length == MMAPFS_CONTROL_NAME_MAX)
		return -EINVAL;
	memcpy(buf, MMAPFS_CONTROL_PREFIX, sizeof(MMAPFS_CONTROL_PREFIX) - 1);
	memcpy(buf + sizeof(MMAPFS_CONTROL_PREFIX) - 1, name, length + 1);
	return 0;
}

static struct mmapfs_control *new_request(uint32_t op, const char *attribute)
{
	struct mmapfs_control *request = calloc(1, sizeof(*request));
	const char *name = attribute + sizeof(MMAPFS_CONTROL_PREFIX) - 1;

	if (!request)
		return NULL;
	request->op = op;
	memcpy(request->name, name, strnlen(name, sizeof(request->name) - 1));
	return request;
}

static int send_request(int fd, struct mmapfs_control *request)
{
	int r = mmapfs__sys->ioctl(fd, MMAPFS_IOC_CONTROL, request);

	return r == -ENOTTY || r == -ENOSYS ? -EOPNOTSUPP : r;
}

static int64_t get_by_ioctl(int fd, const char *attribute, char *value, size_t size)
{
	_cleanup_free_ struct mmapfs_control *request = NULL;
	int r;

	request = new_request(MMAPFS_CONTROL_GET, attribute);
	if (!request)
		return -ENOMEM;
	r = send_request(fd, request);
	if (r < 0)
		return r;
	if (request->length > sizeof(request->value))
		return -EIO;
	if (size == 0)
		return request->length;
	if (request->length > size)
		return -ERANGE;
	memcpy(value, request->value, request->length);
	return request->length;
}

static int set_by_ioctl(int fd, const char *attribute, const char *value, size_t length)
{
	_cleanup_free_ struct mmapfs_control *request = NULL;
	int r;

	request = new_request(MMAPFS_CONTROL_SET, attribute);
	if (!request)
		return -ENOMEM;
	if (length > 0)
		memcpy(request->value, value, length);
	request->length = (uint32_t)length;
	r = send_request(fd, request);
	return r < 0 ? r : 0;
}

static int64_t get(int fd, const char *attribute, char *value, size_t size)
{
	int64_t r = mmapfs__sys->fgetxattr(fd, attribute, value, size);

	return r == -EOPNOTSUPP ? get_by_ioctl(fd, attribute, value, size) : r;
}

/*
 * Is @fd on a mounted mmapfs? Asked before anything else, for any filesystem would store
 * what is meant as a command, and give back what a copy has left there as if it were
 * true. A mounted mmapfs is FUSE and answers `version` on every inode.
 */
static int check_mount(int fd)
{
	struct statfs fs;
	int64_t r;

	r = mmapfs__sys->fstatfs(fd, &fs);
	if (r < 0)
		return (int)r;
	if ((uint32_t)fs.f_type != FUSE_MAGIC)
		return -EOPNOTSUPP;
	r = get(fd, MMAPFS_CONTROL_PREFIX "version", NULL, 0);
	if (r == -ENODATA || r == -EINVAL)
		return -EOPNOTSUPP;
	return r < 0 ? (int)r : 0;
}

MMAPFS_PUBLIC int64_t mmapfs_control_get(int fd, const char *name, char *value,
					 size_t size)
{
	char attribute[ATTRIBUTE_MAX];
	int r;

	r = attribute_name(name, attribute);
	if (r < 0)
		return r;
	r = check_mount(fd);
	return r < 0 ? r : get(fd, attribute, value, size);
}

MMAPFS_PUBLIC int mmapfs_control_set(int fd, const char *name, const char *value,
				     size_t length)
{
	char attribute[ATTRIBUTE_MAX];
	int r;

	r = attribute_name(name, attribute);
	if (r < 0)
		return r;
	if (length > MMAPFS_CONTROL_VALUE_MAX)
		return -EINVAL;
	r = check_mount(fd);
	if (r < 0)
		return r;
	r = mmapfs__sys->fsetxattr(fd, attribute, value, length, 0);
	/* The kernel's own answers, before the daemon is asked: a read-only mount, a file
	 * that the caller may not write. The ioctl reaches the daemon, and it decides. */
	if (r == -EROFS || r == -EACCES || r == -EBADF)
		r = set_by_ioctl(fd, attribute, value, length);
	return r;
}
