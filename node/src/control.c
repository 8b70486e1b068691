/* SPDX-License-Identifier: MIT */
/* control.c - the control attributes of files on a mounted mmapfs, as promises. */
#include "async.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define VALUE_MAX 65536 /* no attribute is longer: XATTR_SIZE_MAX */

static int execute_get(struct request *request)
{
	int64_t n;

	request->value = malloc(VALUE_MAX);
	if (!request->value)
		return -ENOMEM;
	n = mmapfs_control_get(request->fd, request->name, request->value, VALUE_MAX);
	if (n < 0)
		return (int)n;
	request->length = (size_t)n;
	return 0;
}

static napi_value settle_get(napi_env env, struct request *request)
{
	napi_value text = NULL;

	(void)napi_create_string_utf8(env, request->value, request->length, &text);
	return text;
}

static int execute_set(struct request *request)
{
	return mmapfs_control_set(request->fd, request->name, request->value,
				  request->length);
}

static bool take_fd(const struct call *c, struct request *request)
{
	int32_t fd;

	if (!value_int(c, 0, &fd))
		return false;
	request->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (request->fd >= 0)
		return true;
	(void)throw_errno(c->env, -errno, request->syscall, NULL);
	return false;
}

static bool take_name(const struct call *c, struct request *request)
{
	size_t length;

	if (!value_text(c, 1, &request->name, &length))
		return false;
	if (request->name)
		return true;
	(void)throw_type(c->env, "The name of an attribute must be a string");
	return false;
}

/* controlGet(fd, name) */
static napi_value control_get(napi_env env, napi_callback_info info)
{
	struct request *request;
	struct call c;

	if (!call_begin(env, info, &c))
		return NULL;
	request = request_new(env, "getxattr");
	if (!request)
		return NULL;
	request->execute = execute_get;
	request->settle = settle_get;
	if (take_fd(&c, request) && take_name(&c, request))
		return request_queue(env, request);
	(void)request_free(request);
	return NULL;
}

/* controlSet(fd, name, value) */
static napi_value control_set(napi_env env, napi_callback_info info)
{
	struct request *request;
	struct call c;

	if (!call_begin(env, info, &c))
		return NULL;
	request = request_new(env, "setxattr");
	if (!request)
		return NULL;
	request->execute = execute_set;
	if (take_fd(&c, request) && take_name(&c, request) &&
	    value_text(&c, 2, &request->value, &request->length))
		return request_queue(env, request);
	(void)request_free(request);
	return NULL;
}

int control_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "controlGet", control_get },
		{ "controlSet", control_set },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
