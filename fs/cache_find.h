/* SPDX-License-Identifier: MIT */
/*
 * cache_find.h - find the files of the source that have something in RAM though the mount
 * did not see how: from before, or read past the mount. Model.
 */
#ifndef MMAPFS_FS_CACHE_FIND_H
#define MMAPFS_FS_CACHE_FIND_H

#include "cache_known.h"
#include "ctl_private.h"

/*
 * Walk the tree and add what is found to @known, as files of whose use nothing is known.
 * Takes a small part of one CPU, for as long as that takes; @found is called now and
 * then, when there was something new. Returns the nanoseconds it worked, without its
 * pauses. Errors: -EINTR when @stop wants it to end; ctl_walk().
 */
int64_t find_resident(struct known *known, const struct ctl_stop *stop,
		      void (*found)(void *ctx), void *ctx);

#endif
