/* SPDX-License-Identifier: MIT */
/* observe.c - residency, its ranges and what is locked, as JavaScript values. */
#include "binding.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
	const char *name;
	uint32_t figure;
	size_t offset;
} figures[] = {
	{ "resident", MMAPFS_RESIDENT, offsetof(struct mmapfs_residency, resident) },
	{ "occupied", MMAPFS_OCCUPIED, offsetof(struct mmapfs_residency, occupied) },
	{ "dirty", MMAPFS_DIRTY, offsetof(struct mmapfs_residency, dirty) },
	{ "writeback", MMAPFS_WRITEBACK, offsetof(struct mmapfs_residency, writeback) },
	{ "evicted", MMAPFS_EVICTED, offsetof(struct mmapfs_residency, evicted) },
	{ "recentlyEvicted", MMAPFS_RECENTLY_EVICTED,
	  offsetof(struct mmapfs_residency, recently_evicted) },
};

static uint64_t figure_of(const struct mmapfs_residency *found, size_t i)
{
	return *(const uint64_t *)(const void *)((const char *)found + figures[i].offset);
}

/* Only what was measured is there. */
napi_value residency_object(napi_env env, const struct mmapfs_residency *found)
{
	napi_value object = NULL, upper = NULL;

	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	set_number(env, object, "pages", (double)found->pages);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		if (found->valid & figures[i].figure)
			set_number(env, object, figures[i].name,
				   (double)figure_of(found, i));
	set_number(env, object, "pageSize", (double)found->page_size);
	set(env, object, "source", new_text(env, mmapfs_method_name(found->method)));
	set(env, object, "confidence",
	    new_text(env, mmapfs_confidence_name(found->confidence)));
	if (found->reason != MMAPFS_REASON_NONE)
		set(env, object, "reason",
		    new_text(env, mmapfs_reason_name(found->reason)));
	if (found->upper_bound & MMAPFS_DIRTY &&
	    napi_get_boolean(env, true, &upper) == napi_ok)
		set(env, object, "dirtyIsUpperBound", upper);
	if (found->changed && napi_get_boolean(env, true, &upper) == napi_ok)
		set(env, object, "changed", upper);
	return object;
}

/* residency(handle, offset, length, flags) */
static napi_value residency(napi_env env, napi_callback_info info)
{
	struct mmapfs_residency found = MMAPFS_INIT(struct mmapfs_residency);
	struct mmapfs_range range;
	struct handle *handle;
	struct call c;
	int32_t flags;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_range(&c, 1, &range) || !value_int(&c, 3, &flags))
		return NULL;
	r = mmapfs_residency(handle->memory->map, range, (uint32_t)flags, &found);
	return r < 0 ? throw_errno(env, r, "cachestat", handle->path)
		     : residency_object(env, &found);
}

/* Offsets and lengths by turns. */
struct runs {
	double *values;
	size_t count, room;
};

static int add_run(void *ctx, uint64_t offset, uint64_t length)
{
	struct runs *runs = ctx;
	size_t room = runs->room ? runs->room * 2 : 64;
	double *values;

	if (runs->count + 2 > runs->room) {
		values = realloc(runs->values, room * sizeof(*values));
		if (!values)
			return -ENOMEM;
		runs->values = values;
		runs->room = room;
	}
	runs->values[runs->count++] = (double)offset;
	runs->values[runs->count++] = (double)length;
	return 0;
}

static napi_value runs_array(napi_env env, const struct runs *runs)
{
	napi_value array = NULL, number;

	if (napi_create_array_with_length(env, runs->count, &array) != napi_ok)
		return NULL;
	for (size_t i = 0; i < runs->count; i++) {
		number = new_number(env, runs->values[i]);
		if (!number ||
		    napi_set_element(env, array, (uint32_t)i, number) != napi_ok)
			return NULL;
	}
	return array;
}

/* residentRanges(handle, offset, length, flags): [offset, length, offset, ...] */
static napi_value resident_ranges(napi_env env, napi_callback_info info)
{
	struct runs runs = { 0 };
	napi_value array = NULL;
	struct mmapfs_range range;
	struct handle *handle;
	struct call c;
	int32_t flags;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_range(&c, 1, &range) || !value_int(&c, 3, &flags))
		return NULL;
	r = mmapfs_ranges(handle->memory->map, range, (uint32_t)flags, add_run, &runs);
	if (r < 0)
		(void)throw_errno(env, r, "mincore", handle->path);
	else
		array = runs_array(env, &runs);
	free(runs.values);
	return array;
}

/* lockedRanges(handle): the same of what is locked. */
static napi_value locked_ranges(napi_env env, napi_callback_info info)
{
	struct runs runs = { 0 };
	napi_value array = NULL;
	struct handle *handle;
	struct call c;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle))
		return NULL;
	r = mmapfs_locked(handle->memory->map, add_run, &runs);
	if (r < 0)
		(void)throw_errno(env, r, "mlock2", handle->path);
	else
		array = runs_array(env, &runs);
	free(runs.values);
	return array;
}

int observe_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "residency", residency },
		{ "residentRanges", resident_ranges },
		{ "lockedRanges", locked_ranges },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
