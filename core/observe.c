/* SPDX-License-Identifier: MIT */
/* observe.c - ask cachestat(2) and mincore(2), and know when not to believe them. */
#include "observe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "probe.h"
#include "sys.h"

#define GIB (UINT64_C(1) << 30)

/* One vector, on the stack: 16 MiB of file in pages of 4 KiB, whatever its size. */
#define VECTOR_PAGES 4096

#define EAGAIN_TRIES 4
#define EAGAIN_PAUSE_NS UINT64_C(1000000)

/* Filesystems whose pages neither interface can tell about. */
static uint32_t blind_reason(enum mmapfs__fs_kind kind)
{
	switch (kind) {
	case MMAPFS__FS_HUGETLB:
		return MMAPFS_REASON_HUGETLBFS;
	case MMAPFS__FS_ZFS:
		return MMAPFS_REASON_ZFS_ARC;
	case MMAPFS__FS_DAX:
		return MMAPFS_REASON_DAX;
	default:
		return MMAPFS_REASON_NONE;
	}
}

/* Why cachestat cannot be used on this file; MMAPFS_REASON_NONE when it can. */
static uint32_t cachestat_reason(struct mmapfs_map *map)
{
	const struct mmapfs__cachestat_range one = { map->offset, 1 };
	struct mmapfs__cachestat stat;
	int feature;

	if (map->fs_kind == MMAPFS__FS_OVERLAY || map->fs_kind == MMAPFS__FS_FUSE)
		return MMAPFS_REASON_STACKED;
	/* Asked on a file of our own first: so that EPERM below is about this file. */
	feature = mmapfs__feature(MMAPFS_FEATURE_CACHESTAT);
	if (feature == -EPERM)
		return MMAPFS_REASON_SECCOMP;
	if (feature <= 0)
		return MMAPFS_REASON_OLD_KERNEL;
	switch (mmapfs__sys->cachestat(map->fd, &one, &stat)) {
	case -EPERM:
		return MMAPFS_REASON_NO_PERMISSION;
	case -ENOSYS:
		return MMAPFS_REASON_OLD_KERNEL;
	case -EOPNOTSUPP:
		return MMAPFS_REASON_HUGETLBFS;
	default:
		/* Any other error is for the call that wants the figures to return. */
		return MMAPFS_REASON_NONE;
	}
}

void mmapfs__observer_init(struct mmapfs__observer *observer, struct mmapfs_map *map)
{
	*observer = (struct mmapfs__observer){ .map = map, .truthful = -1 };
	mmapfs__window_init(&observer->window, map, PROT_NONE);
	observer->reason = blind_reason(map->fs_kind);
	if (observer->reason != MMAPFS_REASON_NONE) {
		observer->truthful = 0;
		return;
	}
	observer->reason = cachestat_reason(map);
	observer->cachestat = observer->reason == MMAPFS_REASON_NONE;
	if (observer->reason == MMAPFS_REASON_HUGETLBFS)
		observer->truthful = 0;
	if (observer->cachestat && map->fs_kind == MMAPFS__FS_MEMORY)
		observer->reason = MMAPFS_REASON_MEMORY_FS;
}

void mmapfs__observer_done(struct mmapfs__observer *observer)
{
	mmapfs__window_done(&observer->window);
}

/* mincore answers EAGAIN when it finds no page for its own buffer. */
static int ask_mincore(char *addr, uint64_t length, unsigned char *vec)
{
	int r, tries;

	for (tries = 0; tries < EAGAIN_TRIES; tries++) {
		if (tries > 0)
			mmapfs__sys->sleep_ns(EAGAIN_PAUSE_NS);
		r = mmapfs__sys->mincore(addr, (size_t)length, vec);
		if (r != -EAGAIN)
			return r;
	}
	return -ENOMEM;
}

static int ask_oracle(const struct mmapfs_map *map)
{
	uint64_t page = mmapfs__page_size();
	unsigned char vec = 0;
	uint64_t size, offset;
	void *addr;
	int r;

	r = mmapfs__map_file_size(map, &size);
	if (r < 0)
		return r;
	/* Farther behind the end of the file than any large folio reaches. */
	offset = ((size + GIB) | (GIB - 1)) + 1;
	r = mmapfs__sys->mmap(NULL, (size_t)page, PROT_NONE, MAP_SHARED, map->fd, offset,
			      &addr);
	if (r == -EOVERFLOW || r == -EINVAL)
		return 0; /* no such page: nothing shows that mincore is to be believed */
	if (r < 0)
		return r;
	r = ask_mincore(addr, page, &vec);
	(void)mmapfs__sys->munmap(addr, (size_t)page);
	if (r < 0)
		return r;
	return !(vec & 1);
}

int mmapfs__observer_truthful(struct mmapfs__observer *observer)
{
	int r;

	if (observer->truthful >= 0)
		return observer->truthful;
	r = ask_oracle(observer->map);
	if (r < 0)
		return r;
	observer->truthful = r;
	if (!r && !observer->cachestat)
		observer->reason = MMAPFS_REASON_NO_PERMISSION;
	return r;
}

static int mincore_view(char *addr, uint64_t offset, uint64_t length,
			mmapfs__mincore_fn fn, void *ctx)
{
	uint64_t page = mmapfs__page_size();
	unsigned char vec[VECTOR_PAGES];
	uint64_t done, piece;
	int r;

	for (done = 0; done < length; done += piece) {
		piece = u64_min(length - done, VECTOR_PAGES * page);
		r = ask_mincore(addr + done, piece, vec);
		if (r < 0)
			return r;
		r = fn(ctx, offset + done, vec, (size_t)(piece / page));
		if (r != 0)
			return r;
	}
	return 0;
}

int mmapfs__observer_mincore(struct mmapfs__observer *observer, uint64_t begin,
			     uint64_t end, mmapfs__mincore_fn fn, void *ctx)
{
	while (begin < end) {
		uint64_t length;
		char *addr;
		int r;

		r = mmapfs__window_at(&observer->window, begin, end - begin, &addr,
				      &length);
		if (r < 0)
			return r;
		r = mincore_view(addr, begin, length, fn, ctx);
		if (r != 0)
			return r;
		begin += length;
	}
	return 0;
}

uint64_t mmapfs__mincore_eight(const unsigned char *vec)
{
	uint64_t eight;

	memcpy(&eight, vec, sizeof(eight));
	return eight & MMAPFS__MINCORE_ONES;
}

static int add_resident(void *ctx, uint64_t offset, const unsigned char *vec,
			size_t pages)
{
	uint64_t *sum = ctx;
	size_t i;

	(void)offset;
	for (i = 0; i + 8 <= pages; i += 8)
		*sum += (uint64_t)__builtin_popcountll(mmapfs__mincore_eight(vec + i));
	for (; i < pages; i++)
		*sum += vec[i] & 1;
	return 0;
}

int mmapfs__observer_mincore_count(struct mmapfs__observer *observer, uint64_t begin,
				   uint64_t end, uint64_t *ret_pages)
{
	uint64_t sum = 0;
	int r;

	r = mmapfs__observer_mincore(observer, begin, end, add_resident, &sum);
	if (r < 0)
		return r;
	*ret_pages = sum;
	return 0;
}

int mmapfs__observer_cachestat(struct mmapfs__observer *observer, uint64_t begin,
			       uint64_t end, struct mmapfs__cachestat *ret)
{
	const struct mmapfs__cachestat_range range = { begin, end - begin };

	/* To the kernel a length of 0 means all the rest of the file. */
	if (begin >= end) {
		*ret = (struct mmapfs__cachestat){ 0 };
		return 0;
	}
	return mmapfs__sys->cachestat(observer->map->fd, &range, ret);
}
