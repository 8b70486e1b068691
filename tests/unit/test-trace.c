/* SPDX-License-Identifier: MIT */
/* test-trace.c - lines of the kernel's trace, and who did how much. */
#include "trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/macro.h"
#include "who.h"

#define ADD "mm_filemap_add_to_page_cache"
#define DELETE "mm_filemap_delete_from_page_cache"

static const struct {
	const char *line;
	struct trace_event event; /* pid 0: no event of ours */
} lines[] = {
	{ "              dd-27083   [000] .....  3152.966430: " ADD
	  ": dev 254:0 ino 3c5c9 pfn=0x108e07 ofs=4096 order=0",
	  { "dd", 27083, TRACE_ADD, 254, 0, 0x3c5c9, 4096, 4096 } },
	{ "       kdamond.0-55      [001] .....  1.000001: " DELETE
	  ": dev 254:16 ino ff pfn=0x1 ofs=2097152 order=9",
	  { "kdamond.0", 55, TRACE_DELETE, 254, 16, 0xff, 2097152, 2097152 } },
	{ "  a b [001] c-d-7       [123] d..1.  1.0: " ADD
	  ": dev 0:31 ino a pfn=0x1 ofs=0 order=2",
	  { "a b [001] c-d", 7, TRACE_ADD, 0, 31, 10, 0, 16384 } },
	{ "           <...>-9       [000] 1.0: " ADD
	  ": dev 8:1 ino 1 page=0x0 pfn=5 ofs=0",
	  { "<...>", 9, TRACE_ADD, 8, 1, 1, 0, 4096 } },
	{ .line = "" },
	{ .line = "CPU:1 [LOST 12 EVENTS]" },
	{ .line = "   x-1 [0] .. 1.0: sched_switch: dev 1:1 ino 1 pfn=1 ofs=0 order=0" },
	{ .line = "   x-1 [000] .. 1.0: " ADD ": dev 1:1 ino zz pfn=1 ofs=0 order=0" },
	{ .line = "   x-1 [000] .. 1.0: " ADD ": dev 1:1 ino 1 pfn=1 order=0" },
	{ .line = "   x-1 [000] .. 1.0: " ADD ": dev 1:1 ino 1 pfn=1 ofs=0 order=63" },
	{ .line = "   x-2147483648 [000] .. 1.0: " ADD ": dev 1:1 ino 1 pfn=1 ofs=0 order=0" },
	{ .line = "   x [000] .. 1.0: " ADD ": dev 1:1 ino 1 pfn=1 ofs=0 order=0" },
	{ .line = ": " ADD ": dev 1:1 ino 1 pfn=1 ofs=0 order=0" },
	{ .line = "-1: " ADD ": dev 1:1 ino 1 pfn=1 ofs=0 order=0" },
};

static void lines_are_taken_apart_from_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const struct trace_event *expected = &lines[i].event;
		struct trace_event event = { 0 };

		print_message("%s\n", lines[i].line);
		assert_int_equal(trace_parse(lines[i].line, 4096, &event),
				 expected->pid != 0);
		assert_string_equal(event.comm, expected->comm);
		assert_int_equal(event.pid, expected->pid);
		assert_int_equal(event.action, expected->action);
		assert_int_equal(event.dev_major, expected->dev_major);
		assert_int_equal(event.dev_minor, expected->dev_minor);
		assert_int_equal(event.ino, expected->ino);
		assert_int_equal(event.offset, expected->offset);
		assert_int_equal(event.length, expected->length);
	}
}

static void lost_events_are_counted(void **state)
{
	(void)state;
	assert_int_equal(trace_parse_lost("CPU:1 [LOST 12 EVENTS]"), 12);
	assert_int_equal(trace_parse_lost("CPU:1 [LOST"), 0);
	assert_int_equal(trace_parse_lost(lines[0].line), 0);
	assert_int_equal(trace_parse_lost(""), 0);
}

static struct trace_event event(pid_t pid, enum trace_action action, uint64_t offset,
				uint64_t length)
{
	return (struct trace_event){ "x", pid, action, 1, 2, 3, offset, length };
}

static void adjacent_events_become_one_range(void **state)
{
	struct actors actors = { 0 };
	struct trace_event events[] = {
		event(1, TRACE_ADD, 0, 4096),	   event(1, TRACE_ADD, 4096, 8192),
		event(1, TRACE_ADD, 65536, 4096),  event(2, TRACE_ADD, 0, 4096),
		event(1, TRACE_DELETE, 0, 4096),   event(1, TRACE_ADD, 61440, 4096),
		event(1, TRACE_ADD, 12288, 49152),
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		actors_add(&actors, &events[i]);
	actors_finish(&actors);
	assert_int_equal(actors.count, 3);
	assert_int_equal(actors.list[0].pid, 1);
	assert_int_equal(actors.list[0].bytes, 69632);
	assert_string_equal(who_ranges(&actors.list[0], text, sizeof(text)), "0+69632");
	assert_int_equal(actors.list[1].pid, 2);
	assert_int_equal(actors.list[2].action, TRACE_DELETE);
	assert_string_equal(who_ranges(&actors.list[2], text, sizeof(text)), "0+4096");
	actors_clear(&actors);
	assert_int_equal(actors.count, 0);
	actors_free(&actors);
}

static void too_many_ranges_are_cut_and_say_so(void **state)
{
	struct actors actors = { 0 };
	char text[2048], few[24];

	(void)state;
	for (uint64_t i = 0; i < WHO_RANGES_MAX + 2; i++) {
		struct trace_event one = event(1, TRACE_ADD, 8192 * (100 - i), 4096);

		actors_add(&actors, &one);
	}
	actors_finish(&actors);
	assert_int_equal(actors.count, 1);
	assert_int_equal(actors.list[0].range_count, WHO_RANGES_MAX);
	assert_int_equal(actors.list[0].more, 8192);
	(void)who_ranges(&actors.list[0], text, sizeof(text));
	assert_memory_equal(text, "565248+4096 ", 12);
	assert_string_equal(text + strlen(text) - 4, " ...");
	assert_string_equal(who_ranges(&actors.list[0], few, sizeof(few)),
			    "565248+4096 ...");
	actors_free(&actors);
}

static void a_page_that_came_twice_is_one_range(void **state)
{
	struct actors actors = { 0 };
	struct trace_event one = event(1, TRACE_ADD, 0, 4096);
	char text[64];

	(void)state;
	actors_add(&actors, &one);
	actors_add(&actors, &one);
	actors_finish(&actors);
	assert_int_equal(actors.list[0].bytes, 8192);
	assert_string_equal(who_ranges(&actors.list[0], text, sizeof(text)), "0+4096");
	actors_free(&actors);
}

static void too_many_processes_are_counted_as_dropped(void **state)
{
	struct actors actors = { 0 };

	(void)state;
	for (pid_t pid = 1; pid <= 2000; pid++) {
		struct trace_event one = event(pid, TRACE_ADD, 0, 4096);

		actors_add(&actors, &one);
	}
	assert_int_equal(actors.count + actors.dropped, 2000);
	assert_true(actors.dropped > 0);
	actors_free(&actors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_taken_apart_from_the_end),
		cmocka_unit_test(lost_events_are_counted),
		cmocka_unit_test(adjacent_events_become_one_range),
		cmocka_unit_test(too_many_ranges_are_cut_and_say_so),
		cmocka_unit_test(a_page_that_came_twice_is_one_range),
		cmocka_unit_test(too_many_processes_are_counted_as_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
