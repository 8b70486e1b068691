/* SPDX-License-Identifier: MIT */
/* fake-sys.c - the table of core/sys.h whose every entry first asks a script. */
#include "fake-sys.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "probe.h"

/* One row a call: name, what it returns, parameters, arguments. */
#define CALLS(X)                                                                        \
	X(openat, int, (int dirfd, const char *path, int flags, mode_t mode),           \
	  (dirfd, path, flags, mode))                                                   \
	X(close, int, (int fd), (fd))                                                   \
	X(fstat, int, (int fd, struct stat *st), (fd, st))                              \
	X(fstatfs, int, (int fd, struct statfs *st), (fd, st))                          \
	X(statx, int,                                                                   \
	  (int fd, const char *path, int flags, unsigned int mask, struct statx *stx),  \
	  (fd, path, flags, mask, stx))                                                 \
	X(fcntl, int, (int fd, int cmd, long arg), (fd, cmd, arg))                      \
	X(ftruncate, int, (int fd, uint64_t length), (fd, length))                      \
	X(fallocate, int, (int fd, int mode, uint64_t offset, uint64_t length),         \
	  (fd, mode, offset, length))                                                   \
	X(lseek, int64_t, (int fd, int64_t offset, int whence), (fd, offset, whence))   \
	X(pread, int64_t, (int fd, void *buf, size_t length, uint64_t offset),          \
	  (fd, buf, length, offset))                                                    \
	X(pwrite, int64_t, (int fd, const void *buf, size_t length, uint64_t offset),   \
	  (fd, buf, length, offset))                                                    \
	X(fdatasync, int, (int fd), (fd))                                               \
	X(fsync, int, (int fd), (fd))                                                   \
	X(linkat, int, (const char *from, int dirfd, const char *to),                   \
	  (from, dirfd, to))                                                            \
	X(renameat, int, (int dirfd, const char *from, const char *to),                 \
	  (dirfd, from, to))                                                            \
	X(unlinkat, int, (int dirfd, const char *path), (dirfd, path))                  \
	X(sync_file_range, int,                                                         \
	  (int fd, uint64_t offset, uint64_t length, unsigned int flags),               \
	  (fd, offset, length, flags))                                                  \
	X(fadvise, int, (int fd, uint64_t offset, uint64_t length, int advice),         \
	  (fd, offset, length, advice))                                                 \
	X(readahead, int, (int fd, uint64_t offset, size_t length),                     \
	  (fd, offset, length))                                                         \
	X(memfd_create, int, (const char *name, unsigned int flags), (name, flags))     \
	X(ioctl, int, (int fd, unsigned long request, void *arg), (fd, request, arg))   \
	X(fgetxattr, int64_t, (int fd, const char *name, void *value, size_t size),     \
	  (fd, name, value, size))                                                      \
	X(fsetxattr, int,                                                               \
	  (int fd, const char *name, const void *value, size_t size, int flags),        \
	  (fd, name, value, size, flags))                                               \
	X(mmap, int,                                                                    \
	  (void *addr, size_t length, int prot, int flags, int fd, uint64_t offset,     \
	   void **ret),                                                                 \
	  (addr, length, prot, flags, fd, offset, ret))                                 \
	X(munmap, int, (void *addr, size_t length), (addr, length))                     \
	X(mremap, int,                                                                  \
	  (void *addr, size_t old_length, size_t new_length, int flags, void **ret),    \
	  (addr, old_length, new_length, flags, ret))                                   \
	X(mprotect, int, (void *addr, size_t length, int prot), (addr, length, prot))   \
	X(madvise, int, (void *addr, size_t length, int advice), (addr, length, advice)) \
	X(msync, int, (void *addr, size_t length, int flags), (addr, length, flags))    \
	X(mincore, int, (void *addr, size_t length, unsigned char *vec),                \
	  (addr, length, vec))                                                          \
	X(mlock2, int, (const void *addr, size_t length, unsigned int flags),           \
	  (addr, length, flags))                                                        \
	X(munlock, int, (const void *addr, size_t length), (addr, length))              \
	X(cachestat, int,                                                               \
	  (int fd, const struct mmapfs__cachestat_range *range,                         \
	   struct mmapfs__cachestat *ret),                                              \
	  (fd, range, ret))                                                             \
	X(process_vm_readv, int64_t, (void *dst, const void *src, size_t length),       \
	  (dst, src, length))                                                           \
	X(process_vm_writev, int64_t, (void *dst, const void *src, size_t length),      \
	  (dst, src, length))                                                           \
	X(getrlimit, int, (int resource, struct rlimit *ret), (resource, ret))          \
	X(has_capability, int, (int capability), (capability))                          \
	X(read_text, int64_t, (const char *path, char *buf, size_t size),               \
	  (path, buf, size))                                                            \
	X(now_ns, uint64_t, (void), ())

enum call {
#define X(name, type, params, args) CALL_##name,
	CALLS(X)
#undef X
	CALL_sleep_ns,
	CALL_COUNT
};

static const char *const names[CALL_COUNT] = {
#define X(name, type, params, args) #name,
	CALLS(X)
#undef X
	"sleep_ns",
};

#define STEPS_MAX 8

struct step {
	unsigned int skip;
	unsigned int times; /* 0: for ever */
	unsigned int used;
	int64_t result;
};

/* What is scripted for one call; the steps follow one another. */
static struct script {
	struct step steps[STEPS_MAX];
	unsigned int count;
	unsigned int at;
	unsigned int calls;
} scripts[CALL_COUNT];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* protects scripts */
static struct mmapfs__sys table;

static bool scripted(enum call call, int64_t *ret)
{
	struct script *script = &scripts[call];
	struct step *step;
	SCOPE_LOCK(&mutex);

	script->calls++;
	if (script->at == script->count)
		return false;
	step = &script->steps[script->at];
	if (step->skip > 0) {
		step->skip--;
		return false;
	}
	*ret = step->result;
	step->used++;
	if (step->used == step->times)
		script->at++;
	return true;
}

#define X(name, type, params, args)                       \
	static type fake_##name params                    \
	{                                                 \
		int64_t r;                                \
                                                          \
		if (scripted(CALL_##name, &r))            \
			return (type)r;                   \
		return mmapfs__sys_real.name args;        \
	}
CALLS(X)
#undef X

static void fake_sleep_ns(uint64_t ns)
{
	int64_t r;

	if (!scripted(CALL_sleep_ns, &r))
		mmapfs__sys_real.sleep_ns(ns);
}

static const struct mmapfs__sys fakes = {
#define X(name, type, params, args) .name = fake_##name,
	CALLS(X)
#undef X
	.sleep_ns = fake_sleep_ns,
};

static enum call call_named(const char *name)
{
	unsigned int i;

	for (i = 0; i < CALL_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return (enum call)i;
	fail_msg("no such call in core/sys.h: %s", name);
	return CALL_COUNT;
}

void fake_sys_install(void)
{
	memset(scripts, 0, sizeof(scripts));
	table = fakes;
	/* The features are asked of the real kernel, now, so that neither the script nor
	 * the counters see it. A test of the probe resets it again. */
	mmapfs__sys = &mmapfs__sys_real;
	mmapfs__probe_reset();
	(void)mmapfs__feature(MMAPFS_FEATURE_CACHESTAT);
	mmapfs__sys = &table;
}

void fake_sys_remove(void)
{
	unsigned int i, j;

	mmapfs__sys = &mmapfs__sys_real;
	for (i = 0; i < CALL_COUNT; i++) {
		for (j = 0; j < scripts[i].count; j++) {
			const struct step *step = &scripts[i].steps[j];

			if (step->used == 0 || step->used < step->times)
				fail_msg("%s: scripted result %d used %u times, not %u",
					 names[i], (int)step->result, step->used,
					 step->times);
		}
	}
}

void fake_sys_script(const char *call, unsigned int skip, unsigned int times,
		     int64_t result)
{
	struct script *script = &scripts[call_named(call)];

	assert_true(script->count < STEPS_MAX);
	script->steps[script->count++] = (struct step){
		.skip = skip,
		.times = times,
		.result = result,
	};
}

unsigned int fake_sys_calls(const char *call)
{
	/* Fails by longjmp: not with the mutex held. */
	enum call index = call_named(call);
	SCOPE_LOCK(&mutex);

	return scripts[index].calls;
}

struct mmapfs__sys *fake_sys_table(void)
{
	return &table;
}
