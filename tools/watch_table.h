/* SPDX-License-Identifier: MIT */
/* watch_table.h - what watch saw of each file the last time. */
#ifndef MMAPCTL_WATCH_TABLE_H
#define MMAPCTL_WATCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "trace.h"

/* A limit, for each file takes memory: about 300 bytes. */
#define WATCH_FILES_MAX 100000

/** Figures of one range, in pages. Not those of struct mmapfs_residency: it is 100 bytes.
 */
struct watch_figures {
	uint32_t valid; /* enum mmapfs_figure */
	uint64_t resident, dirty, evicted;
};

struct watched {
	char *path;
	uint64_t dev, ino, size;
	uint64_t round; /* in which it was last seen */
	bool gone;
	bool traceable;
	struct trace_file trace;
	struct watch_figures figures[]; /* by range */
};

/** All files that are watched. Opaque. */
struct watch_table;

struct watch_table *watch_table_new(size_t range_count);
void watch_table_free(struct watch_table *table);

/** The file @path; made, with zeros, when it is not there. NULL when out of memory or
 * over WATCH_FILES_MAX, which watch_table_refused() counts. @ret_is_new tells. */
struct watched *watch_table_get(struct watch_table *table, const char *path,
				bool *ret_is_new);

/** The file that events call @trace; NULL when none. Any one of several links. */
struct watched *watch_table_by_trace(struct watch_table *table,
				     const struct trace_file *trace);

size_t watch_table_count(const struct watch_table *table);
uint64_t watch_table_refused(const struct watch_table *table);

/** In the order in which they were added, from 0. */
struct watched *watch_table_at(struct watch_table *table, size_t index);

/** Figures out of a residency. */
struct watch_figures watch_figures_of(const struct mmapfs_residency *residency);

/** Does @now differ from @was in a figure that both know, or in what is known? */
bool watch_figures_differ(const struct watch_figures *was,
			  const struct watch_figures *now);

#endif
