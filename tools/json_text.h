/* SPDX-License-Identifier: MIT */
/*
 * json_text.h - compact JSON as text, written straight on.
 *
 * What is printed by the ten thousand is no tree first: building, dumping and freeing one for
 * each row took three quarters of the time of a tree of small files.
 */
#ifndef MMAPCTL_JSON_TEXT_H
#define MMAPCTL_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: empty. Once memory has run out nothing more is added, and @failed says so. */
struct json_text {
	char *data; /* no NUL at its end; for free() */
	size_t length, capacity;
	bool failed;
};

void json_text_bytes(struct json_text *text, const char *bytes, size_t length);

/* A string literal. */
#define json_text_literal(text, literal) json_text_bytes(text, literal, sizeof(literal) - 1)

void json_text_number(struct json_text *text, int64_t number);

/* @string in quotes; it is UTF-8. */
void json_text_string(struct json_text *text, const char *string);

/* A member's key, after a comma unless it is the first of its object. */
void json_text_key(struct json_text *text, const char *key);

#endif
