/* SPDX-License-Identifier: MIT */
/* cache_known.c - the files that may have something in RAM. */
#include "cache_known.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_policy.h"
#include "region.h"
#include "table_window.h"

/* With its inode, a known file takes some 300 bytes. */
#define FILES_MAX 1000000

/* Of the descriptors this process may have, known files keep at most one in so many. */
#define DESCRIPTOR_SHARE 4

/* So many files are copied out at a time, before a handler may have the mutex. */
#define SLICE 1024

TAILQ_HEAD(file_queue, known_file);

struct known {
	struct inode_table *inodes;
	struct known_limits limits; /* never changes */
	pthread_mutex_t mutex;	    /* protects what follows, and `known` of inodes */
	struct known_file **files;
	size_t capacity;
	size_t descriptors; /* that the inodes of known files keep */
	struct file_queue in_use;
	size_t in_use_count;
	struct known_sums sums; /* .files is the count of `files` */
	uint64_t turn_bytes;	/* 0: not told yet */
	double turn;		/* of the look that goes on */
	double next_turn; /* with what grew during it: all of that at the same time */
};

struct known_limits known_default_limits(void)
{
	struct known_limits limits = { .files = FILES_MAX, .descriptors = 0 };
	struct rlimit descriptors;

	if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0)
		limits.descriptors = descriptors.rlim_cur / DESCRIPTOR_SHARE;
	return limits;
}

int known_new(struct inode_table *inodes, const struct known_limits *limits,
	      struct known **ret)
{
	struct known *known = calloc(1, sizeof(*known));

	if (!known)
		return -ENOMEM;
	known->inodes = inodes;
	known->limits = *limits;
	pthread_mutex_init(&known->mutex, NULL);
	TAILQ_INIT(&known->in_use);
	*ret = known;
	return 0;
}

struct known *known_free(struct known *known)
{
	if (!known)
		return NULL;
	known_clear(known);
	pthread_mutex_destroy(&known->mutex);
	free(known->files);
	free(known);
	return NULL;
}

void known_set_turn(struct known *known, uint64_t bytes)
{
	SCOPE_LOCK(&known->mutex);

	known->turn_bytes = bytes;
}

struct known_sums known_sums(struct known *known)
{
	SCOPE_LOCK(&known->mutex);

	return known->sums;
}

/* ---- with the mutex held ---- */

static void put_in_use(struct known *known, struct known_file *file)
{
	if (file->in_use)
		return;
	file->in_use = true;
	TAILQ_INSERT_TAIL(&known->in_use, file, next_in_use);
	known->in_use_count++;
}

static void take_from_use(struct known *known, struct known_file *file)
{
	if (!file->in_use)
		return;
	file->in_use = false;
	TAILQ_REMOVE(&known->in_use, file, next_in_use);
	known->in_use_count--;
}

static bool keeps_descriptor(const struct known_file *file)
{
	return file->inode->fd >= 0;
}

static bool has_room(const struct known *known, const struct known_file *file)
{
	if (known->sums.files >= known->limits.files)
		return false;
	return !keeps_descriptor(file) || known->descriptors < known->limits.descriptors;
}

static bool reserve(struct known *known)
{
	const size_t capacity = known->capacity ? known->capacity * 2 : 64;
	struct known_file **files;

	if (known->sums.files < known->capacity)
		return true;
	files = realloc(known->files, capacity * sizeof(struct known_file *));
	if (!files)
		return false;
	known->files = files;
	known->capacity = capacity;
	return true;
}

static void count_in(struct known_sums *sums, const struct shed_look *look)
{
	sums->resident += look->resident;
	sums->locked += look->locked;
	sums->fixed += look->fixed ? look->resident : 0;
	sums->unknown_files += !look->known;
}

static void count_out(struct known_sums *sums, const struct shed_look *look)
{
	sums->resident -= look->resident;
	sums->locked -= look->locked;
	sums->fixed -= look->fixed ? look->resident : 0;
	sums->unknown_files -= !look->known;
}

/* Takes @file, unless it has no room for it. */
static bool insert(struct known *known, struct known_file *file)
{
	if (!has_room(known, file) || !reserve(known)) {
		known->sums.untracked++;
		return false;
	}
	file->place = known->sums.files++;
	known->files[file->place] = file;
	known->descriptors += keeps_descriptor(file);
	count_in(&known->sums, &file->last);
	file->inode->known = file;
	return true;
}

/* @file is the caller's again. */
static void take_out(struct known *known, struct known_file *file)
{
	struct known_file *last = known->files[--known->sums.files];

	known->files[file->place] = last;
	last->place = file->place;
	known->descriptors -= keeps_descriptor(file);
	count_out(&known->sums, &file->last);
	take_from_use(known, file);
	file->inode->known = NULL;
}

static void note_sign(struct known *known, struct known_file *file, enum known_sign sign)
{
	file->touched = true;
	put_in_use(known, file);
	if (sign == KNOWN_READING)
		return;
	file->used_at = ++known->sums.signs;
	if (sign == KNOWN_WRITER)
		file->written = true;
	file->heat = sign == KNOWN_CLOSED ? heat_seen(file->heat, known->turn)
					  : heat_used(file->heat, known->turn);
}

/* ---- from any thread ---- */

static void file_free(struct known *known, struct known_file *file)
{
	if (!file)
		return;
	inode_unref(known->inodes, file->inode, 1);
	free(file);
}

static struct known_file *file_new(struct known *known, struct inode *inode)
{
	struct known_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	inode_ref(known->inodes, inode);
	file->inode = inode;
	file->heat = HEAT_NONE;
	file->last.known = true; /* nothing was found yet, and nothing is missing */
	return file;
}

static bool sign_of_known(struct known *known, struct inode *inode, enum known_sign sign)
{
	SCOPE_LOCK(&known->mutex);

	if (inode->known)
		note_sign(known, inode->known, sign);
	return inode->known != NULL;
}

/* Returns what it did not take: another thread was first, or there is no room. */
static struct known_file *sign_of_new(struct known *known, struct known_file *file,
				      enum known_sign sign)
{
	SCOPE_LOCK(&known->mutex);
	struct inode *inode = file->inode;
	const bool taken = !inode->known && insert(known, file);

	if (inode->known)
		note_sign(known, inode->known, sign);
	return taken ? NULL : file;
}

static void count_untracked(struct known *known)
{
	SCOPE_LOCK(&known->mutex);

	known->sums.untracked++;
}

void known_sign(struct known *known, struct inode *inode, enum known_sign sign)
{
	struct known_file *file;

	if (sign_of_known(known, inode, sign))
		return;
	file = file_new(known, inode);
	if (file)
		file_free(known, sign_of_new(known, file, sign));
	else
		count_untracked(known);
}

bool known_found(struct known *known, struct inode *inode, const struct shed_look *look)
{
	struct known_file *file = file_new(known, inode);
	bool taken;

	if (!file)
		return false;
	file->last = *look;
	pthread_mutex_lock(&known->mutex);
	taken = !inode->known && insert(known, file);
	pthread_mutex_unlock(&known->mutex);
	if (!taken)
		file_free(known, file);
	return taken;
}

/* ---- from the thread that looks ---- */

static int list_reserve(struct known_list *list, size_t count)
{
	struct known_file **file;

	if (count <= list->capacity)
		return 0;
	file = realloc(list->file, count * sizeof(struct known_file *));
	if (!file)
		return -ENOMEM;
	list->file = file;
	list->capacity = count;
	return 0;
}

int known_list_in_use(struct known *known, struct known_list *list)
{
	SCOPE_LOCK(&known->mutex);
	struct known_file *file;
	int r = list_reserve(list, known->in_use_count);

	if (r < 0)
		return r;
	known->turn = known->next_turn;
	list->count = 0;
	TAILQ_FOREACH (file, &known->in_use, next_in_use) {
		file->touched = false;
		list->file[list->count++] = file;
	}
	return 0;
}

int known_list_all(struct known *known, struct known_list *list)
{
	SCOPE_LOCK(&known->mutex);
	int r = list_reserve(list, known->sums.files);

	if (r < 0)
		return r;
	list->count = known->sums.files;
	for (size_t i = 0; i < list->count; i++)
		list->file[i] = known->files[i];
	return 0;
}

/* From the end to the beginning: who is forgotten gives its place to the last one, which
 * was had already. */
size_t known_slice(struct known *known, size_t *at, struct known_file **files, size_t max)
{
	SCOPE_LOCK(&known->mutex);
	const size_t from = u64_min(*at, known->sums.files);
	const size_t count = u64_min(from, max);

	for (size_t i = 0; i < count; i++) {
		files[i] = known->files[from - 1 - i];
		files[i]->touched = false;
	}
	*at = from - count;
	return count;
}

size_t known_in_use(struct known *known)
{
	SCOPE_LOCK(&known->mutex);

	return known->in_use_count;
}

void known_list_free(struct known_list *list)
{
	free(list->file);
	*list = (struct known_list){ 0 };
}

uint64_t known_measured(struct known *known, struct known_file *file,
			const struct shed_look *look)
{
	SCOPE_LOCK(&known->mutex);
	const uint64_t before = file->last.resident;
	const uint64_t grown = look->resident - u64_min(look->resident, before);

	count_out(&known->sums, &file->last);
	count_in(&known->sums, look);
	file->last = *look;
	file->written = file->written || look->dirty;
	if (!grown)
		return 0;
	if (known->turn_bytes)
		known->next_turn += (double)grown / (double)known->turn_bytes;
	file->heat = heat_seen(file->heat, known->turn);
	file->used_at = known->sums.signs;
	return grown;
}

/* ---- who has hold of the pages that count with an inode ---- */

static void add_open(void *ctx, const struct window *other, struct mmapfs_range range)
{
	bool *open = ctx;

	(void)range;
	*open |= atomic_load(&other->inode->data_path) != DATA_PATH_UNDECIDED;
}

static void add_written(void *ctx, const struct window *other, struct mmapfs_range range)
{
	bool *written = ctx;

	(void)range;
	*written |= atomic_load(&other->inode->writers) > 0;
}

/* Of other windows over the pages that count with @inode. */
static bool any_other(const struct inode *inode, window_fn fn)
{
	struct mmapfs_range own;
	bool any = false;

	if (inode->window && window_own(inode->window, &own))
		window_each_other(inode->window, own, fn, &any);
	return any;
}

static bool has_opens(struct inode *inode)
{
	SCOPE_LOCK(inode_lock(inode));

	return inode->opens > 0;
}

static bool is_open(struct inode *inode)
{
	return has_opens(inode) || any_other(inode, add_open);
}

/* Needs no lock. */
static bool has_writers(struct inode *inode)
{
	return atomic_load(&inode->writers) > 0 || any_other(inode, add_written);
}

/* Returns whether @file was taken out. */
static bool settle(struct known *known, struct known_file *file, bool open)
{
	SCOPE_LOCK(&known->mutex);

	if (open || file->touched) {
		put_in_use(known, file);
		return false;
	}
	take_from_use(known, file);
	if (file->last.resident)
		return false;
	take_out(known, file);
	return true;
}

uint64_t known_growable(const struct known_file *file)
{
	if (file->last.fixed)
		return 0;
	return has_writers(file->inode) ? UINT64_MAX : file->last.absent;
}

bool known_settle(struct known *known, struct known_file *file)
{
	const bool gone = settle(known, file, is_open(file->inode));

	if (gone)
		file_free(known, file);
	return gone;
}

void known_set_written(struct known *known, struct known_file *file, bool written)
{
	SCOPE_LOCK(&known->mutex);

	/* Who has it open for writing may write at any moment. */
	file->written = written || has_writers(file->inode);
}

static void copy_slice(struct known *known, const struct known_list *list, size_t from,
		       size_t to, struct cache_file *rows)
{
	SCOPE_LOCK(&known->mutex);

	for (size_t i = from; i < to; i++) {
		const struct known_file *file = list->file[i];

		rows[i] = (struct cache_file){ .heat = file->heat,
					       .used_at = file->used_at,
					       .sync = file->written };
	}
}

/* What the kernel would not give, or was not to be had lately, is kept. So is a file that
 * could not be written back: what is in RAM may be all there is of it. */
static void complete_row(const struct known_file *file, uint64_t now,
			 struct cache_file *row)
{
	const struct treatment treatment = inode_treatment(file->inode);
	const uint64_t stuck = now < file->rest_until ? file->stuck : 0;

	row->resident = file->last.resident;
	row->kept =
		file->last.fixed ? UINT64_MAX : add_saturated(file->last.locked, stuck);
	row->priority = treatment.never == NEVER_CACHE ? 0 : treatment.priority;
	row->never = treatment.never == NEVER_EVICT || region_sync_seen(file->inode);
}

void known_rows(struct known *known, const struct known_list *list, uint64_t now,
		struct cache_file *rows)
{
	for (size_t from = 0; from < list->count; from += SLICE)
		copy_slice(known, list, from, u64_min(from + SLICE, list->count), rows);
	for (size_t i = 0; i < list->count; i++)
		complete_row(list->file[i], now, &rows[i]);
}

/* The last known file, taken out; NULL: there is none. */
static struct known_file *take_last(struct known *known)
{
	SCOPE_LOCK(&known->mutex);
	struct known_file *file;

	if (!known->sums.files)
		return NULL;
	file = known->files[known->sums.files - 1];
	take_out(known, file);
	return file;
}

void known_clear(struct known *known)
{
	struct known_file *file;

	while ((file = take_last(known)))
		file_free(known, file);
}
