/* SPDX-License-Identifier: MIT */
/*
 * access.c - copy out of and into a map without SIGBUS.
 *
 * Shared maps are read and written through the descriptor, which is coherent with the
 * mapping (both are the page cache) and gives the exact errno where memory gives a
 * signal. Private maps have pages of their own that no descriptor sees: their memory is
 * copied by process_vm_readv(2), which stops at a page that is gone instead of raising a
 * signal.
 */
#include <mmapfs.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "map.h"
#include "probe.h"

/* How much of [offset, offset + length) lies in the window and in the file. */
static int clamp(const struct mmapfs_map *map, uint64_t offset, size_t *length)
{
	uint64_t size, end;
	int r;

	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	end = size > map->offset ? u64_min(size - map->offset, map->length) : 0;
	*length = offset < end ? (size_t)u64_min(*length, end - offset) : 0;
	return 0;
}

static int64_t read_shared(const struct mmapfs_map *map, uint64_t offset, char *buf,
			   size_t length)
{
	size_t done = 0;

	if (offset >= map->length)
		return 0;
	length = (size_t)u64_min(length, map->length - offset);
	while (done < length) {
		int64_t n = mmapfs__sys->pread(map->fd, buf + done, length - done,
					       map->offset + offset + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return done > 0 ? (int64_t)done : n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

static int64_t write_shared(const struct mmapfs_map *map, uint64_t offset,
			    const char *buf, size_t length)
{
	size_t done = 0;
	int r;

	/* A file that shrinks between this and pwrite() grows again: it then looks as if
	 * the write had come first. */
	r = clamp(map, offset, &length);
	if (r < 0)
		return r;
	while (done < length) {
		int64_t n = mmapfs__sys->pwrite(map->fd, buf + done, length - done,
						map->offset + offset + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return done > 0 ? (int64_t)done : n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

struct copy {
	char *to;
	const char *from;
	const char *memory; /* which of the two is the map's */
	size_t length;
	volatile size_t done; /* survives the jump out of the guard */
};

/* In pieces that end with a page of the map: what came before a fault is then known. */
static int copy_pages(void *arg)
{
	struct copy *copy = arg;
	size_t page = (size_t)mmapfs__page_size();

	while (copy->done < copy->length) {
		size_t past = (uintptr_t)(copy->memory + copy->done) & (page - 1);
		size_t piece = (size_t)u64_min(page - past, copy->length - copy->done);

		memcpy(copy->to + copy->done, copy->from + copy->done, piece);
		copy->done += piece;
	}
	return 0;
}

/*
 * Without process_vm_readv (seccomp filters of older container engines forbid it). Lost:
 * a bad buffer of the caller's is -EFAULT only where it would raise SIGBUS, else a
 * SIGSEGV.
 */
static int64_t copy_guarded(char *to, const char *from, const char *memory, size_t length)
{
	struct copy copy = { .to = to, .from = from, .memory = memory, .length = length };
	int r = mmapfs_guard_call(copy_pages, &copy);

	return copy.done > 0 || r == 0 ? (int64_t)copy.done : r;
}

static int64_t copy_memory(bool out, char *memory, char *buf, size_t length)
{
	if (mmapfs__feature(MMAPFS_FEATURE_PROCESS_VM) <= 0)
		return out ? copy_guarded(buf, memory, memory, length) :
			     copy_guarded(memory, buf, memory, length);
	return out ? mmapfs__sys->process_vm_readv(buf, memory, length) :
		     mmapfs__sys->process_vm_writev(memory, buf, length);
}

/* Nothing could be copied at @offset: because the page is gone, or cannot be read, or
 * because the caller's buffer is bad? Ask the file. */
static int64_t explain_fault(const struct mmapfs_map *map, uint64_t offset)
{
	char byte;
	int64_t n = mmapfs__sys->pread(map->fd, &byte, 1, map->offset + offset);

	return n > 0 ? -EFAULT : n;
}

static int64_t copy_private(struct mmapfs_map *map, bool out, uint64_t offset, char *buf,
			    size_t length)
{
	size_t done = 0;
	char *memory;
	int64_t r;

	r = clamp(map, offset, &length);
	if (r < 0 || length == 0)
		return r;
	r = mmapfs__map_ensure(map);
	if (r < 0)
		return r;
	memory = mmapfs__map_at(map, map->offset + offset);
	while (done < length) {
		r = copy_memory(out, memory + done, buf + done, length - done);
		if (r == -EFAULT)
			r = explain_fault(map, offset + done);
		if (r <= 0)
			return done > 0 ? (int64_t)done : r;
		done += (size_t)r;
	}
	return (int64_t)done;
}

MMAPFS_PUBLIC int64_t mmapfs_read(struct mmapfs_map *map, uint64_t offset, void *buf,
				  size_t length)
{
	length = (size_t)u64_min(length, INT64_MAX);
	if (map->access == MMAPFS_ACCESS_COPY)
		return copy_private(map, true, offset, buf, length);
	return read_shared(map, offset, buf, length);
}

MMAPFS_PUBLIC int64_t mmapfs_write(struct mmapfs_map *map, uint64_t offset,
				   const void *buf, size_t length)
{
	if (!(map->prot & PROT_WRITE))
		return -EACCES;
	length = (size_t)u64_min(length, INT64_MAX);
	/* The buffer is only read when it is written from. */
	if (map->access == MMAPFS_ACCESS_COPY)
		return copy_private(map, false, offset, (char *)(uintptr_t)buf, length);
	return write_shared(map, offset, buf, length);
}
