/* SPDX-License-Identifier: MIT */
/* cache_treat_private.h - what the files share that treat files as the policy says. */
#ifndef MMAPFS_FS_CACHE_TREAT_PRIVATE_H
#define MMAPFS_FS_CACHE_TREAT_PRIVATE_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache_policy.h"
#include "cache_treat.h"
#include "cache_walker.h"

/* Files and bytes, written by one thread and read by any. */
struct tally {
	atomic_uint_fast64_t files;
	atomic_uint_fast64_t bytes;
};

static inline void tally_add(struct tally *tally, uint64_t bytes)
{
	atomic_fetch_add(&tally->files, 1);
	atomic_fetch_add(&tally->bytes, bytes);
}

static inline void tally_set(struct tally *tally, struct treat_count count)
{
	atomic_store(&tally->files, count.files);
	atomic_store(&tally->bytes, count.bytes);
}

static inline struct treat_count tally_get(const struct tally *tally)
{
	return (struct treat_count){ atomic_load(&tally->files), atomic_load(&tally->bytes) };
}

/* What did not fit: counted anew by each walk, told to the log once for each policy. */
struct shortage {
	struct tally known;	   /* as of the last walk, and what came since */
	struct treat_count so_far; /* by the walk that is under way */
	bool walking;
	atomic_bool told;
};

/* Files that are locked because of the policy. Used by the treater's thread alone. */
struct pins {
	struct inode **list; /* one reference each; marked INODE_TREATED */
	size_t count;
	size_t capacity;
	size_t max; /* each costs a descriptor and a mapping */
	uint64_t gone_checked_ms;
};

struct policy_keeper {
	struct fs *fs;
	char *path; /* absolute; NULL: all sections are options */
	struct walker *treater;
	struct walker *warmer;

	pthread_mutex_t reloading; /* held while the file is read: reloads take turns */

	pthread_rwlock_t rules_lock;
	struct policy *rules; /* protected by rules_lock */
	uint8_t stamp;	      /* of the rules; protected by rules_lock */
	atomic_uint wants;    /* enum policy_wants of the rules */

	atomic_bool reload_wanted;
	atomic_bool renewed;	  /* the rules changed since the treater's last walk began */
	atomic_bool names_gone;	  /* since the pins were last looked through */
	atomic_uint dir_moves;	  /* so far: what was known of paths before is void */

	pthread_mutex_t mutex;
	/* protected by mutex */
	char error[PATH_MAX + 256]; /* of the last reload; "" when there was none */
	int64_t loaded_s;	    /* when the rules were read, seconds since 1970 */
	uint64_t reloads;
	uint64_t reload_errors;

	struct pins pins;
	struct shortage refused; /* locks; of the treater */
	struct shortage no_room; /* of the warmer */
	uint64_t walk_read;	 /* bytes, by the walk that is under way; of the warmer */
	struct tally locked;
	struct tally warmed;
	struct tally dropped;
	struct tally failed; /* no bytes */
	atomic_int last_error;
};

/* ---- cache_treat.c ---- */

/* The treatment of a file by its path (NULL: unknown) and name. */
uint32_t keeper_find(struct policy_keeper *keeper, const char *path, const char *name);

/* The same, and kept in @inode, which has the attributes @st; with what was kept before. */
struct naming {
	uint32_t before;
	uint32_t word;
};
struct naming keeper_name(struct policy_keeper *keeper, struct inode *inode,
			  const struct stat *st, const char *path, const char *name);

void keeper_failed(struct policy_keeper *keeper, int error);

/* A walk that counts anew begins. */
void shortage_begin(struct shortage *shortage);
void shortage_add(struct shortage *shortage, uint64_t bytes);
/* A walk has ended. True: there is a shortage, and it is to be told. */
bool shortage_end(struct shortage *shortage);

/* ---- cache_pin.c, cache_warm.c: what the two threads do ---- */

extern const struct walker_ops treater_ops;
extern const struct walker_ops warmer_ops;

void pins_init(struct pins *pins);
void pins_free(struct policy_keeper *keeper);

#endif
