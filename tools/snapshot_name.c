/* SPDX-License-Identifier: MIT */
/* snapshot_name.c - names in snapshots, and messages about them. */
#include "snapshot_name.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cmd.h"

/* Append @path to @to, which ends with "/" or is empty, each component once. ".." stays: what
 * it means depends on links. */
static char *append_clean(char *to, const char *path)
{
	size_t n;

	for (; *path != '\0'; path += n) {
		while (*path == '/')
			path++;
		n = strcspn(path, "/");
		if (n == 0 || (n == 1 && path[0] == '.'))
			continue;
		to = mempcpy(to, path, n);
		*to++ = '/';
	}
	return to;
}

char *snapshot_name(const char *cwd, const char *path)
{
	size_t room = (cwd ? strlen(cwd) : 0) + strlen(path) + 4;
	char *name = malloc(room);
	char *end = name;

	if (!name)
		return NULL;
	if (path[0] == '/' || cwd)
		*end++ = '/';
	if (path[0] != '/' && cwd)
		end = append_clean(end, cwd);
	end = append_clean(end, path);
	if (end > name + 1)
		end--;
	if (end == name)
		*end++ = '.';
	*end = '\0';
	return name;
}

bool snapshot_is_temporary(const char *path)
{
	static const char prefix[] = ".mmapfs-";
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strncmp(name, prefix, strlen(prefix)) == 0 &&
	       strspn(name + strlen(prefix), "0123456789abcdef") == 8 &&
	       name[strlen(prefix) + 8] == '\0';
}

bool snapshot_name_matches(const char *name, char *const *names, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		size_t n = strlen(names[i]);

		if (strncmp(name, names[i], n) == 0 &&
		    (name[n] == '\0' || name[n] == '/' || (n > 0 && names[i][n - 1] == '/')))
			return true;
	}
	return count == 0;
}

struct mmapfs_snapshot_entry snapshot_identity(const struct stat *st)
{
	return (struct mmapfs_snapshot_entry){
		.size = sizeof(struct mmapfs_snapshot_entry),
		.file_size = (uint64_t)st->st_size,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
			    st->st_mtim.tv_nsec,
		.dev_major = major(st->st_dev),
		.dev_minor = minor(st->st_dev),
		.ino = st->st_ino,
	};
}

int snapshot_load(const char *path, struct mmapfs_snapshot **ret)
{
	struct mmapfs_snapshot_damage damage = MMAPFS_INIT(struct mmapfs_snapshot_damage);
	_cleanup_free_ char *quoted = NULL;
	int r;

	r = mmapfs_snapshot_load(AT_FDCWD, path, &damage, ret);
	if (r == 0)
		return 0;
	if (r != -EBADMSG) {
		say_cannot("read", path, r, NULL);
		return r;
	}
	quoted = path_quoted(path);
	say("cannot use '%s': line %" PRIu64 ": %s (nothing was done)",
	    quoted ? quoted : "?", damage.line, damage.reason);
	return r;
}

const char *snapshot_change_name(uint32_t changed)
{
	static const char *const names[] = {
		"no", "size", "mtime", "size+mtime",
		"inode", "size+inode", "mtime+inode", "size+mtime+inode",
	};

	return changed < ARRAY_SIZE(names) ? names[changed] : "?";
}
