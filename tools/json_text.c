/* SPDX-License-Identifier: MIT */
/* json_text.c - compact JSON as text, written straight on. */
#include "json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

static bool make_room(struct json_text *text, size_t length)
{
	size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
	char *grown;

	if (text->failed)
		return false;
	if (text->capacity - text->length >= length)
		return true;
	while (capacity - text->length < length)
		capacity *= 2;
	grown = realloc(text->data, capacity);
	text->failed = !grown;
	if (!grown)
		return false;
	text->data = grown;
	text->capacity = capacity;
	return true;
}

void json_text_bytes(struct json_text *text, const char *bytes, size_t length)
{
	if (!make_room(text, length))
		return;
	memcpy(text->data + text->length, bytes, length);
	text->length += length;
}

void json_text_number(struct json_text *text, int64_t number)
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (number < 0)
		digits[--at] = '-';
	json_text_bytes(text, digits + at, sizeof(digits) - at);
}

static void put_escape(struct json_text *text, unsigned char c)
{
	static const char letters[] = "\"\\\b\f\n\r\t";
	static const char names[] = "\"\\bfnrt";
	const char *found = strchr(letters, c);
	char escape[8];

	if (found)
		snprintf(escape, sizeof(escape), "\\%c", names[found - letters]);
	else
		snprintf(escape, sizeof(escape), "\\u%04X", c);
	json_text_bytes(text, escape, strlen(escape));
}

void json_text_string(struct json_text *text, const char *string)
{
	size_t plain;

	json_text_literal(text, "\"");
	for (;; string += plain + 1) {
		for (plain = 0; (unsigned char)string[plain] >= ' '; plain++)
			if (string[plain] == '"' || string[plain] == '\\')
				break;
		json_text_bytes(text, string, plain);
		if (!string[plain])
			break;
		put_escape(text, (unsigned char)string[plain]);
	}
	json_text_literal(text, "\"");
}

void json_text_key(struct json_text *text, const char *key)
{
	if (text->length > 0 && text->data[text->length - 1] != '{')
		json_text_literal(text, ",");
	json_text_string(text, key);
	json_text_literal(text, ":");
}
