/* SPDX-License-Identifier: MIT */
/* fuzz-dir.h - a directory for the files of a target, gone when it ends well. */
#ifndef FUZZ_DIR_H
#define FUZZ_DIR_H

#include "fuzz.h"

#include <ftw.h>

static char fuzz_dir_path[256];

static inline int fuzz_dir_remove_one(const char *path, const struct stat *st, int type,
				      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void fuzz_dir_remove(void)
{
	(void)nftw(fuzz_dir_path, fuzz_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes it. Static. */
static inline const char *fuzz_dir(void)
{
	const char *parent = getenv("TMPDIR");

	(void)snprintf(fuzz_dir_path, sizeof(fuzz_dir_path), "%s/mmapfs-fuzz-XXXXXX",
		       parent ? parent : "/var/tmp");
	check(mkdtemp(fuzz_dir_path));
	(void)atexit(fuzz_dir_remove);
	return fuzz_dir_path;
}

#endif
