/* SPDX-License-Identifier: MIT */
/* reader.h - make pieces of a file resident for certain, and find the pages that fail. */
#ifndef MMAPFS_READER_H
#define MMAPFS_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "map.h"
#include "window.h"

struct mmapfs__reader {
	struct mmapfs_map *map;
	uint64_t eof;  /* where the file or the window ended at the beginning */
	bool populate; /* MADV_POPULATE_READ works */
	bool random;   /* readahead of the descriptor has been switched off */
	char *buf;     /* for pread, allocated when first needed */
	struct mmapfs__window view; /* PROT_READ, but its memory is never touched by us */
	int error;		    /* the first, negative errno, or 0 */
	uint64_t error_offset;	    /* file offset of it */
};

void mmapfs__reader_init(struct mmapfs__reader *reader, struct mmapfs_map *map,
			 const struct mmapfs__extent *extent);
void mmapfs__reader_done(struct mmapfs__reader *reader);

/*
 * Return when all of [begin, end), page aligned, is resident that can be. @queued: its
 * readahead is under way, so that populate need only wait for it. Pages that cannot be
 * read are left out and the first is kept in `error`. Errors, also kept there: -ESTALE
 * when the file has become shorter; and -ENOMEM.
 */
int mmapfs__reader_wait(struct mmapfs__reader *reader, uint64_t begin, uint64_t end,
			bool queued);

/* Keep the first error. Returns @error. */
int mmapfs__reader_fail(struct mmapfs__reader *reader, int error, uint64_t offset);

/* -ESTALE, and kept, when the file is shorter than it was at init. Errors: fstat(2). */
int mmapfs__reader_check_size(struct mmapfs__reader *reader);

#endif
