/* SPDX-License-Identifier: MIT */
/*
 * fuzz-snapshot.c - one snapshot or two, one behind the other: checked, read, written again,
 * combined and compared.
 *
 * Each is tried as it is, and again with an `end` line that fits: else nothing would ever get
 * past the checksum.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "fuzz-dir.h"
#include "snapshot.h"
#include "sys.h"

#define MAGIC "mmapfs-snapshot "

/* What a walk of a snapshot saw. */
struct seen {
	struct mmapfs__snapshot_counts counts;
	uint64_t hash;
};

static int dir_fd;
static struct mmapfs__sys sys; /* the kernel, but for waiting for the disk */

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

void fuzz_begin(void)
{
	sys = mmapfs__sys_real;
	sys.fsync = sys.fdatasync = no_sync;
	mmapfs__sys = &sys;
	dir_fd = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(dir_fd >= 0);
}

static void store(const char *name, const char *text, size_t length)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	check(fd >= 0);
	check(write(fd, text, length) == (ssize_t)length);
	(void)close(fd);
}

/* NULL: it is damaged, and was said to be. */
static struct mmapfs_snapshot *load(const char *name)
{
	struct mmapfs_snapshot_damage damage = MMAPFS_INIT(damage);
	struct mmapfs_snapshot *snapshot = NULL;
	int r = mmapfs_snapshot_load(dir_fd, name, &damage, &snapshot);

	check(r == 0 || r == -EBADMSG);
	check((r == 0) == (snapshot != NULL));
	if (r < 0) {
		check(damage.line > 0 && damage.reason);
		fuzz_check_message(damage.reason, 200);
	}
	return snapshot;
}

/* ---- reading ---- */

static void mix(struct seen *seen, const void *bytes, size_t length)
{
	seen->hash = mmapfs__snapshot_hash(seen->hash, bytes, length);
}

static void walk_ranges(struct mmapfs_snapshot *snapshot, uint64_t file_size,
			struct seen *seen)
{
	struct mmapfs_range range;
	uint64_t end = 0;
	int r;

	while ((r = mmapfs_snapshot_next_range(snapshot, &range)) > 0) {
		check(range.length > 0 && range.offset >= end);
		check(range.offset <= file_size && range.length <= file_size - range.offset);
		end = range.offset + range.length;
		seen->counts.ranges++;
		seen->counts.bytes += range.length;
		mix(seen, &range, sizeof(range));
	}
	check(r == 0);
}

static void walk_entry(struct mmapfs_snapshot *snapshot,
		       const struct mmapfs_snapshot_entry *entry, struct seen *seen)
{
	const uint64_t numbers[] = { entry->file_size, (uint64_t)entry->mtime_ns,
				     entry->dev_major, entry->dev_minor,
				     entry->ino,       entry->heat };

	check(entry->heat <= MMAPFS_SNAPSHOT_HEAT_MAX);
	mix(seen, entry->name, strlen(entry->name));
	mix(seen, numbers, sizeof(numbers));
	if (entry->skipped) {
		check(*entry->skipped);
		mix(seen, entry->skipped, strlen(entry->skipped));
		seen->counts.skipped++;
	} else {
		seen->counts.files++;
	}
	walk_ranges(snapshot, entry->skipped ? 0 : entry->file_size, seen);
}

static struct seen walk(struct mmapfs_snapshot *snapshot)
{
	static char last[MMAPFS__SNAPSHOT_NAME_SIZE];
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	struct mmapfs_snapshot_info info = MMAPFS_INIT(info);
	struct seen seen = { .hash = MMAPFS__SNAPSHOT_HASH };
	int r;

	last[0] = '\0';
	while ((r = mmapfs_snapshot_next(snapshot, &entry)) > 0) {
		check(*entry.name && strlen(entry.name) < sizeof(last));
		check(mmapfs__snapshot_compare(last, entry.name) < 0);
		(void)strcpy(last, entry.name);
		walk_entry(snapshot, &entry, &seen);
	}
	check(r == 0);
	check(mmapfs_snapshot_info(snapshot, &info) == 0);
	check(seen.counts.files == info.files && seen.counts.skipped == info.skipped);
	check(seen.counts.ranges == info.ranges && seen.counts.bytes == info.bytes);
	mmapfs_snapshot_rewind(snapshot);
	return seen;
}

static bool same(struct seen a, struct seen b)
{
	return a.hash == b.hash && !memcmp(&a.counts, &b.counts, sizeof(a.counts));
}

static void check_dup(struct mmapfs_snapshot *snapshot, struct seen seen)
{
	struct mmapfs_snapshot *copy;

	check(mmapfs_snapshot_dup(snapshot, &copy) == 0);
	check(same(walk(copy), seen));
	(void)mmapfs_snapshot_close(copy);
}

/* ---- writing ---- */

static struct seen commit(struct mmapfs_snapshot_writer *writer)
{
	struct mmapfs_snapshot *snapshot;
	struct seen seen;

	check(mmapfs_snapshot_commit(writer) == 0);
	snapshot = load("written");
	check(snapshot);
	seen = walk(snapshot);
	(void)mmapfs_snapshot_close(snapshot);
	return seen;
}

static struct mmapfs_snapshot_writer *begin_writing(void)
{
	struct mmapfs_snapshot_writer *writer;

	check(mmapfs_snapshot_create(dir_fd, "written", &writer) == 0);
	return writer;
}

/* By hand: what was read is accepted, and reads the same. */
static void check_rewritten(struct mmapfs_snapshot *snapshot, struct seen seen)
{
	struct mmapfs_snapshot_writer *writer;
	struct mmapfs_snapshot_entry entry = MMAPFS_INIT(entry);
	struct mmapfs_range range;

	if (snapshot->in.header.page_size != mmapfs__page_size())
		return;
	writer = begin_writing();
	if (snapshot->in.header.heat)
		check(mmapfs_snapshot_set_heat(writer, 0) == 0);
	while (mmapfs_snapshot_next(snapshot, &entry) > 0) {
		check(mmapfs_snapshot_add_entry(writer, &entry) == 0);
		while (mmapfs_snapshot_next_range(snapshot, &range) > 0)
			check(mmapfs_snapshot_add_range(writer, range) == 0);
	}
	mmapfs_snapshot_rewind(snapshot);
	/* Adjacent ranges were joined. */
	check(commit(writer).counts.bytes == seen.counts.bytes);
}

/* What the snapshots have in all, by a third way. */
struct sums {
	uint64_t only_a, only_b, both, files;
};

static int add_delta(void *ctx, const struct mmapfs_snapshot_delta *delta)
{
	struct sums *sums = ctx;

	check(delta->a || delta->b);
	sums->files++;
	if (!delta->valid)
		check(delta->only_a + delta->only_b + delta->both == 0);
	sums->only_a += delta->only_a;
	sums->only_b += delta->only_b;
	sums->both += delta->both;
	return 0;
}

static int add_difference(void *ctx, const char *name, uint32_t which, uint64_t offset,
			  uint64_t length)
{
	(void)ctx;
	check(*name && (which == 1 || which == 2));
	check(length > 0 && length <= UINT64_MAX - offset);
	return 0;
}

static struct seen combine(struct mmapfs_snapshot *a, struct mmapfs_snapshot *b,
			   enum mmapfs_snapshot_op op)
{
	struct mmapfs_snapshot_writer *writer = begin_writing();
	struct seen nothing = { .hash = 0 };
	int r = mmapfs_snapshot_combine(a, b, op, writer);

	check(r == 0 || (r == -EXDEV && a->in.header.page_size != b->in.header.page_size));
	mmapfs_snapshot_rewind(a);
	mmapfs_snapshot_rewind(b);
	if (r == 0)
		return commit(writer);
	(void)mmapfs_snapshot_abort(writer);
	return nothing;
}

static struct sums compare(struct mmapfs_snapshot *a, struct mmapfs_snapshot *b)
{
	struct sums sums = { 0, 0, 0, 0 };

	check(mmapfs_snapshot_diff(a, b, add_delta, add_difference, &sums) == 0);
	mmapfs_snapshot_rewind(a);
	mmapfs_snapshot_rewind(b);
	return sums;
}

/* ---- one of them ---- */

static void use(struct mmapfs_snapshot *snapshot)
{
	struct seen seen = walk(snapshot);
	struct mmapfs_snapshot *copy;
	struct sums sums;

	check(same(walk(snapshot), seen)); /* also after a rewind */
	check_dup(snapshot, seen);
	check_rewritten(snapshot, seen);
	check(mmapfs_snapshot_dup(snapshot, &copy) == 0);
	sums = compare(snapshot, copy);
	check(sums.only_a == 0 && sums.only_b == 0 && sums.both == seen.counts.bytes);
	check(sums.files == seen.counts.files + seen.counts.skipped);
	check(combine(snapshot, copy, MMAPFS_SNAPSHOT_UNION).counts.bytes ==
	      seen.counts.bytes);
	check(combine(snapshot, copy, MMAPFS_SNAPSHOT_SUBTRACT).counts.bytes == 0);
	(void)mmapfs_snapshot_close(copy);
}

struct text {
	const char *at;
	size_t length, done;
};

static int64_t fetch(void *ctx, char *bytes, size_t length, uint64_t offset)
{
	const struct text *text = ctx;
	size_t left = offset < text->length ? text->length - (size_t)offset : 0;

	length = left < length ? left : length;
	memcpy(bytes, text->at + text->length - left, length);
	return (int64_t)length;
}

static struct mmapfs__snapshot_counts count(const char *data, size_t length)
{
	static struct mmapfs__snapshot_in in;
	struct text text = { data, length, 0 };
	struct mmapfs_snapshot_entry entry;
	int r;

	mmapfs__snapshot_in_init(&in, fetch, &text);
	r = mmapfs__snapshot_in_header(&in);
	while (r >= 0) {
		r = mmapfs__snapshot_in_record(&in, &entry);
		if (r == 0)
			break;
	}
	return in.place.counts;
}

/* Where the `end` line is, or would be. */
static size_t end_line(const char *data, size_t length)
{
	for (size_t at = length; at-- > 5;) {
		if (!memcmp(data + at - 5, "\nend ", 5))
			return at - 4;
	}
	return length;
}

/* Store as @name the snapshot with an end that fits it. */
static void store_repaired(const char *name, const char *data, size_t length)
{
	size_t at = end_line(data, length);
	struct mmapfs__snapshot_counts counts = count(data, length);
	char *text = malloc(at + 256);
	size_t used;

	check(text);
	memcpy(text, data, at);
	used = at + (size_t)snprintf(text + at, 200,
				     "end %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ",
				     counts.files, counts.skipped, counts.ranges,
				     counts.bytes);
	used += (size_t)snprintf(
		text + used, 50, "%016" PRIx64 "\n",
		mmapfs__snapshot_hash(MMAPFS__SNAPSHOT_HASH, text, used));
	store(name, text, used);
	free(text);
}

static struct mmapfs_snapshot *load_repaired(const char *name, const char *data,
					     size_t length)
{
	struct mmapfs_snapshot *snapshot;

	store_repaired(name, data, length);
	snapshot = load(name);
	if (snapshot)
		use(snapshot);
	return snapshot;
}

static void use_both(struct mmapfs_snapshot *a, struct mmapfs_snapshot *b)
{
	struct sums sums = compare(a, b), turned = compare(b, a);

	check(sums.only_a == turned.only_b && sums.only_b == turned.only_a);
	check(sums.both == turned.both && sums.files == turned.files);
	for (int op = MMAPFS_SNAPSHOT_UNION; op <= MMAPFS_SNAPSHOT_SUBTRACT; op++)
		(void)combine(a, b, (enum mmapfs_snapshot_op)op);
}

/* Behind the first snapshot, or at the end. */
static size_t second_begins(const char *data, size_t length)
{
	for (size_t at = 1; at + sizeof(MAGIC) <= length; at++) {
		if (data[at - 1] == '\n' && !memcmp(data + at, MAGIC, sizeof(MAGIC) - 1))
			return at;
	}
	return length;
}

enum verdict fuzz_input(const char *data, size_t length)
{
	size_t cut = second_begins(data, length);
	struct mmapfs_snapshot *plain, *a, *b = NULL;
	bool good;

	store("plain", data, cut);
	plain = load("plain");
	good = plain != NULL;
	if (plain)
		use(plain);
	(void)mmapfs_snapshot_close(plain);
	a = load_repaired("a", data, cut);
	if (cut < length)
		b = load_repaired("b", data + cut, length - cut);
	if (a && b)
		use_both(a, b);
	(void)mmapfs_snapshot_close(a);
	(void)mmapfs_snapshot_close(b);
	return good ? ACCEPTED : REJECTED;
}
