/* SPDX-License-Identifier: MIT */
/*
 * test-ctl.c - the table of control attributes: their names, what is refused with which
 * errno, what is listed, and the bounds of answers.
 */
#include "ctl-help.h"

static const char *const all_names[] = {
	"",	    ".stat",   ".pages",  ".resident", ".dirty",  ".writeback",
	".evicted", ".locked", ".ranges", ".map",      ".advise", ".sync",
	".warm",    ".evict",  ".lock",	  ".version",  ".help",
};

#define NAMES (sizeof(all_names) / sizeof(all_names[0]))

static void only_our_names_are_ours(void **state)
{
	static const struct {
		const char *name;
		bool ours;
	} cases[] = {
		{ "user.mmapfs", true },
		{ "user.mmapfs.stat", true },
		{ "user.mmapfs.", true },
		{ "user.mmapfs.nonsense", true },
		{ "user.mmapfsx", false },
		{ "user.mmap", false },
		{ "user.mmapf.stat", false },
		{ "trusted.mmapfs.stat", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ctl_is_ours(cases[i].name), cases[i].ours);
}

enum object { A_FILE, A_DIR, A_FIFO, OBJECTS };

static struct inode *objects[OBJECTS];

static void make_objects(void)
{
	objects[A_FILE] = make_file("object", 4);
	assert_int_equal(mkdir(scratch_path("object-dir"), 0755), 0);
	assert_int_equal(mkfifo(scratch_path("object-fifo"), 0644), 0);
	objects[A_DIR] = inode_of("object-dir");
	objects[A_FIFO] = inode_of("object-fifo");
}

static void drop_objects(void)
{
	for (int i = 0; i < OBJECTS; i++)
		drop(objects[i]);
	assert_int_equal(unlink(scratch_path("object")), 0);
	assert_int_equal(rmdir(scratch_path("object-dir")), 0);
	assert_int_equal(unlink(scratch_path("object-fifo")), 0);
}

static void what_cannot_be_read_says_why(void **state)
{
	static const struct {
		enum object on;
		const char *name;
		int error;
	} cases[] = {
		{ A_FILE, "nonsense", -ENODATA },    { A_FILE, ".", -ENODATA },
		{ A_FILE, "sync", -ENODATA },	     { A_FILE, "budget", -ENODATA },
		{ A_FILE, "Stat", -ENODATA },	     { A_FILE, "stat.x", -ENODATA },
		{ A_DIR, "ranges", -ENODATA },	     { A_DIR, "map", -ENODATA },
		{ A_DIR, "lock", -ENODATA },	     { A_FIFO, "stat", -ENODATA },
		{ A_FIFO, "help", -ENODATA },	     { A_FILE, "stat@x", -EINVAL },
		{ A_FILE, "pages@4K+0", -EINVAL },   { A_FILE, "pages@4K+4K+", -EINVAL },
		{ A_FILE, "pages@9E+9E", -EINVAL },  { A_FILE, "advise@4K", -EINVAL },
		{ A_FILE, "warm@4K", -EINVAL },	     { A_FILE, "version@", -EINVAL },
		{ A_DIR, "stat@4K", -EINVAL },	     { A_DIR, "pages@", -EINVAL },
		{ A_FILE, "nonsense@4K", -ENODATA },
	};

	(void)state;
	make_objects();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = get_error(objects[cases[i].on], cases[i].name);

		if (r != cases[i].error)
			fail_msg("%s: %d, not %d", cases[i].name, r, cases[i].error);
	}
	drop_objects();
}

static void what_cannot_be_written_says_why(void **state)
{
	static const struct {
		enum object on;
		const char *name, *value;
		int error;
	} cases[] = {
		{ A_FILE, "nonsense", "", -EOPNOTSUPP },
		{ A_FILE, "stat", "", -EOPNOTSUPP },
		{ A_FILE, "", "x", -EOPNOTSUPP },
		{ A_FILE, "ranges", "", -EOPNOTSUPP },
		{ A_FILE, "version", "1", -EOPNOTSUPP },
		{ A_FILE, "help", "", -EOPNOTSUPP },
		{ A_FILE, "stat@4K", "", -EOPNOTSUPP },
		{ A_DIR, "lock", "on", -EOPNOTSUPP },
		{ A_FIFO, "warm", "", -EOPNOTSUPP },
		{ A_FILE, "warm@4K", "", -EINVAL },
		{ A_FILE, "advise", "", -EINVAL },
		{ A_FILE, "advise", "nonsense", -EINVAL },
		{ A_FILE, "advise", "random x", -EINVAL },
		{ A_FILE, "advise", "random 4K 4K", -EINVAL },
		{ A_FILE, "advise", "remove", -EPERM },
		{ A_FILE, "advise", "free", -EPERM },
		{ A_FILE, "advise", "MADV_REMOVE 0+4K", -EPERM },
		{ A_DIR, "advise", "remove", -EPERM },
		{ A_DIR, "advise", "random 4K", -EINVAL },
		{ A_FILE, "sync", "", -EINVAL },
		{ A_FILE, "sync", "now", -EINVAL },
		{ A_FILE, "sync", "sync 4K+0", -EINVAL },
		{ A_FILE, "sync", "4K", -EINVAL },
		{ A_DIR, "sync", "sync 4K", -EINVAL },
		{ A_FILE, "warm", "cancel 4K", -EINVAL },
		{ A_FILE, "warm", "x", -EINVAL },
		{ A_FILE, "warm", "4K 4K", -EINVAL },
		{ A_DIR, "warm", "4K", -EINVAL },
		{ A_FILE, "evict", "x", -EINVAL },
		{ A_FILE, "evict", "4K sync", -EINVAL },
		{ A_FILE, "evict", "sync 4K 4K", -EINVAL },
		{ A_FILE, "evict", "a b c d", -EINVAL },
		{ A_DIR, "evict", "4K", -EINVAL },
		{ A_FILE, "lock", "", -EINVAL },
		{ A_FILE, "lock", "yes", -EINVAL },
		{ A_FILE, "lock", "1", -EINVAL },
		{ A_FILE, "lock", "on x", -EINVAL },
	};

	(void)state;
	make_objects();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = set(objects[cases[i].on], cases[i].name, cases[i].value);

		if (r != cases[i].error)
			fail_msg("%s \"%s\": %d, not %d", cases[i].name, cases[i].value,
				 r, cases[i].error);
	}
	/* Nothing of it had an effect. */
	assert_string_equal(get(objects[A_FILE], "advise"), "normal");
	assert_string_equal(get(objects[A_FILE], "lock"), "");
	assert_string_equal(get(objects[A_FILE], "warm"), "idle 0/0");
	assert_string_equal(get(objects[A_FILE], "evict"), "idle");
	drop_objects();
}

static void values_with_nul_or_too_long_are_einval(void **state)
{
	struct inode *inode = make_file("values", 1);
	char long_value[400];

	(void)state;
	memset(long_value, ' ', sizeof(long_value));
	assert_int_equal(ctl_set(&fs, inode, "user.mmapfs.lock", "on\0", 3, &caller),
			 -EINVAL);
	assert_int_equal(ctl_set(&fs, inode, "user.mmapfs.warm", long_value,
				 sizeof(long_value), &caller),
			 -EINVAL);
	assert_int_equal(ctl_set(&fs, inode, "user.mmapfs.lock", "off\n", 4, &caller), 0);
	drop(inode);
}

static void list_names_only_what_reports(void **state)
{
	static const char expected[] =
		"user.mmapfs\0user.mmapfs.stat\0user.mmapfs.pages\0user.mmapfs.resident\0"
		"user.mmapfs.dirty\0user.mmapfs.writeback\0user.mmapfs.evicted\0"
		"user.mmapfs.locked\0user.mmapfs.ranges\0user.mmapfs.map\0"
		"user.mmapfs.version\0user.mmapfs.help";
	struct ctl_text text = { 0 };

	(void)state;
	make_objects();
	assert_int_equal(ctl_list(objects[A_FILE], &text), 0);
	assert_int_equal(text.length, sizeof(expected));
	assert_memory_equal(text.data, expected, sizeof(expected));
	ctl_text_free(&text);
	assert_int_equal(ctl_list(objects[A_FIFO], &text), 0);
	assert_int_equal(text.length, sizeof("user.mmapfs.version"));
	ctl_text_free(&text);
	drop_objects();
}

static void answers_stay_within_their_bounds(void **state)
{
	(void)state;
	make_objects();
	for (int on = 0; on < A_FIFO; on++) {
		for (size_t i = 0; i < NAMES; i++) {
			int r = get_error(objects[on], all_names[i]);
			int64_t bound = ctl_get_bound(objects[on], full(all_names[i]));

			if (r == -ENODATA) /* no such name here, or nothing cached */
				continue;
			assert_int_equal(r, 0);
			assert_true((int64_t)strlen(answer) <= bound);
		}
	}
	assert_int_equal(ctl_get_bound(objects[A_FILE], full("help")),
			 strlen(get(objects[A_FILE], "help")));
	assert_int_equal(ctl_get_bound(objects[A_FILE], full("sync")), -ENODATA);
	assert_int_equal(ctl_get_bound(objects[A_DIR], full("map")), -ENODATA);
	assert_int_equal(ctl_get_bound(objects[A_DIR], full("nonsense")), -ENODATA);
	drop_objects();
}

static void help_has_every_name_and_version_is_everywhere(void **state)
{
	(void)state;
	make_objects();
	get(objects[A_FILE], "help");
	for (size_t i = 1; i < NAMES; i++)
		assert_has(answer, all_names[i] + 1);
	for (char *line = strtok(answer, "\n"); line; line = strtok(NULL, "\n"))
		if (strlen(line) > 90)
			fail_msg("wide: %s", line);
	for (int on = 0; on < OBJECTS; on++)
		assert_string_equal(get(objects[on], "version"), mmapfs_version());
	drop_objects();
}

static void long_work_is_told_from_short(void **state)
{
	(void)state;
	make_objects();
	assert_true(ctl_get_is_long(objects[A_FILE], full("stat")));
	assert_true(ctl_get_is_long(objects[A_DIR], full("pages")));
	assert_false(ctl_get_is_long(objects[A_FILE], full("pages@4K")));
	assert_false(ctl_get_is_long(objects[A_DIR], full("version")));
	assert_false(ctl_get_is_long(objects[A_FILE], full("nonsense")));
	assert_true(ctl_set_is_long(objects[A_FILE], full("evict")));
	assert_false(ctl_set_is_long(objects[A_DIR], full("evict")));
	assert_false(ctl_set_is_long(objects[A_FILE], full("warm")));
	assert_false(ctl_set_is_long(objects[A_FILE], full("nonsense")));
	drop_objects();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_our_names_are_ours),
		cmocka_unit_test(what_cannot_be_read_says_why),
		cmocka_unit_test(what_cannot_be_written_says_why),
		cmocka_unit_test(values_with_nul_or_too_long_are_einval),
		cmocka_unit_test(list_names_only_what_reports),
		cmocka_unit_test(answers_stay_within_their_bounds),
		cmocka_unit_test(help_has_every_name_and_version_is_everywhere),
		cmocka_unit_test(long_work_is_told_from_short),
	};

	return cmocka_run_group_tests(tests, fs_setup, fs_teardown) +
	       cmocka_run_group_tests(tests, fs_setup_no_handles, fs_teardown);
}
