/* SPDX-License-Identifier: MIT */
/* explain.h - all that can be measured of one file, and what follows from it. */
#ifndef MMAPCTL_EXPLAIN_H
#define MMAPCTL_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "mappers.h"
#include "target.h"

struct explained {
	struct target *target;
	struct mmapfs_range range; /* all figures below are of it */
	struct observation seen; /* with readiness */
	uint64_t runs;		 /* of resident pages */
	bool runs_known;
	struct mmapfs_folios folios;
	const char *folios_unknown; /* why they are; NULL: they are known */
	struct mappers mappers; /* of the whole file */
	bool mappers_known;
	uint64_t available; /* MemAvailable, bytes; 0: unknown */
};

/* Errors: as target_observe(). Give it to explain_done(). */
int explain_look(struct target *target, struct mmapfs_range range, struct explained *ret);
void explain_done(struct explained *file);

/* Bytes that processes (those that could be looked at) or the mount keep locked. */
uint64_t explain_locked(const struct explained *file);

/* Bytes that an evict would free at most; false when that is not known. */
bool explain_evict(const struct explained *file, uint64_t *ret);

/* Bytes of the range that an evict of it would leave for being part of a folio that reaches
 * out of it, and, where there are such, the range that would have to be evicted to take those
 * folios too. False when that is not known. */
bool explain_straddling(const struct explained *file, uint64_t *ret,
			struct mmapfs_range *ret_whole);

/* Bytes that a warm would read at most: it reads no holes. False when not known. */
bool explain_warm(const struct explained *file, uint64_t *ret);

/* The screen, line by line. Returns what @put returned when that is not 0. */
int explain_lines(const struct explained *file,
		  int (*put)(void *ctx, const char *what, const char *value), void *ctx);

#endif
