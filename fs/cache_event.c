/* SPDX-License-Identifier: MIT */
/*
 * cache_event.c - what handlers tell of names and closes: looked up in the policy at once,
 * acted upon later, by the treater and the warmer.
 */
#include <string.h>
#include <time.h>

#include "cache_path.h"
#include "cache_treat_private.h"
#include "region_state.h"

/* How long the path of a directory is taken to be what it was, unless it was changed through
 * the mount. */
#define PATH_KNOWN_NS INT64_C(1000000000)

/* ---- paths ---- */

/* The directory that this thread looked up in last: most lookups come in rows. */
struct known_dir {
	const struct policy_keeper *keeper;
	unsigned int dir_moves;
	dev_t dev;
	ino_t ino;
	uint64_t hash;
	int64_t asked_ns;
	bool found;
	char path[PATH_MAX];
};

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool is_known(const struct known_dir *known, struct policy_keeper *keeper,
		     const struct inode *dir)
{
	return known->keeper == keeper && known->dev == dir->dev && known->ino == dir->ino &&
	       known->hash == dir->hash &&
	       known->dir_moves == atomic_load(&keeper->dir_moves) &&
	       now_ns() - known->asked_ns < PATH_KNOWN_NS;
}

static void get_known(struct known_dir *known, struct policy_keeper *keeper, struct inode *dir)
{
	known->keeper = keeper;
	known->dir_moves = atomic_load(&keeper->dir_moves); /* before the path is asked for */
	known->dev = dir->dev;
	known->ino = dir->ino;
	known->hash = dir->hash;
	known->asked_ns = now_ns();
	known->found = source_path(keeper->fs, dir, known->path) == 0;
}

/* The path of @name in @dir below the source, in @buf; NULL: it has none, or too long a one. */
static const char *path_of(struct policy_keeper *keeper, struct inode *dir, const char *name,
			   char buf[PATH_MAX])
{
	static _Thread_local struct known_dir known;
	size_t dir_length, length = strlen(name);

	if (!is_known(&known, keeper, dir))
		get_known(&known, keeper, dir);
	dir_length = strlen(known.path);
	if (!known.found || dir_length + 1 + length >= PATH_MAX)
		return NULL;
	memcpy(buf, known.path, dir_length);
	if (dir_length)
		buf[dir_length++] = '/';
	memcpy(buf + dir_length, name, length + 1);
	return buf;
}

/* ---- names ---- */

static struct naming give_name(struct policy_keeper *keeper, struct inode *dir,
			       const char *name, struct inode *inode, const struct stat *st)
{
	char buf[PATH_MAX];
	const char *path = NULL;

	if (atomic_load(&keeper->wants) & POLICY_PATHS)
		path = path_of(keeper, dir, name, buf);
	return keeper_name(keeper, inode, st, path, name);
}

/* A name is news when the treatment is not the one that the file had: not with each lookup. */
static void queue_treatment(struct policy_keeper *keeper, struct inode *inode, bool is_new,
			    const struct stat *st, struct naming naming)
{
	const struct treatment before = treatment_unpack(naming.before);
	const struct treatment now = treatment_unpack(naming.word);
	const bool treated = atomic_load(&inode->marks) & INODE_TREATED;

	/* Another name of the file may still ask for the lock: a walk tells. */
	if ((now.lock && is_new && st->st_size && !treated) ||
	    (!now.lock && treated && st->st_nlink == 1) ||
	    (now.advice != before.advice && region_peek(inode)))
		walker_queue(keeper->treater, inode);
}

static void queue_warming(struct policy_keeper *keeper, struct inode *inode,
			  const struct stat *st)
{
	atomic_fetch_or(&inode->marks, INODE_APPEARED);
	if (st->st_size)
		walker_queue(keeper->warmer, inode);
}

static void name_file(struct policy_keeper *keeper, struct inode *dir, const char *name,
		      struct inode *inode, const struct stat *st, bool moved)
{
	const struct naming naming = give_name(keeper, dir, name, inode, st);

	if (naming.before == naming.word)
		return;
	queue_treatment(keeper, inode, moved || walker_is_new(keeper->treater, st), st, naming);
	if (treatment_unpack(naming.word).warm && !treatment_unpack(naming.before).warm &&
	    (moved || walker_is_new(keeper->warmer, st)))
		queue_warming(keeper, inode, st);
}

void treat_named(struct policy_keeper *keeper, struct inode *dir, const char *name,
		 struct inode *inode, const struct stat *st)
{
	if (keeper && S_ISREG(inode->type))
		name_file(keeper, dir, name, inode, st, false);
}

/* The path of every file below has changed. */
static void move_dir(struct policy_keeper *keeper, struct inode *inode)
{
	const unsigned int wants = atomic_load(&keeper->wants);

	atomic_fetch_add(&keeper->dir_moves, 1);
	if (!(wants & POLICY_PATHS))
		return;
	walker_queue(keeper->treater, inode);
	if (wants & POLICY_WARMS)
		walker_queue(keeper->warmer, inode);
}

void treat_moved(struct policy_keeper *keeper, struct inode *dir, const char *name,
		 struct inode *inode, const struct stat *st)
{
	if (!keeper)
		return;
	if (S_ISDIR(inode->type))
		move_dir(keeper, inode);
	else if (S_ISREG(inode->type))
		name_file(keeper, dir, name, inode, st, true);
}

void treat_removed(struct policy_keeper *keeper)
{
	if (!keeper || !atomic_load(&keeper->locked.files))
		return;
	if (!atomic_exchange(&keeper->names_gone, true))
		walker_wake(keeper->treater);
}

/* ---- closes ---- */

static bool is_closed(struct inode *inode)
{
	return atomic_load(&inode->data_path) == DATA_PATH_UNDECIDED;
}

void treat_closed(struct policy_keeper *keeper, struct inode *inode, bool writer)
{
	struct treatment treatment;
	bool written = writer && !atomic_load(&inode->writers);

	if (!keeper)
		return;
	treatment = inode_treatment(inode);
	/* What was appended is not locked yet. */
	if ((treatment.lock && written) ||
	    (treatment.never == NEVER_CACHE && is_closed(inode)))
		walker_queue(keeper->treater, inode);
	if (treatment.warm && written && (atomic_load(&inode->marks) & INODE_APPEARED))
		walker_queue(keeper->warmer, inode);
}
