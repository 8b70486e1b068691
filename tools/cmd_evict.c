/* SPDX-License-Identifier: MIT */
/* cmd_evict.c - mmapctl evict: drop files from the page cache, and say what stayed and
 * why. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "act.h"
#include "base/macro.h"

struct evict {
	struct act act; /* first, for the callbacks */
	bool sync;
};

struct evicted {
	struct mmapfs_evict_result figures;
	const char *reason; /* why they are not valid */
};

enum column {
	BEFORE,
	AFTER,
	EVICTED,
	HEAD,
	WHY = HEAD + ACT_HEAD,
	EXACT,
	TAIL,
	COLUMNS = TAIL + ACT_TAIL,
};

static const struct out_column columns[] = {
	{ "BEFORE", "action.before", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "resident pages before" },
	{ "AFTER", "action.after", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "resident pages now: what stayed" },
	{ "EVICTED", "action.done", CELL_COUNT, COLUMN_SHOWN | COLUMN_SUM, 7,
	  "pages that went" },
	ACT_HEAD_COLUMNS,
	{ "WHY", "action.why", CELL_JSON, COLUMN_SHOWN, 0, "why pages stayed" },
	{ "REASONS", "action.reasons", CELL_WORD, 0, 0,
	  "exact: read page by page (root); inferred" },
	ACT_TAIL_COLUMNS,
};

static const struct option_row rows[] = {
	{ "sync", 0, NULL, "write dirty pages back first, so that they can go",
	  option_set_true, offsetof(struct evict, sync) },
	{ 0 },
};

/* ---- one file ---- */

static int work(void *ctx, struct target *target, struct mmapfs_range range, void *result)
{
	const struct evict *evict = ctx;
	struct evicted *evicted = result;
	int r;

	evicted->figures.size = sizeof(evicted->figures);
	r = target_evict(target, range, evict->sync ? MMAPFS_EVICT_SYNC : 0,
			 &evicted->figures);
	if (r == 0 && !evicted->figures.valid)
		evicted->reason = act_reason(target);
	return r;
}

/* "mapped 5, dirty 3"; "" when nothing stayed. */
static void words_of(const struct mmapfs_evict_result *found, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < MMAPFS_STAY_COUNT && used < size; i++)
		if (found->stayed[i])
			used += (size_t)snprintf(buf + used, size - used, "%s%s %" PRIu64,
						 used ? ", " : "", mmapfs_stay_name(i),
						 found->stayed[i]);
}

static json_t *json_of(const struct mmapfs_evict_result *found)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < MMAPFS_STAY_COUNT; i++)
		if (found->stayed[i])
			(void)json_array_append_new(
				list,
				json_pack("{s:s, s:I}", "reason", mmapfs_stay_name(i),
					  "pages", (json_int_t)found->stayed[i]));
	return list;
}

static void unknown(struct cell *cells, const char *reason)
{
	act_cells_unknown(cells, BEFORE, EVICTED, reason);
	act_cells_unknown(cells, WHY, EXACT, reason);
}

static void put_figures(const struct evict *evict, const struct evicted *evicted,
			char *why, size_t size, struct cell *cells)
{
	const struct mmapfs_evict_result *found = &evicted->figures;

	if (!found->valid) {
		unknown(cells, evicted->reason);
		return;
	}
	words_of(found, why, size);
	cells[BEFORE] = cell_number(found->before);
	cells[AFTER] = cell_number(found->after);
	cells[EVICTED] =
		cell_number(found->before - u64_min(found->before, found->after));
	cells[WHY] = found->after ? cell_text(why) : cell_none();
	cells[EXACT] = cell_none();
	if (found->after)
		cells[EXACT] = cell_text(found->exact ? "exact" : "inferred");
	if (out_is_json(evict->act.out))
		cells[WHY] = (struct cell){ .state = CELL_KNOWN, .json = json_of(found) };
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	const struct evicted *evicted = result;
	const struct mmapfs_evict_result *found = &evicted->figures;
	struct evict *evict = ctx;
	struct cell cells[COLUMNS] = { 0 };
	char word[MMAPFS_WORD_MAX], why[256];

	act_head(cells + HEAD, target, range, "evict", word);
	act_tail(cells + TAIL, error);
	if (error < 0) {
		act_failed(&evict->act, "evict", target, error, NULL);
		unknown(cells, "failed");
	} else {
		put_figures(evict, evicted, why, sizeof(why), cells);
		evict->act.tally.incomplete += found->valid && found->after;
	}
	act_count(&evict->act, range, error == 0 && !found->valid);
	return act_row(&evict->act, cells);
}

/* ---- the verb ---- */

static int run(const struct command *command, int argc, char **argv)
{
	static const struct jobs_ops ops = { sizeof(struct evicted), work, deliver };
	struct evict evict = { 0 };

	return act_main(command, argc, argv, &evict.act, &ops, NULL);
}

const struct command cmd_evict = {
	.name = "evict",
	.summary = "drop files from the page cache, and say what stayed and why",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Drops the clean pages of the files, for everybody; nothing is lost. Pages that\n"
		"are dirty, mapped by a process or locked stay: they are counted, with the\n"
		"reason, and the exit code is then 4.\n",
	.example = "Example: evict a tree, dirty pages too\n"
		   "  mmapctl evict --sync /srv/data\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT | GROUP_JOBS,
	.rows = rows,
	.columns = columns,
	.run = run,
};
