/* SPDX-License-Identifier: MIT */
/*
 * cache_look.h - look at the known files, and evict when there is too much: what the
 * thread of the budget does. Model.
 */
#ifndef MMAPFS_FS_CACHE_LOOK_H
#define MMAPFS_FS_CACHE_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "cache_budget.h"
#include "cache_known.h"

struct looker;

/* Errors: -ENOMEM. */
int looker_new(struct fs *fs, struct known *known, struct looker **ret);

/* Takes and returns NULL. */
struct looker *looker_free(struct looker *looker);

/* Look and evict as far as it is time for it; forget all files when @limit is BUDGET_OFF.
 * To be called by one thread. Returns the milliseconds until it is to be called again. */
uint64_t looker_look(struct looker *looker, uint64_t limit);

/* ---- from any thread ---- */

/* Will the next look be long in coming? Says so once: who hears it wakes the thread. */
bool looker_is_idle(struct looker *looker);

/* So many bytes are about to be read in; and those that were not yet surely looked at. */
void looker_announce(struct looker *looker, uint64_t bytes);
uint64_t looker_announced(const struct looker *looker);

/* What belongs to a limit. */
struct marks looker_marks(uint64_t limit, uint64_t used);

/* Fill in what looks found and did. */
void looker_figures(const struct looker *looker, struct budget_figures *ret);

#endif
