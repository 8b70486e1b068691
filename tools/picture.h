/* SPDX-License-Identifier: MIT */
/* picture.h - equal parts of a file, drawn by how much of each is resident. */
#ifndef MMAPCTL_PICTURE_H
#define MMAPCTL_PICTURE_H

#include <stddef.h>
#include <stdint.h>

struct picture {
	uint64_t begin, end; /* bytes that are drawn */
	size_t cells;
	uint64_t *resident; /* bytes of each cell */
};

/* Errors: -ENOMEM. Give it to picture_done(). */
int picture_init(struct picture *picture, uint64_t begin, uint64_t end, size_t cells);
void picture_done(struct picture *picture);

/* A run of resident bytes. */
void picture_add(struct picture *picture, uint64_t offset, uint64_t length);

/* First byte of cell @cell; of cells, the end. */
uint64_t picture_edge(const struct picture *picture, size_t cell);

/* "." none of it resident, then ":-=+*#%" for more and more, "@" all of it; blank for a
 * cell that has no bytes. */
char picture_char(const struct picture *picture, size_t cell);

#endif
