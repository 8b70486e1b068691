/* SPDX-License-Identifier: MIT */
/* pagemap.c - reading /proc/self/pagemap, eight bytes for each page of address space. */
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "sys.h"

int mmapfs__pagemap_open(void)
{
	return mmapfs__sys->openat(AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC,
				   0);
}

int mmapfs__pagemap_read(int fd, const void *addr, size_t pages, uint64_t *ret)
{
	uint64_t position = (uintptr_t)addr / mmapfs__page_size() * sizeof(*ret);
	int64_t n;

	n = mmapfs__sys->pread(fd, ret, pages * sizeof(*ret), position);
	if (n < 0)
		return (int)n;
	return (uint64_t)n == pages * sizeof(*ret) ? 0 : -EIO;
}

int mmapfs__pagemap_count(const void *addr, uint64_t length, uint64_t *ret_pages)
{
	_cleanup_close_ int fd = mmapfs__pagemap_open();
	uint64_t pages = length / mmapfs__page_size();
	uint64_t entries[512];
	uint64_t count = 0;
	int r;

	if (fd < 0)
		return fd;

	for (uint64_t done = 0; done < pages; done += ARRAY_SIZE(entries)) {
		size_t n = u64_min(pages - done, ARRAY_SIZE(entries));

		r = mmapfs__pagemap_read(
			fd, (const char *)addr + done * mmapfs__page_size(), n, entries);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			count += !!(entries[i] & MMAPFS__PAGEMAP_PRESENT);
	}
	*ret_pages = count;
	return 0;
}
