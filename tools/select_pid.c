/* SPDX-License-Identifier: MIT */
/* select_pid.c - the files that a process has mapped or open. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "select_walk.h"

static void cleanup_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static void cleanup_closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* Hand the file over that is called @name and can be opened as @link, each file once. */
static int add(struct walk *walk, struct seen *seen, const char *name, const char *link)
{
	struct candidate candidate = {
		.name = name,
		.open_path = link,
		.type = DT_REG,
		.operand = true,
		.follow = true,
	};
	struct stat st;

	/* The link reaches the very file, also when its name is gone or means another. */
	if (fstatat(AT_FDCWD, link, &st, 0) < 0) {
		candidate.open_path = name;
		if (fstatat(AT_FDCWD, name, &st, 0) < 0) {
			walk_error(walk, NULL, "open", name, -errno);
			return 0;
		}
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	if (seen_before(seen, st.st_dev, st.st_ino))
		return 0;
	return walk_candidate(walk, &candidate);
}

/* /proc writes a newline in a name as \012. */
static void unescape(char *name)
{
	char *to = name;

	for (; *name; name++) {
		if (strncmp(name, "\\012", 4) == 0) {
			*to++ = '\n';
			name += 3;
		} else {
			*to++ = *name;
		}
	}
	*to = 0;
}

static int add_mapping(struct walk *walk, struct seen *seen, pid_t pid, char *line)
{
	char span[40], link[80];
	unsigned long long ino;
	int name = 0;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "%39s %*s %*s %*s %llu %n", span, &ino, &name) != 2 || ino == 0 ||
	    line[name] != '/')
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/%d/map_files/%s", (int)pid, span);
	unescape(line + name);
	return add(walk, seen, line + name, link);
}

static int add_mappings(struct walk *walk, struct seen *seen, pid_t pid)
{
	_cleanup_(cleanup_fclosep) FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	char path[40];
	size_t size = 0;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	if (!file) {
		walk_error(walk, NULL, "read", path, -errno);
		return 0;
	}
	while (r == 0 && getline(&line, &size, file) > 0)
		r = add_mapping(walk, seen, pid, line);
	/* The maps of somebody else's process open, and then cannot be read. */
	if (r == 0 && ferror(file))
		walk_error(walk, NULL, "read", path, -EACCES);
	return r;
}

static int add_descriptors(struct walk *walk, struct seen *seen, pid_t pid)
{
	_cleanup_(cleanup_closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	char path[300], name[4096];
	ssize_t length;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir) {
		walk_error(walk, NULL, "list", path, -errno);
		return 0;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, entry->d_name);
		length = readlink(path, name, sizeof(name) - 1);
		if (length < 0 || name[0] != '/')
			continue; /* closed since, or a pipe, a socket */
		name[length] = 0;
		r = add(walk, seen, name, path);
	}
	return r;
}

int walk_process(struct walk *walk, pid_t pid)
{
	struct seen *seen = seen_new();
	int r;

	if (!seen)
		return -ENOMEM;
	r = add_mappings(walk, seen, pid);
	if (r == 0)
		r = add_descriptors(walk, seen, pid);
	seen_free(seen);
	return r;
}
