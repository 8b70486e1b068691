/* SPDX-License-Identifier: MIT */
/*
 * test-guard.c - SIGBUS inside a guard, and everybody else's SIGBUS passed on.
 *
 * What happens outside a guard is tried in children that are forked before this process
 * has used a guard, for the handler that was there before is remembered at the first use.
 */
#include <mmapfs.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "scratch.h"
#include "sigbus.h"

/* Memory that raises SIGBUS: a page of a file that was truncated. */
static volatile char *lost_page;

static int make_lost_page(void **state)
{
	int fd;

	if (scratch_setup(state) < 0)
		return -1;
	fd = open(scratch_file("lost", 4096), O_RDWR | O_CLOEXEC);
	lost_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (lost_page == MAP_FAILED || ftruncate(fd, 0) < 0)
		return -1;
	return close(fd);
}

static int return_arg(void *arg)
{
	return *(int *)arg;
}

static int touch(void *arg)
{
	if (arg)
		*(bool *)arg = true;
	return *lost_page + 1000;
}

static int store(void *arg)
{
	(void)arg;
	*lost_page = 1;
	return 1000;
}

/* ---- in children ---- */

static volatile sig_atomic_t handled;
static volatile sig_atomic_t blocked_usr1;

static void count_and_exit(int sig)
{
	sigset_t mask;

	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	blocked_usr1 = sigismember(&mask, SIGUSR1) && sigismember(&mask, sig);
	_exit(blocked_usr1 ? 40 : 41);
}

static void count(int sig, siginfo_t *info, void *context)
{
	(void)context;
	handled = sig == SIGBUS && info->si_pid == getpid() ? handled + 1 : -1;
}

static void guard_once(void)
{
	if (mmapfs_guard_call(touch, NULL) != -EFAULT)
		_exit(99);
}

static void set_handler(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaddset(&action.sa_mask, SIGUSR1);
	(void)sigaction(SIGBUS, &action, NULL);
}

static void default_and_fault(void)
{
	set_handler(SIG_DFL, 0);
	guard_once();
	(void)touch(NULL);
}

static void default_and_raise(void)
{
	set_handler(SIG_DFL, 0);
	guard_once();
	(void)raise(SIGBUS);
}

static void ignore_and_fault(void)
{
	set_handler(SIG_IGN, 0);
	guard_once();
	(void)touch(NULL);
}

static void ignore_and_raise(void)
{
	set_handler(SIG_IGN, 0);
	guard_once();
	(void)raise(SIGBUS);
	(void)raise(SIGBUS);
	guard_once();
	_exit(42);
}

static void handler_and_fault(void)
{
	set_handler(count_and_exit, 0);
	guard_once();
	(void)touch(NULL);
}

static void reset_handler_and_fault(void)
{
	set_handler(count_and_exit, SA_RESETHAND | SA_NODEFER);
	guard_once();
	(void)touch(NULL);
}

static int raise_and_return(void *arg)
{
	(void)arg;
	(void)raise(SIGBUS);
	return 7;
}

/* Also inside a guard: a signal that was sent is not a page that was lost. */
static void siginfo_handler_and_raise(void)
{
	struct sigaction action = { .sa_sigaction = count, .sa_flags = SA_SIGINFO };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGBUS, &action, NULL);
	guard_once();
	(void)raise(SIGBUS);
	if (mmapfs_guard_call(raise_and_return, NULL) != 7)
		_exit(98);
	_exit(handled == 2 ? 43 : 97);
}

static const struct {
	const char *name;
	void (*run)(void);
	int signal; /* that ends the child */
	int status; /* or its exit status */
} children[] = {
	{ "default, fault", default_and_fault, SIGBUS, 0 },
	{ "default, raise", default_and_raise, SIGBUS, 0 },
	{ "ignored, fault", ignore_and_fault, SIGBUS, 0 },
	{ "ignored, raise", ignore_and_raise, 0, 42 },
	{ "handler, fault", handler_and_fault, 0, 40 },
	{ "one-shot handler, fault", reset_handler_and_fault, 0, 41 },
	{ "siginfo handler, raise", siginfo_handler_and_raise, 0, 43 },
};

static int run_child(void (*run)(void))
{
	const struct rlimit no_core = { 0, 0 };
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)alarm(20);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void other_faults_end_as_they_would_without_us(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(children); i++) {
		int status = run_child(children[i].run);
		bool right = children[i].signal ?
				     WIFSIGNALED(status) &&
					     WTERMSIG(status) == children[i].signal :
				     WIFEXITED(status) &&
					     WEXITSTATUS(status) == children[i].status;

		if (!right)
			fail_msg("%s: ended with status 0x%x", children[i].name,
				 (unsigned int)status);
	}
}

/* ---- here ---- */

static void result_of_the_function_is_returned(void **state)
{
	int values[] = { 0, 5, -5, -EFAULT };
	size_t i;

	(void)state;
	sigbus_ready();
	for (i = 0; i < ARRAY_SIZE(values); i++)
		assert_int_equal(mmapfs_guard_call(return_arg, &values[i]), values[i]);
}

static void lost_page_is_efault_every_time(void **state)
{
	bool began = false;
	int i;

	(void)state;
	sigbus_ready();
	for (i = 0; i < 1000; i++) {
		assert_int_equal(mmapfs_guard_call(touch, &began), -EFAULT);
		assert_int_equal(mmapfs_guard_call(store, NULL), -EFAULT);
	}
	assert_true(began);
}

static int inner_then_value(void *arg)
{
	return mmapfs_guard_call(touch, NULL) == -EFAULT ? *(int *)arg : -1;
}

static int inner_then_fault(void *arg)
{
	(void)mmapfs_guard_call(return_arg, arg);
	return touch(NULL);
}

static void guards_nest(void **state)
{
	int value = 17;

	(void)state;
	sigbus_ready();
	assert_int_equal(mmapfs_guard_call(inner_then_value, &value), 17);
	assert_int_equal(mmapfs_guard_call(inner_then_fault, &value), -EFAULT);
	assert_int_equal(mmapfs_guard_call(inner_then_value, &value), 17);
}

static void signal_mask_is_as_before_after_a_fault(void **state)
{
	sigset_t before, after;
	int sig;

	(void)state;
	sigbus_ready();
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	assert_int_equal(mmapfs_guard_call(touch, NULL), -EFAULT);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (sig = 1; sig < SIGRTMAX; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
}

static void *fault_often(void *arg)
{
	uintptr_t good = 0;
	int value = 3, i;

	(void)arg;
	for (i = 0; i < 500; i++) {
		good += mmapfs_guard_call(touch, NULL) == -EFAULT;
		good += mmapfs_guard_call(inner_then_value, &value) == 3;
	}
	return (void *)good;
}

static void threads_fault_without_disturbing_each_other(void **state)
{
	pthread_t threads[4];
	void *good;
	size_t i;

	(void)state;
	sigbus_ready();
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fault_often, NULL), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_int_equal((uintptr_t)good, 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_faults_end_as_they_would_without_us), /* first */
		cmocka_unit_test(result_of_the_function_is_returned),
		cmocka_unit_test(lost_page_is_efault_every_time),
		cmocka_unit_test(guards_nest),
		cmocka_unit_test(signal_mask_is_as_before_after_a_fault),
		cmocka_unit_test(threads_fault_without_disturbing_each_other),
	};

	if (UNDER_TSAN) {
		(void)printf("skipped: TSan's handlers stand between the kernel and the guard\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_lost_page, scratch_teardown);
}
