/* SPDX-License-Identifier: MIT */
/* value.c - JavaScript values to C and back, each checked whatever the caller did. */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

#define SAFE_INTEGER_MAX 9007199254740991.0 /* 2^53 - 1 */

bool call_begin(napi_env env, napi_callback_info info, struct call *ret)
{
	ret->env = env;
	ret->count = ARRAY_SIZE(ret->arg);
	/* What is missing is undefined. */
	return napi_get_cb_info(env, info, &ret->count, ret->arg, NULL, NULL) == napi_ok;
}

static napi_valuetype type_of(const struct call *c, size_t i)
{
	napi_valuetype type = napi_undefined;

	(void)napi_typeof(c->env, c->arg[i], &type);
	return type;
}

bool value_size(const struct call *c, size_t i, uint64_t *ret)
{
	double number;

	if (napi_get_value_double(c->env, c->arg[i], &number) != napi_ok) {
		(void)throw_type(c->env, "A size must be a number");
		return false;
	}
	/* Written so that NaN is refused. */
	if (!(number >= 0 && number <= SAFE_INTEGER_MAX) ||
	    number != (double)(uint64_t)number) {
		(void)throw_range(c->env, "A size must be an integer from 0 to 2^53 - 1");
		return false;
	}
	*ret = (uint64_t)number;
	return true;
}

bool value_range(const struct call *c, size_t i, struct mmapfs_range *ret)
{
	return value_size(c, i, &ret->offset) && value_size(c, i + 1, &ret->length);
}

bool value_part(const struct call *c, size_t i, struct mmapfs_range *ret)
{
	if (i < c->count)
		return value_range(c, i, ret);
	*ret = (struct mmapfs_range){ 0 };
	return true;
}

bool value_int(const struct call *c, size_t i, int32_t *ret)
{
	double number;

	if (napi_get_value_double(c->env, c->arg[i], &number) != napi_ok) {
		(void)throw_type(c->env, "An argument must be an integer");
		return false;
	}
	if (!(number >= INT32_MIN && number <= INT32_MAX) ||
	    number != (double)(int32_t)number) {
		(void)throw_range(c->env, "An argument must be a 32-bit integer");
		return false;
	}
	*ret = (int32_t)number;
	return true;
}

bool value_bool(const struct call *c, size_t i, bool *ret)
{
	if (napi_get_value_bool(c->env, c->arg[i], ret) == napi_ok)
		return true;
	(void)throw_type(c->env, "An argument must be a boolean");
	return false;
}

static size_t element_size(napi_typedarray_type type)
{
	switch (type) {
	case napi_int16_array:
	case napi_uint16_array:
		return 2;
	case napi_int32_array:
	case napi_uint32_array:
	case napi_float32_array:
		return 4;
	case napi_float64_array:
	case napi_bigint64_array:
	case napi_biguint64_array:
		return 8;
	default:
		return 1;
	}
}

bool value_bytes(const struct call *c, size_t i, void **ret, size_t *ret_length)
{
	napi_typedarray_type type;
	bool is_array = false, is_view = false;

	*ret = NULL;
	*ret_length = 0;
	(void)napi_is_typedarray(c->env, c->arg[i], &is_array);
	(void)napi_is_dataview(c->env, c->arg[i], &is_view);
	if (is_array && napi_get_typedarray_info(c->env, c->arg[i], &type, ret_length,
						 ret, NULL, NULL) == napi_ok) {
		*ret_length *= element_size(type);
		return true;
	}
	if (is_view && napi_get_dataview_info(c->env, c->arg[i], ret_length, ret, NULL,
					      NULL) == napi_ok)
		return true;
	(void)throw_type(c->env, "An argument must be a Buffer, TypedArray or DataView");
	return false;
}

static bool text_of_bytes(const struct call *c, size_t i, char **ret, size_t *ret_length)
{
	void *bytes;

	if (!value_bytes(c, i, &bytes, ret_length))
		return false;
	*ret = malloc(*ret_length + 1);
	if (!*ret) {
		(void)throw_range(c->env, "A text is too long");
		return false;
	}
	if (*ret_length > 0)
		memcpy(*ret, bytes, *ret_length);
	(*ret)[*ret_length] = 0;
	return true;
}

bool value_text(const struct call *c, size_t i, char **ret, size_t *ret_length)
{
	napi_valuetype type = type_of(c, i);
	size_t length = 0;

	*ret = NULL;
	*ret_length = 0;
	if (type == napi_undefined || type == napi_null)
		return true;
	if (type != napi_string)
		return text_of_bytes(c, i, ret, ret_length);
	if (napi_get_value_string_utf8(c->env, c->arg[i], NULL, 0, &length) == napi_ok)
		*ret = malloc(length + 1);
	if (!*ret) {
		(void)throw_range(c->env, "A text is too long");
		return false;
	}
	return napi_get_value_string_utf8(c->env, c->arg[i], *ret, length + 1,
					  ret_length) == napi_ok;
}

/* ---- handles ---- */

bool value_handle(const struct call *c, size_t i, struct handle **ret)
{
	struct handle *handle;
	void *data = NULL;

	/* Only index.js has handles. That one of another addon is not ours shows, as a
	 * rule, by its first bytes. */
	if (napi_get_value_external(c->env, c->arg[i], &data) == napi_ok && data) {
		handle = data;
		if (handle->magic == HANDLE_MAGIC) {
			*ret = handle;
			return true;
		}
	}
	(void)throw_type(c->env, "An argument must be the handle of a mapping");
	return false;
}

static bool value_live(const struct call *c, size_t i, bool raw, struct handle **ret)
{
	if (!value_handle(c, i, ret))
		return false;
	if (!(*ret)->memory) {
		(void)throw_closed(c->env);
		return false;
	}
	if (((*ret)->memory->map == NULL) != raw) {
		(void)throw_type(c->env, "The mapping is of the other kind");
		return false;
	}
	return true;
}

bool value_open(const struct call *c, size_t i, struct handle **ret)
{
	return value_live(c, i, false, ret);
}

bool value_open_raw(const struct call *c, size_t i, struct handle **ret)
{
	return value_live(c, i, true, ret);
}

/* ---- to JavaScript ---- */

napi_value new_number(napi_env env, double number)
{
	napi_value value = NULL;

	(void)napi_create_double(env, number, &value);
	return value;
}

/* Bytes that are not UTF-8, as paths may be, become U+FFFD. */
napi_value new_text(napi_env env, const char *text)
{
	napi_value value = NULL;

	(void)napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
	return value;
}

void set(napi_env env, napi_value object, const char *name, napi_value value)
{
	if (value)
		(void)napi_set_named_property(env, object, name, value);
}

void set_number(napi_env env, napi_value object, const char *name, double number)
{
	set(env, object, name, new_number(env, number));
}
