/* SPDX-License-Identifier: MIT */
/*
 * snapshot-format.h - the text of a snapshot, written and read piece by piece.
 *
 * docs/snapshot-format.md describes the format. Neither side holds more than one buffer and
 * two names, however many files there are and however many ranges a file has.
 */
#ifndef MMAPFS_SNAPSHOT_FORMAT_H
#define MMAPFS_SNAPSHOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmapfs.h>

/* With the NUL at the end, not encoded. */
#define MMAPFS__SNAPSHOT_NAME_SIZE 4096
#define MMAPFS__SNAPSHOT_WORD_SIZE 96
#define MMAPFS__SNAPSHOT_BUFFER 16384

/* FNV-1a of 64 bits: any one changed byte changes it. */
#define MMAPFS__SNAPSHOT_HASH UINT64_C(0xcbf29ce484222325)
uint64_t mmapfs__snapshot_hash(uint64_t hash, const char *bytes, size_t length);

/* The order of the records: by bytes, but "/" comes before all others, so that a directory
 * is followed by what is in it. <0, 0, >0. */
int mmapfs__snapshot_compare(const char *a, const char *b);

/* What the `end` line repeats. */
struct mmapfs__snapshot_counts {
	uint64_t files;
	uint64_t skipped;
	uint64_t ranges;
	uint64_t bytes;
};

struct mmapfs__snapshot_header {
	bool heat; /* version 2: files have one */
	uint64_t page_size;
	int64_t time_s; /* since 1970 */
	char kernel[MMAPFS__SNAPSHOT_WORD_SIZE];
};

/* ---- writing ---- */

/* Appends text. Stores @length bytes at @offset; 0 or a negative errno. */
typedef int (*mmapfs__snapshot_store_fn)(void *ctx, const char *bytes, size_t length,
					 uint64_t offset);

struct mmapfs__snapshot_out {
	mmapfs__snapshot_store_fn store;
	void *ctx;
	uint64_t page_size;
	bool heat;     /* see the header */
	uint64_t base; /* offset of the buffer in the text */
	size_t have;
	uint64_t hash;
	int error; /* the first; nothing is written after it */
	struct mmapfs__snapshot_counts counts;

	/* The record that is being written, and how to take it back. */
	bool open;
	uint64_t file_size;
	struct mmapfs_range held; /* may still grow by an adjacent range; length 0: none */
	uint64_t held_ranges;	  /* of this record, written or held */
	struct {
		uint64_t offset;
		uint64_t hash;
		struct mmapfs__snapshot_counts counts;
	} mark;
	char buf[MMAPFS__SNAPSHOT_BUFFER];
};

void mmapfs__snapshot_out_init(struct mmapfs__snapshot_out *out,
			       mmapfs__snapshot_store_fn store, void *ctx,
			       uint64_t page_size);

/* Text as it is. */
void mmapfs__snapshot_out_put(struct mmapfs__snapshot_out *out, const char *bytes,
			      size_t length);

void mmapfs__snapshot_out_header(struct mmapfs__snapshot_out *out,
				 const struct mmapfs__snapshot_header *header);

/* A record: begin, any number of ranges, end; or begin of a skipped one, which is complete.
 * -ENAMETOOLONG, -EINVAL for an empty name or what is no record; errors of the store. */
int mmapfs__snapshot_out_begin(struct mmapfs__snapshot_out *out,
			       const struct mmapfs_snapshot_entry *entry);
/* -EINVAL: out of order, not whole pages (but for the last of the file), beyond the end. */
int mmapfs__snapshot_out_range(struct mmapfs__snapshot_out *out, uint64_t offset,
			       uint64_t length);
int mmapfs__snapshot_out_end(struct mmapfs__snapshot_out *out);

/* As if the record that is open had never been begun. */
void mmapfs__snapshot_out_undo(struct mmapfs__snapshot_out *out);

/* The `end` line, and everything stored. The length of the text in @ret. */
int mmapfs__snapshot_out_finish(struct mmapfs__snapshot_out *out, uint64_t *ret);

/* Everything so far stored, without the `end` line. */
int mmapfs__snapshot_out_flush(struct mmapfs__snapshot_out *out);

/* ---- reading ---- */

/* Bytes read at @offset, 0 at the end, or a negative errno. */
typedef int64_t (*mmapfs__snapshot_fetch_fn)(void *ctx, char *bytes, size_t length,
					     uint64_t offset);

/* Where reading stands; to come back to. */
struct mmapfs__snapshot_place {
	uint64_t offset;
	uint64_t hash;
	uint64_t line; /* from 1 */
	uint64_t range_end; /* of the last range; the next begins there or behind */
	bool first_range;
	struct mmapfs__snapshot_counts counts;
};

struct mmapfs__snapshot_in {
	mmapfs__snapshot_fetch_fn fetch;
	void *ctx;
	/* Records without header and `end` line, in any order: what the sorting writer keeps
	 * meanwhile. */
	bool fragment;
	const char *problem; /* static; what -EBADMSG was for, in line place.line */
	struct mmapfs__snapshot_header header;
	struct mmapfs__snapshot_place place;
	struct mmapfs__snapshot_place ranges; /* where those of the record begin */
	uint64_t record_offset;		      /* of the record's line */
	bool in_ranges;
	bool ended;
	unsigned int current; /* which of `names` is the record's */
	uint64_t file_size;
	char names[2][MMAPFS__SNAPSHOT_NAME_SIZE];
	char skipped[MMAPFS__SNAPSHOT_WORD_SIZE];
	uint64_t base;
	size_t have;
	size_t at;
	char buf[MMAPFS__SNAPSHOT_BUFFER];
};

void mmapfs__snapshot_in_init(struct mmapfs__snapshot_in *in,
			      mmapfs__snapshot_fetch_fn fetch, void *ctx);

/* Start a fragment's reading at @offset, of a text that has this @header. */
void mmapfs__snapshot_in_fragment(struct mmapfs__snapshot_in *in, uint64_t offset,
				  const struct mmapfs__snapshot_header *header);

/* -EBADMSG, here and below, sets `problem`. */
int mmapfs__snapshot_in_header(struct mmapfs__snapshot_in *in);

/* The next record: 1, or 0 at the end, when all of the text has been found to be right. The
 * strings of @ret are good until the next call but one. Steps over ranges not asked for. */
int mmapfs__snapshot_in_record(struct mmapfs__snapshot_in *in,
			       struct mmapfs_snapshot_entry *ret);

/* The next range of the record: 1, or 0 when there is no more. */
int mmapfs__snapshot_in_range(struct mmapfs__snapshot_in *in, struct mmapfs_range *ret);

/* Back to the first range of the record. */
void mmapfs__snapshot_in_again(struct mmapfs__snapshot_in *in);

#endif
