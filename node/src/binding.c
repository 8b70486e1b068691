/* SPDX-License-Identifier: MIT */
/* binding.c - what Node calls when it loads the addon, once in each environment. */
#include "binding.h"

#include <errno.h>
#include <stdlib.h>

static void free_state(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	free(data);
}

struct state *state_of(napi_env env)
{
	void *data = NULL;

	return napi_get_instance_data(env, &data) == napi_ok ? data : NULL;
}

int add_exports(napi_env env, napi_value exports, const struct exported *list,
		size_t count)
{
	napi_value fn;

	for (size_t i = 0; i < count; i++) {
		if (napi_create_function(env, list[i].name, NAPI_AUTO_LENGTH, list[i].fn,
					 NULL, &fn) != napi_ok ||
		    napi_set_named_property(env, exports, list[i].name, fn) != napi_ok)
			return -1;
	}
	return 0;
}

/* Defines napi_register_module_v1, which is never declared anywhere. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-declarations"

NAPI_MODULE_INIT()
{
	static int (*const parts[])(napi_env env, napi_value exports) = {
		map_exports,	 buffer_exports, observe_exports, async_exports,
		control_exports, raw_exports,	 words_exports,	  guard_exports,
	};
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return throw_errno(env, -ENOMEM, "calloc", NULL);
	if (napi_set_instance_data(env, state, free_state, NULL) != napi_ok) {
		free(state);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i](env, exports) < 0)
			return NULL;
	return exports;
}
