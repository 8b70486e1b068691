/* SPDX-License-Identifier: MIT */
/* cache_find.c - find the files of the source that have something in RAM. */
#include "cache_find.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache.h"
#include "cache_treat.h"

/* Of the time of one CPU the walk takes one part in so many, */
#define SHARE 5
/* in slices of so many files, */
#define SLICE 64
/* with pauses not so long that an unmount would wait for them. */
#define PAUSE_MAX_NS 20000000

struct finding {
	struct known *known;
	const struct ctl_tree *tree;
	void (*found)(void *ctx);
	void *ctx;
	char dir[PATH_MAX]; /* below the source; "" is that itself */
	unsigned int files; /* in this slice */
	unsigned int new_files;
	int64_t slice_ns; /* when it began */
	int64_t worked_ns;
};

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void end_slice(struct finding *finding)
{
	const int64_t worked = now_ns() - finding->slice_ns;
	int64_t pause = worked * (SHARE - 1);

	finding->worked_ns += worked;
	if (finding->new_files)
		finding->found(finding->ctx);
	if (pause > PAUSE_MAX_NS)
		pause = PAUSE_MAX_NS;
	(void)nanosleep(&(struct timespec){ .tv_nsec = pause }, NULL);
	finding->files = 0;
	finding->new_files = 0;
	finding->slice_ns = now_ns();
}

static bool has_resident(int fd)
{
	struct mmapfs_residency found = MMAPFS_INIT(found);
	const struct mmapfs_range whole = { 0, 0 };

	return mmapfs_residency_fd(fd, NULL, whole, 0, &found) == 0 &&
	       found.occupied + found.resident > 0;
}

/* What the policy says of a file decides whether it may be evicted, also before it is
 * first looked up through the mount. */
static void treat(struct finding *finding, const char *name, struct inode *inode)
{
	const struct cache *cache = finding->tree->stop->fs->cache;
	char path[PATH_MAX + NAME_MAX + 2];
	unsigned int none = 0;

	if (!cache || !cache->policy)
		return;

	(void)snprintf(path, sizeof(path), "%s%s%s", finding->dir,
		       *finding->dir ? "/" : "", name);
	(void)atomic_compare_exchange_strong(&inode->treatment, &none,
					     treat_find(cache->policy, path));
}

static void add(struct finding *finding, int fd, const char *name, const struct stat *st)
{
	struct fs *fs = finding->tree->stop->fs;
	struct inode *inode = NULL;
	struct shed_look look;

	if (inode_get(fs->inodes, fd, st, &inode) < 0)
		return;
	treat(finding, name, inode);
	if (shed_look(fs, inode, &look) == 0 && look.resident)
		finding->new_files += known_found(finding->known, inode, &look);
	inode_unref(fs->inodes, inode, 1);
}

static int look_at(void *ctx, int dir_fd, const char *name, const struct stat *st)
{
	struct finding *finding = ctx;
	_cleanup_close_ int fd = -1;

	if (++finding->files == SLICE)
		end_slice(finding);
	if (!st->st_size)
		return 0;
	/* What cannot be opened is left out: nothing could be done with it. */
	fd = ctl_walk_open(finding->tree, dir_fd, name, st, O_RDONLY);
	if (fd >= 0 && has_resident(fd))
		add(finding, fd, name, st);
	return 0;
}

static void enter(void *ctx, const char *path)
{
	struct finding *finding = ctx;

	/* Only a policy with a glob for a path longer than that would be missed. */
	(void)snprintf(finding->dir, sizeof(finding->dir), "%s", path);
}

int64_t find_resident(struct known *known, const struct ctl_stop *stop,
		      void (*found)(void *ctx), void *ctx)
{
	const struct creds_user self = { .uid = geteuid(), .gid = getegid() };
	const struct ctl_tree tree = { .dir = inode_root(stop->fs->inodes),
				       .stop = stop,
				       .user = &self,
				       .every_name = true, /* needs no memory */
				       .enter = enter };
	struct finding finding = { .known = known,
				   .tree = &tree,
				   .found = found,
				   .ctx = ctx,
				   .slice_ns = now_ns() };
	int r = ctl_walk(&tree, look_at, &finding, NULL);

	end_slice(&finding);
	return r < 0 ? r : finding.worked_ns;
}
