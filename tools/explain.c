/* SPDX-License-Identifier: MIT */
/* explain.c - all that can be measured of one file, and what follows from it. */
#include "explain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "cells.h"
#include "out_words.h"

/* More are only counted. */
#define MAPPERS_SHOWN 8

static uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (file)
		(void)fclose(file);
	return kib * 1024;
}

static int count_run(void *ctx, uint64_t offset, uint64_t length)
{
	uint64_t *runs = ctx;

	(void)offset;
	(void)length;
	++*runs;
	return 0;
}

/* NULL when they have been found. */
static const char *find_folios(struct explained *file)
{
	const struct mmapfs_residency *found = &file->seen.residency;
	struct mmapfs_map *map;
	int r;

	file->folios = (struct mmapfs_folios)MMAPFS_INIT(struct mmapfs_folios);
	if (!(found->valid & MMAPFS_RESIDENT))
		return figure_reason(found, MMAPFS_RESIDENT);
	/* Those of a file on a mount are the daemon's file's. */
	if (file->target->on_mount)
		return mmapfs_reason_name(MMAPFS_REASON_STACKED);
	r = target_map(file->target, &map);
	if (r == 0)
		r = mmapfs_folios(map, file->range, &file->folios);
	if (r == -EPERM)
		return mmapfs_reason_name(MMAPFS_REASON_NO_PERMISSION);
	return r < 0 ? "not-measured" : NULL;
}

int explain_look(struct target *target, struct mmapfs_range range, struct explained *ret)
{
	int r;

	*ret = (struct explained){ .target = target, .range = range };
	r = target_observe(target, range, MMAPFS_OBSERVE_READY, &ret->seen);
	if (r < 0)
		return r;
	ret->runs_known = target_ranges(target, range, MMAPFS_OBSERVE_READY, count_run,
					&ret->runs) == 0;
	ret->folios_unknown = find_folios(ret);
	ret->mappers_known = mappers_find(target_fd(target), &ret->mappers) == 0;
	ret->available = memory_available();
	return 0;
}

void explain_done(struct explained *file)
{
	mappers_done(&file->mappers);
}

uint64_t explain_locked(const struct explained *file)
{
	uint64_t most = 0;

	/* Two processes may lock the same pages: the largest is what is surely locked. */
	for (size_t i = 0; i < file->mappers.count; i++)
		most = u64_max(most, file->mappers.list[i].locked);
	if (file->seen.locked_known)
		most = u64_max(most, file->seen.locked * file->seen.residency.page_size);
	return most;
}

bool explain_straddling(const struct explained *file, uint64_t *ret,
			struct mmapfs_range *ret_whole)
{
	const struct mmapfs_folios *folios = &file->folios;

	if (file->folios_unknown || !folios->complete)
		return false;
	*ret = folios->straddling * folios->page_size;
	*ret_whole = (struct mmapfs_range){ folios->begin, folios->end - folios->begin };
	return true;
}

static bool is_whole(struct mmapfs_range range)
{
	return range.offset == 0 && range.length == 0;
}

bool explain_evict(const struct explained *file, uint64_t *ret)
{
	const struct mmapfs_residency *found = &file->seen.residency;
	uint64_t bytes = figure_pages(found, MMAPFS_RESIDENT) * found->page_size;
	uint64_t stays = 0;
	struct mmapfs_range whole;

	if (!(found->valid & MMAPFS_RESIDENT))
		return false;
	(void)explain_straddling(file, &stays, &whole);
	/* Of a range it is not known whether what is locked lies in it. */
	if (is_whole(file->range))
		stays = explain_locked(file);
	if (found->reason == MMAPFS_REASON_MEMORY_FS)
		stays = bytes; /* there the page cache is the storage */
	*ret = bytes - u64_min(bytes, stays);
	return true;
}

bool explain_warm(const struct explained *file, uint64_t *ret)
{
	const struct mmapfs_residency *found = &file->seen.residency;
	uint64_t missing;

	if (!(found->valid & MMAPFS_RESIDENT))
		return false;
	missing = (found->pages - u64_min(found->pages, found->resident)) * found->page_size;
	*ret = u64_min(missing, found->file_size);
	/* What is not on the disk is a hole; some filesystems allocate more than the file. */
	if (S_ISREG(file->target->st.st_mode))
		*ret = u64_min(*ret, align_up((uint64_t)file->target->st.st_blocks * 512,
					      found->page_size));
	return true;
}

/* ---- the screen ---- */

struct screen {
	int (*put)(void *ctx, const char *what, const char *value);
	void *ctx;
	int result;
};

__attribute__((format(printf, 3, 4))) static void line(struct screen *screen,
							const char *what,
							const char *format, ...)
{
	char text[512];
	va_list args;

	if (screen->result != 0)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	screen->result = screen->put(screen->ctx, what, text);
}

static void say_file(const struct explained *file, struct screen *screen)
{
	const struct stat *st = &file->target->st;
	char size[MMAPFS_WORD_MAX], disk[MMAPFS_WORD_MAX], range[MMAPFS_WORD_MAX];

	screen->result = screen->put(screen->ctx, "file", file->target->path);
	if (!is_whole(file->range))
		line(screen, "range", "%s; all but the size and who maps it is of this range",
		     mmapfs_range_format(range, file->range));
	line(screen, "filesystem", "%s, device %u:%u, inode %llu",
	     target_fs_name(file->target), major(st->st_dev), minor(st->st_dev),
	     (unsigned long long)st->st_ino);
	line(screen, "size", "%s, %" PRIu64 " pages of %" PRIu64 "%s%s%s%s",
	     bytes_format(size, file->seen.residency.file_size), file->seen.residency.pages,
	     file->seen.residency.page_size, is_whole(file->range) ? "" : " in the range",
	     S_ISREG(st->st_mode) ? "; " : "",
	     S_ISREG(st->st_mode) ? bytes_format(disk, (uint64_t)st->st_blocks * 512) : "",
	     S_ISREG(st->st_mode) ? " on the disk" : "");
	if (file->target->on_mount)
		line(screen, "mount", "mmapfs, data path %s, advice %s", file->seen.data_path,
		     file->seen.advice);
}

static void say_resident(const struct explained *file, struct screen *screen)
{
	const struct mmapfs_residency *found = &file->seen.residency;
	char bytes[MMAPFS_WORD_MAX];

	if (!(found->valid & MMAPFS_RESIDENT)) {
		line(screen, "resident", "? (%s)", figure_reason(found, MMAPFS_RESIDENT));
		return;
	}
	line(screen, "resident", "%s%s, %.2f %%, in %" PRIu64 " run%s (%s, by %s)",
	     found->upper_bound & MMAPFS_RESIDENT ? "at most " : "",
	     bytes_format(bytes, found->resident * found->page_size),
	     found->pages ? 100.0 * (double)found->resident / (double)found->pages : 0.0,
	     file->runs, file->runs == 1 ? "" : "s",
	     mmapfs_confidence_name(found->confidence), mmapfs_method_name(found->method));
	if (found->valid & MMAPFS_OCCUPIED && found->occupied > found->resident)
		line(screen, "loading", "%s are in the page cache but not read",
		     bytes_format(bytes,
				  (found->occupied - found->resident) * found->page_size));
}

static void say_folios(const struct explained *file, struct screen *screen)
{
	const struct mmapfs_folios *folios = &file->folios;
	char text[MMAPFS_FOLIO_ORDERS * 48] = "", bytes[MMAPFS_WORD_MAX];
	size_t used = 0;

	if (file->folios_unknown) {
		line(screen, "folios", "? (%s)", file->folios_unknown);
		return;
	}
	for (unsigned int i = MMAPFS_FOLIO_ORDERS; i-- > 0;)
		if (folios->folios[i] > 0)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
						 "%s%" PRIu64 " of %s", used ? ", " : "",
						 folios->folios[i],
						 bytes_format(bytes, folios->page_size << i));
	line(screen, "folios", "%s", used ? text : "none");
	if (folios->hidden > 0)
		line(screen, "", "%s cannot be told of: being read or just gone",
		     bytes_format(bytes, folios->hidden * folios->page_size));
	if (!folios->complete)
		line(screen, "", "only the first %s were looked at",
		     bytes_format(bytes, folios->examined));
}

static void say_figure(const struct explained *file, struct screen *screen,
		       const char *what, uint32_t figure, const char *note)
{
	const struct mmapfs_residency *found = &file->seen.residency;
	char bytes[MMAPFS_WORD_MAX];

	if (!(found->valid & figure))
		line(screen, what, "? (%s)", figure_reason(found, figure));
	else
		line(screen, what, "%s%s%s", found->upper_bound & figure ? "at most " : "",
		     bytes_format(bytes, figure_pages(found, figure) * found->page_size),
		     figure_pages(found, figure) ? note : "");
}

static void say_mappers(const struct explained *file, struct screen *screen)
{
	const struct mappers *mappers = &file->mappers;
	char mapped[MMAPFS_WORD_MAX], rss[MMAPFS_WORD_MAX], locked[MMAPFS_WORD_MAX];

	if (!file->mappers_known) {
		line(screen, "mapped by", "? (the file cannot be mapped)");
		return;
	}
	for (size_t i = 0; i < mappers->count && i < MAPPERS_SHOWN; i++) {
		const struct mapper *mapper = &mappers->list[i];

		line(screen, i ? "" : "mapped by",
		     "%d %s: %s of addresses, %s in its page tables, %s locked",
		     (int)mapper->pid, mapper->name, bytes_format(mapped, mapper->mapped),
		     bytes_format(rss, mapper->rss), bytes_format(locked, mapper->locked));
	}
	if (mappers->count > MAPPERS_SHOWN)
		line(screen, "", "and %zu more", mappers->count - MAPPERS_SHOWN);
	if (mappers->count == 0)
		line(screen, "mapped by", "no process%s",
		     mappers->unreadable ? " that could be looked at" : "");
	if (mappers->unreadable > 0)
		line(screen, "", "%zu of %zu processes could not be looked at (try as root)",
		     mappers->unreadable, mappers->looked_at);
}

/* A folio is evicted as a whole or not at all. */
static void say_straddling(const struct explained *file, struct screen *screen)
{
	char bytes[MMAPFS_WORD_MAX], range[MMAPFS_WORD_MAX];
	struct mmapfs_range whole;
	uint64_t stays;

	if (explain_straddling(file, &stays, &whole) && stays > 0)
		line(screen, "", "%s stay, in folios that reach out of the range: evict %s",
		     bytes_format(bytes, stays), mmapfs_range_format(range, whole));
}

static void say_prospects(const struct explained *file, struct screen *screen)
{
	char bytes[MMAPFS_WORD_MAX], memory[MMAPFS_WORD_MAX];
	uint64_t most;

	if (!explain_evict(file, &most))
		line(screen, "evict", "? (what is resident is not known)");
	else if (file->seen.residency.reason == MMAPFS_REASON_MEMORY_FS)
		line(screen, "evict", "would free nothing: memory is where this file is kept");
	else
		line(screen, "evict", "would free at most %s%s%s", bytes_format(bytes, most),
		     figure_pages(&file->seen.residency, MMAPFS_DIRTY)
			     ? "; what is dirty only with --sync"
			     : "",
		     file->mappers.count ? "; what is mapped stays" : "");
	say_straddling(file, screen);
	if (!explain_warm(file, &most))
		line(screen, "warm", "would read what is missing; how much is not known");
	else
		line(screen, "warm", "would read at most %s; %s of memory are available",
		     bytes_format(bytes, most), bytes_format(memory, file->available));
}

int explain_lines(const struct explained *file,
		  int (*put)(void *ctx, const char *what, const char *value), void *ctx)
{
	struct screen screen = { .put = put, .ctx = ctx };

	say_file(file, &screen);
	say_resident(file, &screen);
	say_folios(file, &screen);
	say_figure(file, &screen, "dirty", MMAPFS_DIRTY, ", to be written to the disk");
	say_figure(file, &screen, "writeback", MMAPFS_WRITEBACK, ", being written");
	say_figure(file, &screen, "pushed out", MMAPFS_EVICTED,
		   " were evicted by the kernel for want of memory");
	say_mappers(file, &screen);
	say_prospects(file, &screen);
	return screen.result;
}
