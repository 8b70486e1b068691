/* SPDX-License-Identifier: MIT */
/* watch_table.c - what watch saw of each file the last time. */
#include "watch_table.h"

#include <stdlib.h>
#include <string.h>

/* Open addressing; never removed from, so an empty slot ends every search. */
struct watch_table {
	size_t range_count;
	struct watched **files; /* in order */
	size_t count, capacity;
	uint32_t *slots;   /* index in `files` plus 1; 0: empty */
	size_t slot_count; /* a power of two, more than twice `count` */
	uint64_t refused;
};

static uint64_t hash_of(const char *path)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * UINT64_C(1099511628211);
	return hash ^ hash >> 29;
}

static size_t find_slot(const struct watch_table *table, const char *path)
{
	size_t i = hash_of(path) & (table->slot_count - 1);

	while (table->slots[i] &&
	       strcmp(table->files[table->slots[i] - 1]->path, path) != 0)
		i = (i + 1) & (table->slot_count - 1);
	return i;
}

static bool grow_slots(struct watch_table *table)
{
	size_t more = 4 * table->slot_count;
	uint32_t *slots = calloc(more, sizeof(*slots));

	if (!slots)
		return false;
	free(table->slots);
	table->slots = slots;
	table->slot_count = more;
	for (size_t i = 0; i < table->count; i++)
		slots[find_slot(table, table->files[i]->path)] = (uint32_t)i + 1;
	return true;
}

static bool grow_files(struct watch_table *table)
{
	size_t more = table->capacity ? 2 * table->capacity : 64;
	struct watched **files = reallocarray(table->files, more, sizeof(*files));

	if (!files)
		return false;
	table->files = files;
	table->capacity = more;
	return true;
}

static bool make_room(struct watch_table *table)
{
	if (table->count == WATCH_FILES_MAX) {
		table->refused++;
		return false;
	}
	if (table->count == table->capacity && !grow_files(table))
		return false;
	return 2 * (table->count + 1) < table->slot_count || grow_slots(table);
}

struct watch_table *watch_table_new(size_t range_count)
{
	struct watch_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->range_count = range_count;
	table->slot_count = 256;
	table->slots = calloc(table->slot_count, sizeof(*table->slots));
	if (!table->slots) {
		free(table);
		return NULL;
	}
	return table;
}

void watch_table_free(struct watch_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++) {
		free(table->files[i]->path);
		free(table->files[i]);
	}
	free(table->files);
	free(table->slots);
	free(table);
}

static struct watched *new_file(const struct watch_table *table, const char *path)
{
	struct watched *file =
		calloc(1, sizeof(*file) + table->range_count * sizeof(file->figures[0]));

	if (!file)
		return NULL;
	file->path = strdup(path);
	if (file->path)
		return file;
	free(file);
	return NULL;
}

struct watched *watch_table_get(struct watch_table *table, const char *path,
				bool *ret_is_new)
{
	size_t slot = find_slot(table, path);
	struct watched *file;

	*ret_is_new = false;
	if (table->slots[slot])
		return table->files[table->slots[slot] - 1];
	if (!make_room(table))
		return NULL;
	file = new_file(table, path);
	if (!file)
		return NULL;
	table->files[table->count++] = file;
	table->slots[find_slot(table, path)] = (uint32_t)table->count;
	*ret_is_new = true;
	return file;
}

struct watched *watch_table_by_trace(struct watch_table *table,
				     const struct trace_file *trace)
{
	for (size_t i = 0; i < table->count; i++) {
		struct watched *file = table->files[i];

		if (file->traceable && !file->gone && file->trace.ino == trace->ino &&
		    file->trace.dev_major == trace->dev_major &&
		    file->trace.dev_minor == trace->dev_minor)
			return file;
	}
	return NULL;
}

size_t watch_table_count(const struct watch_table *table)
{
	return table->count;
}

uint64_t watch_table_refused(const struct watch_table *table)
{
	return table->refused;
}

struct watched *watch_table_at(struct watch_table *table, size_t index)
{
	return table->files[index];
}

struct watch_figures watch_figures_of(const struct mmapfs_residency *residency)
{
	return (struct watch_figures){ .valid = residency->valid,
				       .resident = residency->resident,
				       .dirty = residency->dirty,
				       .evicted = residency->evicted };
}

static bool differs(uint32_t valid, uint32_t figure, uint64_t was, uint64_t now)
{
	return (valid & figure) && was != now;
}

bool watch_figures_differ(const struct watch_figures *was,
			  const struct watch_figures *now)
{
	const uint32_t shown = MMAPFS_RESIDENT | MMAPFS_DIRTY | MMAPFS_EVICTED;
	uint32_t both = was->valid & now->valid;

	return ((was->valid ^ now->valid) & shown) ||
	       differs(both, MMAPFS_RESIDENT, was->resident, now->resident) ||
	       differs(both, MMAPFS_DIRTY, was->dirty, now->dirty) ||
	       differs(both, MMAPFS_EVICTED, was->evicted, now->evicted);
}
