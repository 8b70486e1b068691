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
	struct observation seen; /* with readiness */
	uint64_t runs;		 /* of resident pages */
	bool runs_known;
	struct mappers mappers;
	bool mappers_known;
	uint64_t available; /* MemAvailable, bytes; 0: unknown */
};

/* Errors: as target_observe(). Give it to explain_done(). */
int explain_look(struct target *target, struct explained *ret);
void explain_done(struct explained *file);

/* Bytes that processes (those that could be looked at) or the mount keep locked. */
uint64_t explain_locked(const struct explained *file);

/* Bytes that an evict would free at most; false when that is not known. */
bool explain_evict(const struct explained *file, uint64_t *ret);

/* Bytes that a warm would read at most: it reads no holes. False when not known. */
bool explain_warm(const struct explained *file, uint64_t *ret);

/* The screen, line by line. Returns what @put returned when that is not 0. */
int explain_lines(const struct explained *file,
		  int (*put)(void *ctx, const char *what, const char *value), void *ctx);

#endif
