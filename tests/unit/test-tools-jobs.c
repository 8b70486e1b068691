/* SPDX-License-Identifier: MIT */
/* test-tools-jobs.c - every selected file once, in order, on any number of threads. */
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/macro.h"
#include "cmd.h"
#include "jobs.h"
#include "progress.h"

#define FILES 500

struct result {
	uint64_t size;
	uint64_t offset;
};

struct run_log {
	pthread_mutex_t mutex;
	unsigned int worked; /* under mutex */
	unsigned int delivered;
	unsigned int end_after; /* 0: never */
	char *names[4 * FILES];
	bool open_at_delivery;
};

static int work(void *ctx, struct target *target, struct mmapfs_range range, void *result)
{
	struct run_log *log = ctx;
	struct result *found = result;

	assert_true(target_fd(target) >= 0);
	assert_int_equal(found->size, 0);
	pthread_mutex_lock(&log->mutex);
	log->worked++;
	pthread_mutex_unlock(&log->mutex);
	found->offset = range.offset;
	return target_size(target, &found->size);
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	const struct result *found = result;
	struct run_log *log = ctx;

	assert_int_equal(error, 0);
	assert_int_equal(found->offset, range.offset);
	assert_int_equal(found->size, target->st.st_size);
	log->open_at_delivery = target_fd(target) >= 0;
	log->names[log->delivered++] = strdup(target->path);
	return log->end_after && log->delivered == log->end_after ? -EPIPE : 0;
}

static struct mmapfs_range ranges[] = { { 0, 4096 }, { 4096, 4096 } };
static char *operands[] = { scratch_dir };

static struct options options_for(unsigned int jobs)
{
	return (struct options){
		.select.max_size = UINT64_MAX,
		.ranges = ranges,
		.range_count = 1,
		.jobs = jobs,
		.progress_fd = -1,
		.operands = operands,
		.operand_count = 1,
	};
}

static void forget(struct run_log *log)
{
	for (unsigned int i = 0; i < log->delivered; i++)
		free(log->names[i]);
	*log = (struct run_log){ .mutex = PTHREAD_MUTEX_INITIALIZER };
}

static int setup(void **state)
{
	char name[40];

	if (scratch_setup(state) < 0)
		return -1;
	say_be_quiet();
	assert_int_equal(mkdir(scratch_path("d"), 0755), 0);
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), i % 2 ? "f%u" : "d/f%u", i);
		scratch_file(name, i);
	}
	return 0;
}

static void order_is_the_same_with_any_number_of_jobs(void **state)
{
	static const unsigned int jobs[] = { 1, 2, 3, 8 };
	struct run_log first = { .mutex = PTHREAD_MUTEX_INITIALIZER };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(jobs); i++) {
		const struct jobs_ops ops = { .result_size = sizeof(struct result),
					      .work = work, .deliver = deliver,
					      .quick = i % 2 };
		struct run_log log = { .mutex = PTHREAD_MUTEX_INITIALIZER };
		struct options options = options_for(jobs[i / 2]);
		struct tally tally = { 0 };

		assert_int_equal(jobs_run(&options, &ops, &log, NULL, &tally), 0);
		assert_int_equal(tally.files, FILES);
		assert_int_equal(log.worked, FILES);
		assert_int_equal(log.delivered, FILES);
		assert_false(log.open_at_delivery);
		if (i == 0) {
			first = log;
			continue;
		}
		for (unsigned int k = 0; k < FILES; k++)
			assert_string_equal(log.names[k], first.names[k]);
		forget(&log);
	}
	forget(&first);
}

static void each_range_is_delivered(void **state)
{
	const struct jobs_ops ops = { .result_size = sizeof(struct result), .work = work,
				      .deliver = deliver, .quick = true, .keep_open = true };
	struct run_log log = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	struct options options = options_for(2);
	struct tally tally = { 0 };

	(void)state;
	options.range_count = 2;
	assert_int_equal(jobs_run(&options, &ops, &log, NULL, &tally), 0);
	assert_int_equal(tally.files, FILES);
	assert_int_equal(log.delivered, 2 * FILES);
	assert_string_equal(log.names[0], log.names[1]);
	assert_true(log.open_at_delivery);
	forget(&log);
}

static void deliver_can_end_the_run(void **state)
{
	static const unsigned int jobs[] = { 1, 4 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		const struct jobs_ops ops = { .result_size = sizeof(struct result),
					      .work = work, .deliver = deliver, .quick = i };
		struct run_log log = { .mutex = PTHREAD_MUTEX_INITIALIZER, .end_after = 3 };
		struct options options = options_for(jobs[i]);
		struct tally tally = { 0 };

		assert_int_equal(jobs_run(&options, &ops, &log, NULL, &tally), -EPIPE);
		assert_int_equal(log.delivered, 3);
		forget(&log);
	}
}

static int count_only(void *ctx, struct target *target, struct mmapfs_range range, int error,
		      void *result)
{
	unsigned int *count = ctx;

	(void)range;
	(void)result;
	assert_int_equal(error, 0);
	assert_true(target_fd(target) >= 0);
	++*count;
	return 0;
}

struct sum {
	uint64_t files, bytes;
};

struct add_log {
	struct sum sum;
	unsigned int sums;
	unsigned int end_after; /* 0: never */
};

/* Odd files cannot be worked on. */
static int work_on_even(void *ctx, struct target *target, struct mmapfs_range range,
			void *result)
{
	struct result *found = result;

	(void)ctx;
	(void)range;
	assert_int_equal(found->size, 0);
	found->size = (uint64_t)target->st.st_size;
	return found->size % 2 ? -EIO : 0;
}

static void add(void *ctx, struct mmapfs_range range, const void *result, void *sum)
{
	const struct result *found = result;
	struct sum *to = sum;

	(void)ctx;
	(void)range;
	to->files++;
	to->bytes += found->size;
}

static int deliver_sum(void *ctx, const void *sum)
{
	const struct sum *from = sum;
	struct add_log *log = ctx;

	log->sums++;
	log->sum.files += from->files;
	log->sum.bytes += from->bytes;
	return log->sums == log->end_after ? -EPIPE : 0;
}

static const struct jobs_ops add_ops = {
	.result_size = sizeof(struct result),
	.work = work_on_even,
	.quick = true,
	.verb = "weigh",
	.add = add,
	.deliver_sum = deliver_sum,
	.sum_size = sizeof(struct sum),
};

static void hard_links_count_once_unless_asked(void **state)
{
	static const struct {
		bool count_links;
		unsigned int jobs, want;
	} rows[] = { { false, 1, 1 }, { false, 3, 1 }, { true, 1, 3 }, { true, 2, 3 } };
	const struct jobs_ops ops = { .deliver = count_only };
	char from[600], to[300];
	struct add_log log;
	char *dir[] = { from };

	(void)state;
	assert_int_equal(mkdir(scratch_path("links"), 0755), 0);
	snprintf(from, sizeof(from), "%s", scratch_file("links/a", 2));
	for (char c = 'b'; c <= 'c'; c++) {
		snprintf(to, sizeof(to), "%s/links/%c", scratch_dir, c);
		assert_int_equal(link(from, to), 0);
	}
	snprintf(from, sizeof(from), "%s/links", scratch_dir);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct options options = options_for(rows[i].jobs);
		struct tally tally = { 0 };
		unsigned int count = 0;

		options.operands = dir;
		options.select.count_links = rows[i].count_links;
		assert_int_equal(jobs_run(&options, &ops, &count, NULL, &tally), 0);
		assert_int_equal(count, rows[i].want);
		assert_int_equal(tally.files, rows[i].want);
		log = (struct add_log){ 0 };
		assert_int_equal(jobs_run(&options, &add_ops, &log, NULL, &tally), 0);
		assert_int_equal(log.sum.files, rows[i].want);
	}
}

static void sums_are_the_same_with_any_number_of_jobs(void **state)
{
	static const unsigned int jobs[] = { 1, 2, 3, 8 };
	uint64_t bytes = 0;

	(void)state;
	for (unsigned int i = 0; i < FILES; i += 2)
		bytes += i;
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		struct options options = options_for(jobs[i]);
		struct tally tally = { 0 };
		struct add_log log = { 0 };

		assert_int_equal(jobs_run(&options, &add_ops, &log, NULL, &tally), 0);
		assert_int_equal(log.sum.files, FILES / 2);
		assert_int_equal(log.sum.bytes, bytes);
		assert_true(log.sums < FILES / 4);
		assert_int_equal(tally.files, FILES);
		assert_int_equal(tally.failed, FILES / 2);
	}
}

static void deliver_sum_can_end_the_run(void **state)
{
	struct options options = options_for(2);
	struct add_log log = { .end_after = 2 };
	struct tally tally = { 0 };

	(void)state;
	assert_int_equal(jobs_run(&options, &add_ops, &log, NULL, &tally), -EPIPE);
	assert_int_equal(log.sums, 2);
}

static void failures_and_skips_are_counted(void **state)
{
	static char null[] = "/dev/null", none[] = "/nonexistent";
	const struct jobs_ops ops = { .deliver = count_only };
	char *both[] = { null, none };
	struct options options = options_for(1);
	struct tally tally = { 0 };
	unsigned int count = 0;

	(void)state;
	options.operands = both;
	options.operand_count = 2;
	assert_int_equal(jobs_run(&options, &ops, &count, NULL, &tally), 0);
	assert_int_equal(tally.failed, 1);
	assert_int_equal(tally.skipped, 1);
	assert_int_equal(tally.files, 0);
}

/* A file in each of very many directories, which all of its batch keep open. */
static void few_descriptors_are_enough(void **state)
{
	static const unsigned int jobs[] = { 1, 4 };
	static const struct rlimit few = { 64, 64 };
	const struct jobs_ops ops = { .result_size = sizeof(struct result), .work = work,
				      .deliver = deliver, .quick = true };
	char path[300], name[40];
	char *dir[] = { path };

	(void)state;
	assert_int_equal(mkdir(scratch_path("many"), 0755), 0);
	for (unsigned int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "many/%u", i);
		assert_int_equal(mkdir(scratch_path(name), 0755), 0);
		snprintf(name, sizeof(name), "many/%u/f", i);
		scratch_file(name, i);
	}
	snprintf(path, sizeof(path), "%s/many", scratch_dir);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		struct run_log log = { .mutex = PTHREAD_MUTEX_INITIALIZER };
		struct options options = options_for(jobs[i]);
		struct tally tally = { 0 };

		options.operands = dir;
		assert_int_equal(jobs_run(&options, &ops, &log, NULL, &tally), 0);
		assert_int_equal(tally.failed, 0);
		assert_int_equal(log.delivered, 400);
		forget(&log);
	}
}

static void exit_codes_follow_from_the_tally(void **state)
{
	static const struct {
		struct tally tally;
		int code;
	} rows[] = {
		{ { .files = 0 }, CODE_DONE },
		{ { .files = 3 }, CODE_DONE },
		{ { .files = 3, .skipped = 1 }, CODE_DONE },
		{ { .skipped = 1 }, CODE_UNKNOWN },
		{ { .files = 3, .unknown = 2 }, CODE_DONE },
		{ { .files = 3, .unknown = 3 }, CODE_UNKNOWN },
		{ { .files = 3, .failed = 1 }, CODE_SOME_FAILED },
		{ { .failed = 1 }, CODE_SOME_FAILED },
		{ { .files = 3, .incomplete = 1 }, CODE_INCOMPLETE },
		{ { .files = 3, .incomplete = 1, .failed = 1 }, CODE_SOME_FAILED },
		{ { .files = 3, .failed = 1, .interrupted = true }, CODE_INTERRUPTED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(tally_exit_code(&rows[i].tally), rows[i].code);
}

/* Last: the flag stays up. */
static void a_signal_ends_the_run_with_what_is_done(void **state)
{
	const struct jobs_ops ops = { .result_size = sizeof(struct result), .work = work,
				      .deliver = deliver };
	struct run_log log = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	struct options options = options_for(2);
	struct tally tally = { 0 };

	(void)state;
	interrupt_catch();
	assert_int_equal(raise(SIGTERM), 0);
	assert_true(interrupted());
	assert_int_equal(interrupt_signal(), SIGTERM);
	assert_int_equal(jobs_run(&options, &ops, &log, NULL, &tally), 0);
	assert_true(tally.interrupted);
	assert_int_equal(log.delivered, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_the_same_with_any_number_of_jobs),
		cmocka_unit_test(each_range_is_delivered),
		cmocka_unit_test(deliver_can_end_the_run),
		cmocka_unit_test(sums_are_the_same_with_any_number_of_jobs),
		cmocka_unit_test(deliver_sum_can_end_the_run),
		cmocka_unit_test(hard_links_count_once_unless_asked),
		cmocka_unit_test(failures_and_skips_are_counted),
		cmocka_unit_test(few_descriptors_are_enough),
		cmocka_unit_test(exit_codes_follow_from_the_tally),
		cmocka_unit_test(a_signal_ends_the_run_with_what_is_done),
	};

	return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
