/* SPDX-License-Identifier: MIT */
/* cache.c - the cache manager: hands what happens to the parts that are there. */
#include "cache.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

#include "base/cleanup.h"
#include "cache_budget.h"
#include "cache_restart.h"
#include "cache_treat.h"
#include "log.h"
#include "region.h"

int cache_open(struct fs *fs)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	int r;

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->mutex, NULL);
	fs->cache = cache;
	r = budget_new(fs, fs->options->budget, &cache->budget);
	if (r >= 0)
		r = treat_open(fs, &cache->policy);
	if (r >= 0)
		r = restart_open(fs, &cache->restart);
	if (r < 0)
		cache_close(fs);
	return r;
}

void cache_start(struct fs *fs)
{
	SCOPE_LOCK(&fs->cache->mutex);

	if (atomic_load(&fs->stopping))
		return; /* the mount was up for a moment only */
	if (budget_start(fs->cache->budget) < 0)
		log_line(LOG_WARNING, "no thread for the budget: it is not kept");
	treat_start(fs->cache->policy);
	restart_start(fs->cache->restart);
}

void cache_stop(struct fs *fs)
{
	if (!fs->cache)
		return;
	SCOPE_LOCK(&fs->cache->mutex);
	restart_stop(fs->cache->restart);
	treat_stop(fs->cache->policy);
	budget_stop(fs->cache->budget);
}

void cache_close(struct fs *fs)
{
	struct cache *cache = fs->cache;

	if (!cache)
		return;
	cache->restart = restart_close(cache->restart);
	cache->policy = treat_close(cache->policy);
	cache->budget = budget_free(cache->budget);
	fs->cache = NULL;
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

static struct policy_keeper *policy_of(struct fs *fs)
{
	return fs->cache ? fs->cache->policy : NULL;
}

struct treatment cache_treatment(struct fs *fs, const char *path)
{
	return treatment_unpack(treat_find(policy_of(fs), path));
}

bool cache_reload(struct fs *fs)
{
	return treat_reload_soon(policy_of(fs));
}

void cache_named(struct fs *fs, struct inode *dir, const char *name, struct inode *inode,
		 const struct stat *st)
{
	region_inherit(dir, inode);
	treat_named(policy_of(fs), dir, name, inode, st);
}

void cache_moved(struct fs *fs, struct inode *dir, int dir_fd, const char *name)
{
	struct policy_keeper *policy = policy_of(fs);
	struct inode *inode;
	struct stat st;

	if (!policy || inode_get_at(fs->inodes, dir_fd, name, &st, &inode) < 0)
		return;
	treat_moved(policy, dir, name, inode, &st);
	inode_unref(fs->inodes, inode, 1);
}

void cache_removed(struct fs *fs)
{
	treat_removed(policy_of(fs));
}

void cache_opened(struct fs *fs, struct inode *inode, bool writer)
{
	if (fs->cache)
		budget_opened(fs->cache->budget, inode, writer);
	if (fs->cache && fs->cache->restart)
		restart_used(inode);
}

void cache_closed(struct fs *fs, struct inode *inode, bool writer)
{
	treat_closed(policy_of(fs), inode, writer);
	if (fs->cache)
		budget_closed(fs->cache->budget, inode);
	if (fs->cache && fs->cache->restart)
		restart_used(inode);
}

uint64_t cache_room(struct fs *fs)
{
	return budget_room(fs->cache ? fs->cache->budget : NULL);
}

void cache_reading(struct fs *fs, struct inode *inode, uint64_t bytes)
{
	if (fs->cache)
		budget_reading(fs->cache->budget, inode, bytes);
}
