/* SPDX-License-Identifier: MIT */
/* data.c - walk the data of a file by SEEK_DATA and SEEK_HOLE. */
#include "data.h"

#include <errno.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys.h"

int mmapfs__data_init(struct mmapfs__data *data, struct mmapfs_map *map,
		      const struct mmapfs__extent *extent)
{
	int opened = -1;
	int fd;

	fd = mmapfs__map_seek_fd(map, &opened);
	if (fd < 0)
		return fd;
	*data = (struct mmapfs__data){
		.fd = fd,
		.opened = opened,
		.at = extent->begin,
		.end = extent->end,
	};
	return 0;
}

void mmapfs__data_done(struct mmapfs__data *data)
{
	if (data->opened >= 0)
		(void)mmapfs__sys->close(data->opened);
	data->opened = data->fd = -1;
}

/* Block devices and old filesystems: holes are not told, or there are none. */
static bool cannot_tell(int64_t r)
{
	return r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSYS;
}

/* The next data from `at` on, not widened. 1, or 0 when there is none. */
static int seek(struct mmapfs__data *data, uint64_t *ret_begin, uint64_t *ret_end)
{
	int64_t begin, end;

	begin = mmapfs__sys->lseek(data->fd, (int64_t)data->at, SEEK_DATA);
	if (begin == -ENXIO)
		return 0;
	if (cannot_tell(begin))
		data->whole = true;
	else if (begin < 0)
		return (int)begin;
	if (data->whole) {
		*ret_begin = data->at;
		*ret_end = data->end;
		return 1;
	}
	*ret_begin = u64_max((uint64_t)begin, data->at);
	end = mmapfs__sys->lseek(data->fd, (int64_t)*ret_begin, SEEK_HOLE);
	if (end == -ENXIO) /* the file became shorter in between */
		return 0;
	if (end < 0 && !cannot_tell(end))
		return (int)end;
	*ret_end = end < 0 ? data->end : (uint64_t)end;
	return 1;
}

/* The same in whole pages and within the extent. Always moves on. */
static int find(struct mmapfs__data *data, uint64_t *ret_begin, uint64_t *ret_end)
{
	uint64_t page = mmapfs__page_size();
	uint64_t begin = 0, end = 0;
	int r;

	if (data->at >= data->end)
		return 0;
	r = seek(data, &begin, &end);
	if (r <= 0 || begin >= data->end) {
		data->at = data->end;
		return r < 0 ? r : 0;
	}
	begin = align_down(begin, page);
	/* A filesystem that answers nonsense must not keep us here for ever. */
	end = u64_max(align_up(end, page), begin + page);
	end = u64_min(end, data->end);
	data->at = end;
	*ret_begin = begin;
	*ret_end = end;
	return 1;
}

int mmapfs__data_next(struct mmapfs__data *data, uint64_t *ret_begin, uint64_t *ret_end)
{
	uint64_t begin = data->held_begin;
	uint64_t end = data->held_end;

	data->held_begin = data->held_end = 0;
	for (;;) {
		uint64_t next_begin, next_end;
		int r;

		r = find(data, &next_begin, &next_end);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (begin == end) {
			begin = next_begin;
		} else if (next_begin > end) {
			data->held_begin = next_begin;
			data->held_end = next_end;
			break;
		}
		end = next_end;
	}
	if (begin == end)
		return 0;
	*ret_begin = begin;
	*ret_end = end;
	return 1;
}
