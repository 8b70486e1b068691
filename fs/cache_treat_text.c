/* SPDX-License-Identifier: MIT */
/* cache_treat_text.c - how the policy stands: as figures, and as the root's attribute. */
#include <errno.h>
#include <inttypes.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_treat_private.h"
#include "ctl_private.h"

void treat_figures(struct policy_keeper *keeper, struct treat_figures *ret)
{
	const struct walker_figures treater = walker_figures(keeper->treater);
	const struct walker_figures warmer = walker_figures(keeper->warmer);

	*ret = (struct treat_figures){
		.busy = treater.busy || warmer.busy,
		.locked = tally_get(&keeper->locked),
		.refused = tally_get(&keeper->refused.known),
		.warmed = tally_get(&keeper->warmed),
		.no_room = tally_get(&keeper->no_room.known),
		.dropped = tally_get(&keeper->dropped).files,
		.failed = tally_get(&keeper->failed).files,
		.error = atomic_load(&keeper->last_error),
		.queued = treater.queued + warmer.queued,
		.overflows = treater.overflows + warmer.overflows,
		.walks = treater.walks + warmer.walks,
		.walk_error = treater.error ? treater.error : warmer.error,
	};
	SCOPE_LOCK(&keeper->mutex);
	ret->reloads = keeper->reloads;
	ret->reload_errors = keeper->reload_errors;
}

static int print_head(struct policy_keeper *keeper, const struct treat_figures *figures,
		      struct ctl_text *ret)
{
	int r = ctl_text_printf(ret, "state=%s\n", figures->busy ? "busy" : "idle");

	if (r >= 0 && keeper->path)
		r = ctl_text_printf(ret, "file=%s\n", keeper->path);
	if (r < 0)
		return r;
	SCOPE_LOCK(&keeper->mutex);
	return ctl_text_printf(ret, "loaded=%" PRId64 "\nreloads=%" PRIu64
				    "\nreload_errors=%" PRIu64 "\n%s%s%s",
			       keeper->loaded_s, keeper->reloads, keeper->reload_errors,
			       *keeper->error ? "reload_error=" : "", keeper->error,
			       *keeper->error ? "\n" : "");
}

static int print_count(const char *name, struct treat_count count, struct ctl_text *ret)
{
	return ctl_text_printf(ret, "%s_files=%" PRIu64 "\n%s_bytes=%" PRIu64 "\n", name,
			       count.files, name, count.bytes);
}

static int print_error(const char *name, int error, struct ctl_text *ret)
{
	char word[MMAPFS_WORD_MAX];

	return error ? ctl_text_printf(ret, "%s=%s\n", name, ctl_errno_text(word, error)) : 0;
}

static int print_figures(const struct treat_figures *figures, struct ctl_text *ret)
{
	const struct {
		const char *name;
		const struct treat_count *count;
	} counts[] = {
		{ "locked", &figures->locked },
		{ "lock_refused", &figures->refused },
		{ "warmed", &figures->warmed },
		{ "warm_no_room", &figures->no_room },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(counts); i++)
		r = print_count(counts[i].name, *counts[i].count, ret);
	if (r >= 0)
		r = ctl_text_printf(ret, "dropped_files=%" PRIu64 "\nfailed_files=%" PRIu64
					 "\nqueued=%" PRIu64 "\noverflows=%" PRIu64
					 "\nwalks=%" PRIu64 "\n",
				    figures->dropped, figures->failed, figures->queued,
				    figures->overflows, figures->walks);
	if (r >= 0 && figures->failed)
		r = print_error("failed_error", figures->error, ret);
	return r < 0 ? r : print_error("walk_error", figures->walk_error, ret);
}

static int print_sections(struct policy_keeper *keeper, struct ctl_text *ret)
{
	const size_t limit = ret->limit ? u64_min(ret->limit, TREAT_TEXT_MAX) : TREAT_TEXT_MAX;
	int r;

	pthread_rwlock_rdlock(&keeper->rules_lock);
	r = ctl_text_printf(ret, "sections=%zu\n", policy_sections(keeper->rules));
	if (r >= 0)
		r = policy_print(keeper->rules, limit, ret);
	pthread_rwlock_unlock(&keeper->rules_lock);
	return r;
}

int treat_print(struct policy_keeper *keeper, struct ctl_text *ret)
{
	struct treat_figures figures;
	int r;

	if (!keeper)
		return ctl_text_printf(ret, "state=none\n");
	treat_figures(keeper, &figures);
	r = print_head(keeper, &figures, ret);
	if (r >= 0)
		r = print_figures(&figures, ret);
	return r < 0 ? r : print_sections(keeper, ret);
}
