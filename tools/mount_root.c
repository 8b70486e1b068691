/* SPDX-License-Identifier: MIT */
/* mount_root.c - the root of a mounted mmapfs, and the attributes of the whole mount. */
#include "mount_root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mmapfs.h>

#include "base/cleanup.h"

/* The kernel's largest attribute value. */
#define VALUE_MAX 65536

/* Cut the last name off. False at the top. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || !path[1])
		return false;
	slash[slash == path] = 0;
	return true;
}

int mount_root_of(const char *path, char **ret)
{
	_cleanup_free_ char *root = realpath(path, NULL);
	char above[PATH_MAX];
	struct stat st, up;

	if (!root || stat(root, &st) < 0)
		return -errno;
	strcpy(above, root);
	while (go_up(above)) {
		if (stat(above, &up) < 0)
			return -errno;
		if (up.st_dev != st.st_dev)
			break;
		strcpy(root, above);
	}
	*ret = steal_ptr(root);
	return 0;
}

int mount_root_get(const char *root, const char *name, char **ret)
{
	_cleanup_free_ char *value = malloc(VALUE_MAX + 1);
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t length;

	if (fd < 0)
		return -errno;
	if (!value)
		return -ENOMEM;
	length = mmapfs_control_get(fd, name, value, VALUE_MAX);
	if (length < 0)
		return (int)length;
	value[length] = 0;
	*ret = steal_ptr(value);
	return 0;
}
