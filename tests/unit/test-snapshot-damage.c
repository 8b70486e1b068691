/* SPDX-License-Identifier: MIT */
/* test-snapshot-damage.c - what was damaged, or is no snapshot, is not read. */
#include "snapshot-help.h"

#include <errno.h>
#include <inttypes.h>

#include "base/macro.h"

static char *text;
static size_t text_length;

static void put_text(const char *bytes, size_t length)
{
	int fd = open(scratch_path(snap_name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void get_text(void)
{
	int fd = open(scratch_path(snap_name), O_RDONLY);

	assert_true(fd >= 0);
	free(text);
	text = calloc(1, 65536);
	assert_non_null(text);
	text_length = (size_t)read(fd, text, 65535);
	assert_true(text_length > 0 && text_length < 65535);
	close(fd);
}

static void small_text(void)
{
	struct mmapfs_snapshot_writer *writer = create();

	add(writer, "/data/a", 100, some, 3);
	add(writer, "/data/b \n", 7, some, 2);
	add_skip(writer, "/data/secret", "no-permission");
	assert_int_equal(mmapfs_snapshot_commit(writer), 0);
	get_text();
}

static int load_damaged(struct mmapfs_snapshot_damage *damage)
{
	struct mmapfs_snapshot *snapshot;
	int r;

	*damage = (struct mmapfs_snapshot_damage)MMAPFS_INIT(struct mmapfs_snapshot_damage);
	r = mmapfs_snapshot_load(AT_FDCWD, scratch_path(snap_name), damage, &snapshot);
	if (r == 0)
		mmapfs_snapshot_close(snapshot);
	return r;
}

static void every_changed_byte_is_refused(void **state)
{
	static const char values[] = { 0, '\n', ' ', '0', '1', '9', 'f', '%', '\xff' };
	struct mmapfs_snapshot_damage damage;
	char before;
	size_t i, j;

	(void)state;
	small_text();
	for (i = 0; i < text_length; i++) {
		before = text[i];
		for (j = 0; j < ARRAY_SIZE(values) + 8; j++) {
			text[i] = j < 8 ? (char)(before ^ 1 << j) : values[j - 8];
			if (text[i] == before)
				continue;
			put_text(text, text_length);
			assert_int_equal(load_damaged(&damage), -EBADMSG);
			assert_non_null(damage.reason);
			assert_in_range(damage.line, 1, 9);
		}
		text[i] = before;
	}
	put_text(text, text_length);
	assert_int_equal(load_damaged(&damage), 0);
}

static void every_cut_and_every_lost_byte_is_refused(void **state)
{
	struct mmapfs_snapshot_damage damage;
	char *copy;
	size_t i;

	(void)state;
	small_text();
	copy = malloc(text_length + 1);
	assert_non_null(copy);
	for (i = 0; i < text_length; i++) {
		put_text(text, i);
		assert_int_equal(load_damaged(&damage), -EBADMSG);
		memcpy(copy, text, i);
		memcpy(copy + i, text + i + 1, text_length - i - 1);
		put_text(copy, text_length - 1);
		assert_int_equal(load_damaged(&damage), -EBADMSG);
		memcpy(copy + i + 1, text + i, text_length - i);
		copy[i] = text[i];
		put_text(copy, text_length + 1);
		assert_int_equal(load_damaged(&damage), -EBADMSG);
	}
	free(copy);
}

/* The text between header and end, with the right sum: only the rules can refuse it. */
static const struct {
	const char *name;
	const char *text; /* % stands for a header, & for one of version 2 */
	uint64_t line;
	const char *reason;
} foreign[] = {
	{ "empty", "", 1, "the text ends too early" },
	{ "other file", "\x7f" "ELF", 1, "not a snapshot of mmapfs" },
	{ "version", "mmapfs-snapshot 3\n", 1, "a version that is not known" },
	{ "version", "mmapfs-snapshot 21\n", 1, "a version that is not known" },
	{ "no heat", "&file a 0 0 0:0:0 -\n", 5, "a number is missing" },
	{ "too hot", "&file a 0 0 0:0:0 1001 -\n", 5, "a number that cannot be" },
	{ "heat alone", "&file a 0 0 0:0:0 1\n", 5, "a field is missing" },
	{ "heat in version 1", "%file a 0 0 0:0:0 1 -\n", 5, "a range that cannot be" },
	{ "page size", "mmapfs-snapshot 1\npage-size 1000\n", 2,
	  "a page size that cannot be" },
	{ "time", "mmapfs-snapshot 1\npage-size 4096\ntime noon\n", 3,
	  "a time that cannot be" },
	{ "no end", "%", 5, "the text ends too early: its end line is missing" },
	{ "word", "%what\n", 5, "a line that is not known" },
	{ "order of names", "%file b 0 0 0:0:0 -\nfile a 0 0 0:0:0 -\n", 6,
	  "a name that is not in order" },
	{ "same name", "%file b 0 0 0:0:0 -\nskip b why\n", 6,
	  "a name that is not in order" },
	{ "no name", "%file  0 0 0:0:0 -\n", 5, "a word is missing" },
	{ "zero in name", "%file a%00 0 0 0:0:0 -\n", 5, "a name with a zero byte" },
	{ "half a code", "%file a%4 0 0 0:0:0 -\n", 5,
	  "a % without two digits behind it" },
	{ "order of ranges", "%file a 65536 0 0:0:0 8192+4096,4096+4096\n", 5,
	  "a range that is not in order" },
	{ "overlap", "%file a 65536 0 0:0:0 0+8192,4096+4096\n", 5,
	  "a range that is not in order" },
	{ "beyond", "%file a 8192 0 0:0:0 4096+8192\n", 5,
	  "a range beyond the end of its file" },
	{ "no page", "%file a 8192 0 0:0:0 100+4096\n", 5,
	  "a range that is not of whole pages" },
	{ "part of a page", "%file a 8192 0 0:0:0 0+100\n", 5,
	  "a range that is not of whole pages" },
	{ "empty range", "%file a 8192 0 0:0:0 0+0\n", 5, "a range that cannot be" },
	{ "huge range", "%file a 8192 0 0:0:0 4096+18446744073709551615\n", 5,
	  "a range that cannot be" },
	{ "huge number", "%file a 18446744073709551616 0 0:0:0 -\n", 5,
	  "a number that cannot be" },
	{ "zero in front", "%file a 08192 0 0:0:0 -\n", 5, "a number that cannot be" },
	{ "no number", "%file a x 0 0:0:0 -\n", 5, "a number is missing" },
	{ "counts", "%file a 0 0 0:0:0 -\nend 2 0 0 0 ", 6,
	  "the counts differ: lines are missing or too many" },
	{ "sum", "%end 0 0 0 0 0123456789abcdef\n", 5,
	  "the checksum differs: the text was changed" },
};

static void what_is_no_snapshot_is_refused_with_line_and_reason(void **state)
{
	static const char header[] = "mmapfs-snapshot %d\npage-size 4096\n"
				     "time 2026-11-22T10:00:00Z\nkernel 6.18\n";
	struct mmapfs_snapshot_damage damage;
	char buf[1024];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		const char *rest = foreign[i].text;
		bool headed = *rest == '%' || *rest == '&';
		int length = headed ? snprintf(buf, sizeof(buf), header,
					       *rest == '&' ? 2 : 1) : 0;

		(void)snprintf(buf + length, sizeof(buf) - (size_t)length, "%s",
			       rest + headed);
		put_text(buf, strlen(buf));
		assert_int_equal(load_damaged(&damage), -EBADMSG);
		if (strcmp(damage.reason, foreign[i].reason) != 0 ||
		    damage.line != foreign[i].line)
			fail_msg("%s: line %" PRIu64 ", %s", foreign[i].name, damage.line,
				 damage.reason);
	}
}

static void change_after_the_check_is_estale(void **state)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_snapshot *snapshot;
	int r;

	(void)state;
	small_text();
	snapshot = load();
	text[text_length - 3] ^= 1;
	put_text(text, text_length);
	mmapfs_snapshot_rewind(snapshot);
	while ((r = mmapfs_snapshot_next(snapshot, &got)) > 0)
		;
	assert_int_equal(r, -ESTALE);
	mmapfs_snapshot_close(snapshot);
	free(text);
	text = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_changed_byte_is_refused),
		cmocka_unit_test(every_cut_and_every_lost_byte_is_refused),
		cmocka_unit_test(what_is_no_snapshot_is_refused_with_line_and_reason),
		cmocka_unit_test(change_after_the_check_is_estale),
	};

	return cmocka_run_group_tests(tests, page_setup, scratch_teardown);
}
