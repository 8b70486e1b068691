/* SPDX-License-Identifier: MIT */
/*
 * cache_policy.h - what files are to be treated how, by their names: the text of a policy,
 * and the treatment of a name. Pure: no system calls. Model.
 *
 *	# a comment
 *	[*.gguf]
 *	lock = yes
 *	priority = 90
 *
 *	[models/old-?.bin]
 *	never = cache
 *
 * A glob without a slash is matched against the file's name wherever it is; one with a slash
 * against its path below the source. "*" and "?" stand for anything but a slash, "**" between
 * slashes for any number of directories, "[a-z]" for a character, "\" takes the next one
 * literally. For each key the last section that matches and has it counts.
 */
#ifndef MMAPFS_FS_CACHE_POLICY_H
#define MMAPFS_FS_CACHE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

#include "inode.h"

/* ---- a treatment ---- */

enum treatment_never {
	NEVER_NOTHING = 0,
	NEVER_EVICT, /* the budget leaves it alone */
	NEVER_CACHE, /* its clean pages go after the last close; never warmed nor restored */
};

#define PRIORITY_DEFAULT 50
#define PRIORITY_MAX 100

struct treatment {
	enum mmapfs_advice advice; /* a STATE word; NORMAL: none */
	enum treatment_never never;
	uint8_t priority; /* 0..PRIORITY_MAX; higher stays longer */
	bool lock;
	bool warm;
};

/* As it is kept in an inode: one word, so that a new policy cannot take it from under a
 * reader. 0 is the treatment of files that no policy speaks of. */
struct treatment treatment_unpack(uint32_t word);

/* How @inode is to be treated, by the name that was last seen. Never blocks. */
static inline struct treatment inode_treatment(const struct inode *inode)
{
	return treatment_unpack(atomic_load(&inode->treatment));
}

/* ---- a policy ---- */

struct ctl_text;
struct policy;

#define POLICY_BYTES_MAX (1u << 20)
#define POLICY_SECTIONS_MAX 4096

/* What is wrong with a text, for people: made of printable bytes. */
struct policy_error {
	unsigned int line; /* from 1; 0: no line in particular */
	char reason[192];
};

/* A policy without sections. Errors: -ENOMEM. */
int policy_new(struct policy **ret);

/* Takes and returns NULL. */
struct policy *policy_free(struct policy *policy);

/* Add the sections of @text. Errors: -EINVAL, with @ret_error; -ENOMEM. The policy is then
 * good for nothing but to be freed. */
int policy_parse(struct policy *policy, const char *text, size_t length,
		 struct policy_error *ret_error);

/* Add a section for @glob with the line @key = @value, as an option does. Errors: the same. */
int policy_add(struct policy *policy, const char *glob, const char *key, const char *value,
	       struct policy_error *ret_error);

/* What the sections ask for, taken together: what need not be done at all else. */
enum policy_wants {
	POLICY_PATHS = 1 << 0, /* some glob has a slash */
	POLICY_LOCKS = 1 << 1,
	POLICY_WARMS = 1 << 2,
};
unsigned int policy_wants(const struct policy *policy);
size_t policy_sections(const struct policy *policy);

/* How the file @name with @path below the source is to be treated, for treatment_unpack().
 * @path NULL: not known; then no glob with a slash matches. */
uint32_t policy_find(const struct policy *policy, const char *path, const char *name);

/* The sections, a line each, in their order; cut with "... N more" at @limit bytes. */
int policy_print(const struct policy *policy, size_t limit, struct ctl_text *ret);

#endif
