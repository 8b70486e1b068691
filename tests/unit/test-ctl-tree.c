/* SPDX-License-Identifier: MIT */
/* test-ctl-tree.c - control attributes of a directory: sums over, and work on, the tree below. */
#include "ctl-help.h"

/* ---- trees ---- */

static void put_file(const char *name, uint64_t pages)
{
	drop(make_file(name, pages));
}

static struct inode *make_tree(const char *name)
{
	static const char *const dirs[] = { "", "/x", "/x/y", "/z" };
	char path[256], target[512];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", name, dirs[i]);
		assert_int_equal(mkdir(scratch_path(path), 0755), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/one", name);
	put_file(path, 1);
	(void)snprintf(target, sizeof(target), "%s", scratch_path(path));
	(void)snprintf(path, sizeof(path), "%s/x/two", name);
	put_file(path, 2);
	(void)snprintf(path, sizeof(path), "%s/x/y/four", name);
	put_file(path, 4);
	(void)snprintf(path, sizeof(path), "%s/z/empty", name);
	put_file(path, 0);
	/* Neither a second name nor a link is another file; a FIFO must not hang us. */
	(void)snprintf(path, sizeof(path), "%s/z/one-again", name);
	assert_int_equal(link(target, scratch_path(path)), 0);
	(void)snprintf(path, sizeof(path), "%s/z/link", name);
	assert_int_equal(symlink(target, scratch_path(path)), 0);
	(void)snprintf(path, sizeof(path), "%s/z/up", name);
	assert_int_equal(symlink("..", scratch_path(path)), 0);
	(void)snprintf(path, sizeof(path), "%s/z/fifo", name);
	assert_int_equal(mkfifo(scratch_path(path), 0644), 0);
	return inode_of(name);
}

static void tree_figures_count_each_file_once(void **state)
{
	struct inode *tree = make_tree("sums");
	void *one = hold_pages("sums/one", 1), *two = hold_pages("sums/x/two", 2);
	void *four = hold_pages("sums/x/y/four", 4);
	struct inode *file = inode_of("sums/x/two");

	(void)state;
	assert_int_equal(set(file, "lock", "on"), 0);
	get(tree, "stat");
	assert_has(answer,
		   "size=28672\npages=7\npage_size=4096\nresident=7\noccupied=7\n");
	assert_has(answer, "\nlocked=2\nfiles=4\nunknown_files=0");
	assert_null(strstr(answer, "data_path"));
	assert_string_equal(get(tree, "pages"), "7");
	assert_string_equal(get(tree, "resident"), "7");
	assert_string_equal(get(tree, "locked"), "2");
	assert_has(get(tree, ""), "\nwarm=idle 0/0\nevict=idle 0/0\n");
	assert_int_equal(set(file, "lock", "off"), 0);
	release_pages(one, 1);
	release_pages(two, 2);
	release_pages(four, 4);
	drop(file);
	drop(tree);
}

static void tree_with_unknown_files_has_no_total(void **state)
{
	struct inode *tree = make_tree("unknown");

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_lying;
	get(tree, "stat");
	assert_has(answer, "\nresident=unknown\noccupied=unknown\ndirty=unknown\n");
	assert_has(answer, "\nfiles=4\nunknown_files=3\nreason=no-permission");
	assert_int_equal(get_error(tree, "resident"), -ENODATA);
	assert_int_equal(get_error(tree, "dirty"), -ENODATA);
	assert_string_equal(get(tree, "pages"), "7");
	fake_end();
	drop(tree);
}

static void tree_deeper_than_the_descriptors_is_counted(void **state)
{
	struct rlimit before, low;
	char path[250] = "deep";
	struct inode *tree;
	int fd;

	(void)state;
	assert_int_equal(mkdir(scratch_path(path), 0755), 0);
	for (int i = 0; i < 100; i++) {
		(void)strcat(path, "/d");
		assert_int_equal(mkdir(scratch_path(path), 0755), 0);
	}
	strcat(path, "/file");
	put_file(path, 3);
	tree = inode_of("deep");
	fd = dup(0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)fd + 8;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_string_equal(get(tree, "pages"), "3");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	drop(tree);
}

static bool always(void *ctx)
{
	++*(int *)ctx;
	return true;
}

static void links_in_number_are_all_remembered(void **state)
{
	struct inode *tree;
	char name[64], target[512];

	(void)state;
	assert_int_equal(mkdir(scratch_path("links"), 0755), 0);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "links/file-%d", i);
		(void)snprintf(target, sizeof(target), "%s", scratch_file(name, 1));
		(void)snprintf(name, sizeof(name), "links/again-%d", i);
		assert_int_equal(link(target, scratch_path(name)), 0);
	}
	tree = inode_of("links");
	assert_string_equal(get(tree, "pages"), "300");
	drop(tree);
}

static void tree_walk_ends_when_asked(void **state)
{
	struct inode *tree = make_tree("interrupted");
	int asked = 0;
	struct ctl_caller who = { .interrupted = always, .ctx = &asked };
	struct ctl_text text = { 0 };

	(void)state;
	assert_int_equal(ctl_get(&fs, tree, full("stat"), &who, &text), -EINTR);
	assert_int_equal(asked, 1);
	ctl_text_free(&text);
	atomic_store(&fs.stopping, true);
	assert_int_equal(get_error(tree, "pages"), -EINTR);
	assert_int_equal(set(tree, "sync", "sync"), -EINTR);
	assert_int_equal(set(tree, "warm", ""), 0);
	wait_until_at_rest(tree, "warm");
	assert_string_equal(answer, "cancelled 0/0");
	atomic_store(&fs.stopping, false);
	drop(tree);
}

static void tree_is_warmed(void **state)
{
	struct inode *tree = make_tree("warm-tree");

	(void)state;
	assert_int_equal(set(tree, "warm", ""), 0);
	wait_until_at_rest(tree, "warm");
	assert_string_equal(answer, "done 28672/28672");
	drop(tree);
}

static void tree_is_evicted(void **state)
{
	struct inode *tree = make_tree("evict-tree");
	void *two = hold_pages("evict-tree/x/two", 2);

	(void)state;
	assert_string_equal(get(tree, "evict"), "idle 0/0");
	assert_int_equal(set(tree, "evict", "sync"), 0);
	wait_until_at_rest(tree, "evict");
	assert_has(answer, "done 28672/28672 files=4 unknown_files=0 before=");
	assert_has(answer, " after=2 mapped=2 reasons=");
	release_pages(two, 2);
	block_jobs();
	assert_int_equal(set(tree, "evict", ""), 0);
	assert_int_equal(set(tree, "evict", ""), -EBUSY);
	assert_int_equal(set(tree, "evict", "cancel"), 0);
	sem_post(&gate_open);
	wait_until_at_rest(tree, "evict");
	assert_int_equal(strncmp(answer, "cancelled 0/0", 13), 0);
	drop(tree);
}

static void tree_is_synced_and_the_first_error_told(void **state)
{
	struct inode *tree = make_tree("sync-tree");

	(void)state;
	assert_int_equal(set(tree, "sync", "sync"), 0);
	assert_int_equal(set(tree, "sync", "async"), 0);
	fake_begin();
	fake.fdatasync = fdatasync_failing;
	atomic_store(&fake_error, -ENOSPC); /* of one file; the others are synced */
	assert_int_equal(set(tree, "sync", "sync"), -ENOSPC);
	assert_int_equal(set(tree, "sync", "sync"), 0);
	fake_end();
	drop(tree);
}

static void tree_advice_is_remembered_where_the_mount_knows_the_file(void **state)
{
	struct inode *tree = make_tree("advise-tree");
	struct inode *known = inode_of("advise-tree/x/two");
	struct inode *later;

	(void)state;
	assert_int_equal(set(tree, "advise", "random"), 0);
	assert_string_equal(get(tree, "advise"), "random");
	assert_string_equal(get(known, "advise"), "random");
	later = inode_of("advise-tree/one");
	assert_string_equal(get(later, "advise"), "normal");
	assert_int_equal(set(tree, "advise", "willneed"), 0);
	assert_string_equal(get(tree, "advise"), "random");
	drop(later);
	drop(known);
	drop(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_figures_count_each_file_once),
		cmocka_unit_test(tree_with_unknown_files_has_no_total),
		cmocka_unit_test(tree_deeper_than_the_descriptors_is_counted),
		cmocka_unit_test(links_in_number_are_all_remembered),
		cmocka_unit_test(tree_walk_ends_when_asked),
		cmocka_unit_test(tree_is_warmed),
		cmocka_unit_test(tree_is_evicted),
		cmocka_unit_test(tree_is_synced_and_the_first_error_told),
		cmocka_unit_test(
			tree_advice_is_remembered_where_the_mount_knows_the_file),
	};

	return cmocka_run_group_tests(tests, fs_setup, fs_teardown) +
	       cmocka_run_group_tests(tests, fs_setup_no_handles, fs_teardown);
}
