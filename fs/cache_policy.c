/* SPDX-License-Identifier: MIT */
/* cache_policy.c - the text of a policy, and the treatment of a name. */
#include "cache_policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_glob.h"
#include "ctl.h"

/*
 * A treatment as one word: each key has its bits. The priority is kept as what it differs in
 * from the usual one, so that the usual treatment is 0.
 */
#define NEVER_SHIFT 8
#define PRIORITY_SHIFT 16

enum bits {
	ADVICE_BITS = 0xff,
	NEVER_BITS = 0x3 << NEVER_SHIFT,
	LOCK_BIT = 1 << 10,
	WARM_BIT = 1 << 11,
	PRIORITY_BITS = 0xff << PRIORITY_SHIFT,
	ALL_BITS = ADVICE_BITS | NEVER_BITS | LOCK_BIT | WARM_BIT | PRIORITY_BITS,
};

struct section {
	char *glob;
	unsigned int line; /* 0: an option */
	bool about_path;
	uint32_t keys; /* enum bits, or-ed: of the keys that it has */
	uint32_t word; /* their values */
};

struct policy {
	struct section *sections;
	size_t count;
	size_t capacity;
};

/* What print_section() writes at most, without the glob; and "... N more". */
#define SECTION_TEXT_MAX 128

/* A part of the text. */
struct word {
	const char *at;
	size_t length;
};

struct parser {
	struct policy *policy;
	unsigned int line;
	struct policy_error *error;
};

struct treatment treatment_unpack(uint32_t word)
{
	return (struct treatment){
		.advice = (enum mmapfs_advice)(word & ADVICE_BITS),
		.never = (enum treatment_never)((word & NEVER_BITS) >> NEVER_SHIFT),
		.priority = (uint8_t)(word >> PRIORITY_SHIFT) ^ PRIORITY_DEFAULT,
		.lock = word & LOCK_BIT,
		.warm = word & WARM_BIT,
	};
}

/* ---- errors ---- */

/* "word", fit to be printed: cut when it is long, with "?" for what is no letter. */
struct quoted {
	char text[48];
};

static struct quoted quote(struct word word)
{
	struct quoted quoted;
	size_t shown = u64_min(word.length, sizeof(quoted.text) - 6);
	size_t at = 0;

	quoted.text[at++] = '"';
	for (size_t i = 0; i < shown; i++)
		quoted.text[at++] = word.at[i] >= ' ' && word.at[i] <= '~' ? word.at[i] : '?';
	(void)snprintf(quoted.text + at, sizeof(quoted.text) - at, "%s\"",
		       shown < word.length ? "..." : "");
	return quoted;
}

__attribute__((format(printf, 2, 3)))
static int complain(struct parser *parser, const char *format, ...)
{
	struct policy_error *error = parser->error;
	va_list args;

	error->line = parser->line;
	va_start(args, format);
	(void)vsnprintf(error->reason, sizeof(error->reason), format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- keys ---- */

static bool word_is(struct word word, const char *text)
{
	return word.length == strlen(text) && memcmp(word.at, text, word.length) == 0;
}

static int parse_advice(struct word value, uint32_t *ret)
{
	char text[MMAPFS_WORD_MAX] = "";
	uint32_t kinds;
	int advice;

	if (value.length >= sizeof(text) || memchr(value.at, 0, value.length))
		return -EINVAL;
	memcpy(text, value.at, value.length);
	advice = mmapfs_advice_parse(text);
	kinds = advice < 0 ? 0 : mmapfs_advice_kinds((enum mmapfs_advice)advice);
	if (!(kinds & MMAPFS_ADVICE_STATE) || (kinds & MMAPFS_ADVICE_DESTRUCTIVE))
		return -EINVAL;
	*ret = (uint32_t)advice;
	return 0;
}

static int parse_yes(struct word value, uint32_t *ret)
{
	*ret = word_is(value, "yes") ? LOCK_BIT | WARM_BIT : 0; /* whichever is asked for */
	return *ret || word_is(value, "no") ? 0 : -EINVAL;
}

static int parse_priority(struct word value, uint32_t *ret)
{
	uint32_t number = 0;

	if (!value.length || value.length > 3)
		return -EINVAL;
	for (size_t i = 0; i < value.length; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return -EINVAL;
		number = number * 10 + (uint32_t)(value.at[i] - '0');
	}
	if (number > PRIORITY_MAX)
		return -EINVAL;
	*ret = (number ^ PRIORITY_DEFAULT) << PRIORITY_SHIFT;
	return 0;
}

static const char *const never_words[] = {
	[NEVER_NOTHING] = "no",
	[NEVER_EVICT] = "evict",
	[NEVER_CACHE] = "cache",
};

static int parse_never(struct word value, uint32_t *ret)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(never_words); i++) {
		if (word_is(value, never_words[i])) {
			*ret = i << NEVER_SHIFT;
			return 0;
		}
	}
	return -EINVAL;
}

/* What is printed of a key's value. */
static int print_advice(uint32_t bits, struct ctl_text *ret)
{
	return ctl_text_printf(ret, "%s", mmapfs_advice_name((enum mmapfs_advice)bits));
}

static int print_yes(uint32_t bits, struct ctl_text *ret)
{
	return ctl_text_printf(ret, "%s", bits ? "yes" : "no");
}

static int print_priority(uint32_t bits, struct ctl_text *ret)
{
	return ctl_text_printf(ret, "%u", bits >> PRIORITY_SHIFT ^ PRIORITY_DEFAULT);
}

static int print_never(uint32_t bits, struct ctl_text *ret)
{
	return ctl_text_printf(ret, "%s", never_words[bits >> NEVER_SHIFT]);
}

static const struct key {
	const char *name;
	uint32_t bits;
	int (*parse)(struct word value, uint32_t *ret);
	int (*print)(uint32_t bits, struct ctl_text *ret);
	const char *values; /* that there are */
} keys[] = {
	{ "advice", ADVICE_BITS, parse_advice, print_advice,
	  "advice that stays in force: normal, random, sequential, hugepage ..." },
	{ "lock", LOCK_BIT, parse_yes, print_yes, "yes or no" },
	{ "warm", WARM_BIT, parse_yes, print_yes, "yes or no" },
	{ "priority", PRIORITY_BITS, parse_priority, print_priority, "a number from 0 to 100" },
	{ "never", NEVER_BITS, parse_never, print_never, "evict, cache or no" },
};

static const struct key *find_key(struct word name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (word_is(name, keys[i].name))
			return &keys[i];
	}
	return NULL;
}

static bool never_cached(uint32_t word)
{
	return (word & NEVER_BITS) == (uint32_t)NEVER_CACHE << NEVER_SHIFT;
}

static int add_key(struct parser *parser, struct word name, struct word value)
{
	struct policy *policy = parser->policy;
	struct section *section = policy->count ? &policy->sections[policy->count - 1] : NULL;
	const struct key *key = find_key(name);
	uint32_t bits;

	if (!key)
		return complain(parser, "unknown key %s: advice, lock, warm, priority or never",
				quote(name).text);
	if (!section)
		return complain(parser, "%s outside of a section: a line \"[GLOB]\" comes first",
				quote(name).text);
	if (section->keys & key->bits)
		return complain(parser, "%s for the second time in this section", quote(name).text);
	if (key->parse(value, &bits) < 0)
		return complain(parser, "bad value %s of %s: %s", quote(value).text, key->name,
				key->values);
	section->keys |= key->bits;
	section->word |= bits & key->bits;
	if (never_cached(section->word) && (section->word & (LOCK_BIT | WARM_BIT)))
		return complain(parser, "\"never = cache\" contradicts \"lock\" and \"warm\"");
	return 0;
}

/* ---- sections ---- */

static int grow(struct policy *policy)
{
	size_t capacity = policy->capacity ? policy->capacity * 2 : 16;
	struct section *sections;

	if (policy->count < policy->capacity)
		return 0;
	sections = reallocarray(policy->sections, capacity, sizeof(*sections));
	if (!sections)
		return -ENOMEM;
	policy->sections = sections;
	policy->capacity = capacity;
	return 0;
}

static int add_section(struct parser *parser, struct word glob)
{
	struct policy *policy = parser->policy;
	const char *why = glob_reject(glob.at, glob.length);
	char *copy;
	int r;

	if (why)
		return complain(parser, "bad pattern %s: %s", quote(glob).text, why);
	if (policy->count == POLICY_SECTIONS_MAX)
		return complain(parser, "more than %d sections", POLICY_SECTIONS_MAX);
	r = grow(policy);
	copy = r < 0 ? NULL : strndup(glob.at, glob.length);
	if (!copy)
		return -ENOMEM;
	policy->sections[policy->count++] = (struct section){
		.glob = copy,
		.line = parser->line,
		.about_path = glob_has_slash(copy),
	};
	return 0;
}

/* ---- lines ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct word trim(struct word word)
{
	while (word.length && is_blank(*word.at)) {
		word.at++;
		word.length--;
	}
	while (word.length && is_blank(word.at[word.length - 1]))
		word.length--;
	return word;
}

static int parse_line(struct parser *parser, struct word line)
{
	const char *equals;

	line = trim(line);
	if (!line.length || *line.at == '#')
		return 0;
	if (*line.at == '[') {
		if (line.length < 2 || line.at[line.length - 1] != ']')
			return complain(parser, "no \"]\" at the end of %s", quote(line).text);
		return add_section(parser, (struct word){ line.at + 1, line.length - 2 });
	}
	equals = memchr(line.at, '=', line.length);
	if (!equals)
		return complain(parser, "%s is neither \"[GLOB]\" nor \"KEY = VALUE\"",
				quote(line).text);
	return add_key(parser, trim((struct word){ line.at, (size_t)(equals - line.at) }),
		       trim((struct word){ equals + 1,
					   line.length - (size_t)(equals + 1 - line.at) }));
}

int policy_parse(struct policy *policy, const char *text, size_t length,
		 struct policy_error *ret_error)
{
	struct parser parser = { .policy = policy, .error = ret_error };
	int r = 0;

	if (length > POLICY_BYTES_MAX)
		return complain(&parser, "larger than %u bytes", POLICY_BYTES_MAX);
	for (const char *at = text, *end = text + length; r >= 0 && at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;

		parser.line++;
		r = parse_line(&parser, (struct word){ at, (size_t)(line_end - at) });
		at = newline ? newline + 1 : end;
	}
	return r;
}

int policy_add(struct policy *policy, const char *glob, const char *key, const char *value,
	       struct policy_error *ret_error)
{
	struct parser parser = { .policy = policy, .error = ret_error };
	int r = add_section(&parser, (struct word){ glob, strlen(glob) });

	return r < 0 ? r
		     : add_key(&parser, (struct word){ key, strlen(key) },
			       (struct word){ value, strlen(value) });
}

/* ---- the policy itself ---- */

int policy_new(struct policy **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < policy->count; i++)
		free(policy->sections[i].glob);
	free(policy->sections);
	free(policy);
	return NULL;
}

size_t policy_sections(const struct policy *policy)
{
	return policy->count;
}

unsigned int policy_wants(const struct policy *policy)
{
	unsigned int wants = 0;

	for (size_t i = 0; i < policy->count; i++) {
		const struct section *section = &policy->sections[i];

		wants |= section->about_path ? POLICY_PATHS : 0;
		wants |= section->word & LOCK_BIT ? POLICY_LOCKS : 0;
		wants |= section->word & WARM_BIT ? POLICY_WARMS : 0;
	}
	return wants;
}

static bool matches(const struct section *section, const char *path, const char *name)
{
	if (section->about_path)
		return path && glob_match(section->glob, path);
	return glob_match(section->glob, name);
}

uint32_t policy_find(const struct policy *policy, const char *path, const char *name)
{
	uint32_t word = 0, missing = ALL_BITS;

	for (size_t i = policy->count; i-- && missing;) {
		const struct section *section = &policy->sections[i];

		if (!(section->keys & missing) || !matches(section, path, name))
			continue;
		word |= section->word & missing;
		missing &= ~section->keys;
	}
	return never_cached(word) ? word & ~(uint32_t)(LOCK_BIT | WARM_BIT) : word;
}

/* ---- as people see it ---- */

static int print_section(const struct section *section, struct ctl_text *ret)
{
	int r = ctl_text_printf(ret, "[%s]", section->glob);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(keys); i++) {
		if (!(section->keys & keys[i].bits))
			continue;
		r = ctl_text_printf(ret, " %s=", keys[i].name);
		if (r >= 0)
			r = keys[i].print(section->word & keys[i].bits, ret);
	}
	return r < 0 ? r : ctl_text_printf(ret, "\n");
}

int policy_print(const struct policy *policy, size_t limit, struct ctl_text *ret)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < policy->count; i++) {
		if (ret->length + SECTION_TEXT_MAX + strlen(policy->sections[i].glob) > limit)
			return ctl_text_printf(ret, "... %zu more\n", policy->count - i);
		r = print_section(&policy->sections[i], ret);
	}
	return r;
}
