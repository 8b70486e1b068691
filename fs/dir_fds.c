/* SPDX-License-Identifier: MIT */
/* dir_fds.c - the directories that were used last, kept open. */
#include "dir_fds.h"

#include <stddef.h>
#include <unistd.h>

#include "base/cleanup.h"

void dir_fds_init(struct dir_fds *fds)
{
	*fds = (struct dir_fds){ .clock = 0 };
	pthread_mutex_init(&fds->mutex, NULL);
}

static struct dir_fd *find(struct dir_fds *fds, const struct inode *inode)
{
	for (size_t i = 0; i < DIR_FDS; i++) {
		if (fds->entries[i].inode == inode)
			return &fds->entries[i];
	}
	return NULL;
}

/* A free one, else the one not used for the longest time; NULL when all are in use. */
static struct dir_fd *find_place(struct dir_fds *fds)
{
	struct dir_fd *place = NULL;

	for (size_t i = 0; i < DIR_FDS; i++) {
		struct dir_fd *entry = &fds->entries[i];

		if (entry->users > 0)
			continue;
		if (!entry->inode)
			return entry;
		if (!place || entry->used < place->used)
			place = entry;
	}
	return place;
}

struct dir_fd *dir_fds_get(struct dir_fds *fds, const struct inode *inode)
{
	SCOPE_LOCK(&fds->mutex);
	struct dir_fd *entry = find(fds, inode);

	if (entry) {
		entry->users++;
		entry->used = ++fds->clock;
	}
	return entry;
}

struct dir_fd *dir_fds_add(struct dir_fds *fds, const struct inode *inode, int fd)
{
	struct dir_fd *entry;
	int before = -1;

	{
		SCOPE_LOCK(&fds->mutex);

		entry = find(fds, inode) ? NULL : find_place(fds);
		if (!entry)
			return NULL;
		if (entry->inode)
			before = entry->fd;
		*entry = (struct dir_fd){ inode, fd, 1, ++fds->clock };
	}
	if (before >= 0)
		close(before);
	return entry;
}

void dir_fds_put(struct dir_fds *fds, struct dir_fd *entry)
{
	int fd = -1;

	{
		SCOPE_LOCK(&fds->mutex);

		if (--entry->users == 0 && !entry->inode)
			fd = entry->fd;
	}
	if (fd >= 0)
		close(fd);
}

void dir_fds_drop(struct dir_fds *fds, const struct inode *inode)
{
	int fd = -1;

	{
		SCOPE_LOCK(&fds->mutex);
		struct dir_fd *entry = find(fds, inode);

		if (entry) {
			if (entry->users == 0)
				fd = entry->fd;
			entry->inode = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
}

void dir_fds_close(struct dir_fds *fds)
{
	for (size_t i = 0; i < DIR_FDS; i++) {
		if (fds->entries[i].inode)
			close(fds->entries[i].fd);
		fds->entries[i].inode = NULL;
	}
	pthread_mutex_destroy(&fds->mutex);
}
