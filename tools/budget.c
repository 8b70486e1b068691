/* SPDX-License-Identifier: MIT */
/*
 * budget.c - how much memory can still be had: MemAvailable, and cgroups v1 and v2.
 *
 * Where cgroups are mounted is taken from mountinfo, for in a container the process's
 * cgroup is often the root of what it sees, whatever /proc/self/cgroup says.
 */
#include "budget.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define TEXT_MAX (64 * 1024)
#define LONG_PATH_MAX (3 * PATH_MAX) /* root, mount point, cgroup */

/* ---- small files ---- */

static int read_text(const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (used < size - 1) {
		n = read(fd, buf + used, size - 1 - used);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	buf[used] = '\0';
	return 0;
}

/* A number, or "max". The kernel's v1 "no limit" is a number near 2^63. */
static int read_number(const char *dir, const char *name, uint64_t *ret)
{
	char path[LONG_PATH_MAX + 64], text[64], *end;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	r = read_text(path, text, sizeof(text));
	if (r < 0)
		return r;
	if (strncmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno || end == text ? -EINVAL : 0;
}

/* The number after @key at the start of a line of @text; 0 when there is none. */
static uint64_t line_number(const char *text, const char *key)
{
	size_t length = strlen(key);
	const char *line;

	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0)
			return strtoull(line + length, NULL, 10);
	}
	return 0;
}

/* ---- the system ---- */

static int mem_available(const char *root, uint64_t *ret)
{
	_cleanup_free_ char *text = malloc(TEXT_MAX);
	char path[PATH_MAX];
	int r;

	if (!text)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	r = read_text(path, text, TEXT_MAX);
	if (r < 0)
		return r;
	*ret = line_number(text, "MemAvailable:") * 1024;
	return *ret ? 0 : -ENODATA;
}

/* ---- cgroups ---- */

struct kind {
	const char *name;
	const char *fstype, *option; /* of its mount */
	const char *limit, *usage, *inactive;
};

static const struct kind kinds[] = {
	{ "cgroup v2", "cgroup2", NULL, "memory.max", "memory.current",
	  "inactive_file " },
	{ "cgroup v1", "cgroup", "memory", "memory.limit_in_bytes",
	  "memory.usage_in_bytes", "total_inactive_file " },
};

/* Is @word one of the words of @list, which commas separate? */
static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length) {
		bool begins = at == list || at[-1] == ',';
		bool ends = at[length] == '\0' || at[length] == ',' || at[length] == '\n';

		if (begins && ends)
			return true;
	}
	return false;
}

/* This process's path in the hierarchy, from a line "ID:CONTROLLERS:PATH". */
static bool own_path(const struct kind *kind, char *text, char ret[PATH_MAX])
{
	char *save = NULL, *line, *controllers, *path;

	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		controllers = strchr(line, ':');
		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		if (kind->option ? !has_word(controllers, kind->option)
				 : controllers[0] != '\0')
			continue;
		(void)snprintf(ret, PATH_MAX, "%s", path);
		return true;
	}
	return false;
}

struct mount {
	char root[PATH_MAX]; /* the cgroup that is mounted */
	char point[PATH_MAX];
};

static bool parse_mount(const struct kind *kind, const char *line, struct mount *ret)
{
	char fstype[64], options[1024];
	const char *rest = strstr(line, " - ");

	if (!rest || sscanf(rest, " - %63s %*s %1023s", fstype, options) != 2)
		return false;
	if (strcmp(fstype, kind->fstype) != 0)
		return false;
	if (kind->option && !has_word(options, kind->option))
		return false;
	return sscanf(line, "%*s %*s %*s %4095s %4095s", ret->root, ret->point) == 2;
}

static bool find_mount(const struct kind *kind, char *text, struct mount *ret)
{
	char *save = NULL, *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (parse_mount(kind, line, ret))
			return true;
	return false;
}

/* Room in one cgroup; UINT64_MAX where it has no limit or does not say. */
static uint64_t room_of(const struct kind *kind, const char *dir)
{
	_cleanup_free_ char *stat = malloc(TEXT_MAX);
	char path[LONG_PATH_MAX + 16];
	uint64_t limit, usage, inactive = 0;

	if (read_number(dir, kind->limit, &limit) < 0 ||
	    read_number(dir, kind->usage, &usage) < 0 || limit >= INT64_MAX)
		return UINT64_MAX;
	(void)snprintf(path, sizeof(path), "%s/memory.stat", dir);
	if (stat && read_text(path, stat, TEXT_MAX) == 0)
		inactive = line_number(stat, kind->inactive);
	usage -= u64_min(usage, inactive);
	return limit - u64_min(limit, usage);
}

static void lower(struct budget_room *room, uint64_t bytes, const char *what,
		  const char *path)
{
	if (bytes >= room->bytes)
		return;
	room->bytes = bytes;
	(void)snprintf(room->bound, sizeof(room->bound), "%s%s%.40s", what,
		       path[0] ? " " : "", path);
}

/* The part of @path below the mounted cgroup @root; "" when it is not below, as after a
 * move out of a namespace: then the mounted root is what binds. */
static const char *below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, length) != 0 || (path[length] && path[length] != '/'))
		return "";
	return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* From the process's own cgroup up to the mounted root: every one of them binds. */
static void walk_up(const char *root, const struct kind *kind, const struct mount *mount,
		    const char *path, struct budget_room *room)
{
	char relative[PATH_MAX], dir[LONG_PATH_MAX];
	char *slash;

	(void)snprintf(relative, sizeof(relative), "%s", below(path, mount->root));
	for (;;) {
		(void)snprintf(dir, sizeof(dir), "%s%s%s", root, mount->point, relative);
		lower(room, room_of(kind, dir), kind->name, relative[0] ? relative : "/");
		slash = strrchr(relative, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

static void cgroup_room(const char *root, const struct kind *kind,
			struct budget_room *room)
{
	_cleanup_free_ char *text = malloc(TEXT_MAX);
	_cleanup_free_ struct mount *mount = malloc(sizeof(*mount));
	char file[PATH_MAX], path[PATH_MAX];

	if (!text || !mount)
		return;
	(void)snprintf(file, sizeof(file), "%s/proc/self/cgroup", root);
	if (read_text(file, text, TEXT_MAX) < 0 || !own_path(kind, text, path))
		return;
	(void)snprintf(file, sizeof(file), "%s/proc/self/mountinfo", root);
	if (read_text(file, text, TEXT_MAX) < 0 || !find_mount(kind, text, mount))
		return;
	walk_up(root, kind, mount, path, room);
}

int budget_room(const char *root, struct budget_room *ret)
{
	struct budget_room room = { .bytes = UINT64_MAX };
	uint64_t available;
	int r;

	r = mem_available(root, &available);
	if (r == 0)
		lower(&room, available, "MemAvailable", "");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		cgroup_room(root, &kinds[i], &room);
	if (room.bytes == UINT64_MAX)
		return r < 0 ? r : -ENODATA;
	*ret = room;
	return 0;
}
