/* SPDX-License-Identifier: MIT */
/* exposition.h - the Prometheus text format, as a mount tells its metrics. No system calls. */
#ifndef MMAPCTL_EXPOSITION_H
#define MMAPCTL_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The sum of the samples of @name, whatever their labels. False when there is none. */
bool exposition_sum(const char *text, const char *name, uint64_t *ret);

/* Write @text with one more label, @name="@value", in each sample; @value is escaped, and
 * what is not UTF-8 in it replaced. */
void exposition_write(FILE *file, const char *text, const char *name, const char *value);

#endif
