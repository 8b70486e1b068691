/* SPDX-License-Identifier: MIT */
/*
 * select.h - from operands, lists, processes and filters to files.
 *
 * One thread walks and hands over candidates, any thread opens them (never so that it
 * hangs) and checks them against the filters. Descriptors and memory do not grow with the
 * tree. Verbs use jobs.h, which does both.
 */
#ifndef MMAPCTL_SELECT_H
#define MMAPCTL_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum select_follow {
	FOLLOW_OPERANDS = 0, /* symbolic links that were named, none inside of trees */
	FOLLOW_ALL,
	FOLLOW_NONE,
};

struct select_globs {
	const char **list;
	size_t count;
};

struct select_options {
	struct select_globs include; /* none: everything */
	struct select_globs exclude; /* also keeps directories from being entered */
	uint64_t min_size;
	uint64_t max_size; /* UINT64_MAX: none */
	const char *files_from; /* NULL; "-" is stdin */
	bool nul;		/* names in files_from end with NUL instead of newline */
	bool no_recursion;	/* directories are skipped with a notice */
	bool one_file_system;
	bool count_links; /* hard links each time they are met */
	uint32_t follow;  /* enum select_follow */
	const pid_t *pids; /* files that these processes have mapped or open */
	size_t pid_count;
};

/* A directory that candidates are in. Shared by them; the last one closes it. */
struct select_dir;

/* A name that may be a file to look at: not yet opened, not yet checked. It owns nothing. */
struct candidate {
	struct select_dir *dir; /* NULL: @name is the whole path */
	const char *name;
	const char *open_path; /* of --pid: "/proc/7/map_files/..."; else NULL */
	unsigned char type;    /* DT_*, DT_UNKNOWN where it was not told */
	bool operand;	       /* named by the user: not to be skipped in silence */
	bool follow;	       /* if it is a symbolic link */
};

/* A file that was opened and passed the filters. */
struct found {
	int fd; /* O_RDONLY; regular file or block device */
	struct statx stx;
	struct stat st; /* the same, as struct stat */
};

struct select_ops {
	/* What @candidate points to is borrowed until the return; for longer, copy the names
	 * and take a reference to the directory. Non-zero ends the walk with that value. */
	int (*candidate)(void *ctx, const struct candidate *candidate);
	/* @path could not be entered or listed: @op is the verb of the message, @error a
	 * negative errno. */
	void (*error)(void *ctx, const char *op, const char *path, int error);
	/* @path is nothing that has pages: @what is "a FIFO". */
	void (*skip)(void *ctx, const char *path, const char *what);
	/* Asked now and then; true ends the walk with -EINTR. */
	bool (*stop)(void *ctx);
};

/* Walk all that is selected. One thread. Returns 0, what candidate() returned, -EINTR,
 * -ENOMEM; -ENOENT and the like of --files-from, which has been told to error(). */
int select_walk(const struct select_options *options, char *const *operands, int count,
		const struct select_ops *ops, void *ctx);

enum select_verdict {
	VERDICT_FOUND = 0,
	VERDICT_FILTERED, /* size, or gone since it was listed: nothing to say */
	VERDICT_SKIP,	  /* no file with pages: found->st.st_mode says what */
};

/* Open and check a candidate; any thread. Returns enum select_verdict or a negative errno.
 * On VERDICT_FOUND the caller closes found->fd. */
int select_open(const struct select_options *options, const struct candidate *candidate,
		struct found *ret);

/* The same where the calling thread has a descriptor table of its own, in which the
 * directory is @dirfd. */
int select_open_at(const struct select_options *options, const struct candidate *candidate,
		   int dirfd, struct found *ret);

/* Path of @candidate as to be shown, in @buf, grown as needed. 0 or -ENOMEM. */
int candidate_path(const struct candidate *candidate, char **buf, size_t *capacity);

/* Open @path itself. Never hangs. -EISDIR for a directory, -ENODEV for what has no pages,
 * -ELOOP for a symbolic link when @nofollow. */
int select_open_path(int dirfd, const char *path, bool nofollow, struct found *ret);

/* Files seen before, by device and inode, within a bound on memory. */
struct seen;
struct seen *seen_new(void);
void seen_free(struct seen *seen);
/* True when it was there already; else it is now (unless the set is full). */
bool seen_before(struct seen *seen, uint64_t dev, uint64_t ino);
bool seen_is_full(const struct seen *seen);

/* "a FIFO", "a socket", ... for what is neither regular, block device nor directory. */
const char *select_type_name(mode_t mode);

#endif
