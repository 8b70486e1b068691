/* SPDX-License-Identifier: MIT */
/*
 * reader.c - wait for pieces by MADV_POPULATE_READ, and ask read(2) about those that
 * fail.
 *
 * Populate copies nothing, raises no signal and comes back from a page that cannot be
 * read; but all it says then is EFAULT. Which page it is, and whether the disk failed or
 * the file was truncated, only read(2) tells. On Linux before 5.14 read(2) does all the
 * work: delete that together with the support for those kernels.
 */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "probe.h"
#include "sys.h"

#define READ_BYTES (UINT64_C(1) << 20)

void mmapfs__reader_init(struct mmapfs__reader *reader, struct mmapfs_map *map,
			 const struct mmapfs__extent *extent)
{
	*reader = (struct mmapfs__reader){
		.map = map,
		.eof = extent->eof,
		.populate = mmapfs__feature(MMAPFS_FEATURE_POPULATE) > 0,
	};
	mmapfs__window_init(&reader->view, map, PROT_READ);
}

void mmapfs__reader_done(struct mmapfs__reader *reader)
{
	mmapfs__window_done(&reader->view);
	if (reader->random)
		(void)mmapfs__sys->fadvise(reader->map->fd, 0, 0, POSIX_FADV_NORMAL);
	free(reader->buf);
	reader->buf = NULL;
}

int mmapfs__reader_fail(struct mmapfs__reader *reader, int error, uint64_t offset)
{
	if (reader->error == 0) {
		reader->error = error;
		reader->error_offset = offset;
	}
	return error;
}

int mmapfs__reader_check_size(struct mmapfs__reader *reader)
{
	const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs__extent now;
	int r;

	r = mmapfs__map_extent(reader->map, whole, &now);
	if (r < 0)
		return r;
	if (now.eof >= reader->eof)
		return 0;
	return mmapfs__reader_fail(reader, -ESTALE, now.eof);
}

/*
 * A view from @begin on. Under MADV_RANDOM a fault reads its own page and nothing around
 * it, and the end of the view does not make its pages look used.
 */
static int view_at(struct mmapfs__reader *reader, uint64_t begin, uint64_t end,
		   char **ret, uint64_t *ret_length)
{
	struct mmapfs__window *view = &reader->view;
	const struct mmapfs__window before = *view;
	int r;

	r = mmapfs__window_at(view, begin, end - begin, ret, ret_length);
	if (r < 0)
		return r;
	if (view->base != before.base || view->begin != before.begin ||
	    view->length != before.length)
		(void)mmapfs__sys->madvise(view->base, (size_t)view->length, MADV_RANDOM);
	return 0;
}

static int populate(struct mmapfs__reader *reader, uint64_t begin, uint64_t end)
{
	while (begin < end) {
		uint64_t length;
		char *addr;
		int r;

		r = view_at(reader, begin, end, &addr, &length);
		if (r < 0)
			return r;
		do {
			r = mmapfs__sys->madvise(addr, (size_t)length,
						 MADV_POPULATE_READ);
		} while (r == -EINTR);
		/* Mapped pages could not be evicted by others while the view lasts. */
		(void)mmapfs__sys->madvise(addr, (size_t)length, MADV_DONTNEED);
		if (r < 0)
			return r;
		begin += length;
	}
	return 0;
}

/* Readahead around what is read would fill holes and read what was not asked for. The
 * advice of the descriptor cannot be asked, so it is NORMAL afterwards. */
static int prepare_to_read(struct mmapfs__reader *reader)
{
	if (!reader->random) {
		(void)mmapfs__sys->fadvise(reader->map->fd, 0, 0, POSIX_FADV_RANDOM);
		reader->random = true;
	}
	if (!reader->buf)
		reader->buf = malloc(READ_BYTES);
	return reader->buf ? 0 : -ENOMEM;
}

/* read(2) found the end at @at, where there was data before, if only for a moment. */
static int ended_early(struct mmapfs__reader *reader, uint64_t at)
{
	int r;

	r = mmapfs__reader_check_size(reader);
	return r < 0 ? r : mmapfs__reader_fail(reader, -ESTALE, at);
}

/* Large steps as long as all goes well; where it does not, page by page, so that only the
 * pages that cannot be read are missing. */
static int read_through(struct mmapfs__reader *reader, uint64_t begin, uint64_t end)
{
	uint64_t page = mmapfs__page_size();
	uint64_t step = READ_BYTES;
	uint64_t at = begin;
	int r;

	r = prepare_to_read(reader);
	if (r < 0)
		return mmapfs__reader_fail(reader, r, begin);
	end = u64_min(end, reader->eof);
	while (at < end) {
		uint64_t stop = u64_min(align_down(at, page) + step, end);
		int64_t n = mmapfs__sys->pread(reader->map->fd, reader->buf,
					       (size_t)(stop - at), at);

		if (n > 0) {
			at += (uint64_t)n;
		} else if (n == 0) {
			return ended_early(reader, at);
		} else if (n == -EINTR) {
			continue;
		} else if (step > page) {
			step = page;
		} else {
			(void)mmapfs__reader_fail(reader, (int)n, align_down(at, page));
			at = align_down(at, page) + page;
		}
	}
	return 0;
}

int mmapfs__reader_wait(struct mmapfs__reader *reader, uint64_t begin, uint64_t end,
			bool queued)
{
	int populated = -EINVAL;
	int r;

	/* Without readahead populate would wait for the disk once for each page. */
	if (reader->populate && queued)
		populated = populate(reader, begin, end);
	if (populated == 0)
		return 0;
	if (populated == -EINVAL)
		reader->populate = false;
	r = read_through(reader, begin, end);
	/* The disk has the bytes, but the memory that caches them is broken. */
	if (r == 0 && populated == -EHWPOISON)
		(void)mmapfs__reader_fail(reader, -EIO, begin);
	return r;
}
