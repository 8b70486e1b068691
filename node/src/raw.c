/* SPDX-License-Identifier: MIT */
/*
 * raw.c - mappings as mmap(2) makes them, for the compatible faces.
 *
 * Their arguments are the kernel's own bits, and their errors its own errnos: core has
 * neither. What could hang or end the process is done another way or refused.
 */
#include "binding.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* MAP_POPULATE and MAP_LOCKED are acted on, not passed: on a page that cannot be read the
 * kernel tries again for ever. Left out: what maps at an address, and huge pages, whose
 * size munmap(2) would have to know. */
#define FLAGS_PASSED                                                                     \
	(MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_DENYWRITE |      \
	 MAP_EXECUTABLE | MAP_STACK | MAP_SYNC | MAP_32BIT)
#define FLAGS_KNOWN (FLAGS_PASSED | MAP_POPULATE | MAP_NONBLOCK | MAP_LOCKED)

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

struct wish {
	uint64_t length, offset;
	int32_t prot, flags, fd;
};

static int check(const struct wish *wish)
{
	if (wish->flags & ~FLAGS_KNOWN ||
	    wish->prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	/* A buffer that raises SIGSEGV at the first look is not handed out. */
	if (!(wish->prot & (PROT_READ | PROT_WRITE)))
		return -EACCES;
	/* As the kernel does; but off_t would make it negative. */
	return wish->offset > INT64_MAX || wish->length > INT64_MAX ? -EOVERFLOW : 0;
}

/*
 * A file that is only read is mapped private: that shows the same bytes, also those that
 * others write later, and lets the guard keep a stray store out of the file.
 */
static int flags_for(const struct wish *wish)
{
	int flags = wish->flags & FLAGS_PASSED;

	if (!(wish->prot & PROT_WRITE) && flags & MAP_SHARED && !(flags & MAP_ANONYMOUS))
		flags = (flags & ~(MAP_SHARED | MAP_SYNC)) | MAP_PRIVATE;
	return flags;
}

static int map(const struct wish *wish, void **ret)
{
	void *addr;
	int r = check(wish);

	if (r < 0)
		return r;
	/* To write without to read is not a thing on most machines. */
	addr = mmap(NULL, (size_t)wish->length, wish->prot | PROT_READ, flags_for(wish),
		    wish->fd, (off_t)wish->offset);
	if (addr == MAP_FAILED)
		return -errno;
	/* Like the flags, these two do what they can and never fail. */
	if (wish->flags & MAP_LOCKED)
		(void)mlock2(addr, (size_t)wish->length, MLOCK_ONFAULT);
	if (wish->flags & (MAP_POPULATE | MAP_LOCKED) && !(wish->flags & MAP_NONBLOCK))
		(void)madvise(addr, (size_t)wish->length, MADV_POPULATE_READ);
	*ret = addr;
	return 0;
}

static uint32_t access_of(const struct wish *wish)
{
	if (!(wish->prot & PROT_WRITE))
		return MMAPFS_ACCESS_READ;
	return wish->flags & MAP_SHARED ? MMAPFS_ACCESS_WRITE : MMAPFS_ACCESS_COPY;
}

/* rawMap(length, prot, flags, fd, offset) */
static napi_value raw_map(napi_env env, napi_callback_info info)
{
	struct memory *memory;
	void *addr = NULL;
	struct wish wish;
	struct call c;
	int r;

	if (!call_begin(env, info, &c) || !value_size(&c, 0, &wish.length) ||
	    !value_int(&c, 1, &wish.prot) || !value_int(&c, 2, &wish.flags) ||
	    !value_int(&c, 3, &wish.fd) || !value_size(&c, 4, &wish.offset))
		return NULL;
	r = map(&wish, &addr);
	if (r < 0)
		return throw_errno(env, r, "mmap", NULL);
	memory = memory_new(NULL, wish.offset, access_of(&wish));
	if (memory) {
		memory->addr = addr;
		memory->length = (size_t)wish.length;
	} else {
		(void)munmap(addr, (size_t)wish.length);
	}
	return handle_new(env, memory, NULL);
}

/* The bytes that arguments 1 and 2 are. Outside of the mapping is ENOMEM, as for memory
 * that is not mapped. */
static int value_memory(const struct call *c, struct handle **ret, char **ret_addr,
			size_t *ret_length)
{
	struct mmapfs_range range;
	const struct memory *memory;

	if (!value_open_raw(c, 0, ret) || !value_range(c, 1, &range))
		return -ECANCELED;
	memory = (*ret)->memory;
	if (range.offset > memory->length || range.length > memory->length - range.offset)
		return -ENOMEM;
	*ret_addr = (char *)memory->addr + range.offset;
	*ret_length = (size_t)range.length;
	return 0;
}

/* Not: poisoned pages and guard pages, which kill whoever looks at them. */
static bool is_safe_advice(int advice)
{
	return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) ||
	       (advice >= MADV_FREE && advice <= MADV_COLLAPSE);
}

/* rawAdvise(handle, offset, length, advice) */
static napi_value raw_advise(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	int32_t advice;
	struct call c;
	size_t length;
	char *addr;
	int r;

	if (!call_begin(env, info, &c) || !value_int(&c, 3, &advice))
		return NULL;
	r = value_memory(&c, &handle, &addr, &length);
	if (r == -ECANCELED)
		return NULL;
	if (r == 0 && !is_safe_advice(advice))
		r = -EINVAL;
	if (r == 0 && madvise(addr, length, advice) < 0)
		r = -errno;
	return r < 0 ? throw_errno(env, r, "madvise", NULL) : NULL;
}

/* rawSync(handle, offset, length, flags) */
static napi_value raw_sync(napi_env env, napi_callback_info info)
{
	struct handle *handle;
	int32_t flags;
	struct call c;
	size_t length;
	char *addr;
	int r;

	if (!call_begin(env, info, &c) || !value_int(&c, 3, &flags))
		return NULL;
	r = value_memory(&c, &handle, &addr, &length);
	if (r == -ECANCELED)
		return NULL;
	/* The originals would be gone by now; the error is that of data that is lost. */
	if (r == 0 && handle_has_lost(handle))
		r = -EIO;
	if (r == 0 && msync(addr, length, flags) < 0)
		r = -errno;
	return r < 0 ? throw_errno(env, r, "msync", NULL) : NULL;
}

/* In pieces, so that the vector stays small. */
static int count_resident(char *addr, size_t length, double *ret_resident,
			  double *ret_pages)
{
	const size_t page = (size_t)page_size();
	unsigned char vector[4096];
	double resident = 0, pages = 0;

	/* The kernel's own answer to an address that is not a page's. */
	if ((uintptr_t)addr & (page - 1))
		return -EINVAL;
	while (length > 0) {
		size_t piece =
			length < page * sizeof(vector) ? length : page * sizeof(vector);
		size_t count = (piece + page - 1) / page;

		if (mincore(addr, piece, vector) < 0)
			return -errno;
		for (size_t i = 0; i < count; i++)
			resident += vector[i] & 1;
		pages += (double)count;
		addr += piece;
		length -= piece;
	}
	*ret_resident = resident;
	*ret_pages = pages;
	return 0;
}

/* rawIncore(handle, offset, length): { resident, pages } */
static napi_value raw_incore(napi_env env, napi_callback_info info)
{
	double resident = 0, pages = 0;
	napi_value object = NULL;
	struct handle *handle;
	struct call c;
	size_t length;
	char *addr;
	int r;

	if (!call_begin(env, info, &c))
		return NULL;
	r = value_memory(&c, &handle, &addr, &length);
	if (r == -ECANCELED)
		return NULL;
	if (r == 0)
		r = count_resident(addr, length, &resident, &pages);
	if (r < 0)
		return throw_errno(env, r, "mincore", NULL);
	if (napi_create_object(env, &object) != napi_ok)
		return NULL;
	set_number(env, object, "resident", resident);
	set_number(env, object, "pages", pages);
	return object;
}

int raw_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "rawMap", raw_map },
		{ "rawAdvise", raw_advise },
		{ "rawSync", raw_sync },
		{ "rawIncore", raw_incore },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
