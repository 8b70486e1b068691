/* SPDX-License-Identifier: MIT */
/* names.c - the words that outputs use for the numbers of the public header. */
#include <mmapfs.h>

#include <stddef.h>

#include "base/macro.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static const char *const methods[] = {
	[MMAPFS_METHOD_NONE] = "none",
	[MMAPFS_METHOD_CACHESTAT] = "cachestat",
	[MMAPFS_METHOD_MINCORE] = "mincore",
	[MMAPFS_METHOD_CACHESTAT_MINCORE] = "cachestat+mincore",
};

static const char *const confidences[] = {
	[MMAPFS_CONFIDENCE_UNKNOWN] = "unknown",
	[MMAPFS_CONFIDENCE_UPPER_BOUND] = "upper-bound",
	[MMAPFS_CONFIDENCE_EXACT] = "exact",
};

static const char *const reasons[] = {
	[MMAPFS_REASON_NONE] = "none",
	[MMAPFS_REASON_NO_PERMISSION] = "no-permission",
	[MMAPFS_REASON_OLD_KERNEL] = "old-kernel",
	[MMAPFS_REASON_SECCOMP] = "seccomp",
	[MMAPFS_REASON_STACKED] = "stacked",
	[MMAPFS_REASON_MEMORY_FS] = "memory-fs",
	[MMAPFS_REASON_HUGETLBFS] = "hugetlbfs",
	[MMAPFS_REASON_ZFS_ARC] = "zfs-arc",
	[MMAPFS_REASON_DAX] = "dax",
};

static const char *const stays[] = {
	[MMAPFS_STAY_MEMORY_FS] = "memory-fs",
	[MMAPFS_STAY_LOCKED] = "locked",
	[MMAPFS_STAY_WRITEBACK] = "writeback",
	[MMAPFS_STAY_DIRTY] = "dirty",
	[MMAPFS_STAY_MAPPED] = "mapped",
	[MMAPFS_STAY_STRADDLING] = "straddling",
	[MMAPFS_STAY_OTHER] = "other",
};

_Static_assert(ARRAY_SIZE(stays) == MMAPFS_STAY_COUNT, "a reason to stay has no name");

static const char *name_of(const char *const *table, size_t count, uint32_t index)
{
	return index < count ? table[index] : "?";
}

MMAPFS_PUBLIC const char *mmapfs_version(void)
{
	return TEXT(MMAPFS_VERSION_MAJOR) "." TEXT(MMAPFS_VERSION_MINOR) "." TEXT(
		MMAPFS_VERSION_PATCH);
}

MMAPFS_PUBLIC const char *mmapfs_method_name(uint32_t method)
{
	return name_of(methods, ARRAY_SIZE(methods), method);
}

MMAPFS_PUBLIC const char *mmapfs_confidence_name(uint32_t confidence)
{
	return name_of(confidences, ARRAY_SIZE(confidences), confidence);
}

MMAPFS_PUBLIC const char *mmapfs_reason_name(uint32_t reason)
{
	return name_of(reasons, ARRAY_SIZE(reasons), reason);
}

MMAPFS_PUBLIC const char *mmapfs_stay_name(uint32_t stay)
{
	return name_of(stays, ARRAY_SIZE(stays), stay);
}
