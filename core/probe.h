/* SPDX-License-Identifier: MIT */
/* probe.h - whether a kernel feature may be used, asked of the kernel once. */
#ifndef MMAPFS_PROBE_H
#define MMAPFS_PROBE_H

#include <stdbool.h>

#include <mmapfs.h>

/* 1: use it; 0: disabled by the caller or MMAPFS_DISABLE; a negative errno: the kernel's
 * answer when it was tried, or a shortage, after which the next question asks again. */
int mmapfs__feature(enum mmapfs_feature feature);

/* Of memory or descriptors: what a negative errno says that may be otherwise in a moment. */
bool mmapfs__is_shortage(int r);

/* Ask again at the next question, and enable what was disabled: for tests that changed the
 * kernel under us. No other thread may be in core. */
void mmapfs__probe_reset(void);

#endif
