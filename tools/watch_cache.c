/* SPDX-License-Identifier: MIT */
/* watch_cache.c - the whole cache of a mount: its metrics, and the sum of its files. */
#include "watch_cache.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "exposition.h"
#include "mount_root.h"
#include "target_mount.h"

#define NS_PER_S 1e9

static const struct {
	const char *metric;
	enum { AS_IT_IS = 0, CHANGE, RATE } how;
} figures[CACHE_FIGURES] = {
	[CACHE_LOCKED] = { "mmapfs_locked_bytes", AS_IT_IS },
	[CACHE_BUDGET] = { "mmapfs_budget_bytes", AS_IT_IS },
	[CACHE_USED] = { "mmapfs_budget_used_bytes", AS_IT_IS },
	[CACHE_DROPPED] = { "mmapfs_evicted_pages_total", CHANGE },
	[CACHE_OPENS] = { "mmapfs_opens_total", RATE },
};

bool watch_cache_is_root(const char *path)
{
	_cleanup_free_ char *metrics = NULL;

	return mount_root_get(path, "metrics", &metrics) == 0;
}

static struct cell rate(uint64_t change, uint64_t ns)
{
	if (ns == 0)
		return cell_none();
	return cell_number((uint64_t)((double)change * NS_PER_S / (double)ns + 0.5));
}

static struct cell cell_of(const struct watch_cache *cache, enum cache_figure figure,
			   uint64_t total, uint64_t now_ns)
{
	uint64_t before = cache->total[figure];

	if (figures[figure].how == AS_IT_IS)
		return cell_number(total);
	/* Smaller: another mount, of the same second. */
	if (!cache->known[figure] || total < before)
		return cell_none();
	if (figures[figure].how == CHANGE)
		return cell_number(total - before);
	return rate(total - before, now_ns - cache->rated_ns);
}

/* What another mount counted, there before this one, is nothing to compare with. */
static void note_mount(struct watch_cache *cache, const char *metrics)
{
	uint64_t began = 0;

	(void)exposition_sum(metrics, "mmapfs_start_time_seconds", &began);
	if (began != cache->began)
		memset(cache->known, 0, sizeof(cache->known));
	cache->began = began;
}

void watch_cache_take(struct watch_cache *cache, const char *metrics, uint64_t now_ns)
{
	note_mount(cache, metrics);
	for (unsigned int i = 0; i < CACHE_FIGURES; i++) {
		uint64_t total = 0;
		bool known = exposition_sum(metrics, figures[i].metric, &total);

		cache->cells[i] = known ? cell_of(cache, i, total, now_ns) : cell_none();
		cache->known[i] = known;
		cache->total[i] = total;
	}
	cache->rated_ns = now_ns;
}

void watch_cache_take_rates(struct watch_cache *cache, const char *metrics, uint64_t now_ns)
{
	note_mount(cache, metrics);
	for (unsigned int i = 0; i < CACHE_FIGURES; i++)
		if (figures[i].how == RATE)
			cache->known[i] = exposition_sum(metrics, figures[i].metric,
							 &cache->total[i]);
	cache->rated_ns = now_ns;
}

static int take(struct watch_cache *cache, uint64_t now_ns,
		void (*fn)(struct watch_cache *cache, const char *metrics, uint64_t now_ns))
{
	_cleanup_free_ char *metrics = NULL;
	int r = mount_root_get(cache->root, "metrics", &metrics);

	if (r == 0)
		fn(cache, metrics, now_ns);
	return r;
}

int watch_cache_look(struct watch_cache *cache, uint64_t now_ns)
{
	return take(cache, now_ns, watch_cache_take);
}

int watch_cache_begin_rates(struct watch_cache *cache, uint64_t now_ns)
{
	return take(cache, now_ns, watch_cache_take_rates);
}

int watch_cache_measure(const struct watch_cache *cache, struct watch_figures *ret)
{
	_cleanup_free_ char *text = NULL;
	struct observation seen;
	int r = mount_root_get(cache->root, "stat", &text);

	if (r == 0)
		r = mount_parse_stat(text, &seen);
	if (r < 0)
		return r;
	*ret = watch_figures_of(&seen.residency);
	/* A sum that lacks a file is not the cache's. */
	if (!strstr(text, "\nunknown_files=0\n"))
		ret->valid = 0;
	return 0;
}

uint64_t watch_cache_rest(uint64_t begin_ns, uint64_t end_ns)
{
	return add_saturated(end_ns, 9 * (end_ns - begin_ns));
}
