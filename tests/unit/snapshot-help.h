/* SPDX-License-Identifier: MIT */
/* snapshot-help.h - what the tests of snapshots share: one in the scratch directory, written
 * and read by pages. */
#ifndef SNAPSHOT_HELP_H
#define SNAPSHOT_HELP_H

#include <errno.h>
#include <inttypes.h>

#include "page-file.h"

static const char snap_name[] = "snap";

static inline struct mmapfs_snapshot_writer *create(void)
{
	struct mmapfs_snapshot_writer *writer;

	assert_int_equal(mmapfs_snapshot_create(AT_FDCWD, scratch_path(snap_name), &writer),
			 0);
	return writer;
}

static inline struct mmapfs_snapshot *load(void)
{
	struct mmapfs_snapshot_damage damage = MMAPFS_INIT(struct mmapfs_snapshot_damage);
	struct mmapfs_snapshot *snapshot;
	int r;

	r = mmapfs_snapshot_load(AT_FDCWD, scratch_path(snap_name), &damage, &snapshot);
	if (r == -EBADMSG)
		fail_msg("line %" PRIu64 ": %s", damage.line, damage.reason);
	assert_int_equal(r, 0);
	return snapshot;
}

static inline struct mmapfs_snapshot_entry entry_of(const char *name, uint64_t pages)
{
	return (struct mmapfs_snapshot_entry){
		.size = sizeof(struct mmapfs_snapshot_entry),
		.name = name,
		.file_size = pages * page,
		.mtime_ns = 1234567890123456789,
		.dev_major = 254,
		.dev_minor = 3,
		.ino = 4711,
	};
}

static inline void add(struct mmapfs_snapshot_writer *writer, const char *name,
		       uint64_t pages, const struct mmapfs_range *ranges, size_t count)
{
	struct mmapfs_snapshot_entry entry = entry_of(name, pages);
	size_t i;

	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
	for (i = 0; i < count; i++) {
		struct mmapfs_range range = { ranges[i].offset * page,
					      ranges[i].length * page };

		assert_int_equal(mmapfs_snapshot_add_range(writer, range), 0);
	}
}

static inline void add_skip(struct mmapfs_snapshot_writer *writer, const char *name,
			    const char *why)
{
	const struct mmapfs_snapshot_entry entry = {
		.size = sizeof(entry),
		.name = name,
		.skipped = why,
	};

	assert_int_equal(mmapfs_snapshot_add_entry(writer, &entry), 0);
}

static inline void assert_next(struct mmapfs_snapshot *snapshot, const char *name,
			       uint64_t pages, const struct mmapfs_range *ranges,
			       size_t count)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);
	struct mmapfs_range range;
	size_t i;

	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 1);
	assert_string_equal(got.name, name);
	assert_null(got.skipped);
	assert_int_equal(got.file_size, pages * page);
	for (i = 0; i < count; i++) {
		assert_int_equal(mmapfs_snapshot_next_range(snapshot, &range), 1);
		assert_int_equal(range.offset, ranges[i].offset * page);
		assert_int_equal(range.length, ranges[i].length * page);
	}
	assert_int_equal(mmapfs_snapshot_next_range(snapshot, &range), 0);
}

static inline void assert_end(struct mmapfs_snapshot *snapshot)
{
	struct mmapfs_snapshot_entry got = MMAPFS_INIT(struct mmapfs_snapshot_entry);

	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 0);
	assert_int_equal(mmapfs_snapshot_next(snapshot, &got), 0);
}

/* The directory holds nothing but the snapshot, or nothing. */
static inline void assert_no_litter(void)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "test -z \"$(ls -A '%s' | grep -vx snap)\"",
		       scratch_dir);
	assert_int_equal(system(command), 0);
}

static const struct mmapfs_range some[] = { { 0, 2 }, { 5, 1 }, { 90, 10 } };

#endif
