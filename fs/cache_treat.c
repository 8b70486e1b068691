/* SPDX-License-Identifier: MIT */
/* cache_treat.c - the policy in force: read and read again, asked by handlers, shown. */
#include "cache_treat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_path.h"
#include "cache_treat_private.h"
#include "ctl_private.h"
#include "log.h"
#include "options.h"

/* In inode.treatment, beside the treatment: which rules it comes from. */
#define STAMP_SHIFT 24
#define TREATMENT_MASK ((1u << STAMP_SHIFT) - 1)

/* ---- reading ---- */

/* Of what is wrong with the policy: "FILE:LINE: REASON" of its text, else a sentence. */
struct complaint {
	char text[sizeof(((struct policy_keeper *)0)->error)];
};

static void complain_of_file(struct complaint *complaint, const char *path, int error)
{
	const char *why = error == -ENODEV ? "it is no regular file" : strerror(-error);

	(void)snprintf(complaint->text, sizeof(complaint->text),
		       "cannot read the policy '%s': %s", path, why);
}

static void complain_of_memory(struct complaint *complaint, const char *what, int error)
{
	(void)snprintf(complaint->text, sizeof(complaint->text), "%s: %s", what,
		       strerror(-error));
}

static void complain_of_text(struct complaint *complaint, const char *path,
			     const struct policy_error *error)
{
	if (error->line)
		(void)snprintf(complaint->text, sizeof(complaint->text), "%s:%u: %s", path,
			       error->line, error->reason);
	else
		(void)snprintf(complaint->text, sizeof(complaint->text), "%s: %s", path,
			       error->reason);
}

/* All of @fd, or as much of it as makes it too large. */
static int read_all(int fd, char **ret_text, size_t *ret_length)
{
	const size_t size = POLICY_BYTES_MAX + 1;
	_cleanup_free_ char *text = malloc(size);
	size_t length = 0;
	ssize_t n = 1;

	if (!text)
		return -ENOMEM;
	while (n > 0 && length < size) {
		n = read(fd, text + length, size - length);
		if (n < 0 && errno != EINTR)
			return -errno;
		length += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	*ret_text = steal_ptr(text);
	*ret_length = length;
	return 0;
}

static int read_file(const char *path, char **ret_text, size_t *ret_length)
{
	/* A FIFO must not hold us up. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENODEV;
	return read_all(fd, ret_text, ret_length);
}

static int add_file(struct policy *policy, const char *path, struct complaint *ret_complaint)
{
	_cleanup_free_ char *text = NULL;
	struct policy_error error;
	size_t length = 0;
	int r = read_file(path, &text, &length);

	if (r < 0) {
		complain_of_file(ret_complaint, path, r);
		return r;
	}
	r = policy_parse(policy, text, length, &error);
	if (r == -EINVAL)
		complain_of_text(ret_complaint, path, &error);
	else if (r < 0)
		complain_of_file(ret_complaint, path, r);
	return r;
}

static int add_globs(struct policy *policy, const struct option_globs *globs, const char *key,
		     struct complaint *ret_complaint)
{
	struct policy_error error;
	char option[64];
	int r = 0;

	(void)snprintf(option, sizeof(option), "option %s", key);
	for (size_t i = 0; r == 0 && i < globs->count; i++) {
		r = policy_add(policy, globs->list[i], key, "yes", &error);
		if (r == -EINVAL)
			complain_of_text(ret_complaint, option, &error);
		else if (r < 0)
			complain_of_memory(ret_complaint, option, r);
	}
	return r;
}

static void free_policyp(struct policy **policy)
{
	policy_free(*policy);
}

/* What the options name, as it is now. */
static int load(const struct policy_keeper *keeper, struct complaint *ret_complaint,
		struct policy **ret)
{
	const struct options *options = keeper->fs->options;
	_cleanup_(free_policyp) struct policy *policy = NULL;
	int r = policy_new(&policy);

	if (r < 0)
		complain_of_memory(ret_complaint, "policy", r);
	if (r == 0 && keeper->path)
		r = add_file(policy, keeper->path, ret_complaint);
	if (r == 0)
		r = add_globs(policy, &options->lock_globs, "lock", ret_complaint);
	if (r == 0)
		r = add_globs(policy, &options->warm_globs, "warm", ret_complaint);
	if (r == 0)
		*ret = steal_ptr(policy);
	return r;
}

/* ---- the rules in force ---- */

static void set_rules(struct policy_keeper *keeper, struct policy *rules)
{
	struct policy *old;

	pthread_rwlock_wrlock(&keeper->rules_lock);
	old = keeper->rules;
	keeper->rules = rules;
	keeper->stamp++;
	atomic_store(&keeper->wants, policy_wants(rules));
	pthread_rwlock_unlock(&keeper->rules_lock);
	policy_free(old);

	SCOPE_LOCK(&keeper->mutex);
	keeper->loaded_s = time(NULL);
	*keeper->error = '\0';
}

uint32_t keeper_find(struct policy_keeper *keeper, const char *path, const char *name)
{
	uint32_t word;

	pthread_rwlock_rdlock(&keeper->rules_lock);
	word = policy_find(keeper->rules, path, name);
	pthread_rwlock_unlock(&keeper->rules_lock);
	return word;
}

uint32_t treat_find(struct policy_keeper *keeper, const char *path)
{
	const char *slash = strrchr(path, '/');

	return keeper ? keeper_find(keeper, path, slash ? slash + 1 : path) : 0;
}

/* Stored under the lock: a walk after new rules were set finds no file treated by old ones
 * that it has already passed. */
struct naming keeper_name(struct policy_keeper *keeper, struct inode *inode,
			  const struct stat *st, const char *path, const char *name)
{
	uint32_t stamp, word, before;

	pthread_rwlock_rdlock(&keeper->rules_lock);
	stamp = (uint32_t)keeper->stamp << STAMP_SHIFT;
	word = policy_find(keeper->rules, path, name);
	before = atomic_load(&inode->treatment);
	/* Of several names, one that no section speaks of takes nothing from the others. */
	if (!word && st->st_nlink > 1 && (before & ~TREATMENT_MASK) == stamp)
		word = before & TREATMENT_MASK;
	atomic_store(&inode->treatment, word | stamp);
	pthread_rwlock_unlock(&keeper->rules_lock);
	return (struct naming){ before & TREATMENT_MASK, word };
}

static void note_error(struct policy_keeper *keeper, const struct complaint *complaint)
{
	SCOPE_LOCK(&keeper->mutex);

	keeper->reload_errors++;
	metrics_add(&keeper->fs->metrics, METRIC_POLICY_RELOADS + 1, 1);
	(void)snprintf(keeper->error, sizeof(keeper->error), "%s", complaint->text);
}

static void note_reload(struct policy_keeper *keeper)
{
	SCOPE_LOCK(&keeper->mutex);

	keeper->reloads++;
	metrics_add(&keeper->fs->metrics, METRIC_POLICY_RELOADS, 1);
}

/* Every file is treated anew: what was locked, or warm, may be so no longer. */
static void apply(struct policy_keeper *keeper)
{
	atomic_store(&keeper->renewed, true);
	atomic_store(&keeper->refused.told, false);
	atomic_store(&keeper->no_room.told, false);
	tally_set(&keeper->failed, (struct treat_count){ 0, 0 });
	walker_walk(keeper->treater);
	if (atomic_load(&keeper->wants) & POLICY_WARMS)
		walker_walk(keeper->warmer);
}

int treat_reload(struct policy_keeper *keeper)
{
	struct policy *rules;
	struct complaint complaint;
	int r;

	if (!keeper)
		return -EOPNOTSUPP;
	SCOPE_LOCK(&keeper->reloading);
	r = load(keeper, &complaint, &rules);
	if (r < 0) {
		log_line(LOG_ERR, "%s; the old policy stays", complaint.text);
		note_error(keeper, &complaint);
		return r;
	}
	set_rules(keeper, rules);
	note_reload(keeper);
	log_line(LOG_NOTICE, "policy read again: %zu sections", policy_sections(rules));
	apply(keeper);
	return 0;
}

bool treat_reload_soon(struct policy_keeper *keeper)
{
	if (!keeper)
		return false;
	atomic_store(&keeper->reload_wanted, true);
	walker_wake(keeper->treater);
	return true;
}

void keeper_failed(struct policy_keeper *keeper, int error)
{
	tally_add(&keeper->failed, 0);
	atomic_store(&keeper->last_error, error);
}

/* ---- what does not fit ---- */

void shortage_begin(struct shortage *shortage)
{
	shortage->walking = true;
	shortage->so_far = (struct treat_count){ 0, 0 };
}

void shortage_add(struct shortage *shortage, uint64_t bytes)
{
	if (shortage->walking) {
		shortage->so_far.files++;
		shortage->so_far.bytes += bytes;
	} else {
		tally_add(&shortage->known, bytes);
	}
}

bool shortage_end(struct shortage *shortage)
{
	bool tell;

	if (shortage->walking)
		tally_set(&shortage->known, shortage->so_far);
	shortage->walking = false;
	tell = atomic_load(&shortage->known.files) > 0;
	return atomic_exchange(&shortage->told, tell) ? false : tell;
}

/* ---- life ---- */

/* A policy that the mount serves itself could not be read once the mount is about to end. */
static bool is_below(const char *path, const char *dir)
{
	_cleanup_free_ char *real_path = realpath(path, NULL);
	_cleanup_free_ char *real_dir = realpath(dir, NULL);
	size_t length = real_dir ? strlen(real_dir) : 0;

	return real_path && real_dir && strncmp(real_path, real_dir, length) == 0 &&
	       real_path[length] == '/';
}

/* The daemon leaves the directory it was started in. */
static int set_path(struct policy_keeper *keeper, const char *path)
{
	_cleanup_free_ char *here = NULL;

	if (*path == '/') {
		keeper->path = strdup(path);
	} else {
		here = getcwd(NULL, 0);
		if (!here || asprintf(&keeper->path, "%s/%s", here, path) < 0)
			keeper->path = NULL;
	}
	return keeper->path ? 0 : -ENOMEM;
}

static int make_walkers(struct policy_keeper *keeper)
{
	const unsigned int interval = keeper->fs->options->policy_rescan;
	int r = walker_new(keeper->fs, &treater_ops, keeper, INODE_TREAT, interval,
			   &keeper->treater);

	return r < 0 ? r : walker_new(keeper->fs, &warmer_ops, keeper, INODE_WARM, interval,
				      &keeper->warmer);
}

/* Else a reload might wait for ever for a moment without lookups. */
static void init_rules_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	(void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static struct policy_keeper *new_keeper(struct fs *fs)
{
	struct policy_keeper *keeper = calloc(1, sizeof(*keeper));

	if (!keeper)
		return NULL;
	keeper->fs = fs;
	pthread_mutex_init(&keeper->mutex, NULL);
	pthread_mutex_init(&keeper->reloading, NULL);
	init_rules_lock(&keeper->rules_lock);
	pins_init(&keeper->pins);
	return keeper;
}

/* The walks that this asks for wait for the threads: the policy is busy from the beginning. */
static int read_first(struct policy_keeper *keeper)
{
	struct complaint complaint;
	struct policy *rules;
	int r = load(keeper, &complaint, &rules);

	if (r < 0) {
		log_line(LOG_ERR, "%s", complaint.text);
		return r;
	}
	set_rules(keeper, rules);
	if (atomic_load(&keeper->wants) & POLICY_LOCKS)
		walker_walk(keeper->treater);
	if (atomic_load(&keeper->wants) & POLICY_WARMS)
		walker_walk(keeper->warmer);
	return 0;
}

int treat_open(struct fs *fs, struct policy_keeper **ret)
{
	const struct options *options = fs->options;
	struct policy_keeper *keeper;
	int r = 0;

	*ret = NULL;
	if (!options->policy && !options->lock_globs.count && !options->warm_globs.count)
		return 0;
	if (options->policy && is_below(options->policy, options->mountpoint)) {
		log_line(LOG_ERR, "%s: a policy cannot be on the mount that it is for",
			 options->policy);
		return -EINVAL;
	}
	keeper = new_keeper(fs);
	if (!keeper)
		return -ENOMEM;
	if (options->policy)
		r = set_path(keeper, options->policy);
	if (r == 0)
		r = make_walkers(keeper);
	if (r == 0)
		r = read_first(keeper);
	*ret = r < 0 ? treat_close(keeper) : keeper;
	return r;
}

void treat_start(struct policy_keeper *keeper)
{
	int r;

	if (!keeper)
		return;
	r = walker_start(keeper->treater);
	if (r == 0)
		r = walker_start(keeper->warmer);
	if (r < 0)
		log_line(LOG_ERR, "policy: cannot start a thread: %s", strerror(-r));
}

void treat_stop(struct policy_keeper *keeper)
{
	if (!keeper)
		return;
	walker_stop(keeper->treater);
	walker_stop(keeper->warmer);
}

struct policy_keeper *treat_close(struct policy_keeper *keeper)
{
	if (!keeper)
		return NULL;
	walker_free(keeper->treater);
	walker_free(keeper->warmer);
	pins_free(keeper);
	policy_free(keeper->rules);
	pthread_rwlock_destroy(&keeper->rules_lock);
	pthread_mutex_destroy(&keeper->reloading);
	pthread_mutex_destroy(&keeper->mutex);
	free(keeper->path);
	free(keeper);
	return NULL;
}
