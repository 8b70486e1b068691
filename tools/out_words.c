/* SPDX-License-Identifier: MIT */
/* out_words.c - numbers as people read them. */
#include "out_words.h"

#include <inttypes.h>
#include <stdio.h>

static const char suffixes[] = "BKMGTPE";

const char *bytes_format(char buf[MMAPFS_WORD_MAX], uint64_t bytes)
{
	double value = (double)bytes;
	unsigned int unit = 0;

	while (value >= 1023.5 && unit + 2 < sizeof(suffixes)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(buf, MMAPFS_WORD_MAX, "%" PRIu64, bytes);
	else if (value < 9.95)
		snprintf(buf, MMAPFS_WORD_MAX, "%.1f%c", value, suffixes[unit]);
	else
		snprintf(buf, MMAPFS_WORD_MAX, "%.0f%c", value, suffixes[unit]);
	return buf;
}
