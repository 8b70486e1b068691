/* SPDX-License-Identifier: MIT */
/* map.c - open and close mappings, and what is done to one while JavaScript waits. */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- open ---- */

bool value_options(const struct call *c, size_t i, struct mmapfs_map_opts *ret)
{
	int32_t access, flags, mode;

	*ret = (struct mmapfs_map_opts)MMAPFS_INIT(struct mmapfs_map_opts);
	if (!value_int(c, i, &access) || !value_int(c, i + 1, &flags) ||
	    !value_size(c, i + 2, &ret->offset) || !value_size(c, i + 3, &ret->length) ||
	    !value_int(c, i + 4, &mode))
		return false;
	ret->access = (uint32_t)access;
	ret->flags = (uint32_t)flags;
	ret->mode = (uint32_t)mode;
	return true;
}

static napi_value new_mapping(napi_env env, struct mmapfs_map *map,
			      const struct mmapfs_map_opts *opts, char *path)
{
	struct memory *memory = memory_new(map, opts->offset, opts->access);

	if (!memory)
		(void)mmapfs_map_close(map);
	return handle_new(env, memory, path);
}

/* open(path, access, flags, offset, length, mode) */
static napi_value map_open(napi_env env, napi_callback_info info)
{
	struct mmapfs_map_opts opts;
	struct mmapfs_map *map;
	struct call c;
	size_t length;
	char *path;
	int r;

	if (!call_begin(env, info, &c) || !value_options(&c, 1, &opts) ||
	    !value_text(&c, 0, &path, &length))
		return NULL;
	if (!path)
		return throw_type(env, "A path must be a string or bytes");
	r = mmapfs_map_open(AT_FDCWD, path, &opts, &map);
	if (r >= 0)
		return new_mapping(env, map, &opts, path);
	(void)throw_errno(env, r, "open", path);
	free(path);
	return NULL;
}

int map_duplicate(int fd, const struct mmapfs_map_opts *opts, struct mmapfs_map **ret)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (own < 0)
		return -errno;
	r = mmapfs_map_from_fd(own, opts, ret);
	if (r < 0)
		(void)close(own);
	/* As mmap(2) has it; EISDIR is about paths. */
	return r == -EISDIR ? -ENODEV : r;
}

/* fromFd(fd, access, flags, offset, length, mode, name) */
static napi_value map_from_fd(napi_env env, napi_callback_info info)
{
	struct mmapfs_map_opts opts;
	struct mmapfs_map *map;
	struct call c;
	size_t length;
	int32_t fd;
	char *name;
	int r;

	if (!call_begin(env, info, &c) || !value_int(&c, 0, &fd) ||
	    !value_options(&c, 1, &opts) || !value_text(&c, 6, &name, &length))
		return NULL;
	r = map_duplicate(fd, &opts, &map);
	if (r >= 0)
		return new_mapping(env, map, &opts, name);
	(void)throw_errno(env, r, "mmap", name);
	free(name);
	return NULL;
}

/* A memfd that can never become shorter or longer, so that no store can raise SIGBUS. */
static int map_sealed(const char *name, uint64_t length, struct mmapfs_map **ret)
{
	struct mmapfs_map_opts opts = MMAPFS_INIT(struct mmapfs_map_opts);
	int r = 0;
	int fd;

	if (length == 0 || length > INT64_MAX)
		return -EINVAL;
	fd = memfd_create(name ? name : "mmapfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	opts.access = MMAPFS_ACCESS_WRITE;
	if (ftruncate(fd, (off_t)length) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r == 0)
		r = mmapfs_map_from_fd(fd, &opts, ret);
	if (r < 0)
		(void)close(fd);
	return r;
}

/* anonymous(name, length, seal) */
static napi_value map_anonymous(napi_env env, napi_callback_info info)
{
	const struct mmapfs_map_opts opts = { .access = MMAPFS_ACCESS_WRITE };
	struct mmapfs_map *map;
	uint64_t length;
	struct call c;
	size_t size;
	char *name;
	bool seal;
	int r;

	if (!call_begin(env, info, &c) || !value_size(&c, 1, &length) ||
	    !value_bool(&c, 2, &seal) || !value_text(&c, 0, &name, &size))
		return NULL;
	r = seal ? map_sealed(name, length, &map)
		 : mmapfs_map_anonymous(name, length, &map);
	if (r >= 0)
		return new_mapping(env, map, &opts, name);
	(void)throw_errno(env, r, "memfd_create", name);
	free(name);
	return NULL;
}

/* ---- close ---- */

/* close(handle); twice is fine. */
static napi_value map_close(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	struct call c;

	if (call_begin(env, info, &c) && value_handle(&c, 0, &handle))
		handle_close(env, handle);
	return NULL;
}

/* detach(handle): its buffers become empty; the mapping stays. */
static napi_value map_detach(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	struct call c;

	if (call_begin(env, info, &c) && value_handle(&c, 0, &handle))
		buffers_detach(env, handle);
	return NULL;
}

/* ---- about one ---- */

/* length(handle) */
static napi_value map_length(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	struct call c;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle))
		return NULL;
	return new_number(env, (double)memory_length(handle->memory));
}

/* fd(handle) */
static napi_value map_fd(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	struct call c;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle))
		return NULL;
	return new_number(env, mmapfs_map_fd(handle->memory->map));
}

static int file_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0 ||
	    (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, ret) < 0))
		return -errno;
	if (!S_ISBLK(st.st_mode))
		*ret = (uint64_t)st.st_size;
	return 0;
}

/* fileSize(handle): now. */
static napi_value map_file_size(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	uint64_t size;
	struct call c;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle))
		return NULL;
	r = file_size(mmapfs_map_fd(handle->memory->map), &size);
	return r < 0 ? throw_errno(env, r, "fstat", handle->path)
		     : new_number(env, (double)size);
}

/* ---- control ---- */

/* advise(handle, advice, flags[, offset, length]) */
static napi_value map_advise(napi_env env, napi_callback_info info)
{
	struct mmapfs_range range;
	struct handle *handle;
	int32_t advice, flags;
	struct call c;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_int(&c, 1, &advice) || !value_int(&c, 2, &flags) ||
	    !value_part(&c, 3, &range))
		return NULL;
	r = mmapfs_advise(handle->memory->map, range, (enum mmapfs_advice)advice,
			  (uint32_t)flags);
	return r < 0 ? throw_errno(env, r, "madvise", handle->path) : NULL;
}

/* flush(handle, level[, offset, length]) */
static napi_value map_flush(napi_env env, napi_callback_info info)
{
	struct mmapfs_range range;
	struct handle *handle;
	struct call c;
	int32_t level;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_int(&c, 1, &level) || !value_part(&c, 2, &range))
		return NULL;
	if (handle_has_lost(handle))
		return throw_truncated(env, handle->path);
	r = mmapfs_sync(handle->memory->map, range, (enum mmapfs_sync_level)level);
	return r < 0 ? throw_errno(env, r, "msync", handle->path) : NULL;
}

/* Core wants some calls to have the map for themselves. */
static bool is_alone(const struct call *c, const struct handle *handle,
		     const char *syscall)
{
	if (atomic_load(&handle->memory->busy) == 0)
		return true;
	(void)throw_errno(c->env, -EBUSY, syscall, handle->path);
	return false;
}

static napi_value throw_lock(napi_env env, int error, const struct handle *handle,
			     const struct mmapfs_lock_result *result)
{
	napi_value object = error_new(env, error, "mlock2", handle->path);

	if (!object)
		return NULL;
	if (error == -ENOMEM) {
		set_number(env, object, "need", (double)result->need);
		set_number(env, object, "limit", (double)result->limit);
		set_number(env, object, "inUse", (double)result->in_use);
	}
	(void)napi_throw(env, object);
	return NULL;
}

/* lock(handle, offset, length, on) */
static napi_value map_lock(napi_env env, napi_callback_info info)
{
	struct mmapfs_lock_result result = MMAPFS_INIT(struct mmapfs_lock_result);
	struct mmapfs_range range;
	struct handle *handle;
	struct call c;
	bool on;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_range(&c, 1, &range) || !value_bool(&c, 3, &on) ||
	    !is_alone(&c, handle, on ? "mlock2" : "munlock"))
		return NULL;
	if (on)
		r = mmapfs_lock(handle->memory->map, range, &result);
	else
		r = mmapfs_unlock(handle->memory->map, range);
	if (r >= 0)
		return NULL;
	return on ? throw_lock(env, r, handle, &result)
		  : throw_errno(env, r, "munlock", handle->path);
}

/* ---- resize ---- */

static int stop_at_first(void *ctx, uint64_t offset, uint64_t length)
{
	(void)ctx;
	(void)offset;
	(void)length;
	return 1;
}

/* Let the file reach to @end without allocating it. */
static int extend_sparse(int fd, uint64_t end)
{
	uint64_t size;
	int r = file_size(fd, &size);

	if (r < 0 || size >= end)
		return r;
	return ftruncate(fd, (off_t)end) < 0 ? -errno : 0;
}

/*
 * A second map of the same file with the new length. Buffers may be in use on the old one
 * by operations under way, or be shared, so it cannot be moved under them.
 */
static int map_resized(struct memory *memory, uint64_t length, bool sparse,
		       struct memory **ret)
{
	uint64_t old = mmapfs_map_length(memory->map);
	int fd = mmapfs_map_fd(memory->map);
	struct mmapfs_map_opts opts = MMAPFS_INIT(struct mmapfs_map_opts);
	struct mmapfs_map *map;
	int r = 0;

	opts.access = MMAPFS_ACCESS_WRITE;
	opts.offset = memory->offset;
	if (sparse && length > old)
		r = extend_sparse(fd, memory->offset + length);
	opts.length = sparse && length > old ? length : old;
	/* A length of 0 would mean to the end: which is where an empty window is. */
	if (r >= 0)
		r = map_duplicate(fd, &opts, &map);
	if (r < 0)
		return r;
	r = mmapfs_map_resize(map, length);
	if (r >= 0)
		*ret = memory_new(map, memory->offset, MMAPFS_ACCESS_WRITE);
	if (r >= 0 && !*ret)
		r = -ENOMEM;
	if (r < 0)
		(void)mmapfs_map_close(map);
	return r;
}

static int resize(napi_env env, struct handle *handle, uint64_t length, bool sparse)
{
	struct memory *memory = handle->memory;
	struct memory *resized;
	int r;

	if (memory->access != MMAPFS_ACCESS_WRITE)
		return -EACCES;
	if (mmapfs_locked(memory->map, stop_at_first, NULL) != 0)
		return -EBUSY;
	if (!memory->slot && !sparse)
		return mmapfs_map_resize(memory->map, length);
	r = map_resized(memory, length, sparse, &resized);
	if (r < 0)
		return r;
	buffers_detach(env, handle);
	handle_replace(handle, resized);
	return 0;
}

/* resize(handle, length, sparse) */
static napi_value map_resize(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	uint64_t length;
	struct call c;
	bool sparse;
	int r;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_size(&c, 1, &length) || !value_bool(&c, 2, &sparse) ||
	    !is_alone(&c, handle, "mremap"))
		return NULL;
	r = resize(env, handle, length, sparse);
	return r < 0 ? throw_errno(env, r, "mremap", handle->path) : NULL;
}

/* ---- copying ---- */

/* read(handle, target, offset), write(handle, source, offset): bytes copied. */
static napi_value copy(napi_env env, napi_callback_info info, bool out)
{
	struct handle *handle;
	uint64_t offset;
	struct call c;
	size_t length;
	void *bytes;
	int64_t n;

	if (!call_begin(env, info, &c) || !value_open(&c, 0, &handle) ||
	    !value_bytes(&c, 1, &bytes, &length) || !value_size(&c, 2, &offset))
		return NULL;
	n = out ? mmapfs_read(handle->memory->map, offset, bytes, length)
		: mmapfs_write(handle->memory->map, offset, bytes, length);
	if (n >= 0)
		return new_number(env, (double)n);
	return throw_errno(env, (int)n, out ? "pread" : "pwrite", handle->path);
}

static napi_value map_read(napi_env env, napi_callback_info info)
{
	return copy(env, info, true);
}

static napi_value map_write(napi_env env, napi_callback_info info)
{
	return copy(env, info, false);
}

int map_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "open", map_open },
		{ "fromFd", map_from_fd },
		{ "anonymous", map_anonymous },
		{ "close", map_close },
		{ "detach", map_detach },
		{ "length", map_length },
		{ "fd", map_fd },
		{ "fileSize", map_file_size },
		{ "advise", map_advise },
		{ "flush", map_flush },
		{ "lock", map_lock },
		{ "resize", map_resize },
		{ "read", map_read },
		{ "write", map_write },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
