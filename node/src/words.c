/* SPDX-License-Identifier: MIT */
/* words.c - constants, the names of advice, ranges as text, what can be done here. */
#include "binding.h"

#include <stdlib.h>
#include <sys/mman.h>

/* The kernel's numbers; those newer than the headers are spelt out. */
static const struct {
	const char *name;
	int value;
} constants[] = {
	{ "PROT_NONE", PROT_NONE },
	{ "PROT_READ", PROT_READ },
	{ "PROT_WRITE", PROT_WRITE },
	{ "PROT_EXEC", PROT_EXEC },
	{ "MAP_SHARED", MAP_SHARED },
	{ "MAP_PRIVATE", MAP_PRIVATE },
	{ "MAP_ANONYMOUS", MAP_ANONYMOUS },
	{ "MAP_NORESERVE", MAP_NORESERVE },
	{ "MAP_LOCKED", MAP_LOCKED },
	{ "MAP_POPULATE", MAP_POPULATE },
	{ "MAP_NONBLOCK", MAP_NONBLOCK },
	{ "MS_ASYNC", MS_ASYNC },
	{ "MS_INVALIDATE", MS_INVALIDATE },
	{ "MS_SYNC", MS_SYNC },
	{ "MCL_CURRENT", MCL_CURRENT },
	{ "MCL_FUTURE", MCL_FUTURE },
	{ "MCL_ONFAULT", MCL_ONFAULT },
	{ "MADV_NORMAL", 0 },
	{ "MADV_RANDOM", 1 },
	{ "MADV_SEQUENTIAL", 2 },
	{ "MADV_WILLNEED", 3 },
	{ "MADV_DONTNEED", 4 },
	{ "MADV_FREE", 8 },
	{ "MADV_REMOVE", 9 },
	{ "MADV_DONTFORK", 10 },
	{ "MADV_DOFORK", 11 },
	{ "MADV_MERGEABLE", 12 },
	{ "MADV_UNMERGEABLE", 13 },
	{ "MADV_HUGEPAGE", 14 },
	{ "MADV_NOHUGEPAGE", 15 },
	{ "MADV_DONTDUMP", 16 },
	{ "MADV_DODUMP", 17 },
	{ "MADV_WIPEONFORK", 18 },
	{ "MADV_KEEPONFORK", 19 },
	{ "MADV_COLD", 20 },
	{ "MADV_PAGEOUT", 21 },
	{ "MADV_POPULATE_READ", 22 },
	{ "MADV_POPULATE_WRITE", 23 },
	{ "MADV_DONTNEED_LOCKED", 24 },
	{ "MADV_COLLAPSE", 25 },
};

static napi_value new_constants(napi_env env)
{
	napi_value object = NULL;

	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(constants); i++)
		set_number(env, object, constants[i].name, constants[i].value);
	set_number(env, object, "PAGESIZE", (double)page_size());
	return object;
}

/* Word -> [number, kinds]. */
static napi_value new_advice(napi_env env)
{
	napi_value object = NULL, pair = NULL;

	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	for (int i = 0; i < MMAPFS_ADVICE_COUNT; i++) {
		enum mmapfs_advice advice = (enum mmapfs_advice)i;

		if (napi_create_object(env, &pair) != napi_ok)
			return NULL;
		set_number(env, pair, "number", i);
		set_number(env, pair, "kinds", mmapfs_advice_kinds(advice));
		set(env, object, mmapfs_advice_name(advice), pair);
	}
	return object;
}

static napi_value new_features(napi_env env)
{
	struct mmapfs_probe probe = MMAPFS_INIT(struct mmapfs_probe);
	napi_value object = NULL, value = NULL;
	bool cachestat;

	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	cachestat =
		mmapfs_probe(&probe) >= 0 && probe.feature[MMAPFS_FEATURE_CACHESTAT] > 0;
	if (napi_get_boolean(env, cachestat, &value) == napi_ok)
		set(env, object, "cachestat", value);
	if (napi_get_boolean(env, shared_buffers_exist(), &value) == napi_ok)
		set(env, object, "sharedArrayBuffer", value);
	return object;
}

static napi_value new_range(napi_env env, struct mmapfs_range range)
{
	napi_value object = NULL;

	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	set_number(env, object, "offset", (double)range.offset);
	set_number(env, object, "length", (double)range.length);
	return object;
}

/* parseRange(text): { offset, length } */
static napi_value parse_range(napi_env env, napi_callback_info info)
{
	struct mmapfs_range range;
	struct call c;
	size_t length;
	char *text;
	int r;

	if (!call_begin(env, info, &c) || !value_text(&c, 0, &text, &length))
		return NULL;
	r = mmapfs_range_parse(text ? text : "", &range);
	free(text);
	return r < 0 ? throw_errno(env, r, "setxattr", NULL) : new_range(env, range);
}

/* formatRange(offset, length) */
static napi_value format_range(napi_env env, napi_callback_info info)
{
	char buf[MMAPFS_WORD_MAX];
	struct mmapfs_range range;
	struct call c;

	if (!call_begin(env, info, &c) || !value_range(&c, 0, &range))
		return NULL;
	return new_text(env, mmapfs_range_format(buf, range));
}

/* parseAdvice(text): the word as the table has it, or undefined. */
static napi_value parse_advice(napi_env env, napi_callback_info info)
{
	struct call c;
	size_t length;
	char *text;
	int advice;

	if (!call_begin(env, info, &c) || !value_text(&c, 0, &text, &length))
		return NULL;
	advice = mmapfs_advice_parse(text ? text : "");
	free(text);
	return advice < 0 ? NULL
			  : new_text(env, mmapfs_advice_name((enum mmapfs_advice)advice));
}

/* systemError(errno, syscall, path): an Error for JavaScript to throw. */
static napi_value system_error(napi_env env, napi_callback_info info)
{
	char *syscall = NULL, *path = NULL;
	napi_value error = NULL;
	struct call c;
	int32_t number;
	size_t length;

	if (call_begin(env, info, &c) && value_int(&c, 0, &number) &&
	    value_text(&c, 1, &syscall, &length) && value_text(&c, 2, &path, &length))
		error = error_new(env, number, syscall ? syscall : "", path);
	free(syscall);
	free(path);
	return error;
}

/* truncatedError(path), where undefined is none. */
static napi_value truncated_error(napi_env env, napi_callback_info info)
{
	napi_value error = NULL;
	struct call c;
	size_t length;
	char *path;

	if (!call_begin(env, info, &c) || !value_text(&c, 0, &path, &length))
		return NULL;
	error = truncated_new(env, path);
	free(path);
	return error;
}

int words_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "parseRange", parse_range },
		{ "formatRange", format_range },
		{ "parseAdvice", parse_advice },
		{ "systemError", system_error },
		{ "truncatedError", truncated_error },
	};

	set(env, exports, "constants", new_constants(env));
	set(env, exports, "advice", new_advice(env));
	set(env, exports, "features", new_features(env));
	set(env, exports, "version", new_text(env, mmapfs_version()));
	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
