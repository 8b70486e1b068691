/* SPDX-License-Identifier: MIT */
/*
 * buffer.c - ArrayBuffers on mapped memory.
 *
 * Who frees a hold: its finalizer, which Node calls when the bytes can no longer be
 * reached by anybody. That includes an ArrayBuffer that took the bytes over with
 * transfer(): so close leaves alone what it did not detach itself.
 */
#include "binding.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

/*
 * So many closed mappings may wait for the finalizers of their buffers. Beyond, close
 * unmaps at once: a loop that never lets the event loop turn must not run into
 * vm.max_map_count. What is lost is the grace for operations of Node's own under way.
 */
#define DETACHED_MAX 1024

typedef void (*shared_finalizer)(void *data, void *hint);
typedef napi_status (*create_shared_fn)(napi_env env, void *data, size_t length,
					shared_finalizer finalize, void *hint,
					napi_value *ret);

/* Node 22.23 and 24.21 and later have it; asked for by name, so that one binary is for
 * all versions. */
static create_shared_fn create_shared(void)
{
	static const char name[] = "node_api_create_external_sharedarraybuffer";
	union {
		void *data;
		create_shared_fn fn;
	} symbol = { dlsym(RTLD_DEFAULT, name) };

	return symbol.fn;
}

bool shared_buffers_exist(void)
{
	return create_shared() != NULL;
}

static void unlink_hold(struct hold *hold)
{
	if (!hold->link)
		return;
	*hold->link = hold->next;
	if (hold->next)
		hold->next->link = hold->link;
	hold->link = NULL;
	hold->next = NULL;
}

static void link_hold(struct hold *hold, struct handle *handle)
{
	hold->next = handle->holds;
	hold->link = &handle->holds;
	if (hold->next)
		hold->next->link = &hold->next;
	handle->holds = hold;
}

static void finalize_hold(napi_env env, void *data, void *hint)
{
	struct hold *hold = hint;
	struct state *state = state_of(env);

	(void)data;
	unlink_hold(hold);
	if (hold->counted && state)
		state->detached--;
	if (hold->buffer)
		(void)napi_delete_reference(env, hold->buffer);
	hold->buffer = NULL;
	hold->memory = memory_put(hold->memory);
	hold->finalized = true;
	if (!hold->creating)
		free(hold);
}

/* Detach what is still attached. A buffer that is gone, or whose bytes another one has
 * taken over, keeps its reference until it is finalized. */
static void detach(napi_env env, struct state *state, struct hold *hold)
{
	napi_value buffer = NULL;
	bool detached = true;

	if (!hold->buffer ||
	    napi_get_reference_value(env, hold->buffer, &buffer) != napi_ok || !buffer ||
	    napi_is_detached_arraybuffer(env, buffer, &detached) != napi_ok || detached ||
	    napi_detach_arraybuffer(env, buffer) != napi_ok)
		return;
	if (!state || state->detached >= DETACHED_MAX) {
		hold->memory = memory_put(hold->memory);
	} else {
		state->detached++;
		hold->counted = true;
	}
}

void buffers_detach(napi_env env, struct handle *handle)
{
	struct state *state = state_of(env);
	struct hold *hold;

	while ((hold = handle->holds)) {
		unlink_hold(hold);
		detach(env, state, hold);
	}
}

static struct hold *new_hold(struct memory *memory)
{
	struct hold *hold = calloc(1, sizeof(*hold));

	if (hold)
		hold->memory = memory_get(memory);
	return hold;
}

/*
 * It depends on the version and the reason whether Node has called the finalizer when it
 * could not make a buffer, will call it, or neither: so the few bytes of the hold are
 * given up rather than freed twice.
 */
static napi_value creation_failed(napi_env env, struct hold *hold, napi_status status)
{
	bool pending = false;

	hold->memory = memory_put(hold->memory);
	hold->creating = false;
	if (hold->finalized)
		free(hold);
	(void)napi_is_exception_pending(env, &pending);
	if (pending)
		return NULL;
	if (status == napi_no_external_buffers_allowed)
		(void)napi_throw_error(env, "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM",
				       "This runtime does not allow external buffers");
	else
		(void)throw_errno(env, -ENOMEM, "mmap", NULL);
	return NULL;
}

static napi_value new_buffer(napi_env env, struct handle *handle, char *addr,
			     size_t length)
{
	struct hold *hold = new_hold(handle->memory);
	napi_value buffer;
	napi_status status;

	if (!hold)
		return throw_errno(env, -ENOMEM, "mmap", NULL);
	hold->creating = true;
	status = napi_create_external_arraybuffer(env, addr, length, finalize_hold, hold,
						  &buffer);
	if (status != napi_ok)
		return creation_failed(env, hold, status);
	hold->creating = false;
	/* Without the weak reference it could not be detached: rather a buffer that close
	 * leaves alone than none. */
	if (napi_create_reference(env, buffer, 0, &hold->buffer) != napi_ok)
		hold->buffer = NULL;
	link_hold(hold, handle);
	return buffer;
}

/* Check bytes [offset, offset + length) and find the page that they begin in. */
static bool place(const struct call *c, struct handle *handle, char **ret,
		  size_t *ret_length)
{
	struct mmapfs_range range;
	uint64_t whole = memory_length(handle->memory);
	uintptr_t before;
	int r;

	if (!value_range(c, 1, &range))
		return false;
	if (range.length == 0 || range.offset > whole ||
	    range.length > whole - range.offset) {
		(void)throw_range(c->env, "The range is not within the mapping");
		return false;
	}
	r = memory_addr(handle->memory, range.offset, ret);
	if (r < 0) {
		(void)throw_errno(c->env, r, "mmap", handle->path);
		return false;
	}
	before = (uintptr_t)*ret & (page_size() - 1);
	*ret -= before;
	*ret_length = (size_t)range.length + before;
	return true;
}

/*
 * window(handle, offset, length): an ArrayBuffer of the page that byte @offset lies in,
 * to the end of the range. It begins with a page, so that typed arrays on it are aligned
 * in memory when they are in the file.
 */
static napi_value window(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	struct call c;
	size_t length;
	char *addr;

	if (!call_begin(env, info, &c) || !value_handle(&c, 0, &handle))
		return NULL;
	if (!handle->memory)
		return throw_closed(env);
	if (!place(&c, handle, &addr, &length))
		return NULL;
	return new_buffer(env, handle, addr, length);
}

/* On any thread. */
static void finalize_shared(void *data, void *hint)
{
	(void)data;
	(void)memory_put(hint);
}

/* The same as a SharedArrayBuffer, which nothing can detach. */
static napi_value shared_window(napi_env env, napi_callback_info info)
{
	create_shared_fn create = create_shared();
	struct handle *handle;
	napi_value buffer;
	struct call c;
	size_t length;
	char *addr;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle))
		return NULL;
	if (!create)
		(void)napi_throw_error(
			env, "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM",
			"This version of Node.js cannot make shared buffers");
	if (!create || !place(&c, handle, &addr, &length))
		return NULL;
	if (create(env, addr, length, finalize_shared, memory_get(handle->memory),
		   &buffer) != napi_ok) {
		/* Whether the finalizer has run is not told: the reference is lost. */
		return throw_errno(env, -ENOMEM, "mmap", handle->path);
	}
	return buffer;
}

int buffer_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "window", window },
		{ "sharedWindow", shared_window },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
