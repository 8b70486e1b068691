/* SPDX-License-Identifier: MIT */
/* utf8.c - which bytes of a name are text that can be shown. */
#include "utf8.h"

#include <stdint.h>

/* First bytes by length of the character, and the least code point of that length: shorter
 * ways to write one are not allowed. */
static const struct {
	unsigned char mask, first;
	uint32_t least;
} shapes[] = {
	{ 0x80, 0x00, 0 },
	{ 0xe0, 0xc0, 0x80 },
	{ 0xf0, 0xe0, 0x800 },
	{ 0xf8, 0xf0, 0x10000 },
};

static size_t decode(const char *text, uint32_t *ret)
{
	const unsigned char *bytes = (const unsigned char *)text;
	uint32_t code;
	size_t n, i;

	for (n = 0; n < 4; n++)
		if ((bytes[0] & shapes[n].mask) == shapes[n].first)
			break;
	if (n == 4)
		return 0;
	code = bytes[0] & (unsigned char)~shapes[n].mask;
	for (i = 1; i <= n; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < shapes[n].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret = code;
	return n + 1;
}

size_t utf8_length(const char *text)
{
	uint32_t code;

	return decode(text, &code);
}

size_t utf8_printable(const char *text)
{
	uint32_t code;
	size_t n = decode(text, &code);

	/* C0, DEL and C1; the marks that turn the direction of text round. */
	if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0) ||
	    (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return 0;
	return n;
}

bool utf8_valid(const char *text)
{
	while (*text) {
		size_t n = utf8_length(text);

		if (n == 0)
			return false;
		text += n;
	}
	return true;
}
