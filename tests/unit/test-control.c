/* SPDX-License-Identifier: MIT */
/* test-control.c - the control client on a scripted mount, and on what is none. */
#include <mmapfs.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "fake-sys.h"
#include "scratch.h"

/* The mount that the fake kernel shows. */
static struct {
	bool no_xattr; /* fgetxattr says EOPNOTSUPP: only the ioctl works */
	bool foreign;  /* another FUSE filesystem, that has not heard of us */
	int set_error; /* of fsetxattr */
	int ioctl_error;
	char value[64];	     /* of every control but `version` */
	uint32_t bad_length; /* that the ioctl claims, if not 0 */
	char set_name[2 * MMAPFS_CONTROL_NAME_MAX];
	char set_value[64];
} mount;

static int fuse_statfs(int fd, struct statfs *st)
{
	(void)fd;
	*st = (struct statfs){ .f_type = 0x65735546 };
	return 0;
}

static const char *value_of(const char *name)
{
	return strcmp(name, "version") == 0 ? "0.1.0" : mount.value;
}

static int64_t mount_getxattr(int fd, const char *name, void *value, size_t size)
{
	const char *found;

	(void)fd;
	assert_memory_equal(name, MMAPFS_CONTROL_PREFIX, strlen(MMAPFS_CONTROL_PREFIX));
	found = value_of(name + strlen(MMAPFS_CONTROL_PREFIX));
	if (mount.no_xattr)
		return -EOPNOTSUPP;
	if (mount.foreign || *found == '\0')
		return -ENODATA;
	if (size > 0 && size < strlen(found))
		return -ERANGE;
	if (size > 0)
		memcpy(value, found, strlen(found));
	return (int64_t)strlen(found);
}

static int mount_setxattr(int fd, const char *name, const void *value, size_t size,
			  int flags)
{
	(void)fd;
	assert_int_equal(flags, 0);
	if (mount.set_error < 0)
		return mount.set_error;
	(void)snprintf(mount.set_name, sizeof(mount.set_name), "%s", name);
	(void)snprintf(mount.set_value, sizeof(mount.set_value), "%.*s", (int)size,
		       (const char *)value);
	return 0;
}

static int mount_ioctl(int fd, unsigned long request, void *arg)
{
	struct mmapfs_control *control = arg;

	(void)fd;
	assert_int_equal(request, MMAPFS_IOC_CONTROL);
	if (mount.ioctl_error < 0)
		return mount.ioctl_error;
	if (control->op == MMAPFS_CONTROL_GET) {
		control->length = (uint32_t)strlen(value_of(control->name));
		memcpy(control->value, value_of(control->name), control->length);
		if (mount.bad_length && strcmp(control->name, "version") != 0)
			control->length = mount.bad_length;
		return 0;
	}
	assert_int_equal(control->op, MMAPFS_CONTROL_SET);
	(void)snprintf(mount.set_name, sizeof(mount.set_name), "ioctl:%s", control->name);
	(void)snprintf(mount.set_value, sizeof(mount.set_value), "%.*s",
		       (int)control->length, control->value);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&mount, 0, sizeof(mount));
	fake_sys_install();
	fake_sys_table()->fstatfs = fuse_statfs;
	fake_sys_table()->fgetxattr = mount_getxattr;
	fake_sys_table()->fsetxattr = mount_setxattr;
	fake_sys_table()->ioctl = mount_ioctl;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_sys_remove();
	return 0;
}

static void get_returns_value_and_length_by_either_way(void **state)
{
	char buf[64] = "........";

	(void)state;
	strcpy(mount.value, "1234");
	for (;; mount.no_xattr = true) {
		assert_int_equal(mmapfs_control_get(3, "resident@1G+64M", buf, 64), 4);
		assert_memory_equal(buf, "1234....", 8);
		assert_int_equal(mmapfs_control_get(3, "resident", buf, 4), 4);
		assert_int_equal(mmapfs_control_get(3, "resident", buf, 3), -ERANGE);
		assert_int_equal(mmapfs_control_get(3, "resident", NULL, 0), 4);
		if (mount.no_xattr)
			break;
	}
}

static void lying_ioctl_does_not_overrun(void **state)
{
	static char buf[2 * sizeof(struct mmapfs_control)];

	(void)state;
	mount.no_xattr = true;
	mount.bad_length = MMAPFS_CONTROL_VALUE_MAX + 1;
	assert_int_equal(mmapfs_control_get(3, "stat", buf, sizeof(buf)), -EIO);
}

static void unknown_name_is_enodata(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(mmapfs_control_get(3, "nonsense", buf, 8), -ENODATA);
}

static void bad_names_and_values_are_einval(void **state)
{
	char name[MMAPFS_CONTROL_NAME_MAX + 1];
	static char value[MMAPFS_CONTROL_VALUE_MAX + 1];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[MMAPFS_CONTROL_NAME_MAX] = '\0';
	assert_int_equal(mmapfs_control_get(3, name, value, 8), -EINVAL);
	assert_int_equal(mmapfs_control_set(3, name, value, 8), -EINVAL);
	assert_int_equal(mmapfs_control_get(3, "", value, 8), -EINVAL);
	assert_int_equal(mmapfs_control_set(3, NULL, value, 8), -EINVAL);
	assert_int_equal(mmapfs_control_set(3, "warm", value, sizeof(value)), -EINVAL);
	assert_string_equal(mount.set_name, "");
	name[MMAPFS_CONTROL_NAME_MAX - 1] = '\0';
	assert_int_equal(mmapfs_control_get(3, name, value, 8), -ENODATA);
	mount.set_error = -EROFS;
	assert_int_equal(mmapfs_control_set(3, name, "x", 1), 0);
}

static void set_goes_by_attribute_first(void **state)
{
	(void)state;
	assert_int_equal(mmapfs_control_set(3, "lock", "on", 2), 0);
	assert_string_equal(mount.set_name, "user.mmapfs.lock");
	assert_string_equal(mount.set_value, "on");
	assert_int_equal(mmapfs_control_set(3, "warm", NULL, 0), 0);
	assert_string_equal(mount.set_name, "user.mmapfs.warm");
	assert_string_equal(mount.set_value, "");
}

static void read_only_mounts_and_files_are_reached_by_ioctl(void **state)
{
	static const int errors[] = { -EROFS, -EACCES, -EBADF };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		memset(mount.set_name, 0, sizeof(mount.set_name));
		mount.set_error = errors[i];
		assert_int_equal(mmapfs_control_set(3, "lock", "off", 3), 0);
		assert_string_equal(mount.set_name, "ioctl:lock");
		assert_string_equal(mount.set_value, "off");
		assert_int_equal(mmapfs_control_set(3, "evict", NULL, 0), 0);
	}
	mount.ioctl_error = -ENOTTY;
	assert_int_equal(mmapfs_control_set(3, "lock", "off", 3), -EOPNOTSUPP);
	mount.ioctl_error = -EPERM;
	assert_int_equal(mmapfs_control_set(3, "lock", "off", 3), -EPERM);
}

static void answers_of_the_daemon_are_forwarded(void **state)
{
	static const int errors[] = { -EPERM, -EINVAL, -EOPNOTSUPP, -ENOMEM, -EIO };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		mount.set_error = errors[i];
		assert_int_equal(mmapfs_control_set(3, "lock", "on", 2), errors[i]);
	}
	assert_int_equal(fake_sys_calls("ioctl"), 0);
}

static void another_fuse_filesystem_is_never_written(void **state)
{
	char buf[8];

	(void)state;
	mount.foreign = true;
	assert_int_equal(mmapfs_control_set(3, "lock", "on", 2), -EOPNOTSUPP);
	assert_int_equal(mmapfs_control_get(3, "stat", buf, 8), -EOPNOTSUPP);
	mount.no_xattr = true;
	mount.ioctl_error = -ENOTTY;
	assert_int_equal(mmapfs_control_set(3, "lock", "on", 2), -EOPNOTSUPP);
	assert_int_equal(mmapfs_control_get(3, "stat", buf, 8), -EOPNOTSUPP);
	mount.ioctl_error = -ENOSYS;
	assert_int_equal(mmapfs_control_get(3, "stat", buf, 8), -EOPNOTSUPP);
	assert_string_equal(mount.set_name, "");
}

static void plain_filesystem_is_never_written_nor_believed(void **state)
{
	int fd = open(scratch_file("plain", 10), O_RDWR | O_CLOEXEC);
	char buf[8];

	(void)state;
	fake_sys_install();
	assert_int_equal(mmapfs_control_set(fd, "lock", "on", 2), -EOPNOTSUPP);
	assert_int_equal(fgetxattr(fd, "user.mmapfs.lock", buf, 8), -1);
	/* left there by a copy */
	(void)fsetxattr(fd, "user.mmapfs.version", "9", 1, 0);
	(void)fsetxattr(fd, "user.mmapfs.stat", "lie", 3, 0);
	assert_int_equal(mmapfs_control_get(fd, "stat", buf, 8), -EOPNOTSUPP);
	assert_int_equal(mmapfs_control_set(fd, "stat", "x", 1), -EOPNOTSUPP);
	assert_int_equal(fake_sys_calls("fsetxattr"), 0);
	close(fd);
	assert_int_equal(mmapfs_control_get(-1, "stat", buf, 8), -EBADF);
	assert_int_equal(mmapfs_control_set(-1, "lock", "on", 2), -EBADF);
}

static void failing_statfs_is_forwarded(void **state)
{
	char buf[8];

	(void)state;
	fake_sys_install();
	fake_sys_script("fstatfs", 0, 2, -EIO);
	assert_int_equal(mmapfs_control_get(0, "stat", buf, 8), -EIO);
	assert_int_equal(mmapfs_control_set(0, "lock", "on", 2), -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(get_returns_value_and_length_by_either_way),
		TEST(lying_ioctl_does_not_overrun),
		TEST(unknown_name_is_enodata),
		TEST(bad_names_and_values_are_einval),
		TEST(set_goes_by_attribute_first),
		TEST(read_only_mounts_and_files_are_reached_by_ioctl),
		TEST(answers_of_the_daemon_are_forwarded),
		TEST(another_fuse_filesystem_is_never_written),
		TEST(plain_filesystem_is_never_written_nor_believed),
		TEST(failing_statfs_is_forwarded),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
