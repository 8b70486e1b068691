/* SPDX-License-Identifier: MIT */
/* probe.c - what this kernel lets this process do, found by trying each thing once. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "result.h"
#include "sys.h"

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1U
#endif

/*
 * On a memfd, which is our own and writable: so an EPERM here is a seccomp filter, and a
 * later EPERM on a file is about that file.
 */
static int try_cachestat(void *page)
{
	const struct mmapfs__cachestat_range range = { 0, 0 };
	struct mmapfs__cachestat counts;
	int fd, r;

	(void)page;
	fd = mmapfs__sys->memfd_create("mmapfs-probe", MFD_CLOEXEC);
	if (fd < 0)
		return fd;
	r = mmapfs__sys->cachestat(fd, &range, &counts);
	(void)mmapfs__sys->close(fd);
	return r;
}

static int try_mlock_onfault(void *page)
{
	int r = mmapfs__sys->mlock2(page, mmapfs__page_size(), MLOCK_ONFAULT);

	if (r == 0)
		(void)mmapfs__sys->munlock(page, mmapfs__page_size());
	/* The limit is used up: a kernel that says so knows the call. */
	return r == -ENOMEM || r == -EAGAIN ? 0 : r;
}

static int try_populate(void *page)
{
	return mmapfs__sys->madvise(page, mmapfs__page_size(), MADV_POPULATE_READ);
}

static int try_pageout(void *page)
{
	return mmapfs__sys->madvise(page, mmapfs__page_size(), MADV_PAGEOUT);
}

/* Without CAP_SYS_ADMIN /proc/self/pagemap hides the frame numbers to look up there. */
static int try_page_flags(void *page)
{
	int fd;

	(void)page;
	if (mmapfs__sys->has_capability(CAP_SYS_ADMIN) <= 0)
		return -EPERM;
	fd = mmapfs__sys->openat(AT_FDCWD, "/proc/kpageflags", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	(void)mmapfs__sys->close(fd);
	return 0;
}

static int try_process_vm(void *page)
{
	char byte;
	int64_t n = mmapfs__sys->process_vm_readv(&byte, page, 1);

	if (n < 0)
		return (int)n;
	return n == 1 ? 0 : -EIO;
}

static const struct {
	const char *name;
	int (*try)(void *page); /* 0, or a negative errno */
} features[] = {
	[MMAPFS_FEATURE_CACHESTAT] = { "cachestat", try_cachestat },
	[MMAPFS_FEATURE_MLOCK_ONFAULT] = { "mlock-onfault", try_mlock_onfault },
	[MMAPFS_FEATURE_POPULATE] = { "populate", try_populate },
	[MMAPFS_FEATURE_PAGEOUT] = { "pageout", try_pageout },
	[MMAPFS_FEATURE_PAGE_FLAGS] = { "page-flags", try_page_flags },
	[MMAPFS_FEATURE_PROCESS_VM] = { "process-vm", try_process_vm },
};

_Static_assert(ARRAY_SIZE(features) == MMAPFS_FEATURE_COUNT, "a feature is not probed");
_Static_assert(ARRAY_SIZE(features) <= ARRAY_SIZE(((struct mmapfs_probe *)0)->feature),
	       "struct mmapfs_probe has no room for a feature");

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* protects the first asking */
static bool asked; /* answers[] is filled in for good; atomic */
static int answers[MMAPFS_FEATURE_COUNT];
static bool disabled[MMAPFS_FEATURE_COUNT]; /* atomic */

static int feature_named(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (strlen(features[i].name) == length &&
		    memcmp(features[i].name, name, length) == 0)
			return (int)i;
	return -EINVAL;
}

/* Unknown words are passed over: they may be meant for a newer library. */
static void disable_listed(const char *list)
{
	while (list && *list != '\0') {
		size_t length = strcspn(list, ",");
		int feature = feature_named(list, length);

		if (feature >= 0)
			(void)mmapfs_feature_disable((enum mmapfs_feature)feature);
		list += length + (list[length] == ',');
	}
}

bool mmapfs__is_shortage(int r)
{
	return r == -ENOMEM || r == -EAGAIN || r == -EMFILE || r == -ENFILE;
}

/* Returns whether all answers will stay: a shortage passes and says nothing of the kernel. */
static bool try_all(void)
{
	uint64_t size = mmapfs__page_size();
	void *page = NULL;
	bool lasting = true;
	size_t i;
	int r;

	r = mmapfs__sys->mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &page);
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		answers[i] = r < 0 ? r : features[i].try(page);
		lasting = lasting && !mmapfs__is_shortage(answers[i]);
		if (answers[i] == 0)
			answers[i] = 1;
	}
	if (r == 0)
		(void)mmapfs__sys->munmap(page, size);
	return lasting;
}

/* While no answers are there to stay, they are read and written under the mutex only. */
static int ask(enum mmapfs_feature feature)
{
	SCOPE_LOCK(&mutex);

	if (!__atomic_load_n(&asked, __ATOMIC_ACQUIRE)) {
		disable_listed(secure_getenv("MMAPFS_DISABLE"));
		if (try_all())
			__atomic_store_n(&asked, true, __ATOMIC_RELEASE);
	}
	return answers[feature];
}

int mmapfs__feature(enum mmapfs_feature feature)
{
	int answer = __atomic_load_n(&asked, __ATOMIC_ACQUIRE) ? answers[feature] : ask(feature);

	return __atomic_load_n(&disabled[feature], __ATOMIC_RELAXED) ? 0 : answer;
}

void mmapfs__probe_reset(void)
{
	SCOPE_LOCK(&mutex);

	memset(disabled, 0, sizeof(disabled));
	__atomic_store_n(&asked, false, __ATOMIC_RELEASE);
}

static uint64_t memlock_limit(void)
{
	struct rlimit limit;

	if (mmapfs__sys->has_capability(CAP_IPC_LOCK) == 1)
		return UINT64_MAX;
	if (mmapfs__sys->getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return UINT64_MAX;
	return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

MMAPFS_PUBLIC int mmapfs_probe(struct mmapfs_probe *ret)
{
	struct mmapfs_probe probe = {
		.size = sizeof(probe),
		.page_size = (uint32_t)mmapfs__page_size(),
		.memlock_limit = memlock_limit(),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		probe.feature[i] = mmapfs__feature((enum mmapfs_feature)i);
	mmapfs__result_put(ret, &probe, sizeof(probe));
	return 0;
}

MMAPFS_PUBLIC const char *mmapfs_feature_name(enum mmapfs_feature feature)
{
	return (size_t)feature < ARRAY_SIZE(features) ? features[feature].name : NULL;
}

MMAPFS_PUBLIC int mmapfs_feature_disable(enum mmapfs_feature feature)
{
	if ((size_t)feature >= ARRAY_SIZE(features))
		return -EINVAL;
	__atomic_store_n(&disabled[feature], true, __ATOMIC_RELAXED);
	return 0;
}
