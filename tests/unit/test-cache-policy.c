/* SPDX-License-Identifier: MIT */
/*
 * test-cache-policy.c - what a pattern matches, what a policy says of a name, and what is
 * said of a text that is no policy.
 */
#include "cache_policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "cache_glob.h"
#include "ctl.h"

/* ---- patterns ---- */

static const struct {
	const char *glob;
	const char *text;
	bool match;
} matches[] = {
	{ "a", "a", true },
	{ "a", "b", false },
	{ "a", "aa", false },
	{ "a", "A", false },
	{ "model.gguf", "model.gguf", true },
	{ "*", "anything", true },
	{ "*", ".hidden", true },
	{ "*.gguf", "model.gguf", true },
	{ "*.gguf", ".gguf", true },
	{ "*.gguf", "model.gguf.part", false },
	{ "*.gguf", "gguf", false },
	{ "model*", "model", true },
	{ "m*l*f", "model.gguf", true },
	{ "m*l*f", "model.ggux", false },
	{ "*aab", "aaaaab", true },
	{ "*a*b*c", "xaxbxc", true },
	{ "*a*b*c", "xaxcxb", false },
	{ "?", "a", true },
	{ "?", "", false },
	{ "?\?-?", "ab-c", true },
	{ "?\?-?", "a-c", false },
	{ "[abc]", "b", true },
	{ "[abc]", "d", false },
	{ "[a-c]x", "bx", true },
	{ "[a-c]x", "dx", false },
	{ "[!a-c]", "d", true },
	{ "[!a-c]", "b", false },
	{ "[^a-c]", "b", false },
	{ "[]]", "]", true },
	{ "[!]]", "]", false },
	{ "[!]]", "a", true },
	{ "[a-]", "-", true },
	{ "[a-]", "b", false },
	{ "[-a]", "-", true },
	{ "[\\]]", "]", true },
	{ "[\\]x]", "x", true },
	{ "[\\!a]", "!", true },
	{ "[a\\-c]", "b", false },
	{ "[a\\-c]", "-", true },
	{ "[\x80-\xff]*", "\xc3\xa4.bin", true },
	{ "*[0-9][0-9].bin", "shard-01.bin", true },
	{ "*[0-9][0-9].bin", "shard-1.bin", false },
	{ "\\*", "*", true },
	{ "\\*", "a", false },
	{ "\\[a]", "[a]", true },
	{ "\\\\", "\\", true },
	{ "a\\bc", "abc", true },

	{ "a/b", "a/b", true },
	{ "/a/b", "a/b", true },
	{ "/a", "a", true },
	{ "/a", "b/a", false },
	{ "a/b", "x/a/b", false },
	{ "a/b", "a/b/c", false },
	{ "a/b/c", "a/b", false },
	{ "a/*", "a/b", true },
	{ "a/*", "a/b/c", false },
	{ "a/*/c", "a/b/c", true },
	{ "a/*/c", "a/b/b/c", false },
	{ "a/b*c", "a/b/c", false },
	{ "a/b?c", "a/b/c", false },
	{ "**", "a", true },
	{ "**", "a/b/c", true },
	{ "**/c", "c", true },
	{ "**/c", "a/b/c", true },
	{ "**/c", "a/b/xc", false },
	{ "**/*.c", "a/b/x.c", true },
	{ "a/**", "a/b", true },
	{ "a/**", "a/b/c/d", true },
	{ "a/**", "a", false },
	{ "a/**", "b/a/c", false },
	{ "a/**/z", "a/z", true },
	{ "a/**/z", "a/b/c/z", true },
	{ "a/**/z", "a/b/c/y", false },
	{ "a/**/z/*", "a/b/z/q", true },
	{ "a/**/z/*", "a/z/z/q", true },
	{ "**/b/**/d", "a/b/c/b/x/d", true },
	{ "**/b/**/d", "a/b/c/b/x/e", false },
	{ "**/a/a/b", "a/a/a/b", true },
	{ "**/**/c", "a/b/c", true },
	{ "**/*/c", "c", false },
	{ "**/*/c", "a/c", true },
};

static void patterns_match_names_and_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
		assert_null(glob_reject(matches[i].glob, strlen(matches[i].glob)));
		if (glob_match(matches[i].glob, matches[i].text) != matches[i].match)
			fail_msg("%s and %s", matches[i].glob, matches[i].text);
	}
}

static const struct {
	const char *glob;
	const char *why; /* NULL: it is one */
} patterns[] = {
	{ "*.gguf", NULL },
	{ "/models/**/*.[ch]", NULL },
	{ "**", NULL },
	{ "a]b", NULL },
	{ "a-b{c}~ \xc3\xa4", NULL },
	{ "", "it is empty" },
	{ "/", "no name follows the last slash; \"**\" there is all files below" },
	{ "a/", "no name follows the last slash; \"**\" there is all files below" },
	{ "a//b", "it has two slashes in a row" },
	{ "//a", "it has two slashes in a row" },
	{ "./a", "\".\" and \"..\" are no names" },
	{ "a/../b", "\".\" and \"..\" are no names" },
	{ "a**", "\"**\" must stand alone between slashes" },
	{ "a/***", "\"**\" must stand alone between slashes" },
	{ "[a", "\"[\" without \"]\"" },
	{ "[", "\"[\" without \"]\"" },
	{ "[!", "\"[\" without \"]\"" },
	{ "[]", "\"[\" without \"]\"" },
	{ "[\\]", "\"[\" without \"]\"" },
	{ "a[b/c]d", "\"[\" without \"]\"" },
	{ "[[:digit:]]", "classes such as \"[:alpha:]\" are not known" },
	{ "[a[=e=]]", "classes such as \"[:alpha:]\" are not known" },
	{ "a\\", "\"\\\" escapes nothing" },
	{ "a\\/b", "\"\\\" escapes nothing" },
	{ "a\nb", "it has control characters" },
	{ "a\x7f", "it has control characters" },
};

static void what_is_no_pattern_is_refused_with_a_reason(void **state)
{
	char long_one[GLOB_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		const char *why = glob_reject(patterns[i].glob, strlen(patterns[i].glob));

		if (!why != !patterns[i].why)
			fail_msg("%s: %s", patterns[i].glob, why ? why : "accepted");
		if (why)
			assert_string_equal(why, patterns[i].why);
	}
	assert_string_equal(glob_reject("a\0b", 3), "it has control characters");
	memset(long_one, 'a', sizeof(long_one));
	assert_null(glob_reject(long_one, GLOB_MAX));
	assert_string_equal(glob_reject(long_one, GLOB_MAX + 1), "it is too long");
}

/* @unit repeated to fill @buf, then @end. */
static const char *repeat(char *buf, size_t size, const char *unit, const char *end)
{
	size_t length = strlen(unit), at = 0;

	while (at + length + strlen(end) + 1 < size) {
		memcpy(buf + at, unit, length);
		at += length;
	}
	(void)snprintf(buf + at, size - at, "%s", end);
	return buf;
}

static double cpu_seconds(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void no_pattern_takes_longer_than_the_product_of_the_lengths(void **state)
{
	static const char *const units[][2] = {
		{ "a*", "a" }, { "*a", "a" },	    { "*?", "a" },
		{ "**/", "a/" }, { "**/a*/", "a/" }, { "**/*a*a*a/", "aaaaaaaa/" },
	};
	static char glob[GLOB_MAX], text[4096];
	double start = cpu_seconds();

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		repeat(glob, sizeof(glob), units[i][0], "b");
		repeat(text, sizeof(text), units[i][1], "c");
		assert_null(glob_reject(glob, strlen(glob)));
		assert_false(glob_match(glob, text));
	}
	/* 16 million steps each at most; an exponential one would not end in this century. */
	assert_true(cpu_seconds() - start < 20);
}

/* ---- treatments ---- */

static struct policy *policy;
static struct policy_error wrong;

static int parse_bytes(const char *text, size_t length)
{
	policy = policy_free(policy);
	assert_int_equal(policy_new(&policy), 0);
	memset(&wrong, 0, sizeof(wrong));
	return policy_parse(policy, text, length, &wrong);
}

static void parse(const char *text)
{
	if (parse_bytes(text, strlen(text)) < 0)
		fail_msg("line %u: %s", wrong.line, wrong.reason);
}

/* Of a file by its path. */
static struct treatment find(const char *path)
{
	const char *slash = strrchr(path, '/');

	return treatment_unpack(policy_find(policy, path, slash ? slash + 1 : path));
}

static void assert_treatment(struct treatment is, struct treatment wanted)
{
	assert_int_equal(is.advice, wanted.advice);
	assert_int_equal(is.never, wanted.never);
	assert_int_equal(is.priority, wanted.priority);
	assert_int_equal(is.lock, wanted.lock);
	assert_int_equal(is.warm, wanted.warm);
}

static const struct treatment usual = { .priority = PRIORITY_DEFAULT };

static void a_file_that_nothing_matches_is_treated_as_usual(void **state)
{
	(void)state;
	assert_treatment(treatment_unpack(0), usual);
	parse("");
	assert_int_equal(policy_sections(policy), 0);
	assert_int_equal(policy_wants(policy), 0);
	assert_treatment(find("a/b"), usual);
	parse("# nothing\n\n   \t\r\n[*.x]\n[*.y]\nlock = yes\n");
	assert_int_equal(policy_sections(policy), 2);
	assert_treatment(find("a/b"), usual);
	assert_treatment(find("a/b.x"), usual);
	assert_int_equal(policy_find(policy, "a/b.x", "b.x"), 0);
}

static void every_key_reaches_the_treatment(void **state)
{
	static const struct {
		const char *line;
		struct treatment treatment;
	} cases[] = {
		{ "advice = random", { MMAPFS_ADVICE_RANDOM, 0, 50, false, false } },
		{ "advice=MADV_SEQUENTIAL", { MMAPFS_ADVICE_SEQUENTIAL, 0, 50, false, false } },
		{ "advice = normal", { MMAPFS_ADVICE_NORMAL, 0, 50, false, false } },
		{ "advice = keeponfork", { MMAPFS_ADVICE_KEEPONFORK, 0, 50, false, false } },
		{ "lock = yes", { 0, 0, 50, true, false } },
		{ "lock = no", { 0, 0, 50, false, false } },
		{ "  warm \t= \t" "yes  ", { 0, 0, 50, false, true } },
		{ "priority = 0", { 0, 0, 0, false, false } },
		{ "priority = 100", { 0, 0, 100, false, false } },
		{ "priority = 007\r", { 0, 0, 7, false, false } },
		{ "priority = 50", { 0, 0, 50, false, false } },
		{ "never = evict", { 0, NEVER_EVICT, 50, false, false } },
		{ "never = cache", { 0, NEVER_CACHE, 50, false, false } },
		{ "never = no", { 0, NEVER_NOTHING, 50, false, false } },
		{ "lock = yes\nwarm = yes\npriority = 99\nnever = evict\nadvice = random",
		  { MMAPFS_ADVICE_RANDOM, NEVER_EVICT, 99, true, true } },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		(void)snprintf(text, sizeof(text), "[*]\n%s", cases[i].line);
		parse(text);
		assert_treatment(find("dir/file"), cases[i].treatment);
	}
}

static void for_each_key_the_last_section_that_has_it_counts(void **state)
{
	(void)state;
	parse("[*]\nlock = yes\npriority = 10\n"
	      "[*.log]\nlock = no\n"
	      "[logs/**]\npriority = 90\nadvice = sequential\n"
	      "[keep.log]\nlock = yes\n"
	      "[*.log]\nadvice = normal\n");
	assert_treatment(find("a"), (struct treatment){ .lock = true, .priority = 10 });
	assert_treatment(find("x.log"), (struct treatment){ .priority = 10 });
	assert_treatment(find("logs/x.log"), (struct treatment){ .priority = 90 });
	assert_treatment(find("logs/x"),
			 (struct treatment){ .advice = MMAPFS_ADVICE_SEQUENTIAL,
					     .lock = true, .priority = 90 });
	assert_treatment(find("logs/keep.log"),
			 (struct treatment){ .lock = true, .priority = 90 });
}

static void never_cached_is_never_warm_nor_locked(void **state)
{
	(void)state;
	parse("[*]\nlock = yes\nwarm = yes\n[*.log]\nnever = cache\n[a.log]\nlock = yes\n"
	      "[b.log]\nnever = no\n");
	assert_treatment(find("x.log"),
			 (struct treatment){ .never = NEVER_CACHE, .priority = 50 });
	assert_treatment(find("a.log"),
			 (struct treatment){ .never = NEVER_CACHE, .priority = 50 });
	assert_treatment(find("b.log"),
			 (struct treatment){ .lock = true, .warm = true, .priority = 50 });
}

static void an_unknown_path_matches_no_glob_with_a_slash(void **state)
{
	(void)state;
	parse("[**]\nwarm = yes\n[/a]\nlock = yes\n[a]\npriority = 7\n");
	assert_treatment(treatment_unpack(policy_find(policy, "a", "a")),
			 (struct treatment){ .lock = true, .warm = true, .priority = 7 });
	/* "**" has no slash: it is any name. */
	assert_treatment(treatment_unpack(policy_find(policy, NULL, "a")),
			 (struct treatment){ .warm = true, .priority = 7 });
}

static void a_policy_says_what_it_wants_at_all(void **state)
{
	(void)state;
	parse("[*.a]\nlock = no\npriority = 3\n");
	assert_int_equal(policy_wants(policy), 0);
	parse("[x/*.a]\nlock = yes\n");
	assert_int_equal(policy_wants(policy), POLICY_PATHS | POLICY_LOCKS);
	parse("[*.a]\nwarm = yes\n");
	assert_int_equal(policy_wants(policy), POLICY_WARMS);
}

static void options_are_sections_after_those_of_the_text(void **state)
{
	(void)state;
	parse("[*.a]\nlock = no\nwarm = no\n");
	assert_int_equal(policy_add(policy, "*.a", "lock", "yes", &wrong), 0);
	assert_int_equal(policy_add(policy, "b.*", "warm", "yes", &wrong), 0);
	assert_treatment(find("b.a"),
			 (struct treatment){ .lock = true, .warm = true, .priority = 50 });
	assert_int_equal(policy_add(policy, "a[", "warm", "yes", &wrong), -EINVAL);
	assert_int_equal(wrong.line, 0);
	assert_string_equal(wrong.reason, "bad pattern \"a[\": \"[\" without \"]\"");
}

static void sections_can_be_listed_within_a_limit(void **state)
{
	struct ctl_text text = { 0 };

	(void)state;
	parse("[*.a]\nadvice = random\nlock = no\n[b/**]\nnever = cache\n"
	      "[c]\npriority = 8\nwarm = yes\n[d]\n");
	assert_int_equal(policy_print(policy, 1000, &text), 0);
	assert_int_equal(ctl_text_printf(&text, "%c", 0), 0);
	assert_string_equal(text.data, "[*.a] advice=random lock=no\n[b/**] never=cache\n"
				       "[c] warm=yes priority=8\n[d]\n");
	ctl_text_free(&text);
	assert_int_equal(policy_print(policy, 159, &text), 0);
	assert_int_equal(ctl_text_printf(&text, "%c", 0), 0);
	assert_string_equal(text.data,
			    "[*.a] advice=random lock=no\n... 3 more\n");
	ctl_text_free(&text);
}

/* ---- errors ---- */

static const struct {
	const char *text;
	unsigned int line;
	const char *reason;
} errors[] = {
	{ "lock = yes", 1, "\"lock\" outside of a section: a line \"[GLOB]\" comes first" },
	{ "\n\n[*]\nlok = yes", 4,
	  "unknown key \"lok\": advice, lock, warm, priority or never" },
	{ "[*]\nLock = yes", 2, "unknown key \"Lock\": advice, lock, warm, priority or never" },
	{ "[*]\n= yes", 2, "unknown key \"\": advice, lock, warm, priority or never" },
	{ "[*]\nlock", 2, "\"lock\" is neither \"[GLOB]\" nor \"KEY = VALUE\"" },
	{ "[*]\nlock = maybe", 2, "bad value \"maybe\" of lock: yes or no" },
	{ "[*]\nlock =", 2, "bad value \"\" of lock: yes or no" },
	{ "[*]\nwarm = yes # now", 2, "bad value \"yes # now\" of warm: yes or no" },
	{ "[*]\npriority = 101", 2,
	  "bad value \"101\" of priority: a number from 0 to 100" },
	{ "[*]\npriority = -1", 2, "bad value \"-1\" of priority: a number from 0 to 100" },
	{ "[*]\npriority = 1000000000000000000000", 2,
	  "bad value \"1000000000000000000000\" of priority: a number from 0 to 100" },
	{ "[*]\npriority = 5x", 2, "bad value \"5x\" of priority: a number from 0 to 100" },
	{ "[*]\nadvice = willneed", 2,
	  "bad value \"willneed\" of advice: advice that stays in force: normal, random, "
	  "sequential, hugepage ..." },
	{ "[*]\nadvice = wipeonfork", 2,
	  "bad value \"wipeonfork\" of advice: advice that stays in force: normal, random, "
	  "sequential, hugepage ..." },
	{ "[*]\nadvice = remove", 2,
	  "bad value \"remove\" of advice: advice that stays in force: normal, random, "
	  "sequential, hugepage ..." },
	{ "[*]\nnever = warm", 2, "bad value \"warm\" of never: evict, cache or no" },
	{ "[*]\nlock = yes\nwarm = no\nlock = yes", 4,
	  "\"lock\" for the second time in this section" },
	{ "[*]\nlock = yes\nnever = cache", 3,
	  "\"never = cache\" contradicts \"lock\" and \"warm\"" },
	{ "[*]\nnever = cache\nwarm = yes", 3,
	  "\"never = cache\" contradicts \"lock\" and \"warm\"" },
	{ "[*.x", 1, "no \"]\" at the end of \"[*.x\"" },
	{ "[", 1, "no \"]\" at the end of \"[\"" },
	{ "[*.x] # c", 1, "no \"]\" at the end of \"[*.x] # c\"" },
	{ "[]", 1, "bad pattern \"\": it is empty" },
	{ "[a//b]", 1, "bad pattern \"a//b\": it has two slashes in a row" },
	{ "[a**b]", 1, "bad pattern \"a**b\": \"**\" must stand alone between slashes" },
	{ "[a[]", 1, "bad pattern \"a[\": \"[\" without \"]\"" },
	{ "lo\x01k\xff\n", 1, "\"lo?k?\" is neither \"[GLOB]\" nor \"KEY = VALUE\"" },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ", 1,
	  "\"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOP...\" is neither \"[GLOB]\" nor "
	  "\"KEY = VALUE\"" },
};

static void what_is_wrong_is_told_with_its_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		int r = parse_bytes(errors[i].text, strlen(errors[i].text));

		if (r != -EINVAL)
			fail_msg("%s: %d", errors[i].text, r);
		assert_string_equal(wrong.reason, errors[i].reason);
		assert_int_equal(wrong.line, errors[i].line);
	}
}

static void bytes_that_are_no_text_are_told_with_their_line(void **state)
{
	(void)state;
	assert_int_equal(parse_bytes("[a]\nlo\0k = yes", 14), -EINVAL);
	assert_int_equal(wrong.line, 2);
	assert_string_equal(wrong.reason, "unknown key \"lo?k\": advice, lock, warm, priority "
					  "or never");
	assert_int_equal(parse_bytes("[a]\nadvice = ran\0om", 19), -EINVAL);
	assert_int_equal(wrong.line, 2);
	assert_int_equal(parse_bytes("[a\0b]", 5), -EINVAL);
	assert_string_equal(wrong.reason, "bad pattern \"a?b\": it has control characters");
}

static void sizes_are_bounded(void **state)
{
	size_t length = 0, size = POLICY_BYTES_MAX + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	for (unsigned int i = 0; i < POLICY_SECTIONS_MAX; i++)
		length += (size_t)sprintf(text + length, "[f%u]\nlock = yes\n", i);
	assert_int_equal(parse_bytes(text, length), 0);
	assert_int_equal(policy_sections(policy), POLICY_SECTIONS_MAX);
	assert_true(find("d/f4095").lock);
	assert_false(find("d/f4096").lock);
	length += (size_t)sprintf(text + length, "[one more]\n");
	assert_int_equal(parse_bytes(text, length), -EINVAL);
	assert_int_equal(wrong.line, 2 * POLICY_SECTIONS_MAX + 1);
	assert_string_equal(wrong.reason, "more than 4096 sections");

	memset(text, '\n', size);
	assert_int_equal(parse_bytes(text, POLICY_BYTES_MAX), 0);
	assert_int_equal(parse_bytes(text, size), -EINVAL);
	assert_int_equal(wrong.line, 0);
	assert_string_equal(wrong.reason, "larger than 1048576 bytes");
	free(text);
}

static int forget_policy(void **state)
{
	(void)state;
	policy = policy_free(policy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_names_and_paths),
		cmocka_unit_test(what_is_no_pattern_is_refused_with_a_reason),
		cmocka_unit_test(no_pattern_takes_longer_than_the_product_of_the_lengths),
		cmocka_unit_test(a_file_that_nothing_matches_is_treated_as_usual),
		cmocka_unit_test(every_key_reaches_the_treatment),
		cmocka_unit_test(for_each_key_the_last_section_that_has_it_counts),
		cmocka_unit_test(never_cached_is_never_warm_nor_locked),
		cmocka_unit_test(an_unknown_path_matches_no_glob_with_a_slash),
		cmocka_unit_test(a_policy_says_what_it_wants_at_all),
		cmocka_unit_test(options_are_sections_after_those_of_the_text),
		cmocka_unit_test(sections_can_be_listed_within_a_limit),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
		cmocka_unit_test(bytes_that_are_no_text_are_told_with_their_line),
		cmocka_unit_test(sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, forget_policy);
}
