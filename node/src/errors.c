/* SPDX-License-Identifier: MIT */
/* errors.c - errors in the shape that Node's own have: code, errno, syscall, path. */
#include "binding.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "Permission denied" -> "permission denied", as Node spells them. */
static const char *describe(int error, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s", strerror(-error));
	if (isupper((unsigned char)buf[0]) && islower((unsigned char)buf[1]))
		buf[0] = (char)tolower((unsigned char)buf[0]);
	return buf;
}

static char *message_of(int error, const char *code, const char *syscall,
			const char *path)
{
	char buf[128];
	const char *text = describe(error, buf, sizeof(buf));
	char *message = NULL;
	int n = path ? asprintf(&message, "%s: %s, %s '%s'", code, text, syscall, path)
		     : asprintf(&message, "%s: %s, %s", code, text, syscall);

	return n < 0 ? NULL : message;
}

napi_value error_new(napi_env env, int error, const char *syscall, const char *path)
{
	const char *code = mmapfs_errno_name(error) ?: "UNKNOWN";
	char *message = message_of(error, code, syscall, path);
	napi_value object = NULL;

	if (napi_create_error(env, new_text(env, code),
			      new_text(env, message ? message : code),
			      &object) == napi_ok) {
		set_number(env, object, "errno", error);
		set(env, object, "syscall", new_text(env, syscall));
		if (path)
			set(env, object, "path", new_text(env, path));
	}
	free(message);
	return object;
}

napi_value throw_errno(napi_env env, int error, const char *syscall, const char *path)
{
	napi_value object = error_new(env, error, syscall, path);

	if (object)
		(void)napi_throw(env, object);
	return NULL;
}

napi_value truncated_new(napi_env env, const char *path)
{
	static const char text[] = "The file became shorter than its mapping, or a page "
				   "of it cannot be read";
	napi_value object = NULL;
	char *message = NULL;

	if (path && asprintf(&message, "%s: '%s'", text, path) < 0)
		message = NULL;
	if (napi_create_error(env, new_text(env, "ERR_FILE_TRUNCATED"),
			      new_text(env, message ? message : text),
			      &object) == napi_ok &&
	    path)
		set(env, object, "path", new_text(env, path));
	free(message);
	return object;
}

napi_value throw_truncated(napi_env env, const char *path)
{
	napi_value object = truncated_new(env, path);

	if (object)
		(void)napi_throw(env, object);
	return NULL;
}

napi_value throw_type(napi_env env, const char *message)
{
	(void)napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
	return NULL;
}

napi_value throw_range(napi_env env, const char *message)
{
	(void)napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
	return NULL;
}

napi_value throw_closed(napi_env env)
{
	(void)napi_throw_error(env, "ERR_MAPPING_CLOSED", "The mapping is closed");
	return NULL;
}
