/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the life of mapped memory and of the handle that JavaScript has on it.
 *
 * A handle, each ArrayBuffer and each request of the thread pool hold one reference; the
 * last one unmaps, on whatever thread it is. Close detaches the ArrayBuffers at once, but
 * their references go with their finalizers, one turn of the event loop later or when an
 * operation of Node's own that holds on to the bytes has ended.
 */
#include "binding.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t page_size(void)
{
	static atomic_uint size;
	unsigned int known = atomic_load_explicit(&size, memory_order_relaxed);

	if (known == 0) {
		known = (unsigned int)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&size, known, memory_order_relaxed);
	}
	return known;
}

struct memory *memory_new(struct mmapfs_map *map, uint64_t offset, uint32_t access)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	atomic_init(&memory->refs, 1);
	memory->map = map;
	memory->offset = offset;
	memory->access = access;
	return memory;
}

struct memory *memory_get(struct memory *memory)
{
	(void)atomic_fetch_add(&memory->refs, 1);
	return memory;
}

struct memory *memory_put(struct memory *memory)
{
	if (!memory || atomic_fetch_sub(&memory->refs, 1) > 1)
		return NULL;
	guard_remove(memory->slot);
	(void)mmapfs_map_close(memory->map);
	if (memory->addr)
		(void)munmap(memory->addr, memory->length);
	free(memory);
	return NULL;
}

uint64_t memory_length(const struct memory *memory)
{
	return memory->map ? mmapfs_map_length(memory->map) : memory->length;
}

/* Whole pages around all of the memory, the first byte of which is at @addr. */
static struct guard_area area_of(const struct memory *memory, uintptr_t addr)
{
	uintptr_t mask = page_size() - 1;

	return (struct guard_area){
		.begin = addr & ~mask,
		.end = (addr + memory_length(memory) + mask) & ~mask,
		.fd = memory->map ? mmapfs_map_fd(memory->map) : -1,
		.offset = memory->offset & ~(uint64_t)mask,
		.writable = memory->access != MMAPFS_ACCESS_READ,
	};
}

int memory_addr(struct memory *memory, uint64_t offset, char **ret)
{
	struct guard_area area;
	void *addr = memory->addr;
	int r = 0;

	if (memory->map)
		r = mmapfs_map_addr(memory->map, &addr);
	if (r < 0)
		return r;
	if (!memory->slot) {
		area = area_of(memory, (uintptr_t)addr);
		memory->slot = guard_add(&area);
		if (!memory->slot)
			return -ENOMEM;
	}
	*ret = (char *)addr + offset;
	return 0;
}

/* ---- handles ---- */

struct faults handle_faults(const struct handle *handle)
{
	struct faults faults = handle->gone;
	struct faults now = { 0 };

	if (handle->memory)
		now = guard_faults(handle->memory->slot);
	faults.bus += now.bus;
	faults.write += now.write;
	return faults;
}

bool handle_has_lost(const struct handle *handle)
{
	return handle->memory->access == MMAPFS_ACCESS_WRITE &&
	       handle_faults(handle).bus > 0;
}

void handle_replace(struct handle *handle, struct memory *memory)
{
	handle->gone = handle_faults(handle);
	(void)memory_put(handle->memory);
	handle->memory = memory;
}

void handle_close(napi_env env, struct handle *handle)
{
	int64_t total;

	if (!handle->memory)
		return;
	buffers_detach(env, handle);
	handle_replace(handle, NULL);
	(void)napi_adjust_external_memory(env, -HANDLE_WEIGHT, &total);
}

/* Buffers that are still in use keep the memory by themselves. */
static void finalize_handle(napi_env env, void *data, void *hint)
{
	struct handle *handle = data;
	struct hold *hold;
	int64_t total;

	(void)hint;
	while ((hold = handle->holds)) {
		handle->holds = hold->next;
		hold->next = NULL;
		hold->link = NULL;
	}
	if (handle->memory)
		(void)napi_adjust_external_memory(env, -HANDLE_WEIGHT, &total);
	(void)memory_put(handle->memory);
	handle->magic = 0;
	free(handle->path);
	free(handle);
}

static napi_value fail(napi_env env, struct handle *handle, struct memory *memory,
		       char *path)
{
	bool pending = false;

	free(handle);
	free(path);
	(void)memory_put(memory);
	if (napi_is_exception_pending(env, &pending) == napi_ok && !pending)
		(void)throw_errno(env, -ENOMEM, "mmap", NULL);
	return NULL;
}

napi_value handle_new(napi_env env, struct memory *memory, char *path)
{
	struct handle *handle = calloc(1, sizeof(*handle));
	napi_value object;
	int64_t total;

	if (!handle || !memory ||
	    napi_create_external(env, handle, finalize_handle, NULL, &object) != napi_ok)
		return fail(env, handle, memory, path);
	/* From here on the finalizer frees it all. */
	handle->magic = HANDLE_MAGIC;
	handle->memory = memory;
	handle->path = path;
	(void)napi_adjust_external_memory(env, HANDLE_WEIGHT, &total);
	return object;
}
