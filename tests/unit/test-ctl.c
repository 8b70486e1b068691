/* SPDX-License-Identifier: MIT */
/*
 * test-ctl.c - every control attribute of files and directories: what it answers, what it
 * does, and with which errno it refuses.
 */
#include "ctl.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "fs-fixture.h"
#include "sys.h"

#define NAME_MAX_LENGTH 64

static const char *const all_names[] = {
	"",	    ".stat",   ".pages",  ".resident", ".dirty",  ".writeback",
	".evicted", ".locked", ".ranges", ".map",      ".advise", ".sync",
	".warm",    ".evict",  ".lock",	  ".version",  ".help",
};

#define NAMES (sizeof(all_names) / sizeof(all_names[0]))

/* ---- asking ---- */

static struct ctl_caller caller; /* root, never interrupted */
static char answer[70000];

static const char *full(const char *name)
{
	static char buf[2 * NAME_MAX_LENGTH];

	(void)snprintf(buf, sizeof(buf), "user.mmapfs%s%s",
		       *name == '.' || !*name ? "" : ".", name);
	return buf;
}

/* The value in `answer`; returns 0 or the error. */
static int get_within(struct inode *inode, const char *name, size_t limit)
{
	struct ctl_text text = { .limit = limit };
	int r = ctl_get(&fs, inode, full(name), &caller, &text);

	assert_true(text.length < sizeof(answer));
	if (text.length)
		memcpy(answer, text.data, text.length);
	answer[text.length] = 0;
	ctl_text_free(&text);
	return r;
}

static const char *get(struct inode *inode, const char *name)
{
	assert_int_equal(get_within(inode, name, 0), 0);
	return answer;
}

static int get_error(struct inode *inode, const char *name)
{
	return get_within(inode, name, 0);
}

static int set(struct inode *inode, const char *name, const char *value)
{
	return ctl_set(&fs, inode, full(name), value, strlen(value), &caller);
}

static void assert_has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no \"%s\" in:\n%s", line, text);
}

/* "resident=%d" and the like, in pages. */
static const char *key(const char *name, uint64_t value)
{
	static char buf[64];

	(void)snprintf(buf, sizeof(buf), "%s=%llu", name, (unsigned long long)value);
	return buf;
}

/* A line of a list of ranges. Static: good until the next call. */
static const char *span_line(uint64_t first_page, uint64_t pages)
{
	static char buf[64];

	(void)snprintf(buf, sizeof(buf), "%llu+%llu\n",
		       (unsigned long long)(first_page * PAGE),
		       (unsigned long long)(pages * PAGE));
	return buf;
}

static void wait_until_at_rest(struct inode *inode, const char *name)
{
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < 20000; i++) {
		get(inode, name);
		if (strncmp(answer, "queued", 6) && strncmp(answer, "running", 7))
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("still \"%s\"", answer);
}

/* ---- a kernel of the test's own ---- */

static struct mmapfs__sys fake;
static struct mmapfs__cachestat fake_counts;
static sem_t gate_entered, gate_open;
static atomic_int fake_error;

static void fake_begin(void)
{
	fake = mmapfs__sys_real;
	mmapfs__sys = &fake;
}

static void fake_end(void)
{
	mmapfs__sys = &mmapfs__sys_real;
}

static int cachestat_fixed(int fd, const struct mmapfs__cachestat_range *range,
			   struct mmapfs__cachestat *ret)
{
	(void)fd;
	(void)range;
	*ret = fake_counts;
	return 0;
}

static int cachestat_forbidden(int fd, const struct mmapfs__cachestat_range *range,
			       struct mmapfs__cachestat *ret)
{
	(void)fd;
	(void)range;
	(void)ret;
	return -EPERM;
}

/* As of a file that the caller may not look at. */
static int mincore_lying(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 1, (length + PAGE - 1) / PAGE);
	return 0;
}

/* Every second page; the single one that is asked for is the oracle's, which is not
 * there. */
static int mincore_alternating(void *addr, size_t length, unsigned char *vec)
{
	size_t pages = (length + PAGE - 1) / PAGE;

	(void)addr;
	for (size_t i = 0; i < pages; i++)
		vec[i] = pages > 1 && i % 2 == 0;
	return 0;
}

static int mincore_none(void *addr, size_t length, unsigned char *vec)
{
	(void)addr;
	memset(vec, 0, (length + PAGE - 1) / PAGE);
	return 0;
}

static int mincore_gated(void *addr, size_t length, unsigned char *vec)
{
	sem_post(&gate_entered);
	sem_wait(&gate_open);
	sem_post(&gate_open); /* for all that follow */
	return mmapfs__sys_real.mincore(addr, length, vec);
}

static int fdatasync_failing(int fd)
{
	int error = atomic_exchange(&fake_error, 0);

	return error ? error : mmapfs__sys_real.fdatasync(fd);
}

static int fstat_failing(int fd, struct stat *st)
{
	(void)fd;
	(void)st;
	return -EIO;
}

static void wait_at_gate(void *arg)
{
	(void)arg;
	sem_post(&gate_entered);
	sem_wait(&gate_open);
}

/* The only job thread is busy until sem_post(&gate_open). */
static void block_jobs(void)
{
	sem_init(&gate_entered, 0, 0);
	sem_init(&gate_open, 0, 0);
	assert_int_equal(workers_submit(fs.job_workers, wait_at_gate, NULL), 0);
	sem_wait(&gate_entered);
}

/* ---- names ---- */

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

/* ---- figures of a file ---- */

static void stat_of_a_resident_file_is_exact(void **state)
{
	struct inode *inode = make_file("resident", 10);
	void *held = hold_pages("resident", 10);

	(void)state;
	get(inode, "stat");
	assert_has(answer, key("size", 10 * PAGE));
	assert_has(answer, key("\npage_size", PAGE));
	assert_has(answer, "\npages=10\n");
	assert_has(answer, "\nresident=10\noccupied=10\ndirty=0\nwriteback=0\nevicted=0\n"
			   "locked=0\nadvice=normal\ndata_path=undecided\nmethod=");
	assert_has(answer, "\nconfidence=exact");
	assert_null(strstr(answer, "reason="));
	assert_string_equal(get(inode, "resident"), "10");
	assert_string_equal(get(inode, "dirty"), "0");
	assert_string_equal(get(inode, "map"), "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"
					       "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
	assert_string_equal(get(inode, "ranges"), span_line(0, 10));
	get(inode, "");
	assert_has(answer, "\nmap=@@@@@");
	assert_has(answer, "\nwarm=idle 0/0\nevict=idle\n");
	release_pages(held, 10);
	drop(inode);
}

static void figures_are_of_the_range_after_the_at(void **state)
{
	static const struct {
		uint64_t offset, length; /* length 0: to the end */
		const char *pages;
	} cases[] = {
		{ 0, 0, "10" },	     { 1, 1, "1" },	      { 4095, 2, "2" },
		{ 8192, 8192, "2" }, { 36864, 1 << 20, "1" }, { 40960, 0, "0" },
		{ 1 << 30, 5, "0" }, { 4096, 0, "9" },
	};
	struct inode *inode = make_file("at", 10);
	void *held = hold_pages("at", 10);
	char name[NAME_MAX_LENGTH];

	(void)state;
	assert_int_equal(PAGE, 4096); /* the table's */
	assert_int_equal(set(inode, "lock", "on"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const char *const names[] = { "pages", "resident", "locked" };

		for (size_t n = 0; n < 3; n++) {
			char word[MMAPFS_WORD_MAX];

			(void)snprintf(
				name, sizeof(name), "%s@%s", names[n],
				mmapfs_range_format(
					word, (struct mmapfs_range){ cases[i].offset,
								     cases[i].length }));
			assert_string_equal(get(inode, name), cases[i].pages);
		}
	}
	assert_int_equal(set(inode, "lock", "off"), 0);
	release_pages(held, 10);
	drop(inode);
}

static void counters_of_the_kernel_are_reported(void **state)
{
	struct inode *inode = make_file("counters", 10);
	void *held = hold_pages("counters", 10);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_fixed;
	fake_counts = (struct mmapfs__cachestat){
		.nr_cache = 10, .nr_dirty = 3, .nr_writeback = 2, .nr_evicted = 7
	};
	assert_string_equal(get(inode, "dirty"), "3");
	assert_string_equal(get(inode, "writeback"), "2");
	assert_string_equal(get(inode, "evicted"), "7");
	get(inode, "stat");
	assert_has(answer, "\ndirty=3\nwriteback=2\nevicted=7\n");
	fake_end();
	release_pages(held, 10);
	drop(inode);
}

static void what_cannot_be_known_is_never_a_number(void **state)
{
	struct inode *inode = make_file("hidden", 10);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_lying;
	get(inode, "stat");
	assert_has(answer, "\nresident=unknown\noccupied=unknown\ndirty=unknown\n");
	assert_has(answer, "\nconfidence=unknown\nreason=no-permission");
	assert_int_equal(get_error(inode, "resident"), -ENODATA);
	assert_int_equal(get_error(inode, "evicted"), -ENODATA);
	assert_int_equal(get_error(inode, "ranges"), -ENODATA);
	assert_int_equal(get_error(inode, "map"), -ENODATA);
	assert_string_equal(get(inode, "pages"), "10");
	get(inode, "");
	assert_has(answer, "resident=unknown");
	assert_null(strstr(answer, "map="));
	fake_end();
	drop(inode);
}

static void empty_file_has_figures_but_no_picture(void **state)
{
	struct inode *inode = make_file("no-bytes", 0);

	(void)state;
	assert_string_equal(get(inode, "pages"), "0");
	assert_string_equal(get(inode, "resident"), "0");
	assert_string_equal(get(inode, "ranges"), "");
	assert_int_equal(get_error(inode, "map"), -ENODATA);
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_int_equal(set(inode, "sync", "sync"), 0);
	assert_int_equal(set(inode, "advise", "willneed"), 0);
	drop(inode);
}

/* ---- ranges and map ---- */

static void ranges_are_cut_at_the_limit_and_continue(void **state)
{
	struct inode *inode = make_file("runs", 8);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_alternating;
	assert_string_equal(get(inode, "ranges"),
			    "0+4096\n8192+4096\n16384+4096\n24576+4096\n");
	assert_int_equal(get_within(inode, "ranges", 46), 0);
	assert_string_equal(answer, "0+4096\n8192+4096\n... 16384\n");
	assert_int_equal(get_within(inode, "ranges@16384-", 60), 0);
	assert_string_equal(answer, "16384+4096\n24576+4096\n");
	fake_end();
	drop(inode);
}

static void map_shows_shares(void **state)
{
	struct inode *inode = make_file("picture", 256);

	(void)state;
	fake_begin();
	fake.cachestat = cachestat_forbidden;
	fake.mincore = mincore_alternating;
	get(inode, "map"); /* four pages a cell, two of them resident */
	assert_string_equal(answer, "++++++++++++++++++++++++++++++++"
				    "++++++++++++++++++++++++++++++++");
	fake.mincore = mincore_none;
	get(inode, "map");
	assert_string_equal(answer, "................................"
				    "................................");
	fake_end();
	drop(inode);
}

/* ---- advise ---- */

static void state_advice_is_remembered(void **state)
{
	struct inode *inode = make_file("advised", 10);

	(void)state;
	assert_string_equal(get(inode, "advise"), "normal");
	assert_int_equal(set(inode, "advise", "MADV_RANDOM"), 0);
	assert_string_equal(get(inode, "advise"), "random");
	assert_int_equal(set(inode, "advise", "sequential 4K+8K"), 0);
	assert_string_equal(get(inode, "advise"), "random\nsequential 4K+8K");
	assert_int_equal(set(inode, "advise", "dontdump 4K+8K"), 0);
	assert_string_equal(get(inode, "advise"), "random\ndontdump 4K+8K");
	assert_int_equal(set(inode, "advise", "willneed"), 0);
	assert_int_equal(set(inode, "advise", "dontneed"), 0);
	assert_int_equal(set(inode, "advise", "populate-read 0+4K"), 0);
	assert_string_equal(get(inode, "advise"), "random\ndontdump 4K+8K");
	assert_has(get(inode, "stat"), "\nadvice=random\n");
	assert_int_equal(set(inode, "advise", "normal"), 0);
	assert_string_equal(get(inode, "advise"), "normal");
	drop(inode);
}

static void advice_for_parts_has_its_limit(void **state)
{
	struct inode *inode = make_file("parts", 40);
	char value[64];
	int r = 0, i;

	(void)state;
	for (i = 0; !r && i < 40; i++) {
		(void)snprintf(value, sizeof(value), "random %d", i * (int)PAGE);
		r = set(inode, "advise", value);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(i, 17);
	assert_true(strlen(get(inode, "advise")) <=
		    (size_t)ctl_get_bound(inode, full("advise")));
	drop(inode);
}

static void advice_reaches_the_view(void **state)
{
	struct inode *inode = make_file("advised-view", 4);
	struct view *view;
	volatile char sum = 0;

	(void)state;
	assert_int_equal(set(inode, "advise", "random"), 0);
	assert_int_equal(view_get(&fs, inode, &view), 0);
	for (uint64_t i = 0; i < 4; i++)
		sum += view_addr(view)[i * PAGE];
	(void)sum;
	assert_int_equal(set(inode, "advise", "sequential"), 0);
	assert_int_equal(set(inode, "advise", "dontneed"), 0);
	view_put(view);
	drop(inode);
}

/* ---- sync ---- */

static void sync_takes_each_level_and_a_range(void **state)
{
	struct inode *inode = make_file("synced", 4);

	(void)state;
	assert_int_equal(set(inode, "sync", "sync"), 0);
	assert_int_equal(set(inode, "sync", "async 4K+4K"), 0);
	assert_int_equal(set(inode, "sync", " invalidate  0- "), 0);
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_int_equal(set(inode, "sync", "invalidate"), -EBUSY);
	assert_int_equal(set(inode, "lock", "off"), 0);
	assert_int_equal(set(inode, "sync", "invalidate"), 0);
	drop(inode);
}

static void write_error_met_by_sync_reaches_handles_and_only_one_sync(void **state)
{
	struct inode *inode = make_file("lost", 4);
	uint32_t handle = region_sync_seen(inode);

	(void)state;
	fake_begin();
	fake.fdatasync = fdatasync_failing;
	atomic_store(&fake_error, -EIO);
	assert_int_equal(set(inode, "sync", "sync"), -EIO);
	assert_int_equal(set(inode, "sync", "sync"), 0);
	assert_int_equal(region_sync_report(inode, &handle), -EIO);
	assert_int_equal(region_sync_report(inode, &handle), 0);

	atomic_store(&fake_error, -ENOSPC);
	assert_int_equal(set(inode, "evict", "sync"), -ENOSPC);
	assert_int_equal(region_sync_report(inode, &handle), -ENOSPC);
	fake_end();
	drop(inode);
}

static void write_error_met_by_a_handle_reaches_sync_once(void **state)
{
	struct inode *inode = make_file("lost-too", 4);

	(void)state;
	region_sync_failed(inode, -ENOSPC);
	assert_int_equal(set(inode, "sync", "sync"), -ENOSPC);
	assert_int_equal(set(inode, "sync", "sync"), 0);
	drop(inode);
}

/* ---- warm ---- */

static void warm_reads_in_and_says_so(void **state)
{
	struct inode *inode = make_file("warmed", 10);
	void *held = hold_pages("warmed", 10);

	(void)state;
	assert_string_equal(get(inode, "warm"), "idle 0/0");
	assert_int_equal(set(inode, "warm", ""), 0);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "done 40960/40960");
	assert_int_equal(set(inode, "warm", "4K+8K"), 0);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "done 8192/8192");
	release_pages(held, 10);
	drop(inode);
}

static void second_warm_of_a_file_is_ebusy_and_a_full_queue_eagain(void **state)
{
	struct inode *one = make_file("queue-1", 1), *two = make_file("queue-2", 1);
	struct inode *three = make_file("queue-3", 1);

	(void)state;
	block_jobs();
	assert_int_equal(set(one, "warm", ""), 0);
	assert_string_equal(get(one, "warm"), "queued 0/0");
	assert_int_equal(set(one, "warm", ""), -EBUSY);
	assert_int_equal(set(two, "warm", ""), 0);
	assert_int_equal(set(three, "warm", ""), -EAGAIN);
	assert_string_equal(get(three, "warm"), "idle 0/0");
	sem_post(&gate_open);
	wait_until_at_rest(one, "warm");
	wait_until_at_rest(two, "warm");
	assert_int_equal(set(three, "warm", ""), 0);
	wait_until_at_rest(three, "warm");
	drop(one);
	drop(two);
	drop(three);
}

static void queued_warm_can_be_cancelled(void **state)
{
	struct inode *inode = make_file("cancel-queued", 4);

	(void)state;
	assert_int_equal(set(inode, "warm", "cancel"), 0); /* nothing to cancel */
	block_jobs();
	assert_int_equal(set(inode, "warm", ""), 0);
	assert_int_equal(set(inode, "warm", "cancel"), 0);
	sem_post(&gate_open);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "cancelled 0/0");
	drop(inode);
}

static void cancel_in_the_middle(struct inode *inode)
{
	sem_init(&gate_entered, 0, 0);
	sem_init(&gate_open, 0, 0);
	fake_begin();
	fake.mincore = mincore_gated;
	fake.cachestat = cachestat_forbidden;
	assert_int_equal(set(inode, "warm", ""), 0);
	sem_wait(&gate_entered);
	assert_int_equal(strncmp(get(inode, "warm"), "running ", 8), 0);
	assert_int_equal(set(inode, "warm", ""), -EBUSY);
	assert_int_equal(set(inode, "warm", "cancel"), 0);
	sem_post(&gate_open);
	wait_until_at_rest(inode, "warm");
	assert_int_equal(strncmp(answer, "cancelled ", 10), 0);
	fake_end();
}

static void running_warm_can_be_cancelled(void **state)
{
	struct inode *inode = make_file("cancel-running", 64);

	(void)state;
	cancel_in_the_middle(inode);
	drop(inode);
}

static void failed_warm_names_the_error(void **state)
{
	struct inode *inode = make_file("failing", 4);

	(void)state;
	fake_begin();
	fake.fstat = fstat_failing;
	assert_int_equal(set(inode, "warm", ""), 0);
	wait_until_at_rest(inode, "warm");
	assert_string_equal(answer, "failed 0/0 EIO at 0");
	fake_end();
	drop(inode);
}

static void warm_keeps_the_inode_when_the_kernel_forgets_it(void **state)
{
	struct inode *inode = make_file("forgotten", 4);
	uint64_t count = inode_count(fs.inodes);

	(void)state;
	block_jobs();
	assert_int_equal(set(inode, "warm", ""), 0);
	drop(inode);
	assert_int_equal(inode_count(fs.inodes), count);
	sem_post(&gate_open);
	for (int i = 0; i < 20000 && workers_depth(fs.job_workers); i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	assert_int_equal(inode_count(fs.inodes), count - 1);
}

/* ---- evict ---- */

static void evict_drops_pages_and_reports(void **state)
{
	struct inode *inode = make_file("evicted", 10);

	(void)state;
	assert_string_equal(get(inode, "evict"), "idle");
	assert_int_equal(set(inode, "evict", "sync"), 0);
	assert_has(get(inode, "evict"), " after=0");
	assert_int_equal(strncmp(answer, "before=", 7), 0);
	assert_string_equal(get(inode, "resident"), "0");
	drop(inode);
}

static void evict_says_why_pages_stayed(void **state)
{
	struct inode *inode = make_file("staying", 10);
	void *held = hold_pages("staying", 10);

	(void)state;
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), "before=10 after=10 mapped=10 reasons=");
	assert_int_equal(set(inode, "evict", "4K+8K"), 0);
	assert_has(get(inode, "evict"), "before=2 after=2 ");
	release_pages(held, 10);
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), "before=10 after=10 locked=10 reasons=");
	assert_int_equal(set(inode, "lock", "off"), 0);
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), "before=10 after=0");
	drop(inode);
}

static struct {
	struct inode *inode;
	uint64_t offset, length;
	int calls;
} invalidated;

static void note_invalidate(void *ctx, struct inode *inode, uint64_t offset,
			    uint64_t length)
{
	assert_ptr_equal(ctx, &invalidated);
	invalidated.inode = inode;
	invalidated.offset = offset;
	invalidated.length = length;
	invalidated.calls++;
}

static void evict_releases_the_own_view_and_invalidates_the_kernels_copy(void **state)
{
	struct inode *inode = make_file("viewed", 10);
	struct view *view;
	volatile char sum = 0;

	(void)state;
	invalidated.calls = 0;
	fs.invalidate = note_invalidate;
	fs.invalidate_ctx = &invalidated;
	assert_int_equal(view_get(&fs, inode, &view), 0);
	for (uint64_t i = 0; i < 10; i++)
		sum += view_addr(view)[i * PAGE];
	(void)sum;
	assert_int_equal(set(inode, "evict", ""), 0);
	assert_has(get(inode, "evict"), " after=0");
	/* Also when no path is chosen: the copy outlives the last close. */
	assert_int_equal(invalidated.calls, 1);
	inode->data_path = DATA_PATH_MAPPED;
	assert_int_equal(set(inode, "evict", "4K+8K"), 0);
	assert_int_equal(invalidated.calls, 2);
	assert_ptr_equal(invalidated.inode, inode);
	assert_int_equal(invalidated.offset, 4096);
	assert_int_equal(invalidated.length, 8192);
	assert_has(get(inode, "stat"), "\ndata_path=mapped\n");
	inode->data_path = DATA_PATH_UNDECIDED;
	fs.invalidate = NULL;
	view_put(view);
	drop(inode);
}

/* ---- lock ---- */

static void lock_reads_back_its_ranges(void **state)
{
	struct inode *inode = make_file("locked", 10);

	(void)state;
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(set(inode, "lock", "on 4K+8K"), 0);
	assert_string_equal(get(inode, "lock"), "4096+8192");
	assert_int_equal(set(inode, "lock", "on"), 0);
	assert_string_equal(get(inode, "lock"), "0+40960");
	assert_string_equal(get(inode, "locked"), "10");
	assert_has(get(inode, "stat"), "\nresident=10\n");
	assert_has(answer, "\nlocked=10\n");
	assert_int_equal(set(inode, "lock", "off 8K+4K"), 0);
	assert_string_equal(get(inode, "lock"), "0+8192\n12288+28672");
	assert_int_equal(atomic_load(&fs.locked_bytes), 9 * PAGE);
	assert_int_equal(set(inode, "lock", "off"), 0);
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(atomic_load(&fs.locked_bytes), 0);
	drop(inode);
}

static void lock_over_the_limit_is_enomem(void **state)
{
	struct inode *inode = make_file("too-large", 10);
	uint64_t limit = fs.lock_limit;

	(void)state;
	fs.lock_limit = 9 * PAGE;
	assert_int_equal(set(inode, "lock", "on"), -ENOMEM);
	assert_string_equal(get(inode, "lock"), "");
	assert_int_equal(set(inode, "lock", "on 4K-"), 0);
	assert_int_equal(set(inode, "lock", "on 4K-"), 0); /* needs nothing more */
	assert_int_equal(set(inode, "lock", "on"), -ENOMEM);
	assert_string_equal(get(inode, "lock"), "4096+36864");
	assert_int_equal(set(inode, "lock", "off"), 0);
	fs.lock_limit = limit;
	drop(inode);
}

static void lock_is_for_root_the_mounts_owner_and_the_files_owner(void **state)
{
	static const struct {
		uid_t uid;
		int result;
	} cases[] = { { 0, 0 }, { 1234, 0 }, { 4321, 0 }, { 1000, -EPERM } };
	struct inode *inode = make_file("owned", 2);
	struct ctl_caller who = { 0 };

	(void)state;
	assert_int_equal(chown(scratch_path("owned"), 4321, 4321), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		who.user.uid = cases[i].uid;
		assert_int_equal(ctl_set(&fs, inode, full("lock"), "on", 2, &who),
				 cases[i].result);
		assert_int_equal(ctl_set(&fs, inode, full("lock"), "off", 3, &who),
				 cases[i].result);
	}
	/* All else needs no more than the permission that the kernel has checked. */
	assert_int_equal(ctl_set(&fs, inode, full("sync"), "sync", 4, &who), 0);
	drop(inode);
}

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
		cmocka_unit_test(only_our_names_are_ours),
		cmocka_unit_test(what_cannot_be_read_says_why),
		cmocka_unit_test(what_cannot_be_written_says_why),
		cmocka_unit_test(values_with_nul_or_too_long_are_einval),
		cmocka_unit_test(list_names_only_what_reports),
		cmocka_unit_test(answers_stay_within_their_bounds),
		cmocka_unit_test(help_has_every_name_and_version_is_everywhere),
		cmocka_unit_test(long_work_is_told_from_short),
		cmocka_unit_test(stat_of_a_resident_file_is_exact),
		cmocka_unit_test(figures_are_of_the_range_after_the_at),
		cmocka_unit_test(counters_of_the_kernel_are_reported),
		cmocka_unit_test(what_cannot_be_known_is_never_a_number),
		cmocka_unit_test(empty_file_has_figures_but_no_picture),
		cmocka_unit_test(ranges_are_cut_at_the_limit_and_continue),
		cmocka_unit_test(map_shows_shares),
		cmocka_unit_test(state_advice_is_remembered),
		cmocka_unit_test(advice_for_parts_has_its_limit),
		cmocka_unit_test(advice_reaches_the_view),
		cmocka_unit_test(sync_takes_each_level_and_a_range),
		cmocka_unit_test(
			write_error_met_by_sync_reaches_handles_and_only_one_sync),
		cmocka_unit_test(write_error_met_by_a_handle_reaches_sync_once),
		cmocka_unit_test(warm_reads_in_and_says_so),
		cmocka_unit_test(second_warm_of_a_file_is_ebusy_and_a_full_queue_eagain),
		cmocka_unit_test(queued_warm_can_be_cancelled),
		cmocka_unit_test(running_warm_can_be_cancelled),
		cmocka_unit_test(failed_warm_names_the_error),
		cmocka_unit_test(warm_keeps_the_inode_when_the_kernel_forgets_it),
		cmocka_unit_test(evict_drops_pages_and_reports),
		cmocka_unit_test(evict_says_why_pages_stayed),
		cmocka_unit_test(
			evict_releases_the_own_view_and_invalidates_the_kernels_copy),
		cmocka_unit_test(lock_reads_back_its_ranges),
		cmocka_unit_test(lock_over_the_limit_is_enomem),
		cmocka_unit_test(lock_is_for_root_the_mounts_owner_and_the_files_owner),
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
