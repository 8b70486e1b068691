/* SPDX-License-Identifier: MIT */
/* ctl_budget.c - the control attribute `budget` of the mount's root. */
#include "ctl_private.h"

#include <errno.h>
#include <inttypes.h>

#include "base/macro.h"
#include "cache.h"
#include "cache_budget.h"

static struct budget *budget_of(const struct ctl_request *rq)
{
	return rq->fs->cache ? rq->fs->cache->budget : NULL;
}

/* It evicts pages of everybody's files. */
static bool may_set(const struct ctl_request *rq)
{
	return rq->caller->user.uid == 0 || rq->caller->user.uid == rq->fs->owner;
}

int ctl_set_budget(struct ctl_request *rq)
{
	struct budget *budget = budget_of(rq);
	uint64_t limit;

	if (rq->words.count != 1 || budget_parse(rq->words.word[0], &limit) < 0)
		return -EINVAL;
	if (!may_set(rq))
		return -EPERM;
	return budget ? budget_set(budget, limit) : -EOPNOTSUPP;
}

static int print_pressure(const struct budget_figures *figures, struct ctl_text *ret)
{
	if (figures->pressure == BUDGET_UNKNOWN)
		return ctl_text_printf(ret, "\npressure=unknown");
	return ctl_text_printf(ret, "\npressure=%" PRIu64 ".%02" PRIu64,
			       figures->pressure / 100, figures->pressure % 100);
}

static int print_figures(const struct budget_figures *figures, struct ctl_text *ret)
{
	const struct {
		const char *name;
		uint64_t value;
	} lines[] = {
		{ "limit", figures->limit },
		{ "low", figures->low },
		{ "used", figures->used },
		{ "peak", figures->peak },
		{ "locked", figures->locked },
		{ "fixed", figures->fixed },
		{ "files", figures->files },
		{ "unknown_files", figures->unknown_files },
		{ "untracked", figures->untracked },
		{ "looks", figures->quick_looks },
		{ "full_looks", figures->full_looks },
		{ "full_look_us", figures->full_look_ns / 1000 },
		{ "evicted", figures->evicted },
		{ "refused", figures->refused },
		{ "sync_errors", figures->sync_errors },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(lines); i++)
		r = ctl_text_printf(ret, "%s%s=%" PRIu64, i ? "\n" : "", lines[i].name,
				    lines[i].value);
	return r < 0 ? r : print_pressure(figures, ret);
}

int ctl_get_budget(struct ctl_request *rq, struct ctl_text *ret)
{
	struct budget *budget = budget_of(rq);
	struct budget_figures figures;

	if (!budget)
		return ctl_text_printf(ret, "limit=off");
	budget_figures(budget, &figures);
	if (figures.limit == BUDGET_OFF)
		return ctl_text_printf(ret, "limit=off");
	return print_figures(&figures, ret);
}
