/* SPDX-License-Identifier: MIT */
/* async.h - the one kind of request that the thread pool works on. */
#ifndef MMAPFS_NODE_ASYNC_H
#define MMAPFS_NODE_ASYNC_H

#include "binding.h"

struct request {
	/* On a thread of the pool: 0 or a negative errno. May not touch JavaScript. */
	int (*execute)(struct request *request);
	/* On the thread of the environment, after success: what the promise becomes. */
	napi_value (*settle)(napi_env env, struct request *request);
	const char *syscall; /* for the error */
	napi_async_work work;
	napi_deferred deferred;
	int error;

	/* Inputs and results; what is set is released with the request. */
	struct memory *memory; /* a reference */
	char *path;	       /* for the error; of open: what to open */
	char *name, *value;    /* of control */
	size_t length;	       /* of value */
	struct mmapfs_map *map;
	int fd; /* owned, or -1 */
	struct mmapfs_map_opts opts;
	struct mmapfs_range range;
	int32_t flags;
	union {
		struct mmapfs_residency residency;
		struct mmapfs_warm_result warm;
		struct mmapfs_evict_result evict;
	};
};

/* NULL with an exception pending when there is no memory. */
struct request *request_new(napi_env env, const char *syscall);
struct request *request_free(struct request *request);
/* Count the request as at work on the memory of @handle. */
void request_use(struct request *request, const struct handle *handle);
/* Hand it to the thread pool, which frees it in the end. Returns the promise. */
napi_value request_queue(napi_env env, struct request *request);

#endif
