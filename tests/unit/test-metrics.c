/* SPDX-License-Identifier: MIT */
/* test-metrics.c - the counters, where they are counted, and their text. */
#include "metrics.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>

#include "ctl.h"
#include "fs-fixture.h"
#include "region_state.h"

static char answer[METRICS_TEXT_MAX + 1];

static const char *print(void)
{
	struct ctl_text text = { 0 };

	assert_int_equal(metrics_print(&fs, &text), 0);
	assert_in_range(text.length, 1, METRICS_TEXT_MAX);
	memcpy(answer, text.data, text.length);
	answer[text.length] = 0;
	ctl_text_free(&text);
	return answer;
}

/* The value of the line that begins with @series and a blank; -1: there is none. */
static int64_t sample(const char *series)
{
	const char *line = print();
	size_t length = strlen(series);

	for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, series, length) && line[length] == ' ')
			return (int64_t)strtoull(line + length, NULL, 10);
	return -1;
}

static void forget_all(void)
{
	memset((void *)&fs.metrics, 0, sizeof(fs.metrics));
}

/* ---- counting ---- */

static void counts_arrive_at_their_label(void **state)
{
	(void)state;
	metrics_add(&fs.metrics, METRIC_OPENS + DATA_PATH_MAPPED - 1, 3);
	metrics_add(&fs.metrics, METRIC_STAYED + MMAPFS_STAY_DIRTY, 5);
	metrics_add(&fs.metrics, METRIC_WARMED, 7);
	assert_int_equal(sample("mmapfs_opens_total{data_path=\"mapped\"}"), 3);
	assert_int_equal(sample("mmapfs_opens_total{data_path=\"passthrough\"}"), 0);
	assert_int_equal(sample("mmapfs_evict_stayed_pages_total{reason=\"dirty\"}"), 5);
	assert_int_equal(sample("mmapfs_evict_stayed_pages_total{reason=\"locked\"}"), 0);
	assert_int_equal(sample("mmapfs_warmed_pages_total"), 7);
}

static void kinds_without_a_name_are_other(void **state)
{
	static const struct {
		uint32_t opcode;
		const char *name;
	} cases[] = {
		{ 1, "lookup" }, { 53, "copy_file_range_64" }, { 0, "other" }, { 7, "other" },
		{ 54, "other" }, { METRIC_OPCODES, "other" },  { UINT32_MAX, "other" },
	};
	char series[80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forget_all();
		metrics_add_request(&fs.metrics, cases[i].opcode);
		(void)snprintf(series, sizeof(series), "mmapfs_requests_total{opcode=\"%s\"}",
			       cases[i].name);
		if (sample(series) != 1)
			fail_msg("%u is not counted as %s", cases[i].opcode, cases[i].name);
	}
}

static void errors_without_a_name_are_other(void **state)
{
	static const struct {
		int error;
		const char *name;
	} cases[] = {
		{ -EIO, "EIO" }, { EIO, "EIO" },	{ -EHWPOISON, "EHWPOISON" },
		{ 41, "other" }, { -512, "other" },	{ METRIC_ERRNOS, "other" },
		{ 0, "other" },	 { INT32_MIN, "other" },
	};
	char series[80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forget_all();
		assert_int_equal(sample("mmapfs_errors_total{errno=\"other\"}"), -1);
		metrics_add_error(&fs.metrics, cases[i].error);
		(void)snprintf(series, sizeof(series), "mmapfs_errors_total{errno=\"%s\"}",
			       cases[i].name);
		if (sample(series) != 1)
			fail_msg("%d is not counted as %s", cases[i].error, cases[i].name);
	}
}

/* Whatever is counted is somewhere in the text. */
static void no_slot_is_left_out(void **state)
{
	char *zero;

	(void)state;
	forget_all();
	zero = strdup(print());
	for (unsigned int slot = 0; slot < METRIC_SLOTS; slot++) {
		bool nameless = false;

		forget_all();
		metrics_add(&fs.metrics, slot, 1);
		if (slot >= METRIC_REQUESTS && slot < METRIC_ERRORS) {
			struct metrics other = { 0 };

			metrics_add_request(&other, slot - METRIC_REQUESTS);
			nameless = !metrics_value(&other, slot);
		} else if (slot > METRIC_ERRORS && slot < METRIC_TIME) {
			nameless = !mmapfs_errno_name((int)(slot - METRIC_ERRORS));
		}
		if (nameless == (strcmp(print(), zero) != 0))
			fail_msg("slot %u", slot);
	}
	free(zero);
}

static void gauges_are_left_out_until_they_are_known(void **state)
{
	(void)state;
	assert_null(strstr(print(), "mmapfs_budget_bytes"));
	metrics_set(&fs.metrics, METRIC_BUDGET, 0);
	assert_int_equal(sample("mmapfs_budget_bytes"), 0);
	metrics_set(&fs.metrics, METRIC_BUDGET, 1u << 30);
	assert_int_equal(sample("mmapfs_budget_bytes"), 1u << 30);
	metrics_set(&fs.metrics, METRIC_BUDGET, METRIC_UNKNOWN);
	assert_null(strstr(print(), "mmapfs_budget_bytes"));
}

/* ---- the histogram ---- */

static void times_fall_into_the_bucket_that_bounds_them(void **state)
{
	static const struct {
		uint64_t ns;
		const char *below, *bucket; /* below it none, from it on one */
	} cases[] = {
		{ 0, NULL, "1e-05" },
		{ 10000, NULL, "1e-05" },
		{ 10001, "1e-05", "2.5e-05" },
		{ 1000000, "0.0005", "0.001" },
		{ 10000000000, "2.5", "10" },
		{ 10000000001, "10", "+Inf" },
		{ UINT64_MAX, "10", "+Inf" },
	};
	char series[80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forget_all();
		metrics_add_time(&fs.metrics, cases[i].ns);
		(void)snprintf(series, sizeof(series),
			       "mmapfs_request_duration_seconds_bucket{le=\"%s\"}",
			       cases[i].bucket);
		assert_int_equal(sample(series), 1);
		if (!cases[i].below)
			continue;
		(void)snprintf(series, sizeof(series),
			       "mmapfs_request_duration_seconds_bucket{le=\"%s\"}",
			       cases[i].below);
		assert_int_equal(sample(series), 0);
	}
}

static void the_histogram_adds_up(void **state)
{
	static const char head[] = "mmapfs_request_duration_seconds";
	int64_t last = 0;

	(void)state;
	for (uint64_t ns = 1; ns < 100000000000; ns *= 3)
		metrics_add_time(&fs.metrics, ns);
	print();
	for (char *line = strstr(answer, "_bucket"); line; line = strstr(line + 1, "_bucket")) {
		int64_t count = strtoll(strchr(line, ' '), NULL, 10);

		assert_true(count >= last);
		last = count;
	}
	assert_int_equal(last, 24);
	assert_non_null(strstr(answer, "_bucket{le=\"+Inf\"} 24\n"));
	assert_int_equal(sample("mmapfs_request_duration_seconds_count"), 24);
	/* (3^24 - 1) / 2 ns, to the last digit. */
	assert_non_null(strstr(print(), "mmapfs_request_duration_seconds_sum 141.214768240\n"));
	assert_non_null(strstr(answer, head));
}

/* ---- the text ---- */

static size_t name_length(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz_");

	assert_true(!strncmp(text, "mmapfs_", 7));
	return length;
}

/* "name 1" or "name{label="value"} 1", of the family @name. */
static void check_sample(const char *line, const char *name)
{
	size_t length = name_length(line);
	char *end;

	assert_memory_equal(line, name, strlen(name));
	line += length;
	if (*line == '{') {
		line++;
		line += strspn(line, "abcdefghijklmnopqrstuvwxyz_");
		assert_memory_equal(line, "=\"", 2);
		line += 2;
		line += strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789_-+.");
		assert_memory_equal(line, "\"}", 2);
		line += 2;
	}
	assert_int_equal(*line, ' ');
	assert_true(isdigit(line[1]));
	(void)strtod(line, &end);
	assert_int_equal(*end, 0);
}

/* "# TYPE name type": the names of counters end in _total, and only theirs. */
static void check_type(const char *line, const char *name)
{
	bool total = strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total");
	const char *type = line + strlen("# TYPE ") + strlen(name) + 1;

	assert_memory_equal(line + strlen("# TYPE "), name, strlen(name));
	assert_int_equal(!strcmp(type, "counter"), total);
	assert_true(total || !strcmp(type, "gauge") || !strcmp(type, "histogram"));
}

static void every_family_is_help_type_and_samples(void **state)
{
	char name[64] = "", *save = NULL, *line;
	char seen[4096] = " ";
	int samples = 1;

	(void)state;
	print();
	for (line = strtok_r(answer, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "# HELP ", 7) != 0) {
			check_sample(line, name);
			samples++;
			continue;
		}
		assert_true(samples > 0);
		samples = 0;
		(void)snprintf(name, sizeof(name), "%.*s ", (int)name_length(line + 7), line + 7);
		assert_null(strstr(seen, name));
		(void)strcat(seen, name);
		name[strlen(name) - 1] = 0;
		assert_int_equal(line[strlen(line) - 1], '.');
		line = strtok_r(NULL, "\n", &save);
		check_type(line, name);
	}
	assert_true(samples > 0);
}

static void all_labels_at_their_largest_fit_into_an_attribute(void **state)
{
	(void)state;
	for (unsigned int slot = 0; slot < METRIC_SLOTS; slot++)
		atomic_store(&fs.metrics.shard[0].slot[slot], UINT64_MAX);
	for (unsigned int slot = METRIC_START_TIME; slot <= METRIC_BUDGET_USED; slot++)
		metrics_set(&fs.metrics, slot, UINT64_MAX - 1);
	fs.lock_limit = UINT64_MAX - 1;
	print();
	assert_int_equal(sample("mmapfs_budget_bytes"), (int64_t)(UINT64_MAX - 1));
	assert_int_equal(sample("mmapfs_errors_total{errno=\"EHWPOISON\"}"), -1);
	assert_non_null(strstr(answer, "{errno=\"EHWPOISON\"} 18446744073709551615\n"));
}

static void it_is_the_roots_alone(void **state)
{
	const struct ctl_caller caller = { .user = { .uid = 0 } };
	struct ctl_text text = { 0 };
	struct inode *dir, *file = make_file("file", 1);

	(void)state;
	assert_int_equal(mkdir(scratch_path("dir"), 0755), 0);
	dir = inode_of("dir");
	assert_int_equal(ctl_get(&fs, inode_root(fs.inodes), "user.mmapfs.metrics", &caller,
				 &text),
			 0);
	assert_non_null(strstr(text.data, "mmapfs_inodes 3\n"));
	ctl_text_free(&text);
	assert_int_equal(ctl_get(&fs, dir, "user.mmapfs.metrics", &caller, &text), -ENODATA);
	assert_int_equal(ctl_get(&fs, file, "user.mmapfs.metrics", &caller, &text), -ENODATA);
	assert_int_equal(ctl_get_bound(inode_root(fs.inodes), "user.mmapfs.metrics"),
			 METRICS_TEXT_MAX);
	assert_int_equal(ctl_get_bound(dir, "user.mmapfs.metrics"), -ENODATA);
	assert_false(ctl_get_is_long(inode_root(fs.inodes), "user.mmapfs.metrics"));
	assert_int_equal(ctl_set(&fs, inode_root(fs.inodes), "user.mmapfs.metrics", "1", 1,
				 &caller),
			 -EOPNOTSUPP);
	drop(dir);
	drop(file);
}

/* ---- where it is counted ---- */

static void set(struct inode *inode, const char *name, const char *value)
{
	const struct ctl_caller caller = { .user = { .uid = 0 } };
	char full[64];

	(void)snprintf(full, sizeof(full), "user.mmapfs.%s", name);
	assert_int_equal(ctl_set(&fs, inode, full, value, strlen(value), &caller), 0);
}

static uint64_t value(unsigned int metric)
{
	return metrics_value(&fs.metrics, metric);
}

static uint64_t stayed(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < MMAPFS_STAY_COUNT; i++)
		sum += value(METRIC_STAYED + i);
	return sum;
}

static struct evict_sums last_evict(struct inode *inode)
{
	return region_of(inode)->evict;
}

static void evicted_pages_and_those_that_stayed_are_counted(void **state)
{
	struct inode *inode = make_file("file", 8);
	void *held = hold_pages("file", 8);

	(void)state;
	set(inode, "evict", "");
	assert_int_equal(value(METRIC_EVICTED), 0);
	assert_int_equal(stayed(), 8);
	assert_int_equal(value(METRIC_STAYED + MMAPFS_STAY_MAPPED), 8);
	release_pages(held, 8);
	set(inode, "evict", "");
	assert_int_equal(value(METRIC_EVICTED), last_evict(inode).before);
	assert_int_equal(last_evict(inode).after, 0);
	assert_int_equal(stayed(), 8);
	drop(inode);
}

static void locked_pages_are_counted_once(void **state)
{
	struct inode *inode = make_file("file", 8);

	(void)state;
	set(inode, "lock", "on 0");
	assert_int_equal(value(METRIC_LOCKED), 1);
	set(inode, "lock", "on");
	assert_int_equal(value(METRIC_LOCKED), 8);
	assert_int_equal(sample("mmapfs_locked_bytes"), 8 * PAGE);
	set(inode, "lock", "off");
	assert_int_equal(value(METRIC_LOCKED), 8);
	assert_int_equal(sample("mmapfs_locked_bytes"), 0);
	drop(inode);
}

static void a_lock_over_the_limit_counts_nothing(void **state)
{
	const struct ctl_caller caller = { .user = { .uid = 0 } };
	struct inode *inode = make_file("file", 8);

	(void)state;
	fs.lock_limit = PAGE;
	assert_int_equal(ctl_set(&fs, inode, "user.mmapfs.lock", "on", 2, &caller), -ENOMEM);
	assert_int_equal(value(METRIC_LOCKED), 0);
	drop(inode);
}

/* The only job thread is done with it when the pool has ended. */
static void warmed_pages_are_counted(void **state)
{
	struct inode *inode = make_file("file", 8);
	int fd = open(scratch_path("file"), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
	assert_int_equal(sample("mmapfs_queue_depth{pool=\"request\"}"), -1);
	set(inode, "warm", "");
	assert_in_range(sample("mmapfs_queue_depth{pool=\"job\"}"), 0, 1);
	fs.job_workers = workers_stop(fs.job_workers);
	assert_int_equal(value(METRIC_WARMED), 8);
	drop(inode);
}

static void wait_for(void *semaphore)
{
	assert_int_equal(sem_wait(semaphore), 0);
}

static void what_waits_and_what_runs_is_the_depth_of_the_queue(void **state)
{
	sem_t semaphore;

	(void)state;
	assert_int_equal(sem_init(&semaphore, 0, 0), 0);
	assert_int_equal(sample("mmapfs_queue_depth{pool=\"job\"}"), 0);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(workers_submit(fs.job_workers, wait_for, &semaphore), 0);
		assert_int_equal(sample("mmapfs_queue_depth{pool=\"job\"}"), i);
	}
	assert_int_equal(sem_post(&semaphore), 0);
	assert_int_equal(sem_post(&semaphore), 0);
	fs.job_workers = workers_stop(fs.job_workers);
	assert_int_equal(sample("mmapfs_queue_depth{pool=\"job\"}"), -1);
	assert_int_equal(sem_destroy(&semaphore), 0);
}

/* ---- threads ---- */

#define THREADS 24 /* more than there are shards */
#define ROUNDS 20000

static void *count_many(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		metrics_add_request(&fs.metrics, 3);
		metrics_add_time(&fs.metrics, i);
	}
	return NULL;
}

static void nothing_is_lost_and_nothing_goes_back_with_many_threads(void **state)
{
	pthread_t threads[THREADS];
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
	while (last < ROUNDS) {
		uint64_t now = (uint64_t)sample("mmapfs_requests_total{opcode=\"getattr\"}");

		assert_true(now >= last);
		last = now;
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(sample("mmapfs_requests_total{opcode=\"getattr\"}"), THREADS * ROUNDS);
	assert_int_equal(sample("mmapfs_request_duration_seconds_count"), THREADS * ROUNDS);
	assert_int_equal(value(METRIC_TIME_SUM), (uint64_t)THREADS * ROUNDS * (ROUNDS - 1) / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)
		T(counts_arrive_at_their_label),
		T(kinds_without_a_name_are_other),
		T(errors_without_a_name_are_other),
		T(no_slot_is_left_out),
		T(gauges_are_left_out_until_they_are_known),
		T(times_fall_into_the_bucket_that_bounds_them),
		T(the_histogram_adds_up),
		T(every_family_is_help_type_and_samples),
		T(all_labels_at_their_largest_fit_into_an_attribute),
		T(it_is_the_roots_alone),
		T(evicted_pages_and_those_that_stayed_are_counted),
		T(locked_pages_are_counted_once),
		T(a_lock_over_the_limit_counts_nothing),
		T(warmed_pages_are_counted),
		T(what_waits_and_what_runs_is_the_depth_of_the_queue),
		T(nothing_is_lost_and_nothing_goes_back_with_many_threads),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
