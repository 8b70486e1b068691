/* SPDX-License-Identifier: MIT */
/* target_mount.c - one selected file on a mounted mmapfs, by its control attributes. */
#include "target_mount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"

/* The kernel's largest attribute value. */
#define LIST_MAX 65536

/* A piece of a warm that is paced or watches memory. */
#define PIECE_MAX (UINT64_C(64) << 20)
#define PIECE_MIN (UINT64_C(1) << 20)

#define POLL_NS_MIN UINT64_C(500000)
#define POLL_NS_MAX UINT64_C(50000000)

bool mount_is_ours(int fd)
{
	return mmapfs_control_get(fd, "version", NULL, 0) >= 0;
}

/* "NAME" or "NAME@RANGE". */
static void name_with_range(char buf[MMAPFS_CONTROL_NAME_MAX], const char *name,
			    struct mmapfs_range range)
{
	char word[MMAPFS_WORD_MAX];

	if (range.offset == 0 && range.length == 0)
		snprintf(buf, MMAPFS_CONTROL_NAME_MAX, "%s", name);
	else
		snprintf(buf, MMAPFS_CONTROL_NAME_MAX, "%s@%s", name,
			 mmapfs_range_format(word, range));
}

static int get(int fd, const char *name, struct mmapfs_range range, char *buf, size_t size)
{
	char full[MMAPFS_CONTROL_NAME_MAX];
	int64_t length;

	name_with_range(full, name, range);
	length = mmapfs_control_get(fd, full, buf, size - 1);
	if (length < 0)
		return (int)length;
	buf[length] = 0;
	return 0;
}

static int set(int fd, const char *name, const char *word, struct mmapfs_range range)
{
	char text[2 * MMAPFS_WORD_MAX + 32], buf[MMAPFS_WORD_MAX];
	bool whole = range.offset == 0 && range.length == 0;
	int length;

	length = snprintf(text, sizeof(text), "%s%s%s", word, *word && !whole ? " " : "",
			  whole ? "" : mmapfs_range_format(buf, range));
	return mmapfs_control_set(fd, name, text, (size_t)length);
}

int mount_observe(int fd, struct mmapfs_range range, struct observation *ret)
{
	char text[1024];
	int r = get(fd, "stat", range, text, sizeof(text));

	return r < 0 ? r : mount_parse_stat(text, ret);
}

/* ---- ranges ---- */

/* Hand over the lines of a list. Returns 1 when it was cut, with where in @ret_next. */
static int tell_lines(char *text, mmapfs_range_fn fn, void *ctx, uint64_t *ret_next,
		      bool *ret_cut)
{
	char *save = NULL, *line;

	*ret_cut = false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t offset, length;
		int r;

		if (sscanf(line, "... %" SCNu64, ret_next) == 1) {
			*ret_cut = true;
			return 0;
		}
		if (sscanf(line, "%" SCNu64 "+%" SCNu64, &offset, &length) != 2)
			return -EPROTO;
		r = fn(ctx, offset, length);
		if (r != 0)
			return r;
	}
	return 0;
}

int mount_ranges(int fd, uint64_t size, struct mmapfs_range range, mmapfs_range_fn fn,
		 void *ctx)
{
	_cleanup_free_ char *text = malloc(LIST_MAX + 1);
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : 0;
	bool cut = true;
	int r = 0;

	if (!text)
		return -ENOMEM;
	if (range.offset >= size)
		return 0;
	while (r == 0 && cut) {
		uint64_t next = 0;

		r = get(fd, "ranges", range, text, LIST_MAX + 1);
		if (r == 0)
			r = tell_lines(text, fn, ctx, &next, &cut);
		if (r == 0 && cut && next <= range.offset)
			return -EPROTO;
		range.offset = next;
		range.length = end ? end - next : 0;
	}
	return r;
}

/* ---- warm ---- */

struct warming {
	int fd;
	const struct mmapfs_warm_opts *opts;
	struct mmapfs_warm_result *result;
	uint64_t length; /* of the whole work, bytes */
	uint64_t before; /* done of it by earlier pieces */
	uint64_t started_ns;
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / UINT64_C(1000000000)),
			       (long)(ns % UINT64_C(1000000000)) };

	(void)nanosleep(&ts, NULL); /* a signal is a reason to look */
}

static int tell_progress(const struct warming *warming, uint64_t done)
{
	const struct mmapfs_warm_opts *opts = warming->opts;

	done = u64_min(warming->before + done, warming->length);
	return opts && opts->progress ? opts->progress(opts->ctx, done, warming->length) : 0;
}

static bool is_over(const struct mount_warm_state *state)
{
	return strcmp(state->state, "queued") != 0 && strcmp(state->state, "running") != 0;
}

static int get_warm(int fd, struct mount_warm_state *ret)
{
	static const struct mmapfs_range whole = { 0, 0 };
	char text[128];
	int r = get(fd, "warm", whole, text, sizeof(text));

	return r < 0 ? r : mount_parse_warm(text, ret);
}

/* Wait until what was begun is over. -ECANCELED when the callback said so. */
static int await(const struct warming *warming, struct mount_warm_state *ret)
{
	static const struct mmapfs_range whole = { 0, 0 };
	uint64_t pause = POLL_NS_MIN;
	bool cancelled = false;
	int r;

	for (;;) {
		r = get_warm(warming->fd, ret);
		if (r < 0)
			return r;
		if (!cancelled && tell_progress(warming, ret->done) != 0) {
			cancelled = true;
			(void)set(warming->fd, "warm", "cancel", whole);
		}
		if (is_over(ret))
			break;
		sleep_ns(pause);
		pause = u64_min(2 * pause, POLL_NS_MAX);
	}
	if (strcmp(ret->state, "cancelled") == 0)
		return -ECANCELED;
	return ret->error;
}

static int warm_piece(struct warming *warming, struct mmapfs_range piece)
{
	struct mount_warm_state state;
	int r = set(warming->fd, "warm", "", piece);

	if (r < 0)
		return r;
	r = await(warming, &state);
	warming->result->total += state.total;
	warming->result->requested += state.done;
	if (r < 0 && r != -ECANCELED && !warming->result->error) {
		warming->result->error = r;
		warming->result->error_offset = state.error_offset;
	}
	return r;
}

static uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t kib = UINT64_MAX / 1024;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (file)
		(void)fclose(file);
	return kib * 1024;
}

static uint64_t piece_length(const struct mmapfs_warm_opts *opts, uint64_t left)
{
	if (!opts || (opts->rate == 0 && opts->keep_available == 0))
		return left;
	if (opts->rate == 0)
		return u64_min(left, PIECE_MAX);
	/* Four a second. */
	return u64_min(left, u64_min(PIECE_MAX,
				     u64_max(align_down(opts->rate / 4, PIECE_MIN),
					     PIECE_MIN)));
}

/* Sleep until no more than the rate allows is done; in naps, to hear of a cancel. */
static int keep_pace(const struct warming *warming)
{
	const struct mmapfs_warm_opts *opts = warming->opts;
	double due, now;
	int r = 0;

	if (!opts || opts->rate == 0)
		return 0;
	due = (double)warming->before / (double)opts->rate * 1e9;
	while (r == 0 && (now = (double)(clock_ns() - warming->started_ns)) < due) {
		sleep_ns(u64_min((uint64_t)(due - now), POLL_NS_MAX));
		r = tell_progress(warming, 0);
	}
	return r ? -ECANCELED : 0;
}

static int warm_pieces(struct warming *warming, struct mmapfs_range range)
{
	const struct mmapfs_warm_opts *opts = warming->opts;
	uint64_t at = range.offset, end = range.offset + range.length;
	int r = 0, first = 0;

	while (r == 0 && at < end) {
		struct mmapfs_range piece = { at, piece_length(opts, end - at) };

		if (opts && opts->keep_available &&
		    memory_available() < add_saturated(opts->keep_available, piece.length))
			return -ENOMEM;
		r = warm_piece(warming, piece);
		if (r == -EIO) { /* as in core: all that can be read is */
			first = r;
			r = 0;
		}
		at += piece.length;
		warming->before += piece.length;
		if (r == 0)
			r = keep_pace(warming);
	}
	return r < 0 ? r : first;
}

static void put_resident(int fd, struct mmapfs_range range, uint64_t *ret, uint32_t *valid)
{
	struct observation seen;

	if (mount_observe(fd, range, &seen) < 0 ||
	    !(seen.residency.valid & MMAPFS_RESIDENT)) {
		*valid = 0;
		return;
	}
	*ret = u64_min(seen.residency.resident * seen.residency.page_size,
		       seen.residency.file_size > range.offset
			       ? seen.residency.file_size - range.offset
			       : 0);
}

/* The daemon is asked: attributes that the kernel keeps may be a second old. */
static bool is_shorter_than(int fd, uint64_t end)
{
	static const struct mmapfs_range whole = { 0, 0 };
	struct observation seen;

	return mount_observe(fd, whole, &seen) == 0 && seen.residency.file_size < end;
}

int mount_warm(int fd, uint64_t size, struct mmapfs_range range,
	       const struct mmapfs_warm_opts *opts, struct mmapfs_warm_result *ret)
{
	struct mmapfs_warm_result result = { .size = sizeof(result), .valid = 1 };
	struct warming warming = { .fd = fd, .opts = opts, .result = &result };
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : size;
	int r = 0;

	end = u64_min(end, size);
	put_resident(fd, range, &result.before, &result.valid);
	if (range.offset < end) {
		range.length = end - range.offset;
		warming.length = range.length;
		warming.started_ns = clock_ns();
		r = warm_pieces(&warming, range);
	}
	put_resident(fd, range, &result.after, &result.valid);
	/* Of pieces beyond the end the mount says that they are done: there is nothing. */
	if (r == 0 && is_shorter_than(fd, end)) {
		r = result.error = -ESTALE;
		result.error_offset = 0;
	}
	/* Pages of holes that happen to be resident hide as many that are missing: the mount
	 * does not tell them apart. */
	if (result.valid && result.total > result.after)
		result.missing = result.total - result.after;
	if (ret)
		*ret = result;
	return r;
}

/* ---- the rest ---- */

int mount_evict(int fd, struct mmapfs_range range, uint32_t flags,
		struct mmapfs_evict_result *ret)
{
	static const struct mmapfs_range whole = { 0, 0 };
	struct mmapfs_evict_result found;
	struct observation seen;
	char text[512];
	int r;

	r = set(fd, "evict", flags & MMAPFS_EVICT_SYNC ? "sync" : "", range);
	if (r < 0 || !ret)
		return r;
	r = get(fd, "evict", whole, text, sizeof(text));
	if (r == 0)
		r = mount_parse_evict(text, &found);
	if (r < 0)
		return r;
	r = mount_observe(fd, range, &seen);
	if (r < 0)
		return r;
	found.pages = seen.residency.pages;
	*ret = found;
	return 0;
}

int mount_lock(int fd, uint64_t size, struct mmapfs_range range,
	       struct mmapfs_lock_result *ret)
{
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : size;
	struct observation seen = { 0 };
	int r, observed;

	end = u64_min(end, size);
	r = set(fd, "lock", "on", range);
	if (!ret)
		return r;
	observed = mount_observe(fd, range, &seen);
	if (observed == 0 || r < 0)
		*ret = (struct mmapfs_lock_result){
			.size = sizeof(*ret),
			.need = range.offset < end ? end - range.offset : 0,
			.limit = UINT64_MAX,
			.locked = seen.locked * seen.residency.page_size,
		};
	return r < 0 ? r : observed;
}

int mount_unlock(int fd, struct mmapfs_range range)
{
	return set(fd, "lock", "off", range);
}

int mount_sync(int fd, struct mmapfs_range range, enum mmapfs_sync_level level)
{
	static const char *const words[] = {
		[MMAPFS_SYNC] = "sync",
		[MMAPFS_SYNC_ASYNC] = "async",
		[MMAPFS_SYNC_INVALIDATE] = "invalidate",
	};

	if ((size_t)level >= ARRAY_SIZE(words))
		return -EINVAL;
	return set(fd, "sync", words[level], range);
}

int mount_advise(int fd, struct mmapfs_range range, enum mmapfs_advice advice)
{
	const char *word = mmapfs_advice_name(advice);

	return word ? set(fd, "advise", word, range) : -EINVAL;
}
