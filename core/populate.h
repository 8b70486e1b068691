/* SPDX-License-Identifier: MIT */
/* populate.h - fill the page tables of a map without ever raising a signal. */
#ifndef MMAPFS_POPULATE_H
#define MMAPFS_POPULATE_H

#include <stdint.h>

#include "map.h"

/*
 * Give MADV_POPULATE_READ or _WRITE (@advice) for file offsets [begin, end) of the map's
 * own mapping, which exists. @eof is where the file ended when the caller looked. Errors:
 * -EIO where a page cannot be read (or, for _WRITE, be made writable); -ESTALE when the
 * file has become shorter than @eof; else those of madvise(2).
 */
int mmapfs__populate(struct mmapfs_map *map, int advice, uint64_t begin, uint64_t end,
		     uint64_t eof);

/*
 * The same as MADV_POPULATE_READ by pread and process_vm_readv, for Linux before 5.14: it
 * copies every byte twice. To be deleted together with support for those kernels. Errors
 * as above, and those of process_vm_readv(2).
 */
int mmapfs__populate_by_copy(struct mmapfs_map *map, uint64_t begin, uint64_t end,
			     uint64_t eof);

#endif
