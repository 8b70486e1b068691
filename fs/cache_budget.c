/* SPDX-License-Identifier: MIT */
/* cache_budget.c - keep the resident bytes of the mount's files under a limit. */
#include "cache_budget.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_find.h"
#include "cache_known.h"
#include "cache_look.h"
#include "table_window.h"
#include "ticker.h"

/* From one walk to the next: so many milliseconds at least, or times the work. */
#define WALK_PAUSE_MIN 60000
#define WALK_SHARE 50

struct budget {
	struct fs *fs;
	struct known *known;
	struct looker *looker;
	_Atomic uint64_t limit;

	pthread_mutex_t control; /* protects the tickers, against those who wake them */
	bool started;
	struct ticker *looks;
	struct ticker *walks;
};

/* ---- the limit ---- */

static uint64_t ram_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int parse_percent(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long percent;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	percent = strtoul(text, &end, 10);
	if (strcmp(end, "%") != 0 || percent > 100)
		return -EINVAL;
	*ret = ram_bytes() / 100 * percent;
	return 0;
}

int budget_parse(const char *text, uint64_t *ret)
{
	uint64_t limit;

	if (!strcmp(text, "off")) {
		*ret = BUDGET_OFF;
		return 0;
	}
	if (parse_percent(text, &limit) < 0 && mmapfs_size_parse(text, &limit) < 0)
		return -EINVAL;
	if (limit < BUDGET_MIN)
		return -EINVAL;
	*ret = limit;
	return 0;
}

/* ---- the two threads ---- */

/* Also for ctl_stop.asked. */
static bool is_off(void *ctx)
{
	const struct budget *budget = ctx;

	return atomic_load(&budget->limit) == BUDGET_OFF;
}

static void wake(struct budget *budget)
{
	SCOPE_LOCK(&budget->control);

	ticker_wake(budget->looks);
}

static uint64_t look(void *arg)
{
	struct budget *budget = arg;

	return looker_look(budget->looker, atomic_load(&budget->limit));
}

static void found(void *ctx)
{
	wake(ctx);
}

static uint64_t walk(void *arg)
{
	struct budget *budget = arg;
	const struct ctl_stop stop = { budget->fs, is_off, budget };
	int64_t worked;

	if (is_off(budget))
		return TICKER_NEVER;
	worked = find_resident(budget->known, &stop, found, budget);
	return u64_max(WALK_PAUSE_MIN,
		       worked > 0 ? (uint64_t)worked / 1000000 * WALK_SHARE : 0);
}

/* ---- life ---- */

int budget_new(struct fs *fs, uint64_t limit, struct budget **ret)
{
	const struct known_limits limits = known_default_limits();
	struct budget *budget = calloc(1, sizeof(*budget));
	int r;

	if (!budget)
		return -ENOMEM;
	budget->fs = fs;
	atomic_init(&budget->limit, limit);
	pthread_mutex_init(&budget->control, NULL);
	r = known_new(fs->inodes, &limits, &budget->known);
	if (r >= 0)
		r = looker_new(fs, budget->known, &budget->looker);
	if (r < 0) {
		budget_free(budget);
		return r;
	}
	*ret = budget;
	return 0;
}

static int start_or_wake(struct budget *budget, ticker_fn fn, struct ticker **ticker)
{
	if (!*ticker)
		return ticker_start(fn, budget, 0, ticker);
	ticker_wake(*ticker);
	return 0;
}

/* With budget->control held: threads are started with the first limit; from then on they
 * are told that it is another. */
static int tell_threads(struct budget *budget)
{
	int r;

	if (!budget->started || (!budget->looks && is_off(budget)))
		return 0;
	r = start_or_wake(budget, look, &budget->looks);
	return r < 0 ? r : start_or_wake(budget, walk, &budget->walks);
}

int budget_start(struct budget *budget)
{
	if (!budget)
		return 0;
	SCOPE_LOCK(&budget->control);
	budget->started = true;
	return tell_threads(budget);
}

int budget_set(struct budget *budget, uint64_t limit)
{
	SCOPE_LOCK(&budget->control);

	atomic_store(&budget->limit, limit);
	return tell_threads(budget);
}

/* The mutex is not held while it is waited for: the thread itself may want to wake. */
static struct ticker *take(struct budget *budget, struct ticker **ticker)
{
	SCOPE_LOCK(&budget->control);

	budget->started = false;
	return steal_ptr(*ticker);
}

void budget_stop(struct budget *budget)
{
	if (!budget)
		return;
	ticker_stop(take(budget, &budget->walks));
	ticker_stop(take(budget, &budget->looks));
}

struct budget *budget_free(struct budget *budget)
{
	if (!budget)
		return NULL;
	budget_stop(budget);
	looker_free(budget->looker);
	known_free(budget->known);
	pthread_mutex_destroy(&budget->control);
	free(budget);
	return NULL;
}

/* ---- what others tell and ask ---- */

struct signing {
	struct budget *budget;
	enum known_sign sign;
};

static void sign_owner(void *ctx, const struct window *owner)
{
	const struct signing *signing = ctx;

	known_sign(signing->budget->known, owner->inode, signing->sign);
}

/* The pages of a window may be counted with others that show them too, and the kernel may have
 * read more than the window. */
static void sign_windows(struct budget *budget, const struct window *window,
			 enum known_sign sign)
{
	struct signing signing = { budget, sign }, near = { budget, KNOWN_READING };

	window_each_owner(window, sign_owner, &signing);
	if (sign == KNOWN_CLOSED)
		window_each_near(window, sign_owner, &near);
}

static void sign(struct budget *budget, struct inode *inode, enum known_sign sign)
{
	if (is_off(budget))
		return;
	if (inode->window)
		sign_windows(budget, inode->window, sign);
	else
		known_sign(budget->known, inode, sign);
	if (looker_is_idle(budget->looker))
		wake(budget);
}

void budget_opened(struct budget *budget, struct inode *inode, bool writer)
{
	sign(budget, inode, writer ? KNOWN_WRITER : KNOWN_OPENED);
}

void budget_closed(struct budget *budget, struct inode *inode)
{
	sign(budget, inode, KNOWN_CLOSED);
}

void budget_reading(struct budget *budget, struct inode *inode, uint64_t bytes)
{
	if (!budget || is_off(budget))
		return;
	looker_announce(budget->looker, bytes);
	sign(budget, inode, KNOWN_READING);
}

uint64_t budget_room(struct budget *budget)
{
	const uint64_t limit = budget ? atomic_load(&budget->limit) : BUDGET_OFF;
	uint64_t used;

	if (limit == BUDGET_OFF)
		return UINT64_MAX;
	used = add_saturated(known_sums(budget->known).resident,
			     looker_announced(budget->looker));
	return limit - u64_min(limit, used);
}

void budget_figures(struct budget *budget, struct budget_figures *ret)
{
	const struct known_sums sums = known_sums(budget->known);
	const struct marks marks =
		looker_marks(atomic_load(&budget->limit), sums.resident);

	*ret = (struct budget_figures){
		.limit = marks.high,
		.low = marks.low,
		.used = sums.resident,
		.locked = sums.locked,
		.fixed = sums.fixed,
		.files = sums.files,
		.unknown_files = sums.unknown_files,
		.untracked = sums.untracked,
	};
	looker_figures(budget->looker, ret);
}
