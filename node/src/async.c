/* SPDX-License-Identifier: MIT */
/* async.c - work that takes its time, on the thread pool, as promises. */
#include "async.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- requests ---- */

struct request *request_new(napi_env env, const char *syscall)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request) {
		(void)throw_errno(env, -ENOMEM, syscall, NULL);
		return NULL;
	}
	request->syscall = syscall;
	request->fd = -1;
	return request;
}

struct request *request_free(struct request *request)
{
	if (!request)
		return NULL;
	if (request->memory)
		(void)atomic_fetch_sub(&request->memory->busy, 1);
	(void)memory_put(request->memory);
	(void)mmapfs_map_close(request->map);
	if (request->fd >= 0)
		(void)close(request->fd);
	free(request->path);
	free(request->name);
	free(request->value);
	free(request);
	return NULL;
}

void request_use(struct request *request, const struct handle *handle)
{
	request->memory = memory_get(handle->memory);
	(void)atomic_fetch_add(&request->memory->busy, 1);
	/* Without the copy the error only lacks the path. */
	request->path = handle->path ? strdup(handle->path) : NULL;
}

static void execute(napi_env env, void *data)
{
	struct request *request = data;

	(void)env;
	request->error = request->execute(request);
}

static void reject(napi_env env, struct request *request)
{
	napi_value error = NULL;
	bool pending = false;

	if (request->error < 0)
		error = error_new(env, request->error, request->syscall, request->path);
	(void)napi_is_exception_pending(env, &pending);
	if (pending)
		(void)napi_get_and_clear_last_exception(env, &error);
	if (error)
		(void)napi_reject_deferred(env, request->deferred, error);
}

/* While an environment goes down nothing of JavaScript works any more; nobody waits. */
static void complete(napi_env env, napi_status status, void *data)
{
	struct request *request = data;
	napi_value value = NULL;

	if (status == napi_ok && request->error >= 0) {
		(void)napi_get_undefined(env, &value);
		if (request->settle)
			value = request->settle(env, request);
	}
	if (status == napi_ok && value)
		(void)napi_resolve_deferred(env, request->deferred, value);
	else if (status == napi_ok)
		reject(env, request);
	(void)napi_delete_async_work(env, request->work);
	(void)request_free(request);
}

napi_value request_queue(napi_env env, struct request *request)
{
	napi_value promise = NULL;

	if (napi_create_async_work(env, NULL, new_text(env, "mmapfs"), execute, complete,
				   request, &request->work) == napi_ok &&
	    napi_create_promise(env, &request->deferred, &promise) == napi_ok &&
	    napi_queue_async_work(env, request->work) == napi_ok)
		return promise;
	if (request->work)
		(void)napi_delete_async_work(env, request->work);
	(void)throw_errno(env, -ENOMEM, request->syscall, NULL);
	(void)request_free(request);
	return NULL;
}

/* ---- open ---- */

static int execute_open(struct request *request)
{
	return mmapfs_map_open(AT_FDCWD, request->path, &request->opts, &request->map);
}

static napi_value settle_open(napi_env env, struct request *request)
{
	struct mmapfs_map *map = request->map;
	char *path = request->path;
	struct memory *memory =
		memory_new(map, request->opts.offset, request->opts.access);

	if (memory)
		request->map = NULL;
	request->path = NULL;
	return handle_new(env, memory, path);
}

/* openAsync(path, access, flags, offset, length, mode) */
static napi_value open_async(napi_env env, napi_callback_info info)
{
	struct request *request;
	struct call c;
	size_t length;

	if (!call_begin(env, info, &c))
		return NULL;
	request = request_new(env, "open");
	if (!request)
		return NULL;
	request->execute = execute_open;
	request->settle = settle_open;
	if (value_options(&c, 1, &request->opts) &&
	    value_text(&c, 0, &request->path, &length)) {
		if (request->path)
			return request_queue(env, request);
		(void)throw_type(env, "A path must be a string or bytes");
	}
	(void)request_free(request);
	return NULL;
}

/* ---- on an open mapping ---- */

/* A request about the range that arguments 1 and 2 are. */
static struct request *begin(napi_env env, napi_callback_info info, struct call *c,
			     const char *syscall)
{
	struct mmapfs_range range;
	struct request *request;
	struct handle *handle;

	if (!call_begin(env, info, c) || !value_open(c, 0, &handle) ||
	    !value_range(c, 1, &range))
		return NULL;
	request = request_new(env, syscall);
	if (!request)
		return NULL;
	request_use(request, handle);
	request->range = range;
	return request;
}

static int execute_flush(struct request *request)
{
	return mmapfs_sync(request->memory->map, request->range, MMAPFS_SYNC);
}

/* flushAsync(handle, offset, length) */
static napi_value flush_async(napi_env env, napi_callback_info info)
{
	struct call c;
	struct request *request = begin(env, info, &c, "msync");
	struct handle *handle;

	if (!request)
		return NULL;
	if (value_open(&c, 0, &handle) && handle_has_lost(handle)) {
		(void)throw_truncated(env, request->path);
		(void)request_free(request);
		return NULL;
	}
	request->execute = execute_flush;
	return request_queue(env, request);
}

static int execute_warm(struct request *request)
{
	request->warm = (struct mmapfs_warm_result)MMAPFS_INIT(struct mmapfs_warm_result);
	return mmapfs_warm(request->memory->map, request->range, NULL, &request->warm);
}

/* Only what was measured is there. */
static napi_value settle_warm(napi_env env, struct request *request)
{
	const struct mmapfs_warm_result *warm = &request->warm;
	napi_value object = NULL;

	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	set_number(env, object, "total", (double)warm->total);
	set_number(env, object, "requested", (double)warm->requested);
	if (warm->valid) {
		set_number(env, object, "before", (double)warm->before);
		set_number(env, object, "after", (double)warm->after);
		set_number(env, object, "missing", (double)warm->missing);
	}
	return object;
}

/* warm(handle, offset, length) */
static napi_value warm(napi_env env, napi_callback_info info)
{
	struct call c;
	struct request *request = begin(env, info, &c, "readahead");

	if (!request)
		return NULL;
	request->execute = execute_warm;
	request->settle = settle_warm;
	return request_queue(env, request);
}

/*
 * On a map of its own, for core wants the one that it evicts for itself while JavaScript
 * may use this one at any moment. What that does not release are the page table entries
 * of the memory itself: so they are dropped first. A private one keeps them: its stores
 * are there.
 */
static int execute_evict(struct request *request)
{
	struct memory *memory = request->memory;
	int r;

	request->evict =
		(struct mmapfs_evict_result)MMAPFS_INIT(struct mmapfs_evict_result);
	if (mmapfs_map_length(memory->map) == 0)
		return 0;
	(void)mmapfs_advise(memory->map, request->range, MMAPFS_ADVICE_DONTNEED, 0);
	request->opts = (struct mmapfs_map_opts)MMAPFS_INIT(struct mmapfs_map_opts);
	request->opts.flags = MMAPFS_MAP_LAZY;
	request->opts.offset = memory->offset;
	request->opts.length = mmapfs_map_length(memory->map);
	r = map_duplicate(mmapfs_map_fd(memory->map), &request->opts, &request->map);
	if (r < 0)
		return r;
	return mmapfs_evict(request->map, request->range, (uint32_t)request->flags,
			    &request->evict);
}

static napi_value settle_evict(napi_env env, struct request *request)
{
	const struct mmapfs_evict_result *evict = &request->evict;
	napi_value object = NULL, stayed = NULL, exact = NULL;

	if (napi_create_object(env, &object) != napi_ok ||
	    napi_create_object(env, &stayed) != napi_ok)
		return NULL;
	set_number(env, object, "pages", (double)evict->pages);
	if (!evict->valid)
		return object;
	set_number(env, object, "before", (double)evict->before);
	set_number(env, object, "after", (double)evict->after);
	for (uint32_t i = 0; i < MMAPFS_STAY_COUNT; i++)
		if (evict->stayed[i] > 0)
			set_number(env, stayed, mmapfs_stay_name(i),
				   (double)evict->stayed[i]);
	set(env, object, "stayed", stayed);
	if (napi_get_boolean(env, evict->exact != 0, &exact) == napi_ok)
		set(env, object, "exact", exact);
	return object;
}

/* evict(handle, offset, length, flags) */
static napi_value evict(napi_env env, napi_callback_info info)
{
	struct call c;
	struct request *request = begin(env, info, &c, "posix_fadvise");

	if (!request)
		return NULL;
	request->execute = execute_evict;
	request->settle = settle_evict;
	if (value_int(&c, 3, &request->flags))
		return request_queue(env, request);
	(void)request_free(request);
	return NULL;
}

static int execute_residency(struct request *request)
{
	request->residency =
		(struct mmapfs_residency)MMAPFS_INIT(struct mmapfs_residency);
	return mmapfs_residency(request->memory->map, request->range,
				MMAPFS_OBSERVE_READY, &request->residency);
}

static napi_value settle_residency(napi_env env, struct request *request)
{
	return residency_object(env, &request->residency);
}

/* residencyAsync(handle, offset, length): ready pages told from those being read. */
static napi_value residency_async(napi_env env, napi_callback_info info)
{
	struct call c;
	struct request *request = begin(env, info, &c, "mincore");

	if (!request)
		return NULL;
	request->execute = execute_residency;
	request->settle = settle_residency;
	return request_queue(env, request);
}

/* ---- close ---- */

static int execute_close(struct request *request)
{
	(void)atomic_fetch_sub(&request->memory->busy, 1);
	request->memory = memory_put(request->memory);
	return 0;
}

/* closeAsync(handle): unmapping gigabytes takes its time. */
static napi_value close_async(napi_env env, napi_callback_info info)
{
	struct request *request;
	struct handle *handle;
	struct call c;

	if (!call_begin(env, info, &c) || !value_handle(&c, 0, &handle))
		return NULL;
	request = request_new(env, "munmap");
	if (!request)
		return NULL;
	if (!handle->memory) {
		(void)request_free(request);
		return NULL;
	}
	request->execute = execute_close;
	request_use(request, handle);
	handle_close(env, handle);
	return request_queue(env, request);
}

int async_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "openAsync", open_async },
		{ "flushAsync", flush_async },
		{ "warm", warm },
		{ "evict", evict },
		{ "residencyAsync", residency_async },
		{ "closeAsync", close_async },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
