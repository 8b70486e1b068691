/* SPDX-License-Identifier: MIT */
/* test-budget.c - how much memory is left, read from made-up /proc and cgroup trees. */
#include "budget.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/macro.h"
#include "scratch.h"

#define MIB (UINT64_C(1) << 20)

struct file {
	const char *path, *text;
};

#define MEMINFO                                                                          \
	{                                                                                \
		"proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1 kB\n"                  \
				"MemAvailable: 4194304 kB\n"                             \
	}
#define V2_MOUNT                                                                         \
	{                                                                                \
		"proc/self/mountinfo",                                                   \
			"22 1 0:21 / /proc rw - proc proc rw\n"                          \
			"31 23 0:28 / /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"     \
	}
#define V1_MOUNT                                                                         \
	{                                                                                \
		"proc/self/mountinfo",                                                   \
			"31 23 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu\n"               \
			"32 23 0:29 / /cg/memory rw - cgroup cgroup rw,memory\n"         \
	}

static const struct {
	const char *name;
	struct file files[12];
	int r;
	uint64_t bytes;
	const char *bound;
} cases[] = {
	{ "nothing at all", { { 0 } }, -ENOENT, 0, NULL },
	{ "a system without cgroups", { MEMINFO }, 0, 4096 * MIB, "MemAvailable" },
	{ "meminfo without MemAvailable",
	  { { "proc/meminfo", "MemTotal: 8388608 kB\n" } },
	  -ENODATA,
	  0,
	  NULL },
	{ "a v2 limit below MemAvailable",
	  { MEMINFO,
	    V2_MOUNT,
	    { "proc/self/cgroup", "0::/a/b\n" },
	    { "cg/a/b/memory.max", "1073741824\n" },
	    { "cg/a/b/memory.current", "536870912\n" },
	    { "cg/a/b/memory.stat", "anon 1\ninactive_file 104857600\n" } },
	  0,
	  (512 + 100) * MIB,
	  "cgroup v2 /a/b" },
	{ "a v2 limit of the parent binds too",
	  { MEMINFO,
	    V2_MOUNT,
	    { "proc/self/cgroup", "0::/a/b\n" },
	    { "cg/a/b/memory.max", "max\n" },
	    { "cg/a/b/memory.current", "536870912\n" },
	    { "cg/a/memory.max", "1073741824\n" },
	    { "cg/a/memory.current", "1063256064\n" } },
	  0,
	  10 * MIB,
	  "cgroup v2 /a" },
	{ "no v2 limit anywhere",
	  { MEMINFO,
	    V2_MOUNT,
	    { "proc/self/cgroup", "0::/a\n" },
	    { "cg/a/memory.max", "max\n" },
	    { "cg/a/memory.current", "1\n" } },
	  0,
	  4096 * MIB,
	  "MemAvailable" },
	{ "a v1 limit",
	  { MEMINFO,
	    V1_MOUNT,
	    { "proc/self/cgroup", "4:cpu,cpuacct:/x\n3:memory:/a\n0::/\n" },
	    { "cg/memory/a/memory.limit_in_bytes", "209715200\n" },
	    { "cg/memory/a/memory.usage_in_bytes", "104857600\n" },
	    { "cg/memory/a/memory.stat",
	      "inactive_file 1\ntotal_inactive_file 52428800\n" } },
	  0,
	  150 * MIB,
	  "cgroup v1 /a" },
	{ "the v1 number that means no limit",
	  { MEMINFO,
	    V1_MOUNT,
	    { "proc/self/cgroup", "3:memory:/a\n" },
	    { "cg/memory/a/memory.limit_in_bytes", "9223372036854771712\n" },
	    { "cg/memory/a/memory.usage_in_bytes", "104857600\n" } },
	  0,
	  4096 * MIB,
	  "MemAvailable" },
	{ "a container that sees its own cgroup as the root",
	  { MEMINFO,
	    { "proc/self/mountinfo",
	      "31 23 0:28 /docker/1 /cg rw - cgroup2 cgroup2 rw\n" },
	    { "proc/self/cgroup", "0::/docker/1\n" },
	    { "cg/memory.max", "104857600\n" },
	    { "cg/memory.current", "0\n" } },
	  0,
	  100 * MIB,
	  "cgroup v2 /" },
	{ "more in use than the limit allows",
	  { MEMINFO,
	    V2_MOUNT,
	    { "proc/self/cgroup", "0::/a\n" },
	    { "cg/a/memory.max", "104857600\n" },
	    { "cg/a/memory.current", "209715200\n" } },
	  0,
	  0,
	  "cgroup v2 /a" },
	{ "garbage where numbers are expected",
	  { MEMINFO,
	    V2_MOUNT,
	    { "proc/self/cgroup", "0::/a\nrubbish\n:\n" },
	    { "cg/a/memory.max", "many\n" },
	    { "cg/a/memory.current", "\n" } },
	  0,
	  4096 * MIB,
	  "MemAvailable" },
};

static void make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
}

static void make_file(const char *root, const struct file *file)
{
	char path[1024];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s", root, file->path);
	make_parents(path);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(file->text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void room_is_the_least_of_all_bounds(void **state)
{
	char root[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct budget_room room = { .bytes = 7 };

		(void)snprintf(root, sizeof(root), "%s/%zu", scratch_dir, i);
		for (const struct file *file = cases[i].files; file->path; file++)
			make_file(root, file);
		print_message("%s\n", cases[i].name);
		assert_int_equal(budget_room(root, &room), cases[i].r);
		assert_int_equal(room.bytes, cases[i].r < 0 ? 7 : cases[i].bytes);
		if (cases[i].bound)
			assert_string_equal(room.bound, cases[i].bound);
	}
}

static void this_system_has_some_room(void **state)
{
	struct budget_room room;

	(void)state;
	assert_int_equal(budget_room("", &room), 0);
	assert_true(room.bytes > 0 && room.bytes < UINT64_MAX);
	assert_true(room.bound[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_the_least_of_all_bounds),
		cmocka_unit_test(this_system_has_some_room),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
