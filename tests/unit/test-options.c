/* SPDX-License-Identifier: MIT */
/* test-options.c - command lines and mount options, good and bad. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "options.h"

#define ARGS_MAX 12

static int parse(struct options *ret, const char *const *words)
{
	char *argv[ARGS_MAX + 1] = { NULL };
	int argc = 0, r;

	for (; words[argc]; argc++)
		argv[argc] = strdup(words[argc]);
	r = options_parse(argc, argv, ret);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return r;
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, (const char *[]){ "mmapfs", "src", "mnt", NULL }), 0);
	assert_string_equal(o.source, "src");
	assert_string_equal(o.mountpoint, "mnt");
	assert_false(o.foreground || o.debug || o.list_xattrs || o.no_acl);
	assert_int_equal(o.data_path, PATH_AUTO);
	assert_int_equal(o.lock_limit, UINT64_MAX);
	assert_int_equal(o.stack_depth, 1);
	assert_true(o.attr_timeout == 1 && o.entry_timeout == 1 && o.negative_timeout == 0);
	assert_null(o.libfuse_options);
	assert_null(o.policy);
	assert_int_equal(o.lock_globs.count + o.warm_globs.count, 0);
	assert_int_equal(o.policy_rescan, 60);
	assert_null(o.snapshot);
	assert_int_equal(o.snapshot_interval, 300);
	assert_int_equal(o.snapshot_rate, 256 << 20);
	options_free(&o);
}

static void mount_passes_its_words_in_any_place(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, (const char *[]){ "mmapfs", "src", "mnt", "-o",
						     "rw,dev,suid,lock_limit=64M,nofail", NULL }),
			 0);
	assert_string_equal(o.libfuse_options, "rw,dev,suid");
	assert_int_equal(o.lock_limit, 64 << 20);
	options_free(&o);
	assert_int_equal(parse(&o, (const char *[]){ "mmapfs", "-o", "data_path=mapped", "-f",
						     "src", "-oallow_other,x-systemd.automount",
						     "mnt", NULL }), 0);
	assert_int_equal(o.data_path, PATH_MAPPED);
	assert_true(o.foreground);
	assert_string_equal(o.libfuse_options, "allow_other");
	options_free(&o);
}

static void patterns_of_the_policy_may_be_repeated(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, (const char *[]){ "mmapfs", "src", "mnt", "-o",
						     "lock=*.a,warm=w,lock=b\\,c,policy=old",
						     "-o", "policy=new,policy_rescan=0", NULL }),
			 0);
	assert_string_equal(o.policy, "new");
	assert_int_equal(o.policy_rescan, 0);
	assert_int_equal(o.lock_globs.count, 2);
	assert_string_equal(o.lock_globs.list[0], "*.a");
	assert_string_equal(o.lock_globs.list[1], "b,c");
	assert_int_equal(o.warm_globs.count, 1);
	assert_string_equal(o.warm_globs.list[0], "w");
	assert_int_equal(o.lock_limit, UINT64_MAX);
	options_free(&o);
}

static void a_snapshot_has_its_options(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, (const char *[]){ "mmapfs", "src", "mnt", "-o",
						     "snapshot=old,snapshot_interval=0",
						     "-o", "snapshot=a\\,b,snapshot_rate=1G",
						     NULL }),
			 0);
	assert_string_equal(o.snapshot, "a,b");
	assert_int_equal(o.snapshot_interval, 0);
	assert_int_equal(o.snapshot_rate, 1 << 30);
	options_free(&o);
}

static const char *const bad[] = {
	"data_path=",	    "data_path=fast", "lock_limit=lots",  "lock_limit=-1",
	"attr_timeout=-1",  "attr_timeout=x", "attr_timeout=nan", "entry_timeout=1s",
	"entry_timeout=",   "stack_depth=0",  "stack_depth=3",	  "max_threads=0",
	"max_threads=-1",   "max_threads=x",  "workers=0",	  "workers=65",
	"attr_timeout=1e9", "negative_timeout=-1",
	"policy=",	    "policy_rescan=x", "policy_rescan=-1",
	"snapshot=",	    "snapshot_interval=x", "snapshot_interval=86401",
	"snapshot_rate=x",
};

/* What @parse writes to stderr is one line that has @word in it. */
static void assert_one_line(const char *const *words, const char *word)
{
	char text[512] = "";
	int out[2], saved = dup(2);
	struct options o;
	ssize_t n;

	assert_int_equal(pipe(out), 0);
	(void)dup2(out[1], 2);
	assert_int_equal(parse(&o, words), -EINVAL);
	(void)dup2(saved, 2);
	close(saved);
	close(out[1]);
	n = read(out[0], text, sizeof(text) - 1);
	close(out[0]);
	assert_true(n > 0);
	assert_non_null(strstr(text, word));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	options_free(&o);
}

static void bad_values_are_named_in_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_one_line((const char *[]){ "mmapfs", "src", "mnt", "-o", bad[i], NULL },
				bad[i]);
}

static void wrong_arguments_are_named_in_one_line(void **state)
{
	(void)state;
	assert_one_line((const char *[]){ "mmapfs", NULL }, "source directory");
	assert_one_line((const char *[]){ "mmapfs", "src", NULL }, "mount point");
	assert_one_line((const char *[]){ "mmapfs", "a", "b", "c", NULL }, "'c'");
	assert_one_line((const char *[]){ "mmapfs", "a", "b", "-x", NULL }, "'-x'");
}

static void help_needs_no_operands_and_fits_the_terminal(void **state)
{
	struct options o;
	char line[256];
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(parse(&o, (const char *[]){ "mmapfs", "--help", NULL }), 0);
	assert_true(o.help);
	options_free(&o);
	options_print_help(file);
	rewind(file);
	while (fgets(line, sizeof(line), file))
		assert_true(strlen(line) <= 81);
	(void)fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(mount_passes_its_words_in_any_place),
		cmocka_unit_test(patterns_of_the_policy_may_be_repeated),
		cmocka_unit_test(a_snapshot_has_its_options),
		cmocka_unit_test(bad_values_are_named_in_one_line),
		cmocka_unit_test(wrong_arguments_are_named_in_one_line),
		cmocka_unit_test(help_needs_no_operands_and_fits_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
