/* SPDX-License-Identifier: MIT */
/* cache.c - the cache manager: hands what happens to the parts that are there. */
#include "cache.h"

#include "region.h"

int cache_open(struct fs *fs)
{
	(void)fs;
	return 0;
}

void cache_start(struct fs *fs)
{
	(void)fs;
}

void cache_stop(struct fs *fs)
{
	(void)fs;
}

void cache_reload(struct fs *fs)
{
	(void)fs;
}

void cache_named(struct fs *fs, struct inode *dir, const char *name, struct inode *inode)
{
	(void)fs;
	(void)name;
	region_inherit(dir, inode);
}

void cache_opened(struct fs *fs, struct inode *inode, bool writer)
{
	(void)fs;
	(void)inode;
	(void)writer;
}

void cache_closed(struct fs *fs, struct inode *inode, bool writer)
{
	(void)fs;
	(void)inode;
	(void)writer;
}

uint64_t cache_room(struct fs *fs)
{
	(void)fs;
	return UINT64_MAX;
}
