/* SPDX-License-Identifier: MIT */
/* mmapfs.h - map files, and see, steer and verify which of their pages are in RAM. */
#ifndef MMAPFS_H
#define MMAPFS_H

/*
 * Caveats, before anything else
 *
 * - Memory of a shared map raises SIGBUS when its page is gone (the file was truncated) or
 *   cannot be read (EIO). mmapfs_read(), mmapfs_write() and every control call below never
 *   do; your own loads and stores do, unless they run inside mmapfs_guard_call().
 * - Another process, or the kernel under memory pressure, may change residency at any
 *   moment. A figure says what was true while it was measured. Only locked pages stay.
 * - "Resident" means in the page cache and ready to be used (mincore(2)); "occupied" means
 *   in the page cache, perhaps still being read (cachestat(2)).
 * - For a file that the caller neither owns nor may write, the kernel hides residency:
 *   cachestat(2) answers EPERM and mincore(2) says "all resident". Such figures are left
 *   out of `valid` here, never guessed.
 * - posix_fadvise(2), readahead(2) and cachestat(2) on a file of a FUSE mount act on the
 *   mount's own page cache, not on the file behind it. On a mounted mmapfs use the control
 *   attributes, see mmapfs_control_get().
 *
 * Conventions
 *
 * - Functions return 0 or a count; on failure a negative errno (-ENOENT). Nothing prints.
 * - Offsets and lengths are bytes in uint64_t. A length of 0 means "to the end".
 * - Ranges are relative to the start of the map and are widened to whole pages.
 * - Structs of options and results begin with `size`, which the caller sets to its sizeof
 *   (the MMAPFS_INIT macro does): a newer library then serves an older caller.
 * - A result is written only on success, unless its function says otherwise.
 * - Different maps may be used from different threads at will. One map may be observed,
 *   read, written, warmed, advised and synced from several threads at once; resize,
 *   refresh, protect, lock, unlock, evict and close need it for themselves.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MMAPFS_VERSION_MAJOR 0
#define MMAPFS_VERSION_MINOR 1
#define MMAPFS_VERSION_PATCH 0

/** Initialiser for any struct below whose first member is `size`. */
#define MMAPFS_INIT(type) { sizeof(type) }

/** The version of the library that is linked, "0.1.0". Static. */
const char *mmapfs_version(void);

/** A range of bytes. A length of 0 reaches to the end; {0, 0} is the whole. */
struct mmapfs_range {
	uint64_t offset;
	uint64_t length;
};

/* ---- mapping ------------------------------------------------------------------------ */

/** A file, or a window of one, mapped. Opaque. */
struct mmapfs_map;

enum mmapfs_access {
	MMAPFS_ACCESS_READ = 0, /* shared, read only */
	MMAPFS_ACCESS_WRITE,    /* shared, stores reach the file */
	MMAPFS_ACCESS_COPY,     /* private, stores stay in this process */
};

enum mmapfs_map_flags {
	MMAPFS_MAP_CREATE = 1 << 0,   /* create the file when it is missing (mode: `mode`) */
	MMAPFS_MAP_GROW = 1 << 1,     /* allocate the file up to the end of the window */
	MMAPFS_MAP_LAZY = 1 << 2,     /* no addresses until something needs them */
	MMAPFS_MAP_NOFOLLOW = 1 << 3, /* a symbolic link as last component is ELOOP */
	MMAPFS_MAP_NOATIME = 1 << 4,  /* leave the access time alone, where that is allowed */
	MMAPFS_MAP_CLIP = 1 << 5,     /* `length` is the most: the window ends with the file
				       * where that is shorter, see mmapfs_map_refresh() */
};

struct mmapfs_map_opts {
	size_t size;
	uint32_t access; /* enum mmapfs_access */
	uint32_t flags;  /* enum mmapfs_map_flags */
	uint64_t offset; /* of the window in the file; need not be aligned */
	uint64_t length; /* of the window; 0: to the end of the file */
	uint32_t mode;   /* permissions of a created file, before the umask */
};

/**
 * Open @path (relative to the directory @dirfd, or AT_FDCWD) and map it.
 *
 * FIFOs, sockets, directories and character devices are refused without being opened for
 * good, so this never hangs. @opts may be NULL: the whole file, shared, read only.
 *
 * Returns 0 and the map in @ret, to be given to mmapfs_map_close(). Errors: those of
 * open(2) and mmap(2); -EINVAL for unknown flags or access; -EISDIR; -ENODEV for a file
 * that is neither regular nor a block device; -EOVERFLOW when offset + length overflows;
 * with MMAPFS_MAP_GROW also those of fallocate(2): -ENOSPC, -EFBIG; and -EACCES when
 * `access` is not MMAPFS_ACCESS_WRITE.
 */
int mmapfs_map_open(int dirfd, const char *path, const struct mmapfs_map_opts *opts,
		    struct mmapfs_map **ret);

/**
 * Map the open file @fd. On success the map owns @fd and closes it; on failure the caller
 * still does. The file position of @fd is never moved. CREATE, NOFOLLOW and NOATIME are
 * -EINVAL. Errors as mmapfs_map_open(); -EACCES when @fd was not opened for what `access` needs, or
 * is to be written and was opened with O_APPEND; -EBADF for O_PATH.
 */
int mmapfs_map_from_fd(int fd, const struct mmapfs_map_opts *opts, struct mmapfs_map **ret);

/**
 * Map @length bytes of fresh memory that no path names (a memfd called @name in
 * /proc/PID/maps), shared and writable; mmapfs_map_fd() can be passed to other processes.
 * Errors: memfd_create(2), ftruncate(2), mmap(2); -EINVAL when @length is 0.
 */
int mmapfs_map_anonymous(const char *name, uint64_t length, struct mmapfs_map **ret);

/** Unmap, unlock, close. Takes NULL. Returns NULL, for `m = mmapfs_map_close(m)`. */
struct mmapfs_map *mmapfs_map_close(struct mmapfs_map *map);

/**
 * The address of the first byte of the window, in @ret; maps a lazy map first. The address
 * holds until resize, refresh or close. An empty window is -ENODATA; else errors of mmap(2).
 */
int mmapfs_map_addr(struct mmapfs_map *map, void **ret);

/** Length of the window in bytes, as of open, resize or refresh. */
uint64_t mmapfs_map_length(const struct mmapfs_map *map);

/** The descriptor under the map. It stays the map's. */
int mmapfs_map_fd(const struct mmapfs_map *map);

/**
 * Give the window the length @length, growing the file (allocated, so that a later store
 * cannot fail for want of space) or truncating it when the window reached to its end.
 * Errors: fallocate(2), ftruncate(2), mremap(2); -EACCES on a read-only map; -EBUSY while
 * any range is locked; -EFBIG. On failure the map is as it was.
 */
int mmapfs_map_resize(struct mmapfs_map *map, uint64_t length);

/**
 * Let a window that was opened "to the end", or with MMAPFS_MAP_CLIP, follow a file that
 * others grew or truncated.
 * Returns 1 when the length changed, 0 when not. Locked ranges beyond the new end are
 * forgotten. Errors: fstat(2), mremap(2); -EBUSY when the mapping would have to move while
 * ranges are locked.
 */
int mmapfs_map_refresh(struct mmapfs_map *map);

/**
 * Change what this process may do with the memory: MMAPFS_ACCESS_READ or _WRITE for shared
 * maps, READ or COPY for private ones. -EACCES when the descriptor does not allow it,
 * -EINVAL to change between shared and private; else mprotect(2).
 */
int mmapfs_map_protect(struct mmapfs_map *map, enum mmapfs_access access);

/* ---- observation -------------------------------------------------------------------- */

/** Which figures of struct mmapfs_residency were measured. */
enum mmapfs_figure {
	MMAPFS_RESIDENT = 1 << 0,
	MMAPFS_OCCUPIED = 1 << 1,
	MMAPFS_DIRTY = 1 << 2,
	MMAPFS_WRITEBACK = 1 << 3,
	MMAPFS_EVICTED = 1 << 4,
	MMAPFS_RECENTLY_EVICTED = 1 << 5,
};

enum mmapfs_method {
	MMAPFS_METHOD_NONE = 0,          /* nothing could be measured */
	MMAPFS_METHOD_CACHESTAT,         /* cachestat(2) alone */
	MMAPFS_METHOD_MINCORE,           /* mincore(2), checked not to lie */
	MMAPFS_METHOD_CACHESTAT_MINCORE, /* both */
};

enum mmapfs_confidence {
	MMAPFS_CONFIDENCE_UNKNOWN = 0, /* `resident` is not valid */
	MMAPFS_CONFIDENCE_UPPER_BOUND, /* pages still being read may be counted as resident */
	MMAPFS_CONFIDENCE_EXACT,
};

/** Why a figure is missing. */
enum mmapfs_reason {
	MMAPFS_REASON_NONE = 0,
	MMAPFS_REASON_NO_PERMISSION, /* neither owner nor writer: the kernel hides it */
	MMAPFS_REASON_OLD_KERNEL,    /* no cachestat(2): before Linux 6.5 */
	MMAPFS_REASON_SECCOMP,       /* cachestat(2) forbidden to this process */
	MMAPFS_REASON_STACKED,       /* overlayfs, FUSE: the pages belong to another inode */
	MMAPFS_REASON_MEMORY_FS,     /* tmpfs: the page cache is the storage, never dirty */
	MMAPFS_REASON_HUGETLBFS,
	MMAPFS_REASON_ZFS_ARC, /* ZFS caches outside the page cache */
	MMAPFS_REASON_DAX,     /* no page cache at all */
};

/** How many pages of a range are where. Figures not in `valid` are 0 and mean nothing. */
struct mmapfs_residency {
	size_t size;
	uint32_t valid;       /* enum mmapfs_figure, or-ed: which figures were measured */
	uint32_t upper_bound; /* those of `valid` that may be too high: `dirty` counts whole
			       * folios where the filesystem uses large ones */
	uint32_t method;      /* enum mmapfs_method */
	uint32_t confidence;  /* enum mmapfs_confidence, of `resident` */
	uint32_t reason;      /* enum mmapfs_reason, for the first figure missing */
	uint32_t changed;     /* 1: the file's size changed while looking */
	uint64_t page_size;   /* bytes */
	uint64_t file_size;   /* bytes, of the window clamped to the file's end */
	uint64_t pages;       /* of the range, clamped to the file's end */
	uint64_t resident;
	uint64_t occupied;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;          /* pushed out by the kernel, not by DONTNEED */
	uint64_t recently_evicted; /* of those, the ones that would be activated again */
};

enum mmapfs_observe_flags {
	/* Tell pages that are ready from pages still being read, by mincore(2). Without it
	 * `resident` may be an upper bound, and a count takes microseconds. */
	MMAPFS_OBSERVE_READY = 1 << 0,
};

/**
 * Count the pages of @range. Does not disturb what it measures: nothing is read in, no page
 * is touched. That nothing could be known is not an error: `valid` is 0 and `reason` says
 * why. Errors: -EINVAL (flags), fstat(2), -ENOMEM.
 */
int mmapfs_residency(struct mmapfs_map *map, struct mmapfs_range range, uint32_t flags,
		     struct mmapfs_residency *ret);

struct statx;

/**
 * As mmapfs_residency(), of the whole open file @fd without making a map of it: for looking
 * at many small files, where the map would cost more than the count. @known is what
 * statx(2) has just said of @fd (STATX_BASIC_STATS | MMAPFS_STATX_MASK), or NULL to let it
 * be asked here. `changed` is only looked for where counting takes more than one call.
 * Errors: as mmapfs_residency(); -EISDIR; -ENODEV for a file that is neither regular nor a
 * block device; statx(2), fstatfs(2).
 */
int mmapfs_residency_fd(int fd, const struct statx *known, struct mmapfs_range range,
			uint32_t flags, struct mmapfs_residency *ret);

/** STATX_MNT_ID_UNIQUE, whose value not all headers know. */
#define MMAPFS_STATX_MASK 0x4000u

/** Receives one run of resident bytes, in file order, page aligned (the last is cut at the
 * end of the file). Non-zero stops the walk. */
typedef int (*mmapfs_range_fn)(void *ctx, uint64_t offset, uint64_t length);

/**
 * Call @fn for each maximal run of resident pages in @range. Memory use does not grow with
 * the file. Returns 0, or what @fn returned to stop. Errors: -ENODATA when residency cannot
 * be known (mmapfs_residency() says why), else as mmapfs_residency().
 */
int mmapfs_ranges(struct mmapfs_map *map, struct mmapfs_range range, uint32_t flags,
		  mmapfs_range_fn fn, void *ctx);

/* ---- control ------------------------------------------------------------------------ */

/** Called between pieces of long work with the bytes done and to do. Non-zero cancels. */
typedef int (*mmapfs_progress_fn)(void *ctx, uint64_t done, uint64_t total);

struct mmapfs_warm_opts {
	size_t size;
	mmapfs_progress_fn progress; /* may be NULL */
	void *ctx;
	uint64_t rate;           /* bytes per second at most; 0: no limit */
	uint64_t keep_available; /* stop with -ENOMEM before MemAvailable falls below, bytes */
	uint64_t limit;          /* stop with -EDQUOT before so many bytes have been asked of
				  * the disk; 0: no limit */
};

struct mmapfs_warm_result {
	size_t size;
	uint32_t valid;        /* 1: `before`, `after` and `missing` were measured */
	int32_t error;         /* first error as a negative errno, else 0 */
	uint64_t error_offset; /* of it, in bytes */
	uint64_t total;        /* bytes of the range that hold data (holes are never read in) */
	uint64_t requested;    /* bytes that were asked of the disk */
	uint64_t before;       /* resident bytes of data, before */
	uint64_t after;        /* resident and ready, after */
	uint64_t missing;      /* bytes of data not resident at the end: evicted meanwhile */
};

/**
 * Read in what is missing of @range and wait until it is ready. Touches nothing that is
 * resident, creates no pages for holes, raises no signal when the file shrinks or fails.
 * @opts may be NULL. @ret may be NULL, and is filled in also when -ECANCELED (a progress
 * callback said so), -EIO (with error_offset; all that could be read has been), -ENOMEM
 * (keep_available) or -ESTALE (the file became shorter) is returned.
 */
int mmapfs_warm(struct mmapfs_map *map, struct mmapfs_range range,
		const struct mmapfs_warm_opts *opts, struct mmapfs_warm_result *ret);

/** Why a page was still there after an evict. */
enum mmapfs_stay {
	MMAPFS_STAY_MEMORY_FS = 0, /* tmpfs: the page cache is the storage */
	MMAPFS_STAY_LOCKED,        /* mlocked by somebody */
	MMAPFS_STAY_WRITEBACK,     /* being written right now */
	MMAPFS_STAY_DIRTY,         /* not yet written: use MMAPFS_EVICT_SYNC */
	MMAPFS_STAY_MAPPED,        /* in the page tables of a process */
	MMAPFS_STAY_STRADDLING,    /* part of a large folio that reaches out of the range */
	MMAPFS_STAY_OTHER,         /* none of these could be shown */
	MMAPFS_STAY_COUNT
};

enum mmapfs_evict_flags {
	MMAPFS_EVICT_SYNC = 1 << 0, /* write dirty pages back first; its error is returned */
};

struct mmapfs_evict_result {
	size_t size;
	uint32_t valid; /* 1: the figures below were measured */
	uint32_t exact; /* 1: each reason was read page by page (needs root), else inferred */
	uint64_t pages; /* of the range */
	uint64_t before;
	uint64_t after;
	uint64_t stayed[MMAPFS_STAY_COUNT]; /* pages, by the first reason that applies;
					     * their sum is `after` */
};

/**
 * Drop the clean pages of @range from the page cache, for everybody, and verify it. Also
 * releases this map's own page table entries; nothing is lost, dirty pages stay. Pages that
 * stay are no error: @ret (may be NULL) counts them by reason. Errors: with
 * MMAPFS_EVICT_SYNC those of mmapfs_sync(); posix_fadvise(2); -EOPNOTSUPP on hugetlbfs.
 */
int mmapfs_evict(struct mmapfs_map *map, struct mmapfs_range range, uint32_t flags,
		 struct mmapfs_evict_result *ret);

/** Sizes of folios that are told apart: 2^0 to 2^15 pages. */
#define MMAPFS_FOLIO_ORDERS 16

/** The folios of the resident pages of a range: what the kernel drops only as a whole. */
struct mmapfs_folios {
	size_t size;
	uint32_t complete;   /* 1: all of the range was looked at */
	uint64_t page_size;  /* bytes */
	uint64_t examined;   /* bytes that were looked at, from the beginning of the range */
	uint64_t folios[MMAPFS_FOLIO_ORDERS]; /* of 2^index pages that reach into the range */
	uint64_t pages[MMAPFS_FOLIO_ORDERS];  /* of the range that they hold */
	uint64_t hidden;     /* other pages in the cache: being read, or just gone */
	uint64_t straddling; /* pages whose folio reaches out of the range: an evict of the
			      * range leaves them */
	uint64_t begin;      /* the range widened to whole folios, as offsets in the file: an */
	uint64_t end;        /* evict of that leaves none for this reason */
};

/**
 * Look into which folios the resident pages of @range are. Needs root, for what tells it is
 * /proc/kpageflags by physical page; to learn those, pages are mapped for a moment, none is
 * read in. Looks at 2^20 pages at most. Errors: -EPERM; -EOPNOTSUPP where the kernel or the
 * filesystem cannot tell; mmap(2), mincore(2), -ENOMEM.
 */
int mmapfs_folios(struct mmapfs_map *map, struct mmapfs_range range,
		  struct mmapfs_folios *ret);

struct mmapfs_lock_result {
	size_t size;
	uint64_t need;   /* bytes that were asked to be locked in addition */
	uint64_t limit;  /* RLIMIT_MEMLOCK; UINT64_MAX: none, or CAP_IPC_LOCK */
	uint64_t in_use; /* bytes this process had locked before */
	uint64_t locked; /* bytes of the range resident and locked at the end */
};

/**
 * Keep @range in RAM: lock its pages as they come and read its data in. The range is cut
 * at the end of the file; holes are not filled, but a page that appears there is locked.
 * Errors: -ENOMEM when the limit would be passed, before anything is done, with both
 * numbers in @ret (may be NULL; filled in also then); -EPERM when locking is not allowed at
 * all; -EIO or -ESTALE when a page cannot be read, with nothing of the range left locked.
 */
int mmapfs_lock(struct mmapfs_map *map, struct mmapfs_range range,
		struct mmapfs_lock_result *ret);

/** Give @range back to the kernel's care. Pages stay until something evicts them. */
int mmapfs_unlock(struct mmapfs_map *map, struct mmapfs_range range);

/** Call @fn for each range that this map has locked, ascending. Returns as mmapfs_ranges(). */
int mmapfs_locked(struct mmapfs_map *map, mmapfs_range_fn fn, void *ctx);

enum mmapfs_sync_level {
	MMAPFS_SYNC = 0,        /* durable when it returns (msync MS_SYNC, fdatasync) */
	MMAPFS_SYNC_ASYNC,      /* start writing; MS_ASYNC itself does nothing on Linux */
	MMAPFS_SYNC_INVALIDATE, /* msync MS_INVALIDATE: -EBUSY when a page is locked */
};

/**
 * Write dirty pages of @range back. The kernel reports a write error only once per open
 * file, then calls the pages clean although they never reached the disk. So an error stays:
 * it is returned by every mmapfs_sync() on every map of the same file in this process until
 * mmapfs_sync_forget_error(), or until the last of those maps is closed.
 * Errors: -EIO, -ENOSPC, -EDQUOT (fsync(2)); -EBUSY; -EINVAL for an unknown level.
 */
int mmapfs_sync(struct mmapfs_map *map, struct mmapfs_range range,
		enum mmapfs_sync_level level);

/** The error that stays with the file, as a negative errno, or 0. */
int mmapfs_sync_error(struct mmapfs_map *map);

/** Forget it: the caller has written the lost data again, or accepts the loss. */
void mmapfs_sync_forget_error(struct mmapfs_map *map);

enum mmapfs_advice {
	MMAPFS_ADVICE_NORMAL = 0,
	MMAPFS_ADVICE_RANDOM,
	MMAPFS_ADVICE_SEQUENTIAL,
	MMAPFS_ADVICE_WILLNEED,
	MMAPFS_ADVICE_DONTNEED,
	MMAPFS_ADVICE_COLD,
	MMAPFS_ADVICE_PAGEOUT,
	MMAPFS_ADVICE_POPULATE_READ,
	MMAPFS_ADVICE_POPULATE_WRITE,
	MMAPFS_ADVICE_HUGEPAGE,
	MMAPFS_ADVICE_NOHUGEPAGE,
	MMAPFS_ADVICE_COLLAPSE,
	MMAPFS_ADVICE_MERGEABLE,
	MMAPFS_ADVICE_UNMERGEABLE,
	MMAPFS_ADVICE_DONTFORK,
	MMAPFS_ADVICE_DOFORK,
	MMAPFS_ADVICE_DONTDUMP,
	MMAPFS_ADVICE_DODUMP,
	MMAPFS_ADVICE_WIPEONFORK,
	MMAPFS_ADVICE_KEEPONFORK,
	MMAPFS_ADVICE_DONTNEED_LOCKED,
	MMAPFS_ADVICE_FREE,
	MMAPFS_ADVICE_REMOVE,
	MMAPFS_ADVICE_COUNT
};

enum mmapfs_advice_kind {
	MMAPFS_ADVICE_STATE = 1 << 0,       /* stays in force on the range */
	MMAPFS_ADVICE_ACTION = 1 << 1,      /* happens once */
	MMAPFS_ADVICE_DESTRUCTIVE = 1 << 2, /* may lose data */
	MMAPFS_ADVICE_DESTRUCTIVE_ON_COPY = 1 << 3, /* loses the stores of a private map */
};

enum mmapfs_advise_flags {
	MMAPFS_ADVISE_MAY_DESTROY = 1 << 0, /* allow advice that loses data */
};

/**
 * Give madvise(2) @advice for @range. WILLNEED is repeated until all of the range has been
 * queued (the kernel stops after one readahead window). Destructive advice is -EPERM without
 * MMAPFS_ADVISE_MAY_DESTROY. Errors: madvise(2); -EINVAL for advice this kernel or this kind
 * of map does not know; -EIO and -ESTALE from the populate words.
 */
int mmapfs_advise(struct mmapfs_map *map, struct mmapfs_range range,
		  enum mmapfs_advice advice, uint32_t flags);

/* ---- safety ------------------------------------------------------------------------- */

/**
 * Copy out of, or into, the map without ever raising SIGBUS. Returns the bytes copied:
 * fewer at the end of the window or of the file, 0 beyond it. A write never makes the file
 * longer. Errors: -EIO, -ENOSPC, -EDQUOT; -EACCES to write a read-only map.
 */
int64_t mmapfs_read(struct mmapfs_map *map, uint64_t offset, void *buf, size_t length);
int64_t mmapfs_write(struct mmapfs_map *map, uint64_t offset, const void *buf,
		     size_t length);

/**
 * Run @fn(@arg) so that a SIGBUS it raises on mapped memory ends it with -EFAULT here
 * instead of killing the process. @fn is left by siglongjmp: it must hold no locks and own
 * no memory at the points that may fault. It must not leave by a jump of its own, and the
 * thread must not block SIGBUS (the kernel then kills without asking). Calls nest. Installs
 * a SIGBUS handler on first use that passes every other SIGBUS to the handler that was there
 * before. Returns what @fn returned.
 */
int mmapfs_guard_call(int (*fn)(void *arg), void *arg);

/* ---- snapshot ----------------------------------------------------------------------- */

/*
 * A snapshot is a text file (docs/snapshot-format.md) that tells of many files which of
 * their bytes were resident. However many they are, reading, writing and combining
 * snapshots takes a bounded amount of memory. Neither kind of object may be used by two
 * threads at once.
 */

/** One file of a snapshot. */
struct mmapfs_snapshot_entry {
	size_t size;
	const char *name;    /* any bytes; what it is relative to is the caller's matter */
	const char *skipped; /* NULL, or the word why its residency was not known; then the
			      * figures below are 0 and there are no ranges */
	uint64_t file_size;  /* bytes */
	int64_t mtime_ns;    /* since 1970 */
	uint32_t dev_major;  /* with dev_minor and ino 0 where not known */
	uint32_t dev_minor;
	uint64_t ino;
	uint32_t heat;       /* up to MMAPFS_SNAPSHOT_HEAT_MAX: the more, the sooner the file
			      * is wanted back; 0 where nobody said */
};

#define MMAPFS_SNAPSHOT_HEAT_MAX 1000

/** What a snapshot says about itself. */
struct mmapfs_snapshot_info {
	size_t size;
	const char *kernel; /* release that it was taken on; good until close */
	uint64_t page_size; /* of the machine that it was taken on */
	int64_t time_s;     /* when, seconds since 1970 */
	uint64_t files;     /* whose residency was known */
	uint64_t skipped;   /* whose was not */
	uint64_t ranges;
	uint64_t bytes;
};

/** A snapshot being written. Opaque. */
struct mmapfs_snapshot_writer;

/**
 * Begin a snapshot that is to be @path (relative to the directory @dirfd, or AT_FDCWD).
 * It is written to a temporary file in the same directory, without a name where the
 * filesystem can do that (O_TMPFILE), else .mmapfs-XXXXXXXX; what @path names stays as it is
 * until mmapfs_snapshot_commit(). Errors: open(2) and write(2) in that
 * directory; -EISDIR, -ELOOP or -ENODEV when @path exists and is no regular file.
 */
int mmapfs_snapshot_create(int dirfd, const char *path,
			   struct mmapfs_snapshot_writer **ret);

/**
 * The heat of what mmapfs_snapshot_add() adds from now on. Called before the first entry is
 * added it makes this a snapshot of version 2, the one that tells heat; otherwise, and
 * without a call, it is one of version 1, and no heat is stored. Errors: -EINVAL above
 * MMAPFS_SNAPSHOT_HEAT_MAX; -EBUSY when version 1 has been begun.
 */
int mmapfs_snapshot_set_heat(struct mmapfs_snapshot_writer *writer, uint32_t heat);

/**
 * Add the resident ranges of @map under @name. Names may come in any order; of a name that
 * comes twice the first counts. Returns 0; or 1 when residency could not be known and only
 * that and the reason was recorded. Errors: those of mmapfs_ranges(); write(2);
 * -ENAMETOOLONG above 4095 bytes; -EINVAL for an empty @name. After an error of the writing
 * itself every further call returns it; after any other the file is simply not in.
 */
int mmapfs_snapshot_add(struct mmapfs_snapshot_writer *writer, const char *name,
			struct mmapfs_map *map);

/**
 * The same by hand: the entry, then its ranges in order, which must be whole pages within
 * the file (the last may end with it), or else are -EINVAL; adjacent ones are joined. An
 * entry with `skipped` set (one word) has no ranges. Errors as mmapfs_snapshot_add().
 */
int mmapfs_snapshot_add_entry(struct mmapfs_snapshot_writer *writer,
			      const struct mmapfs_snapshot_entry *entry);
int mmapfs_snapshot_add_range(struct mmapfs_snapshot_writer *writer,
			      struct mmapfs_range range);

/** What has been written so far, up to the last complete entry. */
int mmapfs_snapshot_written(const struct mmapfs_snapshot_writer *writer,
			    struct mmapfs_snapshot_info *ret);

/**
 * Take the entry that was added last, and its ranges, back; for when its ranges end with an
 * error. -ENODATA when there is none.
 */
int mmapfs_snapshot_drop_entry(struct mmapfs_snapshot_writer *writer);

/**
 * Sort where needed, make everything durable, and let @path be the new snapshot: at every
 * moment it is either all of the old or all of the new one. Frees @writer in any case; on
 * failure @path is as it was. Errors: fsync(2), rename(2), write(2); -ENOMEM.
 */
int mmapfs_snapshot_commit(struct mmapfs_snapshot_writer *writer);

/** Forget the new snapshot. Takes NULL. Returns NULL. */
struct mmapfs_snapshot_writer *
mmapfs_snapshot_abort(struct mmapfs_snapshot_writer *writer);

/** A snapshot being read. Opaque. */
struct mmapfs_snapshot;

/** Where a text stopped being a snapshot. */
struct mmapfs_snapshot_damage {
	size_t size;
	const char *reason; /* "the checksum differs: the text was changed"; static */
	uint64_t line;      /* from 1 */
};

/**
 * Open the snapshot @path and check all of it: each line, the order, the counts and the
 * checksum. Nothing of a snapshot that is damaged in any way is ever handed out. Returns 0
 * and @ret, to be given to mmapfs_snapshot_close(). Errors: open(2), read(2); -EISDIR;
 * -ENODEV when it is no regular file; -EBADMSG when it is damaged or no snapshot at all:
 * then @damage (may be NULL) says where and why.
 */
int mmapfs_snapshot_load(int dirfd, const char *path,
			 struct mmapfs_snapshot_damage *damage,
			 struct mmapfs_snapshot **ret);

/**
 * Another reader of the same snapshot, which has been checked already, at its beginning; for
 * another thread. Errors: fcntl(2), read(2); -ENOMEM; -ESTALE as mmapfs_snapshot_next().
 */
int mmapfs_snapshot_dup(const struct mmapfs_snapshot *snapshot,
			struct mmapfs_snapshot **ret);

/** Takes NULL. Returns NULL. */
struct mmapfs_snapshot *mmapfs_snapshot_close(struct mmapfs_snapshot *snapshot);

/** What the snapshot says about itself. */
int mmapfs_snapshot_info(const struct mmapfs_snapshot *snapshot,
			 struct mmapfs_snapshot_info *ret);

/**
 * The next entry: returns 1, or 0 behind the last. Entries are sorted by name, bytewise,
 * but "/" before every other byte. Strings are good until the next call. Errors: read(2);
 * -ESTALE when somebody has written to the file since it was loaded.
 */
int mmapfs_snapshot_next(struct mmapfs_snapshot *snapshot,
			 struct mmapfs_snapshot_entry *ret);

/** The next range of that entry: 1, or 0 when there is no more. Errors as above. */
int mmapfs_snapshot_next_range(struct mmapfs_snapshot *snapshot,
			       struct mmapfs_range *ret);

/** Begin again: with the first entry, or with the first range of the current entry. */
void mmapfs_snapshot_rewind(struct mmapfs_snapshot *snapshot);
void mmapfs_snapshot_rewind_ranges(struct mmapfs_snapshot *snapshot);

/** What to do with a file that is not as it was. Its ranges are always cut at its end. */
enum mmapfs_snapshot_policy {
	MMAPFS_SNAPSHOT_UNCHANGED = 0, /* only when size and mtime are as recorded */
	MMAPFS_SNAPSHOT_RESIZED,       /* also when its size differs: it grew or shrank */
	MMAPFS_SNAPSHOT_ANY,           /* whatever happened to it */
};

/** What is not as it was. */
enum mmapfs_snapshot_change {
	MMAPFS_SNAPSHOT_SIZE = 1 << 0,
	MMAPFS_SNAPSHOT_MTIME = 1 << 1,
	MMAPFS_SNAPSHOT_INODE = 1 << 2, /* another file of that name; told, but no reason
					 * to skip, for copies and restored backups are */
};

struct mmapfs_snapshot_apply_opts {
	size_t size;
	mmapfs_progress_fn progress; /* may be NULL; bytes of this file */
	void *ctx;
	uint64_t rate;           /* bytes per second at most; 0: no limit */
	uint64_t keep_available; /* stop with -ENOMEM before MemAvailable falls below */
	uint32_t policy;         /* enum mmapfs_snapshot_policy */
	uint64_t limit;          /* stop with -EDQUOT before so many bytes have been asked of
				  * the disk; 0: no limit */
};

struct mmapfs_snapshot_apply_result {
	size_t size;
	uint32_t valid;   /* 1: `before`, `after`, `missing` and `extra` were measured */
	uint32_t changed; /* enum mmapfs_snapshot_change, or-ed */
	uint32_t skipped; /* 1: the policy, or the entry, says not to; nothing was done */
	int32_t error;    /* first error as a negative errno, else 0 */
	uint64_t error_offset;
	uint64_t recorded;  /* bytes of the entry's ranges */
	uint64_t total;     /* of those, the ones that the file still has */
	uint64_t requested; /* asked of the disk: `total` without what was there */
	uint64_t before;    /* bytes of `total` resident before */
	uint64_t after;     /* and now */
	uint64_t missing;   /* total - after */
	uint64_t extra;     /* bytes outside the ranges that have become resident meanwhile,
			     * by whomever */
};

/**
 * Make exactly the ranges of the current entry resident in @map, the whole file that the
 * entry is about, and verify it. Reads nothing that was resident and nothing between the
 * ranges. @opts may be NULL, @ret too. Errors, with @ret filled in, as mmapfs_warm();
 * -ENODATA when there is no current entry, or @map does not show the whole file.
 */
int mmapfs_snapshot_apply(struct mmapfs_snapshot *snapshot, struct mmapfs_map *map,
			  const struct mmapfs_snapshot_apply_opts *opts,
			  struct mmapfs_snapshot_apply_result *ret);

enum mmapfs_snapshot_op {
	MMAPFS_SNAPSHOT_UNION = 0, /* in either */
	MMAPFS_SNAPSHOT_INTERSECT, /* in both */
	MMAPFS_SNAPSHOT_SUBTRACT,  /* in the first, not in the second */
};

/**
 * Combine two snapshots, from their beginnings, into what @writer writes. A file that is in
 * both has the identity that was recorded with the later mtime, and is cut at that size. A
 * file skipped in one: a union takes the other; else it is skipped in the result, for it
 * cannot be known. The result tells heat when one of them does, of a file in both the
 * higher. Errors: those of reading and writing; -EINVAL for an unknown @op;
 * -EXDEV when the two were taken with different page sizes.
 */
int mmapfs_snapshot_combine(struct mmapfs_snapshot *a, struct mmapfs_snapshot *b,
			    enum mmapfs_snapshot_op op,
			    struct mmapfs_snapshot_writer *writer);

/** One file of two snapshots. */
struct mmapfs_snapshot_delta {
	size_t size;
	const char *name;
	const struct mmapfs_snapshot_entry *a; /* NULL: not in that snapshot */
	const struct mmapfs_snapshot_entry *b;
	uint32_t changed; /* enum mmapfs_snapshot_change; 0 unless known in both */
	uint32_t valid;   /* 1: the bytes below are known: the file is skipped in neither */
	uint64_t only_a;  /* bytes */
	uint64_t only_b;
	uint64_t both;
};

/** Receives one file; non-zero stops. */
typedef int (*mmapfs_snapshot_delta_fn)(void *ctx,
					const struct mmapfs_snapshot_delta *delta);

/** Receives a range of file @name that only the first (@which 1) or the second (2) snapshot
 * has, before the file itself; non-zero stops. */
typedef int (*mmapfs_snapshot_differ_fn)(void *ctx, const char *name, uint32_t which,
					 uint64_t offset, uint64_t length);

/**
 * Walk two snapshots, from their beginnings, side by side: @fn for each file, @range_fn
 * (may be NULL) for each difference of one that both know or only one has. Returns 0 or
 * what a callback returned. Errors: those of mmapfs_snapshot_next().
 */
int mmapfs_snapshot_diff(struct mmapfs_snapshot *a, struct mmapfs_snapshot *b,
			 mmapfs_snapshot_delta_fn fn, mmapfs_snapshot_differ_fn range_fn,
			 void *ctx);

/* ---- control attributes of a mounted mmapfs ----------------------------------------- */

#define MMAPFS_CONTROL_PREFIX "user.mmapfs."
#define MMAPFS_CONTROL_NAME_MAX 96
#define MMAPFS_CONTROL_VALUE_MAX 8072

/** Argument of MMAPFS_IOC_CONTROL: works on read-only descriptors and read-only mounts. */
struct mmapfs_control {
	uint32_t op;     /* MMAPFS_CONTROL_GET or _SET */
	uint32_t length; /* of `value`: in for SET, out for GET */
	uint32_t reserved[4];
	char name[MMAPFS_CONTROL_NAME_MAX]; /* without the prefix, NUL-terminated */
	char value[MMAPFS_CONTROL_VALUE_MAX];
};

enum { MMAPFS_CONTROL_GET = 0, MMAPFS_CONTROL_SET = 1 };

/* _IOWR('M', 0x6d, struct mmapfs_control), spelt out so that this header needs no other. */
#define MMAPFS_IOC_CONTROL                                                              \
	((3u << 30) | ((uint32_t)sizeof(struct mmapfs_control) << 16) | ('M' << 8) | 0x6d)

/**
 * Read control attribute @name ("stat", "resident@1G+64M") of the file @fd on a mounted
 * mmapfs into @value, without a terminating NUL. Returns the length. Errors: -ENODATA for
 * an unknown name or what cannot be known; -ERANGE when @size is too small (with 0 nothing
 * is copied and the length is returned); -EINVAL for a bad range, a @name that is empty or
 * too long; -EOPNOTSUPP when @fd is not on a mounted mmapfs; -EBADF for O_PATH.
 */
int64_t mmapfs_control_get(int fd, const char *name, char *value, size_t size);

/**
 * Write @length bytes of @value to control attribute @name of the file @fd. Falls back to
 * the ioctl where the mount or @fd is read-only; nothing is ever stored on another
 * filesystem. Errors: -EOPNOTSUPP there, and for a name that is unknown or only reports;
 * -EINVAL; -EPERM; -EACCES; what the action itself reports.
 */
int mmapfs_control_set(int fd, const char *name, const char *value, size_t length);

/* ---- words -------------------------------------------------------------------------- */

/** "64M" -> bytes. Suffixes K M G T P E in either case, powers of 1024, an optional "iB" or
 * "B" after.
 * -EINVAL for anything else, -ERANGE above 2^64-1. */
int mmapfs_size_parse(const char *text, uint64_t *ret);

/** "OFFSET+LENGTH", "OFFSET-" (to the end), "OFFSET" (one page: to its end),
 * "" (the whole). Errors as mmapfs_size_parse(); a LENGTH of 0, and an end above 2^63-1,
 * are -EINVAL and -ERANGE. */
int mmapfs_range_parse(const char *text, struct mmapfs_range *ret);

/** Enough for what the two functions below write. */
#define MMAPFS_WORD_MAX 48

/** 67108864 -> "64M", exactly or not at all: 67108865 -> "67108865". Returns @buf. */
const char *mmapfs_size_format(char buf[MMAPFS_WORD_MAX], uint64_t bytes);

/** The text that mmapfs_range_parse() reads back to @range. Returns @buf. */
const char *mmapfs_range_format(char buf[MMAPFS_WORD_MAX], struct mmapfs_range range);

/** "populate-read" -> MMAPFS_ADVICE_POPULATE_READ; case and "MADV_" are ignored, "_" is
 * "-". -EINVAL for an unknown word. */
int mmapfs_advice_parse(const char *word);

/** The word of an advice, and its enum mmapfs_advice_kind; NULL and 0 when unknown. */
const char *mmapfs_advice_name(enum mmapfs_advice advice);
uint32_t mmapfs_advice_kinds(enum mmapfs_advice advice);

/** "ENOMEM" for ENOMEM or -ENOMEM; NULL for a number that is no errno. Static. */
const char *mmapfs_errno_name(int error);

/** The words that the outputs use: "cachestat+mincore", "exact", "no-permission",
 * "dirty". Never NULL: "?" for a number out of range. Static. */
const char *mmapfs_method_name(uint32_t method);
const char *mmapfs_confidence_name(uint32_t confidence);
const char *mmapfs_reason_name(uint32_t reason);
const char *mmapfs_stay_name(uint32_t stay);

/* ---- probe -------------------------------------------------------------------------- */

enum mmapfs_feature {
	MMAPFS_FEATURE_CACHESTAT = 0,   /* Linux 6.5: counts without a map, dirty, evicted */
	MMAPFS_FEATURE_MLOCK_ONFAULT,   /* 4.4 */
	MMAPFS_FEATURE_POPULATE,        /* 5.14: MADV_POPULATE_READ */
	MMAPFS_FEATURE_PAGEOUT,         /* 5.4: MADV_PAGEOUT, MADV_COLD */
	MMAPFS_FEATURE_PAGE_FLAGS,      /* /proc/kpageflags: reasons page by page */
	MMAPFS_FEATURE_PROCESS_VM,      /* process_vm_readv on this process */
	MMAPFS_FEATURE_COUNT
};

struct mmapfs_probe {
	size_t size;
	uint32_t page_size;
	int32_t feature[8]; /* by enum mmapfs_feature: 1 yes, 0 disabled by the caller,
			     * a negative errno: no, and the kernel's answer */
	uint64_t memlock_limit; /* bytes; UINT64_MAX: none */
};

/** What this kernel lets this process do. Asked of the kernel once per process; again when
 * memory or descriptors were short, which the answer then says (-ENOMEM, -EMFILE). */
int mmapfs_probe(struct mmapfs_probe *ret);

/** The name of a feature, "cachestat"; NULL when unknown. Static. */
const char *mmapfs_feature_name(enum mmapfs_feature feature);

/** Do as if the kernel lacked @feature, to try the fall-back; before any other call. The
 * environment variable MMAPFS_DISABLE=name,name does the same. -EINVAL when unknown. */
int mmapfs_feature_disable(enum mmapfs_feature feature);

#ifdef __cplusplus
}
#endif

#endif
