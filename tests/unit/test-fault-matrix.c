/* SPDX-License-Identifier: MIT */
/*
 * test-fault-matrix.c - every system call of core/sys.h fails, with every errno that its
 * manual page lists, at each place where an operation of <mmapfs.h> makes it.
 *
 * The other tests say what a certain failure leads to; this one goes through all of them and
 * checks what must hold always: the operation ends with an errno or an answer that is true,
 * leaves no descriptor, no mapping and no locked page behind, and works when it is tried
 * again.
 */
#include <mmapfs.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "fault-operations.h"
#include "scratch.h"

#define ERRNOS_MAX 26
#define SECONDS_MAX 60 /* for one fault; where it hangs is said */

/* ---- what can fail how: the manual pages, section 2, without EBADF and EFAULT ---- */

static const struct fault {
	const char *call;
	int errnos[ERRNOS_MAX]; /* ends with 0 */
} faults[] = {
	{ "openat",
	  { EACCES, EBUSY, EDQUOT, EEXIST, EFBIG, EINTR, EINVAL, EISDIR, ELOOP, EMFILE,
	    ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENXIO, EOPNOTSUPP,
	    EOVERFLOW, EPERM, EROFS, ETXTBSY, EWOULDBLOCK } },
	{ "close", { EINTR, EIO, ENOSPC, EDQUOT } },
	{ "fstat", { ENOMEM, EOVERFLOW, EIO, ESTALE } },
	{ "fstatfs", { EINTR, EIO, ENOMEM, ENOSYS, EOVERFLOW } },
	{ "statx",
	  { EACCES, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, ESTALE } },
	{ "fcntl", { EMFILE, EINVAL, EPERM } },
	{ "ftruncate", { EFBIG, EINTR, EINVAL, EIO, EPERM, EROFS, ETXTBSY, ENOSPC } },
	{ "fallocate",
	  { EFBIG, EINTR, EINVAL, EIO, ENODEV, ENOSPC, ENOSYS, EOPNOTSUPP, EPERM, ESPIPE,
	    ETXTBSY, EDQUOT } },
	{ "lseek", { EINVAL, ENXIO, EOVERFLOW, ESPIPE } },
	{ "pread", { EAGAIN, EINTR, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE } },
	{ "pwrite",
	  { EAGAIN, EDQUOT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, ENXIO, EOVERFLOW, EPERM } },
	{ "fdatasync", { EDQUOT, EINTR, EINVAL, EIO, ENOSPC, EROFS } },
	{ "fsync", { EDQUOT, EINTR, EINVAL, EIO, ENOSPC, EROFS } },
	{ "linkat",
	  { EACCES, EDQUOT, EEXIST, EIO, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC,
	    ENOTDIR, EPERM, EROFS, EXDEV } },
	{ "renameat",
	  { EACCES, EBUSY, EDQUOT, EEXIST, EINVAL, EIO, EISDIR, ELOOP, EMLINK, ENAMETOOLONG,
	    ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS, EXDEV } },
	{ "unlinkat", { EACCES, EBUSY, EIO, EISDIR, ENOENT, ENOMEM, EPERM, EROFS } },
	{ "sync_file_range", { EINVAL, EIO, ENOMEM, ENOSPC, ESPIPE } },
	{ "fadvise", { EINVAL, ESPIPE } },
	{ "readahead", { EINVAL, EIO } },
	{ "memfd_create", { EINVAL, EMFILE, ENFILE, ENOMEM, EPERM } },
	{ "ioctl", { EINTR, EINVAL, EIO, ENODEV, ENOTTY, EPERM } },
	{ "fgetxattr", { E2BIG, EACCES, EINTR, EIO, ENODATA, ENOTSUP, EPERM, ERANGE } },
	{ "fsetxattr",
	  { EACCES, EDQUOT, EINTR, EINVAL, ENODATA, ENOSPC, ENOTSUP, EPERM, ERANGE, EROFS } },
	{ "mmap",
	  { EACCES, EAGAIN, EINVAL, ENFILE, ENODEV, ENOMEM, EOVERFLOW, EPERM, ETXTBSY } },
	{ "munmap", { EINVAL, ENOMEM } },
	{ "mremap", { EAGAIN, EFAULT, EINVAL, ENOMEM } },
	{ "mprotect", { EACCES, EINVAL, ENOMEM } },
	{ "madvise",
	  { EACCES, EAGAIN, EBUSY, EFAULT, EHWPOISON, EINVAL, EIO, ENOMEM, EPERM } },
	{ "msync", { EBUSY, EINVAL, EIO, ENOMEM } },
	{ "mincore", { EAGAIN, EINVAL, ENOMEM } },
	{ "mlock2", { EAGAIN, EINVAL, ENOMEM, EPERM } },
	{ "munlock", { EAGAIN, EINVAL, ENOMEM, EPERM } },
	{ "cachestat", { EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM } },
	{ "process_vm_readv", { EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM, ESRCH } },
	{ "process_vm_writev", { EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM, ESRCH } },
	{ "getrlimit", { EFAULT, EINVAL, EPERM } },
	{ "has_capability", { EFAULT, EINVAL, EPERM } },
	{ "read_text", { EACCES, EINTR, EIO, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM } },
};

/* But for now_ns() and sleep_ns(), which cannot fail, the table is complete. */
_Static_assert(ARRAY_SIZE(faults) + 2 == sizeof(struct mmapfs__sys) / sizeof(void (*)(void)),
	       "every call of core/sys.h needs a row here");

/* ---- what must not grow ---- */

struct held {
	unsigned int descriptors;
	unsigned int mappings; /* of our files */
	uint64_t locked;
};

/* Mappings of the allocator and of sanitizers come and go. */
static unsigned int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	char line[1024];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, scratch_dir) || strstr(line, "/memfd:");
	(void)fclose(maps);
	return count;
}

static uint64_t count_locked(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char line[256];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		(void)sscanf(line, "VmLck: %llu", &kib);
	(void)fclose(status);
	return kib;
}

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static struct held look(void)
{
	return (struct held){ count_descriptors(), count_mappings(), count_locked() };
}

/* ---- the matrix ---- */

static struct held before_all;
static unsigned int injected;
static bool reached[ARRAY_SIZE(faults)];

static void hangs(int signal_number)
{
	(void)signal_number;
	(void)!write(STDERR_FILENO, "hangs: ", 7);
	(void)!write(STDERR_FILENO, now, strlen(now));
	_exit(1);
}

static void check_held(struct held before)
{
	struct held after = look();

	require(after.descriptors == before.descriptors, "descriptors left", after.descriptors);
	require(after.mappings == before.mappings, "mappings left", after.mappings);
	require(after.locked == before.locked, "KiB locked", (int64_t)after.locked);
}

static void check_again(const struct operation *operation, int64_t expected)
{
	int64_t r;

	install();
	r = operation->run();
	require(expected < 0 ? r == expected : r >= 0, "does not work afterwards", r);
}

static void remove_snapshots(void)
{
	DIR *dir = opendir(quick_dir);

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

/* Answers -@error @times times (0: for ever) from call number @skip on. False: it makes no
 * such call. */
static bool try(const struct operation *operation, const struct fault *fault, int error,
		unsigned int skip, unsigned int times, int64_t expected)
{
	bool was_reached;
	int64_t r;

	(void)snprintf(now, sizeof(now), "%s: %s number %u answers %s %s\n", operation->name,
		       fault->call, skip + 1, mmapfs_errno_name(error),
		       times ? "once" : "from then on");
	(void)alarm(SECONDS_MAX);
	operation->begin();
	install();
	fake_sys_script(fault->call, skip, times, -error);
	r = operation->run();
	was_reached = fake_sys_calls(fault->call) > skip;
	require(r > -4096, "no errno", r);
	require(files_in(quick_dir) <= 1 || !strcmp(fault->call, "unlinkat"),
		"temporary files left", files_in(quick_dir));
	check_again(operation, expected);
	mmapfs__sys = &mmapfs__sys_real;
	end();
	remove_snapshots();
	check_held(before_all);
	injected += was_reached;
	return was_reached;
}

/* Whoever tries again after these may do so for ever. */
static bool may_repeat(int error)
{
	return error == EINTR || error == EAGAIN;
}

static void try_fault(const struct operation *operation, size_t index, int64_t expected)
{
	const struct fault *fault = &faults[index];

	if (operation->not_of && !strcmp(operation->not_of, fault->call))
		return;
	for (const int *error = fault->errnos; *error; error++) {
		unsigned int skip = 0;

		while (try(operation, fault, *error, skip, 1, expected))
			skip++;
		if (skip == 0)
			return;
		reached[index] = true;
		if (!may_repeat(*error))
			(void)try(operation, fault, *error, 0, 0, expected);
	}
}

static void try_operation(const struct operation *operation)
{
	unsigned int before = injected;
	int64_t expected;

	(void)snprintf(now, sizeof(now), "%s: without a fault\n", operation->name);
	operation->begin();
	install();
	expected = operation->run();
	mmapfs__sys = &mmapfs__sys_real;
	end();
	remove_snapshots();
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		try_fault(operation, i, expected);
	printf("%-24s %5u faults, without one %" PRId64 "\n", operation->name,
	       injected - before, expected);
}

static void every_fault_ends_in_an_errno_or_a_true_answer(void **state)
{
	(void)state;
	before_all = look();
	(void)signal(SIGALRM, hangs);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		try_operation(&operations[i]);
	(void)alarm(0);
	printf("%u faults injected\n", injected);
	/* On an old kernel some calls are never made. */
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		if (!reached[i] && strcmp(faults[i].call, "cachestat") != 0)
			fail_msg("no operation reaches %s", faults[i].call);
}

static int setup(void **state)
{
	if (scratch_setup(state))
		return -1;
	file_fd = -1;
	(void)scratch_file("file", FILE_PAGES * page());
	(void)snprintf(quick_dir, sizeof(quick_dir), "%s/mmapfs-test-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp");
	if (!mkdtemp(quick_dir))
		return -1;
	(void)snprintf(snapshot_path, sizeof(snapshot_path), "%s/snap", quick_dir);
	(void)snprintf(combined_path, sizeof(combined_path), "%s/combined", quick_dir);
	return 0;
}

static int teardown(void **state)
{
	fake_sys_install();
	fake_sys_remove();
	return rmdir(quick_dir) ? -1 : scratch_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_ends_in_an_errno_or_a_true_answer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
