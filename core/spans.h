/* SPDX-License-Identifier: MIT */
/* spans.h - a sorted set of disjoint, non-adjacent [begin, end) spans. Pure. */
#ifndef MMAPFS_SPANS_H
#define MMAPFS_SPANS_H

#include <stddef.h>
#include <stdint.h>

struct mmapfs__span {
	uint64_t begin;
	uint64_t end;
};

struct mmapfs__spans {
	struct mmapfs__span *at;
	size_t count;
	size_t capacity;
};

/* Union with [begin, end). Errors: -ENOMEM, set unchanged. */
int mmapfs__spans_add(struct mmapfs__spans *spans, uint64_t begin, uint64_t end);

/* Take [begin, end) out; may split a span. Errors: -ENOMEM when it has to, set
 * unchanged. */
int mmapfs__spans_remove(struct mmapfs__spans *spans, uint64_t begin, uint64_t end);

/* Sum of the lengths of the parts that lie in [begin, end). */
uint64_t mmapfs__spans_covered(const struct mmapfs__spans *spans, uint64_t begin,
			       uint64_t end);

/* Free the memory; the set is empty and usable afterwards. */
void mmapfs__spans_clear(struct mmapfs__spans *spans);

#endif
