/* SPDX-License-Identifier: MIT */
/* out_words.h - numbers as people read them. */
#ifndef MMAPCTL_OUT_WORDS_H
#define MMAPCTL_OUT_WORDS_H

#include <stdint.h>

#include <mmapfs.h>

/* 1610612736 -> "1.5G": three digits or so, rounded to nearest. Returns @buf. */
const char *bytes_format(char buf[MMAPFS_WORD_MAX], uint64_t bytes);

#endif
