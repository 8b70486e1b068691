/* SPDX-License-Identifier: MIT */
/* test-tools-descriptors.c - closing many at once, and a table of a thread's own. */
#include "scratch.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/macro.h"
#include "descriptors.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void exactly_the_listed_are_closed(void **state)
{
	static const struct {
		const char *listed; /* digits: which of ten, in this order */
	} rows[] = { { "" }, { "5" }, { "0123456789" }, { "9876543210" }, { "2741" }, { "90" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t count = strlen(rows[i].listed);
		int fds[10], list[10];

		for (size_t k = 0; k < ARRAY_SIZE(fds); k++)
			fds[k] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		for (size_t k = 0; k < count; k++)
			list[k] = fds[rows[i].listed[k] - '0'];
		descriptors_close(list, count);
		for (size_t k = 0; k < ARRAY_SIZE(fds); k++) {
			char digit[] = { (char)('0' + k), 0 };

			assert_int_equal(is_open(fds[k]), !strstr(rows[i].listed, digit));
			if (is_open(fds[k]))
				close(fds[k]);
		}
	}
}

/* What a thread found, for the test's own thread to judge. */
struct finding {
	int ours;  /* opened by the process's first thread after the other one had begun */
	bool own;  /* the table is */
	int error; /* of borrowing it */
	ino_t ino;
	bool same_number;
	pthread_barrier_t begun, opened;
};

static void *look(void *arg)
{
	struct finding *found = arg;
	struct own_descriptors own;
	struct stat st = { 0 };
	int fd;

	own_descriptors_begin(&own);
	found->own = own.process >= 0;
	pthread_barrier_wait(&found->begun);
	pthread_barrier_wait(&found->opened);
	fd = own_descriptors_borrow(&own, found->ours);
	found->error = fd < 0 ? fd : 0;
	if (fstat(fd, &st) == 0)
		found->ino = st.st_ino;
	found->same_number = fd == found->ours;
	own_descriptors_return(&own, fd);
	if (found->own)
		(void)close_range(0, ~0U, 0);
	else
		own_descriptors_end(&own);
	return NULL;
}

/* Run look() in a thread that begins with @prepare. */
static struct finding look_from_a_thread(void *(*thread)(void *))
{
	struct finding found = { .error = 1 };
	struct stat st;
	pthread_t id;

	pthread_barrier_init(&found.begun, NULL, 2);
	pthread_barrier_init(&found.opened, NULL, 2);
	assert_int_equal(pthread_create(&id, NULL, thread, &found), 0);
	pthread_barrier_wait(&found.begun);
	found.ours = open(scratch_dir, O_PATH | O_CLOEXEC);
	assert_true(found.ours >= 0);
	pthread_barrier_wait(&found.opened);
	assert_int_equal(pthread_join(id, NULL), 0);
	pthread_barrier_destroy(&found.begun);
	pthread_barrier_destroy(&found.opened);

	assert_int_equal(found.error, 0);
	assert_int_equal(fstat(found.ours, &st), 0); /* still ours, and open */
	assert_int_equal(found.ino, st.st_ino);
	close(found.ours);
	return found;
}

static void a_thread_has_its_own_and_borrows_ours(void **state)
{
	struct finding found = look_from_a_thread(look);

	(void)state;
	if (!found.own)
		skip(); /* not allowed here */
	assert_true(is_open(0)); /* it closed all of its own */
}

/* Let pidfd_getfd(2) be EPERM in the calling thread, as some containers do. */
static void forbid_pidfd_getfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_getfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void *look_where_it_is_forbidden(void *arg)
{
	forbid_pidfd_getfd();
	return look(arg);
}

static void where_it_is_forbidden_the_table_stays_shared(void **state)
{
	struct finding found = look_from_a_thread(look_where_it_is_forbidden);

	(void)state;
	assert_false(found.own);
	assert_true(found.same_number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_the_listed_are_closed),
		cmocka_unit_test(a_thread_has_its_own_and_borrows_ours),
		cmocka_unit_test(where_it_is_forbidden_the_table_stays_shared),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
