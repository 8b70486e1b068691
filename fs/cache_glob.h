/* SPDX-License-Identifier: MIT */
/*
 * cache_glob.h - patterns for names and paths, in time that is bounded by the product of
 * their lengths, whatever they are. Pure. Model.
 *
 * "*" and "?" stand for any bytes, and for any one byte, but a slash; "[a-z]", "[!a-z]" for one
 * of, or none of, these bytes; "\" takes the next byte as it is; "**" between slashes, or at
 * either end, for any number of directories. A pattern without a slash is about a name; one
 * with a slash about a path, and a slash at its beginning says no more than that.
 */
#ifndef MMAPFS_FS_CACHE_GLOB_H
#define MMAPFS_FS_CACHE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Longer ones are refused. */
#define GLOB_MAX 4095

/* Why @glob (@length bytes) is no pattern, in a few words; NULL: it is one. */
const char *glob_reject(const char *glob, size_t length);

/* Is it about a path? */
bool glob_has_slash(const char *glob);

/* Does the pattern @glob, which glob_reject() let pass, match all of @text, a name or a path
 * without a slash at its beginning? Bytes are compared, whatever the locale. */
bool glob_match(const char *glob, const char *text);

#endif
