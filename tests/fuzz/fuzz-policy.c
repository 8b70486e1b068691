/* SPDX-License-Identifier: MIT */
/* fuzz-policy.c - policy files: read, asked about names, and printed. */
#include "fuzz.h"

#include <errno.h>

#include "cache_policy.h"
#include "ctl.h"

#define SECTIONS_ASKED 200 /* above, asking takes too long to find much */

void fuzz_begin(void)
{
}

static unsigned int lines_of(const char *text, size_t length)
{
	unsigned int lines = 1;

	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	return lines;
}

static void check_treatment(uint32_t word)
{
	struct treatment t = treatment_unpack(word);

	check(t.priority <= PRIORITY_MAX);
	check(t.never <= NEVER_CACHE);
	check(mmapfs_advice_name(t.advice));
	check(mmapfs_advice_kinds(t.advice) & MMAPFS_ADVICE_STATE);
	/* Read in, or kept, and let go of at once: that was refused. */
	if (t.never == NEVER_CACHE)
		check(!t.lock && !t.warm);
}

static void ask(const struct policy *policy)
{
	static const char *const paths[] = { "a", "a/b", "models/old-1.bin", "x/y/z/model.gguf",
					     "-/]\\[*?", "\xff/\xfe" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *slash = strrchr(paths[i], '/');
		const char *name = slash ? slash + 1 : paths[i];

		check_treatment(policy_find(policy, paths[i], name));
		check_treatment(policy_find(policy, NULL, name));
	}
}

static void print(const struct policy *policy, size_t limit)
{
	struct ctl_text text = { 0 };

	check(policy_print(policy, limit, &text) == 0);
	check(text.length <= limit);
	ctl_text_free(&text);
}

enum verdict fuzz_input(const char *data, size_t length)
{
	struct policy_error error = { .line = UINT32_MAX };
	char *text = fuzz_text(data, length);
	struct policy *policy;
	int r;

	check(policy_new(&policy) == 0);
	r = policy_parse(policy, text, length, &error);
	check(r == 0 || r == -EINVAL);
	if (r < 0) {
		check(error.line <= lines_of(text, length));
		fuzz_check_message(error.reason, sizeof(error.reason));
	} else {
		check(policy_sections(policy) <= POLICY_SECTIONS_MAX);
		if (policy_sections(policy) <= SECTIONS_ASKED)
			ask(policy);
		print(policy, 16384);
		print(policy, 200);
	}
	(void)policy_free(policy);
	free(text);
	return r < 0 ? REJECTED : ACCEPTED;
}
