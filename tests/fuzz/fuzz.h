/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what every fuzz target is.
 *
 * A target takes one input apart and checks what must hold of the outcome, whatever the
 * input: it ends the process (check(), or a sanitizer) when that does not hold. Linked with
 * replay.c it is an ordinary test of its corpus, with libfuzzer.c a program that looks for
 * new inputs.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum verdict {
	REJECTED = 0, /* a file of the corpus that is "bad-..." */
	ACCEPTED,     /* "good-..." */
	NEITHER,      /* cut short, or nothing that could be told: neither name fits */
};

/* Before the first input. */
void fuzz_begin(void);

/* One input. */
enum verdict fuzz_input(const char *data, size_t length);

/* Not assert(): no build leaves it out. */
#define check(what)                                                                \
	do {                                                                       \
		if (!(what))                                                       \
			fuzz_found(__FILE__, __LINE__, #what);                     \
	} while (0)

static inline void fuzz_found(const char *file, int line, const char *what)
{
	(void)fprintf(stdout, "%s:%d: does not hold: %s\n", file, line, what);
	(void)fflush(stdout);
	abort();
}

/* @length bytes with a NUL behind them, in a block of just that size, so that the address
 * sanitizer sees who reads on. */
static inline char *fuzz_text(const char *data, size_t length)
{
	char *text = malloc(length + 1);

	check(text);
	if (length)
		memcpy(text, data, length);
	text[length] = 0;
	return text;
}

/* A message for people: ended, not empty, and nothing in it that moves a cursor. */
static inline void fuzz_check_message(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	check(length > 0 && length < size);
	for (size_t i = 0; i < length; i++)
		check((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

/* What the programs say on stderr is not wanted here; reports of sanitizers do not go
 * through stdio. */
static inline void fuzz_be_quiet(void)
{
	FILE *nowhere = fopen("/dev/null", "we");

	check(nowhere);
	stderr = nowhere;
}

#endif
