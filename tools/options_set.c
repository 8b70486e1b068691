/* SPDX-License-Identifier: MIT */
/* options_set.c - store the argument of an option in the field of its row. */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include <mmapfs.h>

static int parse_count(const char *arg, unsigned long max, unsigned long *ret)
{
	unsigned long value;
	char *end;

	if (arg[0] < '0' || arg[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(arg, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int option_set_true(void *to, const struct option_row *row, const char *arg)
{
	(void)row;
	(void)arg;
	*(bool *)to = true;
	return 0;
}

int option_set_false(void *to, const struct option_row *row, const char *arg)
{
	(void)row;
	(void)arg;
	*(bool *)to = false;
	return 0;
}

int option_set_value(void *to, const struct option_row *row, const char *arg)
{
	(void)arg;
	*(uint32_t *)to = (uint32_t)row->value;
	return 0;
}

int option_set_size(void *to, const struct option_row *row, const char *arg)
{
	(void)row;
	return mmapfs_size_parse(arg, to);
}

int option_set_count(void *to, const struct option_row *row, const char *arg)
{
	unsigned long value;
	int r = parse_count(arg, UINT_MAX, &value);

	(void)row;
	if (r < 0)
		return r;
	if (value == 0)
		return -ERANGE;
	*(unsigned int *)to = (unsigned int)value;
	return 0;
}

int option_set_fd(void *to, const struct option_row *row, const char *arg)
{
	unsigned long value;
	int r = parse_count(arg, INT_MAX, &value);

	(void)row;
	if (r < 0)
		return r;
	if (fcntl((int)value, F_GETFD) < 0)
		return -errno;
	*(int *)to = (int)value;
	return 0;
}

int option_set_text(void *to, const struct option_row *row, const char *arg)
{
	(void)row;
	*(const char **)to = arg;
	return 0;
}

int option_set_seconds(void *to, const struct option_row *row, const char *arg)
{
	double seconds;
	char *end;

	(void)row;
	if (arg[0] != '.' && (arg[0] < '0' || arg[0] > '9'))
		return -EINVAL;
	seconds = strtod(arg, &end);
	if (*end || end == arg)
		return -EINVAL;
	if (!(seconds >= 0.001 && seconds <= 1e9))
		return -ERANGE;
	*(uint64_t *)to = (uint64_t)(seconds * 1e9);
	return 0;
}
