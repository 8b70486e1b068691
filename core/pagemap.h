/* SPDX-License-Identifier: MIT */
/* pagemap.h - what is in this process's own page tables, by /proc/self/pagemap. */
#ifndef MMAPFS_PAGEMAP_H
#define MMAPFS_PAGEMAP_H

#include <stddef.h>
#include <stdint.h>

#define MMAPFS__PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define MMAPFS__PAGEMAP_PFN ((UINT64_C(1) << 55) - 1) /* 0 without CAP_SYS_ADMIN */

/* A descriptor, which the caller closes. Errors: open(2). */
int mmapfs__pagemap_open(void);

/* The entries of @pages pages at @addr, all of them. Errors: pread(2), -EIO. */
int mmapfs__pagemap_read(int fd, const void *addr, size_t pages, uint64_t *ret);

/* How many pages of [addr, addr + length) this process has mapped. Errors as above. */
int mmapfs__pagemap_count(const void *addr, uint64_t length, uint64_t *ret_pages);

#endif
