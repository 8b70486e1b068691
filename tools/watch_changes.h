/* SPDX-License-Identifier: MIT */
/* watch_changes.h - what watch saw change in one round. */
#ifndef MMAPCTL_WATCH_CHANGES_H
#define MMAPCTL_WATCH_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "watch_table.h"

/* One range of one file. `was` knows nothing of a new file, `now` of one that is gone. */
struct watch_change {
	const struct watched *file;
	size_t range;
	const char *event; /* static */
	struct watch_figures was, now;
};

/* Zeroed: none. */
struct watch_changes {
	struct watch_change *list;
	size_t count, capacity;
};

/* -ENOMEM. */
int watch_changes_add(struct watch_changes *changes, const struct watch_change *change);

/* By how many pages became resident or ceased to be, largest first; then by dirty ones, by
 * name and by range. */
void watch_changes_sort(struct watch_changes *changes);

/* The files among them, before they are sorted: the ranges of a file come together. */
size_t watch_changes_files(const struct watch_changes *changes);

void watch_changes_clear(struct watch_changes *changes);
void watch_changes_free(struct watch_changes *changes);

#endif
