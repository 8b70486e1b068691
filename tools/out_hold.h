/* SPDX-License-Identifier: MIT */
/* out_hold.h - rows kept until all are there, to be sorted. */
#ifndef MMAPCTL_OUT_HOLD_H
#define MMAPCTL_OUT_HOLD_H

#include "out_private.h"

/* Keep a copy; of --top N only about as many are kept. Takes the cells' JSON. */
int hold_row(struct out *out, const struct cell *cells);

/* Give the kept rows to @print, sorted, and drop them. */
int hold_print_all(struct out *out, int (*print)(struct out *, const struct cell *));

void hold_drop_all(struct out *out);

#endif
