/* SPDX-License-Identifier: MIT */
/*
 * fuzz-control.c - control attributes of a tree without a mount, one request after another.
 *
 * A line is a request: of whom, what, a name, and behind the first blank a value.
 *
 *	f?resident@0+8K		read it, of the file f
 *	f=lock on 4K-		write it
 *	D?stat			the directory d, by a user who owns nothing (capital letter)
 *
 * f has 65 pages and a bit, g is empty, d has two files, r is the root, l is a symbolic link.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "ctl.h"
#include "fs.h"
#include "fuzz-dir.h"
#include "inode.h"
#include "region.h"
#include "worker.h"

#define PREFIX "user.mmapfs"
#define REQUESTS_MAX 24
#define NOBODY 65534

static struct fs fs;
static char snapshot_path[300];
static char *lock_glob = (char *)(uintptr_t)"*.pinned";
static struct options options = { .lock_globs = { &lock_glob, 1 } };

/* By the letters that name them. */
static const struct {
	char letter;
	const char *name; /* NULL: the root */
} places[] = {
	{ 'f', "f" }, { 'g', "g" }, { 'd', "d" }, { 'l', "l" }, { 'r', NULL },
};

#define PLACES (sizeof(places) / sizeof(places[0]))

static struct inode *inodes[PLACES];

/* ---- the tree ---- */

static void make_file(int dir, const char *name, size_t length)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	char *bytes = calloc(1, length + 1);

	check(fd >= 0 && bytes);
	check(write(fd, bytes, length) == (ssize_t)length);
	check(fsync(fd) == 0);
	free(bytes);
	(void)close(fd);
}

static int make_tree(void)
{
	int root = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long page = sysconf(_SC_PAGESIZE);

	check(root >= 0);
	check(mkdirat(root, "s", 0700) == 0 && mkdirat(root, "t", 0755) == 0);
	(void)snprintf(snapshot_path, sizeof(snapshot_path), "%s/s/snap", fuzz_dir_path);
	(void)close(root);
	(void)strcat(fuzz_dir_path, "/t");
	root = open(fuzz_dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(root >= 0);
	make_file(root, "f", (size_t)page * 65 + 100);
	make_file(root, "g", 0);
	check(mkdirat(root, "d", 0755) == 0);
	make_file(root, "d/1", (size_t)page);
	make_file(root, "d/2", (size_t)page * 3);
	check(symlinkat("f", root, "l") == 0);
	return root;
}

static void start_cache(void)
{
	check(cache_open(&fs) == 0);
}

void fuzz_begin(void)
{
	int root = make_tree();

	fuzz_be_quiet();
	options.snapshot = snapshot_path;
	fs.options = &options;
	fs.source = strdup(fuzz_dir_path);
	*strrchr(fuzz_dir_path, '/') = '\0'; /* all of it is to be removed */
	fs.owner = 1;
	fs.lock_limit = (uint64_t)sysconf(_SC_PAGESIZE) * 32;
	check(inode_table_new(root, geteuid() == 0, &region_hooks, &fs.inodes) == 0);
	check(workers_start(1, 4, &fs.job_workers) == 0);
	start_cache();
}

/* ---- requests ---- */

static struct inode *new_inode(const char *name)
{
	struct inode *inode = NULL;
	struct inode_fd root = INODE_FD_NONE;
	struct stat st;

	check(inode_path_fd(fs.inodes, inode_root(fs.inodes), &root) == 0);
	check(inode_get_at(fs.inodes, root.fd, name, &st, &inode) == 0);
	inode_fd_done(&root);
	return inode;
}

static void get_inodes(void)
{
	for (size_t i = 0; i < PLACES; i++)
		inodes[i] = places[i].name ? new_inode(places[i].name)
					   : inode_root(fs.inodes);
}

static int get(struct inode *inode, const char *name, const struct ctl_caller *caller)
{
	struct ctl_text text = { .limit = 0 };
	int64_t bound = ctl_get_bound(inode, name);
	int r = ctl_get(&fs, inode, name, caller, &text);

	check(r <= 0 && r > -4096);
	check(bound >= 0 || r < 0);
	if (r == 0) {
		check(text.length <= (uint64_t)bound);
		check(!text.length || !memchr(text.data, 0, text.length));
	}
	ctl_text_free(&text);
	return r;
}

static int set(struct inode *inode, const char *name, const char *value, size_t length,
	       const struct ctl_caller *caller)
{
	int r = ctl_set(&fs, inode, name, value, length, caller);

	check(r <= 0 && r > -4096);
	check(atomic_load(&fs.locked_bytes) <= fs.lock_limit);
	return r;
}

static int request(const char *line, size_t length)
{
	static char name[sizeof(PREFIX) + 300];
	const char lower = (char)(line[0] | 0x20);
	const char *blank = memchr(line, ' ', length);
	const char *name_end = line[1] == '=' && blank ? blank : line + length;
	const struct ctl_caller caller = { .user.uid = lower == line[0] ? 0 : NOBODY,
					   .user.gid = lower == line[0] ? 0 : NOBODY };
	size_t place = 0;

	while (place < PLACES && places[place].letter != lower)
		place++;
	if (place == PLACES || name_end - line > 300)
		return -EINVAL;
	(void)snprintf(name, sizeof(name), PREFIX "%s%.*s", name_end > line + 2 ? "." : "",
		       (int)(name_end - line - 2), line + 2);
	check(ctl_is_ours(name));
	if (line[1] != '=')
		return get(inodes[place], name, &caller);
	if (name_end < line + length)
		name_end++;
	return set(inodes[place], name, name_end, (size_t)(line + length - name_end), &caller);
}

/* ---- after them ---- */

static void write_value(size_t place, const char *name, const char *value)
{
	const struct ctl_caller root = { .user.uid = 0 };

	(void)ctl_set(&fs, inodes[place], name, value, strlen(value), &root);
}

/* As if nothing had been asked, so that the next input finds what this one found. */
static void come_to_rest(void)
{
	for (size_t i = 0; i < PLACES; i++) {
		write_value(i, PREFIX ".warm", "cancel");
		write_value(i, PREFIX ".evict", "cancel");
	}
	while (workers_depth(fs.job_workers))
		(void)sched_yield();
	for (size_t i = 0; i < PLACES; i++) {
		write_value(i, PREFIX ".lock", "off");
		if (places[i].name)
			inode_unref(fs.inodes, inodes[i], 1);
	}
	check(atomic_load(&fs.locked_bytes) == 0);
	cache_stop(&fs);
	cache_close(&fs);
	check(inode_count(fs.inodes) == 1);
	start_cache();
}

enum verdict fuzz_input(const char *data, size_t length)
{
	const char *end = data + length;
	unsigned int done = 0, failed = 0;

	get_inodes();
	while (data < end && done < REQUESTS_MAX) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		const char *stop = newline ? newline : end;

		if (stop - data >= 2) {
			failed += request(data, (size_t)(stop - data)) < 0;
			done++;
		}
		data = newline ? newline + 1 : end;
	}
	come_to_rest();
	return !failed ? ACCEPTED : failed == done ? REJECTED : NEITHER;
}
