/* SPDX-License-Identifier: MIT */
/* passthrough.c - register backing files; the same on every libfuse. */
#include "passthrough.h"

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Linux 6.9, include/uapi/linux/fuse.h; Debian 12's headers are older. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

int passthrough_backing_open(struct passthrough *pt, int fd)
{
	struct backing_map map = { .fd = fd };
	int id;

	if (!pt->active)
		return -EPERM;
	id = ioctl(fuse_session_fd(pt->session), BACKING_OPEN, &map);
	return id < 0 ? -errno : id;
}

void passthrough_backing_close(struct passthrough *pt, int backing_id)
{
	uint32_t id = (uint32_t)backing_id;

	/* Fails only when the connection is gone, and the id with it. */
	(void)ioctl(fuse_session_fd(pt->session), BACKING_CLOSE, &id);
}
