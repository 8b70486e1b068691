/* SPDX-License-Identifier: MIT */
/* populate.c - populate piece by piece, and find out what an EFAULT meant. */
#include "populate.h"

#include <errno.h>

#include "base/macro.h"

/* Fastest measured, and how much is read again to find the page that failed. */
#define PIECE (UINT64_C(4) << 20)

/* Read [begin, end) as far as the file went, for its errors only. */
static int check_readable(struct mmapfs_map *map, uint64_t begin, uint64_t end,
			  uint64_t eof)
{
	char buf[16384];
	int64_t n;

	end = u64_min(end, eof);
	while (begin < end) {
		n = mmapfs__sys->pread(map->fd, buf, u64_min(end - begin, sizeof(buf)),
				       begin);
		if (n == 0)
			return -ESTALE;
		if (n < 0)
			return (int)n;
		begin += (uint64_t)n;
	}
	return 0;
}

/*
 * EFAULT says only that some page could not be had; read(2) knows why. When it has
 * nothing to complain of, the file may have been shorter just for a moment, so try once
 * more.
 */
static int populate_piece(struct mmapfs_map *map, int advice, uint64_t begin,
			  uint64_t end, uint64_t eof)
{
	char *addr = mmapfs__map_at(map, begin);
	int r;

	r = mmapfs__sys->madvise(addr, end - begin, advice);
	if (r == -EFAULT) {
		r = check_readable(map, begin, end, eof);
		if (r < 0)
			return r;
		r = mmapfs__sys->madvise(addr, end - begin, advice);
	}
	/* EHWPOISON: the page is there, but its memory is broken. */
	return r == -EFAULT || r == -EHWPOISON ? -EIO : r;
}

int mmapfs__populate(struct mmapfs_map *map, int advice, uint64_t begin, uint64_t end,
		     uint64_t eof)
{
	uint64_t next;
	int r;

	for (; begin < end; begin = next) {
		next = u64_min(begin + PIECE, end);
		r = populate_piece(map, advice, begin, next, eof);
		if (r < 0)
			return r;
	}
	return 0;
}

int mmapfs__populate_by_copy(struct mmapfs_map *map, uint64_t begin, uint64_t end,
			     uint64_t eof)
{
	char buf[16384];
	uint64_t next;
	int64_t n;
	int r;

	end = u64_min(end, eof);
	for (; begin < end; begin = next) {
		next = u64_min(begin + sizeof(buf), end);
		/* First the read that is known to return also on a broken disk. */
		r = check_readable(map, begin, next, eof);
		if (r < 0)
			return r;
		n = mmapfs__sys->process_vm_readv(buf, mmapfs__map_at(map, begin),
						  next - begin);
		if (n < 0)
			return n == -EFAULT ? -EIO : (int)n;
		if ((uint64_t)n < next - begin)
			return -EIO;
	}
	return 0;
}
