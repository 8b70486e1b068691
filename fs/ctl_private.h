/* SPDX-License-Identifier: MIT */
/* ctl_private.h - what the files of the control attributes share. */
#ifndef MMAPFS_FS_CTL_PRIVATE_H
#define MMAPFS_FS_CTL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <mmapfs.h>

#include "ctl.h"
#include "region_state.h"

/* On which kinds of inode; or-ed. */
enum ctl_where {
	CTL_FILE = 1 << 0,
	CTL_DIR = 1 << 1,
	CTL_OTHER = 1 << 2,
	CTL_ROOT = 1 << 3, /* the mount's root directory, which is a CTL_DIR as well */
};

/* No value that may be written is longer. */
#define CTL_VALUE_MAX 128
#define CTL_WORDS_MAX 3

/* A written value, cut at blanks. */
struct ctl_words {
	unsigned int count;
	char *word[CTL_WORDS_MAX];
	char text[CTL_VALUE_MAX + 1];
};

/* Something that wants long work to end. */
struct ctl_stop {
	struct fs *fs;
	bool (*asked)(void *ctx); /* may be NULL */
	void *ctx;
	bool at_end; /* go on when the mount ends: this is what is done then */
};

/* -EINTR when the work is to end, else 0. */
int ctl_stopped(const struct ctl_stop *stop);

/* A tree, and on whose behalf it is walked. The kernel checked what they may do with the
 * directory at its top; what lies below is seen with their rights only. */
struct ctl_tree {
	struct inode *dir;
	const struct ctl_stop *stop;
	const struct creds_user *user;
	bool change;	 /* only what they may also write */
	bool every_name; /* a file with several names comes with each of them, not once */
	/* Told of each directory before its files, with its path below the first, which is
	 * "" itself. The path is good until the next call. May be NULL. */
	void (*enter)(void *ctx, const char *path);
};

struct ctl_request {
	struct fs *fs;
	struct inode *inode;
	const struct ctl_row *row;
	const struct ctl_caller *caller;
	struct ctl_stop stop;
	struct mmapfs_range range; /* after the @ of a name that is read */
	struct ctl_words words;	   /* of a value that is written */
};

typedef int (*ctl_get_fn)(struct ctl_request *rq, struct ctl_text *ret);
typedef int (*ctl_set_fn)(struct ctl_request *rq);

struct ctl_row {
	const char *name; /* after the prefix; "" is the bare user.mmapfs */
	uint8_t where;	  /* enum ctl_where: what it exists on */
	uint8_t long_get; /* enum ctl_where: where reading it may take long */
	uint8_t long_set;
	bool takes_range;    /* "@RANGE" may follow the name when it is read */
	uint32_t figure;     /* enum mmapfs_figure, for the plain numbers */
	uint32_t value_max;  /* bytes that may be written */
	uint32_t answer_max; /* bytes that it reads as at most */
	ctl_get_fn get;	     /* NULL: cannot be read */
	ctl_set_fn set;	     /* NULL: only reports */
	const char *values;  /* what may be written, for the help */
	const char *help;
};

/* How large `ranges` and `lock` become before they are cut. */
#define CTL_RANGES_MAX 65536

/* ---- ctl_text.c ---- */

/* -EINVAL for NUL bytes, too many words, or more than @max bytes. */
int ctl_words_split(const char *value, size_t length, size_t max, struct ctl_words *ret);

/* Word number @index as a range, the whole file when there is none, and nothing after it.
 */
int ctl_words_range(const struct ctl_words *words, unsigned int index,
		    struct mmapfs_range *ret);

/* A list of ranges, one a line, cut with "... OFFSET" where it would pass its limit. */
struct ctl_lines {
	struct ctl_text *text;
	size_t limit;
};

struct ctl_lines ctl_lines_begin(struct ctl_text *text);

/* Returns 1 when the list was cut: there is no room for more. */
int ctl_lines_add(struct ctl_lines *lines, uint64_t offset, uint64_t length);

/* "EIO", or the number where it has no name. @buf is used for that. */
const char *ctl_errno_text(char buf[MMAPFS_WORD_MAX], int error);

/* ---- figures: of a file, or summed up over a tree ---- */

struct ctl_figures {
	uint64_t size;
	uint64_t pages;
	uint64_t resident;
	uint64_t occupied;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;
	uint64_t locked;
	uint64_t files;
	uint64_t measured; /* of those, all that are not empty */
	uint64_t
		unknown_files; /* of those, not to be known or opened; with unread_dirs */
	uint64_t unread_dirs;  /* of those, directories: even `pages` is too low */
	uint32_t missing;      /* enum mmapfs_figure: not known of all measured files */
	uint32_t upper_bound;  /* enum mmapfs_figure */
	uint32_t method;       /* of a file */
	uint32_t confidence;   /* of a file */
	uint32_t reason;       /* enum mmapfs_reason, of the first that is missing */
	uint32_t changed;
};

/* ---- ctl_file.c: attributes that report ---- */

int ctl_get_summary(struct ctl_request *rq, struct ctl_text *ret);
int ctl_get_stat(struct ctl_request *rq, struct ctl_text *ret);
int ctl_get_pages(struct ctl_request *rq, struct ctl_text *ret);
int ctl_get_figure(struct ctl_request *rq, struct ctl_text *ret);
int ctl_get_locked(struct ctl_request *rq, struct ctl_text *ret);
int ctl_get_ranges(struct ctl_request *rq, struct ctl_text *ret);
int ctl_get_map(struct ctl_request *rq, struct ctl_text *ret);

uint64_t ctl_page_size(void);

/* Whole pages that a file of @size bytes has. */
uint64_t ctl_pages_of(uint64_t size);

/* ---- ctl_act.c: attributes that do something at once ---- */

int ctl_get_advise(struct ctl_request *rq, struct ctl_text *ret);
int ctl_set_advise(struct ctl_request *rq);
int ctl_set_sync(struct ctl_request *rq);
int ctl_get_lock(struct ctl_request *rq, struct ctl_text *ret);
int ctl_set_lock(struct ctl_request *rq);
int ctl_get_evict(struct ctl_request *rq, struct ctl_text *ret);
int ctl_set_evict(struct ctl_request *rq);

/* Sync @map; its write error is told to the region of @inode (may be NULL). */
int ctl_sync_map(struct fs *fs, struct inode *inode, struct mmapfs_map *map,
		 struct mmapfs_range range, enum mmapfs_sync_level level);

/* Evict @range of the file under @map, which is @inode when the mount knows it. @flags:
 * enum mmapfs_evict_flags. The result is added to @sums. */
int ctl_evict_map(struct fs *fs, struct inode *inode, struct mmapfs_map *map,
		  struct mmapfs_range range, uint32_t flags, struct evict_sums *sums);

/* ---- ctl_budget.c: an attribute of the mount's root ---- */

int ctl_get_budget(struct ctl_request *rq, struct ctl_text *ret);
int ctl_set_budget(struct ctl_request *rq);

/* ---- ctl_policy.c: an attribute of the mount's root ---- */

int ctl_get_policy(struct ctl_request *rq, struct ctl_text *ret);
int ctl_set_policy(struct ctl_request *rq);

/* ---- ctl_job.c: attributes that start work ---- */

int ctl_get_warm(struct ctl_request *rq, struct ctl_text *ret);
int ctl_set_warm(struct ctl_request *rq);
int ctl_set_evict_tree(struct ctl_request *rq);

/* "running 4096/8192", with the error of what failed. */
int ctl_job_print(struct inode *inode, enum job_kind kind, struct ctl_text *ret);

/* ---- ctl_tree.c: all files below a directory ---- */

/* One regular file, which @name is in the directory @dir_fd. Non-zero ends the walk. */
typedef int (*ctl_walk_fn)(void *ctx, int dir_fd, const char *name,
			   const struct stat *st);

/*
 * Call @fn for every regular file of @tree, each file once whatever its names. Follows
 * no symbolic link. Needs two descriptors and a few more bytes than the paths of the
 * directories not yet visited, however deep the tree. Directories that cannot be read are
 * counted in @ret_unread (may be NULL); what vanishes meanwhile is passed over. Errors:
 * -EINTR; -EOVERFLOW when the tree is too large to be remembered; what @fn returned.
 */
int ctl_walk(const struct ctl_tree *tree, ctl_walk_fn fn, void *ctx, uint64_t *ret_unread);

/* Open the directory @path below @root_fd, following no symbolic link. Cuts up @path. */
int ctl_open_below(const struct creds_user *user, int root_fd, char *path);

/* Open what the walk found. -ESTALE when there is another file of that name by now;
 * -EACCES where the tree's user is not allowed to. */
int ctl_walk_open(const struct ctl_tree *tree, int dir_fd, const char *name,
		  const struct stat *st, int flags);

/* The tree below rq->inode, for who asked. */
struct ctl_tree ctl_request_tree(const struct ctl_request *rq, bool change);

/* Sum up the tree below rq->inode. @measure: false counts only sizes and locks. */
int ctl_tree_figures(struct ctl_request *rq, bool measure, struct ctl_figures *ret);

/* Call @fn with a lazy map of each file of @tree that can be opened, and its inode if
 * the table has it (else NULL). @fn's errors do not end the walk: the first is returned.
 */
typedef int (*ctl_map_fn)(void *ctx, struct inode *inode, struct mmapfs_map *map,
			  const struct stat *st);

int ctl_each_map(const struct ctl_tree *tree, uint32_t access, ctl_map_fn fn, void *ctx,
		 uint64_t *ret_unopened);

/* ---- ctl_table.c: ctl_walk() and ctl_walk_open() where a region table is mounted ---- */

int ctl_table_walk(const struct ctl_tree *tree, ctl_walk_fn fn, void *ctx,
		   uint64_t *ret_unread);
int ctl_table_open(const struct ctl_tree *tree, const char *name, int flags);

#endif
