/* SPDX-License-Identifier: MIT */
/* missing.h - kernel constants and structs that Debian 12's headers (Linux 6.1) lack. */
#ifndef MMAPFS_MISSING_H
#define MMAPFS_MISSING_H

#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Linux 6.5, include/uapi/linux/mman.h. The number is the same everywhere but on alpha. */
#ifndef SYS_cachestat
#ifdef __alpha__
#define SYS_cachestat 561
#elif defined(__mips__) && _MIPS_SIM == _ABIO32
#define SYS_cachestat 4451
#elif defined(__mips__) && _MIPS_SIM == _ABI64
#define SYS_cachestat 5451
#elif defined(__mips__)
#define SYS_cachestat 6451
#else
#define SYS_cachestat 451
#endif
#endif

struct mmapfs__cachestat_range {
	uint64_t off;
	uint64_t len; /* 0: to the end of the file */
};

struct mmapfs__cachestat {
	uint64_t nr_cache;
	uint64_t nr_dirty;
	uint64_t nr_writeback;
	uint64_t nr_evicted;
	uint64_t nr_recently_evicted;
};

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* 6.1 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* 5.18 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* 5.14 */
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

#endif
