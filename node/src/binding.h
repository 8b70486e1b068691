/* SPDX-License-Identifier: MIT */
/* binding.h - what the files of the addon share: handles, memory, arguments, errors. */
#ifndef MMAPFS_NODE_BINDING_H
#define MMAPFS_NODE_BINDING_H

#include <node_api.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct guard_slot;

/*
 * Mapped memory. Counted, because the bytes must outlive the handle as long as an
 * ArrayBuffer shows them or a request of the thread pool works on them.
 */
struct memory {
	atomic_uint refs;
	atomic_uint busy;	 /* requests of the thread pool at work on it */
	struct mmapfs_map *map;	 /* NULL: a raw one, for the compatible faces */
	void *addr;		 /* raw: what munmap(2) takes */
	size_t length;		 /* raw: its length */
	struct guard_slot *slot; /* once an address was given out; thread of the handle */
	uint64_t offset;	 /* of the window in the file, bytes */
	uint32_t access;	 /* enum mmapfs_access; raw: what the bits come to */
};

/* One ArrayBuffer on a memory. */
struct hold {
	struct hold *next, **link; /* in the handle's list; link NULL: in none */
	struct memory *memory;	   /* NULL: given back */
	napi_ref buffer;	   /* weak, to detach it; NULL for shared ones */
	bool creating, finalized;  /* see buffer.c */
	bool counted;		   /* in the state's `detached` */
};

/* What the fault guard has survived, in pages. */
struct faults {
	uint32_t bus, write;
};

/* What a JavaScript Mapping stands on. Used by its own thread only. */
struct handle {
	uint64_t magic;	       /* HANDLE_MAGIC */
	struct memory *memory; /* NULL: closed */
	struct faults gone;    /* on memory that it had before */
	struct hold *holds;
	char *path; /* for errors; may be NULL */
};

/* Of one environment: the main thread, or one worker. */
struct state {
	/* Memory detached by close whose finalizer has not run yet. */
	uint32_t detached;
};

/* The arguments of one call. */
struct call {
	napi_env env;
	size_t count;
	napi_value arg[8];
};

/* ---- value.c ---- */

/* All value_x() return false with an exception pending when the argument is not one. */
bool call_begin(napi_env env, napi_callback_info info, struct call *ret);
bool value_size(const struct call *c, size_t i, uint64_t *ret);
bool value_range(const struct call *c, size_t i, struct mmapfs_range *ret);
/* The same, or all of it where the call ends before. */
bool value_part(const struct call *c, size_t i, struct mmapfs_range *ret);
bool value_int(const struct call *c, size_t i, int32_t *ret);
bool value_bool(const struct call *c, size_t i, bool *ret);
bool value_bytes(const struct call *c, size_t i, void **ret, size_t *ret_length);
/* A string, or bytes, as a C string to be freed; undefined and null are NULL. */
bool value_text(const struct call *c, size_t i, char **ret, size_t *ret_length);
bool value_handle(const struct call *c, size_t i, struct handle **ret);
/* The same, and it is open, with a core map or without; or ERR_MAPPING_CLOSED. */
bool value_open(const struct call *c, size_t i, struct handle **ret);
bool value_open_raw(const struct call *c, size_t i, struct handle **ret);

napi_value new_number(napi_env env, double number);
napi_value new_text(napi_env env, const char *text);
void set(napi_env env, napi_value object, const char *name, napi_value value);
void set_number(napi_env env, napi_value object, const char *name, double number);

/* ---- errors.c ---- */

/* An Error with code, errno, syscall and, unless NULL, path; of negative errno @error. */
napi_value error_new(napi_env env, int error, const char *syscall, const char *path);
/* Throw it. Return NULL, for `return throw_errno(...)`. */
napi_value throw_errno(napi_env env, int error, const char *syscall, const char *path);
napi_value throw_type(napi_env env, const char *message);
napi_value throw_range(napi_env env, const char *message);
napi_value throw_closed(napi_env env);
/* An Error that says so; not of the system. @path may be NULL. */
napi_value truncated_new(napi_env env, const char *path);
napi_value throw_truncated(napi_env env, const char *path);

/* ---- memory.c ---- */

struct memory *memory_new(struct mmapfs_map *map, uint64_t offset, uint32_t access);
struct memory *memory_get(struct memory *memory);
struct memory *memory_put(struct memory *memory);
/* The address of byte @offset; from here on the fault guard watches over it. */
int memory_addr(struct memory *memory, uint64_t offset, char **ret);
uint64_t memory_length(const struct memory *memory);
uint64_t page_size(void);

/* The JavaScript object for @memory, whose reference it takes over in any case. @path is
 * taken over too. NULL with an exception pending on failure. */
napi_value handle_new(napi_env env, struct memory *memory, char *path);
struct state *state_of(napi_env env);

#define HANDLE_MAGIC 0x6d6d61706673686eULL

/* Charged to V8 for each open handle: what the kernel keeps for it, about, so that
 * handles left behind are collected before descriptors run out. */
#define HANDLE_WEIGHT 8192
void handle_close(napi_env env, struct handle *handle);
/* Let it stand on @memory from now on, or on none; with the faults of the old one. */
void handle_replace(struct handle *handle, struct memory *memory);
struct faults handle_faults(const struct handle *handle);
/* What was stored in a lost page never reaches the file: nobody is told that it has. */
bool handle_has_lost(const struct handle *handle);

/* ---- buffer.c ---- */

void buffers_detach(napi_env env, struct handle *handle);
bool shared_buffers_exist(void);

/* ---- guard.c ---- */

struct guard_area {
	uintptr_t begin, end; /* page aligned */
	int fd;		      /* what is mapped, to make a page private; or -1 */
	uint64_t offset;      /* of `begin` in it */
	bool writable;
};

struct guard_slot *guard_add(const struct guard_area *area);
void guard_remove(struct guard_slot *slot);
struct faults guard_faults(const struct guard_slot *slot);
int guard_install(bool copy_writes);

/* ---- the exported functions, by file ---- */

int map_exports(napi_env env, napi_value exports);
int buffer_exports(napi_env env, napi_value exports);
int observe_exports(napi_env env, napi_value exports);
int async_exports(napi_env env, napi_value exports);
int control_exports(napi_env env, napi_value exports);
int raw_exports(napi_env env, napi_value exports);
int words_exports(napi_env env, napi_value exports);
int guard_exports(napi_env env, napi_value exports);

struct exported {
	const char *name;
	napi_callback fn;
};

int add_exports(napi_env env, napi_value exports, const struct exported *list,
		size_t count);

/* Makes struct mmapfs_map_opts of arguments @i: access, flags, offset, length, mode. */
bool value_options(const struct call *c, size_t i, struct mmapfs_map_opts *ret);
/* A duplicate of @fd, mapped. */
int map_duplicate(int fd, const struct mmapfs_map_opts *opts, struct mmapfs_map **ret);
/* The object of a residency. */
napi_value residency_object(napi_env env, const struct mmapfs_residency *found);

#endif
