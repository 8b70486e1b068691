/* SPDX-License-Identifier: MIT */
/*
 * test-table-open.c - a region table without a mount: what opens and what is said of what
 * does not, windows under the control attributes, and who is told of what was written.
 */
#include "table_open.h"

#include <errno.h>
#include <sys/resource.h>

#include "ctl.h"
#include "fs-fixture.h"
#include "region_state.h"
#include "table_share.h"

#define BIG_PAGES (131072 / PAGE)

static struct ctl_caller root;

/* ---- tables ---- */

static int setup(void **state)
{
	if (scratch_setup(state))
		return -1;
	(void)scratch_file("big", BIG_PAGES * PAGE);
	return 0;
}

static int write_table(const char *text)
{
	int fd = open(scratch_path("table"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static int try_table(const char *text, struct table_error *ret_error)
{
	char path[512];
	int fd, r;

	memset(&fs, 0, sizeof(fs));
	fs.owner = 1234;
	fs.lock_limit = 16 * PAGE;
	fd = write_table(text);
	(void)snprintf(path, sizeof(path), "%s", scratch_path("table"));
	r = table_open(&fs, fd, path, ret_error);
	close(fd);
	return r;
}

static void open_table(const char *text)
{
	struct table_error error;

	if (try_table(text, &error) < 0)
		fail_msg("%u:%u: %s", error.line, error.column, error.reason);
}

static void close_table(void)
{
	fs.turns = workers_stop(fs.turns);
	fs.inodes = inode_table_free(fs.inodes);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	fs.table = table_close(fs.table);
}

static struct inode *row(const char *name)
{
	struct inode *inode = table_find(fs.table, name);

	assert_non_null(inode);
	return inode;
}

static unsigned int count_descriptors(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static const char *get(struct inode *inode, const char *name)
{
	static char answer[4096];
	struct ctl_text text = { 0 };
	char full[64];

	(void)snprintf(full, sizeof(full), "user.mmapfs.%s", name);
	assert_int_equal(ctl_get(&fs, inode, full, &root, &text), 0);
	(void)snprintf(answer, sizeof(answer), "%.*s", (int)text.length, text.data);
	ctl_text_free(&text);
	return answer;
}

static int set(struct inode *inode, const char *name, const char *value)
{
	char full[64];

	(void)snprintf(full, sizeof(full), "user.mmapfs.%s", name);
	return ctl_set(&fs, inode, full, value, strlen(value), &root);
}

/* ---- opening ---- */

static void rows_are_found_by_name_and_by_attributes(void **state)
{
	struct inode *inode;
	struct stat st;

	(void)state;
	open_table("a big 0 1 read\n\"b c\" ./big 4K rest write\nm anon 0 64K write\n");
	assert_int_equal(table_count(fs.table), 3);
	assert_null(table_find(fs.table, "b"));
	assert_null(table_find(fs.table, ""));
	for (size_t i = 0; i < 3; i++) {
		inode = table_inode(fs.table, i);
		assert_ptr_equal(row(table_name(fs.table, i)), inode);
		assert_int_equal(inode_stat(fs.inodes, inode, &st), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_ptr_equal(inode_find(fs.inodes, inode->window->fd, &st), inode);
		drop(inode);
	}
	assert_int_equal(inode_count(fs.inodes), 4);
	assert_int_equal(inode_stat(fs.inodes, row("b c"), &st), 0);
	assert_int_equal(st.st_size, BIG_PAGES * PAGE - 4096);
	close_table();
}

static void the_root_is_a_directory_of_the_table_s_owner(void **state)
{
	struct inode *inode;
	struct stat st;

	(void)state;
	open_table("a big 0 1 read\n");
	inode = inode_root(fs.inodes);
	assert_true(inode->is_root);
	assert_int_equal(inode->type, S_IFDIR);
	assert_int_equal(inode_stat(fs.inodes, inode, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_ino, TABLE_ROOT_INO);
	assert_int_equal(st.st_uid, getuid());
	close_table();
}

static void a_source_is_opened_once_and_everything_is_closed(void **state)
{
	char text[4096] = "", *at = text;
	unsigned int before = count_descriptors();

	(void)state;
	for (int i = 0; i < 100; i++)
		at += sprintf(at, "w%d big %d 7 read\n", i, i * 7);
	open_table(text);
	assert_int_equal(count_descriptors(), before + 2); /* the table and the source */
	close_table();
	assert_int_equal(count_descriptors(), before);
}

static void what_cannot_be_opened_is_named_with_its_place(void **state)
{
	static const struct {
		const char *text;
		unsigned int line, column;
		const char *reason;
	} rows[] = {
		{ "a big 0 1 read\nb none 0 1 read", 2, 3,
		  "source 'none': No such file or directory" },
		{ "a big/x 0 1 read", 1, 3, "source 'big/x': Not a directory" },
		{ "a . 0 1 read", 1, 3, "source '.': no regular file" },
		{ "a /dev/null 0 1 read", 1, 3, "source '/dev/null': no regular file" },
		{ "a fifo 0 1 read", 1, 3, "source 'fifo': no regular file" },
		{ "a loop 0 1 read", 1, 3, "source 'loop': Too many levels of symbolic links" },
		{ "a big 1M 1 read", 1, 7, "offset '1M': the source ends at 131072" },
		{ "a big 131073 rest read", 1, 7,
		  "offset '131073': the source ends at 131072" },
		{ "a big 0 131073 read", 1, 9, "length '131073': the source ends at 131072" },
		{ "a big 128K 1 read", 1, 12, "length '1': the source ends at 131072" },
		{ "a big 131071 2 read", 1, 14, "length '2': the source ends at 131072" },
		{ "a big 0 rest read lock", 1, 19,
		  "word 'lock': the limit for locks would be passed" },
		{ "a big 0 32K read lock\nb big 0 32K read lock\nc big 0 1 read lock", 3, 16,
		  "word 'lock': the limit for locks would be passed" },
		{ "a big 0 0 read", 1, 9,
		  "length '0': no bytes at all (rest: to the end of the source)" },
	};
	unsigned int before = count_descriptors();

	(void)state;
	if (PAGE != 4096)
		skip();
	assert_int_equal(mkfifo(scratch_path("fifo"), 0644), 0);
	assert_int_equal(symlink("loop", scratch_path("loop")), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct table_error error;

		assert_int_equal(try_table(rows[i].text, &error), -EINVAL);
		assert_string_equal(error.reason, rows[i].reason);
		assert_int_equal(error.line, rows[i].line);
		assert_int_equal(error.column, rows[i].column);
		close_table();
		assert_int_equal(count_descriptors(), before);
	}
}

static void running_out_of_descriptors_is_said_and_leaks_none(void **state)
{
	unsigned int before = count_descriptors();
	struct table_error error;
	struct rlimit old, low;
	char name[32], text[1024] = "", *at = text;

	(void)state;
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		(void)scratch_file(name, 10);
		at += sprintf(at, "%s %s 0 1 read\n", name, name);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = before + 12;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(try_table(text, &error), -EINVAL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_non_null(strstr(error.reason, "Too many open files"));
	assert_true(error.line > 1);
	close_table();
	assert_int_equal(count_descriptors(), before);
}

static void memory_has_the_permissions_of_the_table(void **state)
{
	struct stat st;
	char byte = 1;

	(void)state;
	open_table("m anon 0 100000 write\nn anon 0 1 write\n");
	assert_int_equal(inode_stat(fs.inodes, row("m"), &st), 0);
	assert_int_equal(st.st_size, 100000);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(pread(row("m")->window->fd, &byte, 1, 99999), 1);
	assert_int_equal(byte, 0);
	assert_true(row("m")->window->fd != row("n")->window->fd);
	close_table();
}

/* ---- what is shown ---- */

static void a_view_shows_the_window_and_follows_the_source(void **state)
{
	static const struct {
		off_t size;
		uint64_t length;
	} rows[] = { { 1 << 20, 5000 }, { 3000, 2983 }, { 18, 1 }, { 5017, 5000 } };
	struct view *view = NULL;

	(void)state;
	(void)scratch_file("moving", 6000);
	open_table("w moving 17 5000 write\n");
	assert_int_equal(view_get(&fs, row("w"), &view), 0);
	assert_int_equal(view_length(view), 5000);
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal((unsigned char)view_addr(view)[i], (17 + i) % 251);
	view_put(view);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(truncate(scratch_path("moving"), rows[i].size), 0);
		assert_int_equal(view_get(&fs, row("w"), &view), 0);
		assert_int_equal(view_length(view), rows[i].length);
		assert_int_equal((unsigned char)view_addr(view)[0], 17);
		view_put(view);
	}
	assert_int_equal(truncate(scratch_path("moving"), 17), 0);
	assert_int_equal(view_get(&fs, row("w"), &view), -ENODATA);
	close_table();
}

static void writing_advice_needs_a_window_that_may_be_written(void **state)
{
	(void)state;
	open_table("r big 0 1 read\nw big 0 1 write\n");
	assert_int_equal(set(row("r"), "advise", "populate-write"), -EACCES);
	assert_int_equal(set(row("w"), "advise", "populate-write"), 0);
	close_table();
}

/* ---- control attributes ---- */

static void figures_count_every_page_that_has_a_byte_of_the_window(void **state)
{
	static const struct {
		const char *name, *attribute, *value;
	} rows[] = {
		{ "even", "pages", "3" },	    { "even", "pages@0", "1" },
		{ "even", "pages@4095+2", "2" },    { "even", "pages@1M-", "0" },
		{ "odd", "pages", "4" },	    { "odd", "pages@0+1", "1" },
		{ "odd", "pages@4078+1", "1" },	    { "odd", "pages@4079+1", "1" },
		{ "odd", "pages@4078+2", "2" },	    { "odd", "resident@0+4079", "1" },
		{ "even", "resident", "3" },	    { "odd", "resident", "4" },
		{ "odd", "ranges", "0+12288\n" },   { "odd", "ranges@0+1", "0+4079\n" },
		{ "odd", "ranges@4079+1", "4079+4096\n" },
		{ "within", "pages", "1" },	    { "within", "ranges", "0+3\n" },
		{ "within", "map",
		  "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@" },
		{ "odd", "map@0+1",
		  "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@" },
	};
	void *held = hold_pages("big", BIG_PAGES);

	(void)state;
	if (PAGE != 4096)
		skip();
	open_table("even big 8K 12K read\nodd big 8209 12K read\nwithin big 5 3 read\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, "within") == 0 && strcmp(rows[i].attribute, "map") == 0)
			continue; /* a cell of less than a byte has no share */
		assert_string_equal(get(row(rows[i].name), rows[i].attribute), rows[i].value);
	}
	close_table();
	release_pages(held, BIG_PAGES);
}

static void locks_count_every_page_that_has_a_byte_of_the_window(void **state)
{
	struct inode *odd;

	(void)state;
	if (PAGE != 4096)
		skip();
	open_table("odd big 8209 12K read\n");
	odd = row("odd");
	assert_int_equal(set(odd, "lock", "on 4079+1"), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4096);
	assert_string_equal(get(odd, "lock"), "4079+4096");
	assert_string_equal(get(odd, "locked"), "1");
	assert_string_equal(get(odd, "locked@0+4079"), "0");
	assert_int_equal(set(odd, "lock", "on"), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4 * 4096);
	assert_string_equal(get(odd, "locked"), "4");
	assert_string_equal(get(odd, "lock"), "0+16367");
	assert_int_equal(set(odd, "lock", "off 0+1"), 0);
	assert_string_equal(get(odd, "lock"), "4079+12288");
	assert_int_equal(set(odd, "lock", "off"), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	close_table();
}

static void locks_beyond_a_source_that_shrank_are_forgotten(void **state)
{
	(void)state;
	(void)scratch_file("shrinks", 8 * PAGE);
	open_table("w shrinks 4K 16K write lock\n");
	assert_int_equal(atomic_load(&fs.locked_bytes), 16384);
	assert_int_equal(truncate(scratch_path("shrinks"), 8192), 0);
	assert_string_equal(get(row("w"), "locked"), "1");
	assert_int_equal(set(row("w"), "lock", "on"), 0);
	assert_int_equal(atomic_load(&fs.locked_bytes), 4096);
	assert_string_equal(get(row("w"), "lock"), "0+4096");
	close_table();
}

static void what_a_row_asks_for_is_in_force(void **state)
{
	(void)state;
	open_table("a big 4K 8K read random lock\nb big 0 8K read sequential\nc big 0 8K read\n"
		   "e big 128K rest write random lock\n");
	assert_string_equal(get(row("a"), "advise"), "random");
	assert_string_equal(get(row("a"), "lock"), "0+8192");
	assert_string_equal(get(row("b"), "advise"), "sequential");
	assert_string_equal(get(row("b"), "lock"), "");
	assert_string_equal(get(row("c"), "advise"), "normal");
	assert_string_equal(get(row("e"), "lock"), "");
	close_table();
}

/* Where a view of another window has the pages mapped they would stay. */
static void evicting_a_window_meets_no_view_of_another(void **state)
{
	struct view *view = NULL;

	(void)state;
	open_table("a big 0 128K read\nb big 64K rest read\n");
	assert_int_equal(view_get(&fs, row("b"), &view), 0);
	for (uint64_t i = 0; i < view_length(view); i += PAGE)
		assert_int_equal((unsigned char)view_addr(view)[i], (65536 + i) % 251);
	assert_int_equal(set(row("b"), "sync", "sync"), 0);
	assert_int_equal(set(row("a"), "evict", "sync"), 0);
	assert_non_null(strstr(get(row("a"), "evict"), "after=0"));
	view_put(view);
	close_table();
}

static void controls_of_the_root_are_for_all_rows(void **state)
{
	struct inode *top;

	(void)state;
	if (PAGE != 4096)
		skip();
	open_table("a big 8K 8K read lock\nb big 17 8K write\nm anon 0 4K write\n");
	top = inode_root(fs.inodes);
	assert_string_equal(get(top, "pages"), "6");
	assert_string_equal(get(top, "locked"), "2");
	assert_non_null(strstr(get(top, "stat"), "size=20480\npages=6\n"));
	assert_non_null(strstr(get(top, "stat"), "\nfiles=3\nunknown_files=0"));
	assert_int_equal(set(top, "advise", "random"), 0);
	assert_string_equal(get(row("b"), "advise"), "random");
	assert_int_equal(set(top, "sync", "sync"), 0);
	/* Every one of them must let itself be written. */
	assert_int_equal(set(top, "advise", "populate-write"), -EACCES);
	close_table();
}

static void others_rights_are_those_on_the_source(void **state)
{
	const struct ctl_caller nobody = { .user = { .uid = 65534, .gid = 65534 } };
	struct ctl_text text = { 0 };

	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(scratch_path("big"), 0600), 0);
	open_table("a big 0 8K read\n");
	assert_int_equal(creds_drop_unneeded(), 0);
	assert_int_equal(ctl_get(&fs, inode_root(fs.inodes), "user.mmapfs.stat", &nobody, &text), 0);
	assert_non_null(strstr(text.data, "\nfiles=1\nunknown_files=1"));
	ctl_text_free(&text);
	assert_int_equal(ctl_set(&fs, inode_root(fs.inodes), "user.mmapfs.sync", "sync", 4, &nobody),
			 -EACCES);
	close_table();
	assert_int_equal(chmod(scratch_path("big"), 0644), 0);
}

/* ---- who is told ---- */

static char told[16][64];
static atomic_uint told_count;

static void note(void *ctx, struct inode *inode, uint64_t offset, uint64_t length)
{
	unsigned int n = atomic_load(&told_count);

	(void)ctx;
	for (size_t i = 0; i < table_count(fs.table); i++) {
		if (table_inode(fs.table, i) == inode)
			(void)snprintf(told[n % 16], sizeof(told[0]), "%s %llu+%llu",
				       table_name(fs.table, i), (unsigned long long)offset,
				       (unsigned long long)length);
	}
	atomic_store(&told_count, n + 1);
}

static void open_shared(void)
{
	atomic_store(&told_count, 0);
	open_table("a big 0 32K write\nb big 16K 32K write\nc big 64K rest write\n"
		   "m anon 0 64K write\n");
	fs.invalidate = note;
}

static void nobody_is_told_of_windows_that_nobody_has_open(void **state)
{
	const struct mmapfs_range range = { 16384, 4096 };

	(void)state;
	open_shared();
	assert_false(share_is_copied(row("a")->window, range));
	share_forget(row("a")->window, range);
	share_written(row("a")->window, range);
	assert_int_equal(workers_depth(fs.turns), 0);
	assert_int_equal(atomic_load(&told_count), 0);
	close_table();
}

static void windows_served_by_the_daemon_are_told_and_no_others(void **state)
{
	const struct mmapfs_range both = { 16384, 8192 }, alone = { 0, 16384 };

	(void)state;
	open_shared();
	atomic_store(&row("b")->data_path, DATA_PATH_MAPPED);
	atomic_store(&row("c")->data_path, DATA_PATH_MAPPED);
	atomic_store(&row("m")->data_path, DATA_PATH_MAPPED);
	assert_true(share_is_copied(row("a")->window, both));
	assert_false(share_is_copied(row("a")->window, alone));
	assert_false(share_is_copied(row("m")->window, both));
	share_forget(row("a")->window, both);
	assert_int_equal(atomic_load(&told_count), 1);
	assert_string_equal(told[0], "b 0+8192");
	share_forget(row("a")->window, alone);
	share_forget(row("m")->window, both);
	assert_int_equal(atomic_load(&told_count), 1);
	atomic_store(&row("b")->data_path, DATA_PATH_PASSTHROUGH);
	assert_false(share_is_copied(row("a")->window, both));
	close_table();
}

/* A task that holds up the ones behind it. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void what_is_written_meanwhile_is_told_in_one(void **state)
{
	(void)state;
	open_shared();
	atomic_store(&row("b")->data_path, DATA_PATH_MAPPED);
	pthread_mutex_lock(&gate);
	assert_int_equal(workers_submit(fs.turns, wait_at_gate, NULL), 0);
	for (uint64_t i = 0; i < 1000; i++)
		share_written(row("a")->window, (struct mmapfs_range){ 20000 + i, 1 });
	assert_true(workers_depth(fs.turns) <= 2);
	pthread_mutex_unlock(&gate);
	fs.turns = workers_stop(fs.turns); /* waits for what is in the queue */
	assert_int_equal(atomic_load(&told_count), 1);
	assert_string_equal(told[0], "b 0+8192");
	close_table();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_name_and_by_attributes),
		cmocka_unit_test(the_root_is_a_directory_of_the_table_s_owner),
		cmocka_unit_test(a_source_is_opened_once_and_everything_is_closed),
		cmocka_unit_test(what_cannot_be_opened_is_named_with_its_place),
		cmocka_unit_test(running_out_of_descriptors_is_said_and_leaks_none),
		cmocka_unit_test(memory_has_the_permissions_of_the_table),
		cmocka_unit_test(a_view_shows_the_window_and_follows_the_source),
		cmocka_unit_test(writing_advice_needs_a_window_that_may_be_written),
		cmocka_unit_test(figures_count_every_page_that_has_a_byte_of_the_window),
		cmocka_unit_test(locks_count_every_page_that_has_a_byte_of_the_window),
		cmocka_unit_test(locks_beyond_a_source_that_shrank_are_forgotten),
		cmocka_unit_test(what_a_row_asks_for_is_in_force),
		cmocka_unit_test(evicting_a_window_meets_no_view_of_another),
		cmocka_unit_test(controls_of_the_root_are_for_all_rows),
		cmocka_unit_test(nobody_is_told_of_windows_that_nobody_has_open),
		cmocka_unit_test(windows_served_by_the_daemon_are_told_and_no_others),
		cmocka_unit_test(what_is_written_meanwhile_is_told_in_one),
		/* Last: it gives up capabilities of this process. */
		cmocka_unit_test(others_rights_are_those_on_the_source),
	};

	return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
