/* SPDX-License-Identifier: MIT */
/*
 * fake-sys.h - the real kernel with scripted failures.
 *
 * fake_sys_install() puts a table in force whose every entry first asks the script, then
 * the real kernel. Calls are named as in core/sys.h, "mmap", "cachestat".
 */
#ifndef FAKE_SYS_H
#define FAKE_SYS_H

#include <stdint.h>

#include "sys.h"

/* Start afresh: no script, counters 0, table in force. */
void fake_sys_install(void);

/* Back to the real kernel; also checks that every scripted result was used. */
void fake_sys_remove(void);

/* Let the first @skip calls of @call through, then answer @times calls (0: all further
 * ones) with @result - a negative errno, or a short count for calls that return one.
 * Several scripts of one call follow one another: the next counts from where the last is
 * used up. */
void fake_sys_script(const char *call, unsigned int skip, unsigned int times,
		     int64_t result);

/* Calls of @call since install, scripted ones included. */
unsigned int fake_sys_calls(const char *call);

/* The table in force, to replace an entry with a function of the test's own. */
struct mmapfs__sys *fake_sys_table(void);

#endif
