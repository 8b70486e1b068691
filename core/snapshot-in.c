/* SPDX-License-Identifier: MIT */
/*
 * snapshot-in.c - read the text of a snapshot, believing nothing.
 *
 * Every byte is looked at: what is not exactly as snapshot-out.c writes it is -EBADMSG with
 * the line and a reason. Pure but for the fetch it is given.
 */
#include "snapshot-format.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/macro.h"

#define END_OF_TEXT 256

void mmapfs__snapshot_in_init(struct mmapfs__snapshot_in *in,
			      mmapfs__snapshot_fetch_fn fetch, void *ctx)
{
	memset(in, 0, offsetof(struct mmapfs__snapshot_in, buf));
	in->fetch = fetch;
	in->ctx = ctx;
	in->place.line = 1;
	in->place.hash = MMAPFS__SNAPSHOT_HASH;
}

void mmapfs__snapshot_in_fragment(struct mmapfs__snapshot_in *in, uint64_t offset,
				  const struct mmapfs__snapshot_header *header)
{
	in->fragment = true;
	in->header = *header;
	in->place.offset = in->base = offset;
}

static int fail(struct mmapfs__snapshot_in *in, const char *problem)
{
	if (!in->problem)
		in->problem = problem;
	return -EBADMSG;
}

/* ---- bytes ---- */

/* The next byte, END_OF_TEXT, or a negative errno. */
static int look(struct mmapfs__snapshot_in *in)
{
	if (in->at == in->have) {
		int64_t n;

		in->base += in->have;
		in->at = in->have = 0;
		n = in->fetch(in->ctx, in->buf, sizeof(in->buf), in->base);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return END_OF_TEXT;
		in->have = (size_t)n;
	}
	return (unsigned char)in->buf[in->at];
}

/* Past the byte that look() has just shown. */
static void step(struct mmapfs__snapshot_in *in)
{
	char c = in->buf[in->at++];

	in->place.hash = mmapfs__snapshot_hash(in->place.hash, &c, 1);
	in->place.offset++;
	if (c == '\n')
		in->place.line++;
}

static int take(struct mmapfs__snapshot_in *in, const char *text, const char *problem)
{
	for (; *text != '\0'; text++) {
		int c = look(in);

		if (c < 0)
			return c;
		if (c == END_OF_TEXT)
			return fail(in, "the text ends too early");
		if (c != (unsigned char)*text)
			return fail(in, problem);
		step(in);
	}
	return 0;
}

/* ---- words ---- */

/* One way only to write a number: no signs, no zeros in front. */
static int take_number(struct mmapfs__snapshot_in *in, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned int digits = 0;
	int c;

	while ((c = look(in)) >= '0' && c <= '9') {
		if ((digits > 0 && value == 0) ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (unsigned int)(c - '0'), &value))
			return fail(in, "a number that cannot be");
		digits++;
		step(in);
	}
	if (c < 0)
		return c;
	if (digits == 0)
		return fail(in, c == END_OF_TEXT ? "the text ends too early"
						 : "a number is missing");
	*ret = value;
	return 0;
}

static int take_signed(struct mmapfs__snapshot_in *in, int64_t *ret)
{
	bool negative;
	uint64_t value;
	int r;

	r = look(in);
	if (r < 0)
		return r;
	negative = r == '-';
	if (negative)
		step(in);
	r = take_number(in, &value);
	if (r < 0)
		return r;
	if (value > INT64_MAX || (negative && value == 0))
		return fail(in, "a number that cannot be");
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

static int take_u32(struct mmapfs__snapshot_in *in, uint32_t *ret)
{
	uint64_t value;
	int r;

	r = take_number(in, &value);
	if (r < 0)
		return r;
	if (value > UINT32_MAX)
		return fail(in, "a number that cannot be");
	*ret = (uint32_t)value;
	return 0;
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What stands after a "%": a byte, or a negative errno. */
static int take_hex(struct mmapfs__snapshot_in *in)
{
	int value = 0;
	int i, c;

	for (i = 0; i < 2; i++) {
		c = look(in);
		if (c < 0)
			return c;
		if (hex_digit(c) < 0)
			return fail(in, "a % without two digits behind it");
		value = value * 16 + hex_digit(c);
		step(in);
	}
	return value != 0 ? value : fail(in, "a name with a zero byte");
}

/* A name or another word, up to a blank or the end of the line. */
static int take_word(struct mmapfs__snapshot_in *in, char *buf, size_t size)
{
	size_t length = 0;
	int c;

	while ((c = look(in)) != ' ' && c != '\n') {
		if (c < 0)
			return c;
		if (c == END_OF_TEXT)
			return fail(in, "the text ends too early");
		if (c < ' ' || c > '~')
			return fail(in, "a byte that has to be encoded");
		step(in);
		if (c == '%')
			c = take_hex(in);
		if (c < 0)
			return c;
		if (length + 1 == size)
			return fail(in, "a word that is too long");
		buf[length++] = (char)c;
	}
	buf[length] = '\0';
	return length > 0 ? 0 : fail(in, "a word is missing");
}

/* ---- header and end ---- */

static int take_time(struct mmapfs__snapshot_in *in, int64_t *ret)
{
	char text[32];
	const char *end;
	struct tm utc = { 0 };
	int r;

	r = take_word(in, text, sizeof(text));
	if (r < 0)
		return r;
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	if (!end || *end != '\0')
		return fail(in, "a time that cannot be");
	*ret = (int64_t)timegm(&utc);
	return 0;
}

static int take_page_size(struct mmapfs__snapshot_in *in, uint64_t *ret)
{
	int r;

	r = take_number(in, ret);
	if (r < 0)
		return r;
	if (*ret < 512 || *ret > UINT64_C(1) << 30 || (*ret & (*ret - 1)) != 0)
		return fail(in, "a page size that cannot be");
	return 0;
}

/* What they can do differs in the heat alone. */
static int take_version(struct mmapfs__snapshot_in *in, bool *ret_heat)
{
	static const char unknown[] = "a version that is not known";
	int c = look(in);

	if (c < 0)
		return c;
	*ret_heat = c == '2';
	return take(in, *ret_heat ? "2\n" : "1\n", unknown);
}

int mmapfs__snapshot_in_header(struct mmapfs__snapshot_in *in)
{
	static const char odd[] = "a header line that is not known";
	struct mmapfs__snapshot_header *header = &in->header;
	int r;

	r = take(in, "mmapfs-snapshot ", "not a snapshot of mmapfs");
	if (r == 0)
		r = take_version(in, &header->heat);
	if (r == 0)
		r = take(in, "page-size ", odd);
	if (r == 0)
		r = take_page_size(in, &header->page_size);
	if (r == 0)
		r = take(in, "\ntime ", odd);
	if (r == 0)
		r = take_time(in, &header->time_s);
	if (r == 0)
		r = take(in, "\nkernel ", odd);
	if (r == 0)
		r = take_word(in, header->kernel, sizeof(header->kernel));
	return r == 0 ? take(in, "\n", odd) : r;
}

static int check_sum(struct mmapfs__snapshot_in *in, uint64_t hash)
{
	uint64_t found = 0;
	int i, c;

	for (i = 0; i < 16; i++) {
		c = look(in);
		if (c < 0)
			return c;
		if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
			return fail(in, "a checksum that cannot be");
		found = found << 4 | (unsigned int)(c <= '9' ? c - '0' : c - 'a' + 10);
		step(in);
	}
	return found == hash ? 0 : fail(in, "the checksum differs: the text was changed");
}

static int take_end(struct mmapfs__snapshot_in *in)
{
	uint64_t *const fields[] = { &in->place.counts.files, &in->place.counts.skipped,
				     &in->place.counts.ranges, &in->place.counts.bytes };
	uint64_t found;
	size_t i;
	int r;

	r = take(in, "end ", "a line that is not known");
	for (i = 0; r == 0 && i < ARRAY_SIZE(fields); i++) {
		r = take_number(in, &found);
		if (r == 0 && found != *fields[i])
			return fail(in, "the counts differ: lines are missing or too many");
		if (r == 0)
			r = take(in, " ", "a line that is not known");
	}
	if (r == 0)
		r = check_sum(in, in->place.hash);
	/* The line of a problem is the line it is in. */
	if (r == 0)
		r = look(in) == '\n' ? 0 : fail(in, "the last line is cut");
	if (r < 0)
		return r;
	step(in);
	r = look(in);
	if (r < 0)
		return r;
	in->ended = true;
	return r == END_OF_TEXT ? 0 : fail(in, "text behind the end");
}

/* ---- records ---- */

static int take_name(struct mmapfs__snapshot_in *in)
{
	const char *before = in->names[in->current];
	char *name;
	int r;

	in->current = !in->current;
	name = in->names[in->current];
	r = take_word(in, name, sizeof(in->names[0]));
	if (r < 0)
		return r;
	if (!in->fragment && mmapfs__snapshot_compare(before, name) >= 0)
		return fail(in, "a name that is not in order");
	return take(in, " ", "a field is missing");
}

static int take_identity(struct mmapfs__snapshot_in *in, struct mmapfs_snapshot_entry *ret)
{
	static const char odd[] = "a field is missing";
	int r;

	r = take_number(in, &ret->file_size);
	if (r == 0 && ret->file_size > INT64_MAX)
		return fail(in, "a number that cannot be");
	if (r == 0)
		r = take(in, " ", odd);
	if (r == 0)
		r = take_signed(in, &ret->mtime_ns);
	if (r == 0)
		r = take(in, " ", odd);
	if (r == 0)
		r = take_u32(in, &ret->dev_major);
	if (r == 0)
		r = take(in, ":", odd);
	if (r == 0)
		r = take_u32(in, &ret->dev_minor);
	if (r == 0)
		r = take(in, ":", odd);
	if (r == 0)
		r = take_number(in, &ret->ino);
	return r == 0 ? take(in, " ", odd) : r;
}

static int take_heat(struct mmapfs__snapshot_in *in, uint32_t *ret)
{
	int r = take_u32(in, ret);

	if (r == 0 && *ret > MMAPFS_SNAPSHOT_HEAT_MAX)
		return fail(in, "a number that cannot be");
	return r == 0 ? take(in, " ", "a field is missing") : r;
}

static int take_file(struct mmapfs__snapshot_in *in, struct mmapfs_snapshot_entry *ret)
{
	int r;

	r = take(in, "file ", "a line that is not known");
	if (r == 0)
		r = take_name(in);
	if (r == 0)
		r = take_identity(in, ret);
	if (r == 0 && in->header.heat)
		r = take_heat(in, &ret->heat);
	if (r < 0)
		return r;
	ret->name = in->names[in->current];
	in->place.counts.files++;
	in->place.range_end = 0;
	in->place.first_range = true;
	in->file_size = ret->file_size;
	in->in_ranges = true;
	in->ranges = in->place;
	return 1;
}

static int take_skip(struct mmapfs__snapshot_in *in, struct mmapfs_snapshot_entry *ret)
{
	int r;

	r = take(in, "skip ", "a line that is not known");
	if (r == 0)
		r = take_name(in);
	if (r == 0)
		r = take_word(in, in->skipped, sizeof(in->skipped));
	if (r == 0)
		r = take(in, "\n", "a line that is not known");
	if (r < 0)
		return r;
	ret->name = in->names[in->current];
	ret->skipped = in->skipped;
	in->place.counts.skipped++;
	return 1;
}

int mmapfs__snapshot_in_record(struct mmapfs__snapshot_in *in,
			       struct mmapfs_snapshot_entry *ret)
{
	struct mmapfs_snapshot_entry entry = { .size = sizeof(entry) };
	struct mmapfs_range range;
	int c, r;

	while (in->in_ranges) {
		r = mmapfs__snapshot_in_range(in, &range);
		if (r < 0)
			return r;
	}
	if (in->ended)
		return 0;
	in->record_offset = in->place.offset;
	c = look(in);
	if (c < 0 || (c == END_OF_TEXT && in->fragment))
		return c < 0 ? c : 0;
	if (c == END_OF_TEXT)
		return fail(in, "the text ends too early: its end line is missing");
	if (c != 'f' && c != 's' && c != 'e')
		return fail(in, "a line that is not known");
	if (c == 'e')
		return take_end(in);
	r = c == 'f' ? take_file(in, &entry) : take_skip(in, &entry);
	if (r == 1)
		*ret = entry;
	return r;
}

static int end_of_ranges(struct mmapfs__snapshot_in *in)
{
	in->in_ranges = false;
	return take(in, "\n", "a line that is not known");
}

static int check_range(struct mmapfs__snapshot_in *in, const struct mmapfs_range *range)
{
	uint64_t page = in->header.page_size;
	uint64_t end;

	if (range->length == 0 ||
	    __builtin_add_overflow(range->offset, range->length, &end))
		return fail(in, "a range that cannot be");
	if (range->offset < in->place.range_end)
		return fail(in, "a range that is not in order");
	if (end > in->file_size)
		return fail(in, "a range beyond the end of its file");
	if (range->offset % page != 0 || (end % page != 0 && end != in->file_size))
		return fail(in, "a range that is not of whole pages");
	in->place.range_end = end;
	in->place.counts.ranges++;
	in->place.counts.bytes += range->length;
	return 1;
}

int mmapfs__snapshot_in_range(struct mmapfs__snapshot_in *in, struct mmapfs_range *ret)
{
	struct mmapfs_range range;
	bool first = in->place.first_range;
	int r;

	if (!in->in_ranges)
		return 0;
	r = look(in);
	if (r < 0)
		return r;
	if (first && r == '-') {
		step(in);
		return end_of_ranges(in);
	}
	if (!first && r == '\n')
		return end_of_ranges(in);
	in->place.first_range = false;
	r = first ? 0 : take(in, ",", "a line that is not known");
	if (r == 0)
		r = take_number(in, &range.offset);
	if (r == 0)
		r = take(in, "+", "a range that cannot be");
	if (r == 0)
		r = take_number(in, &range.length);
	if (r == 0)
		r = check_range(in, &range);
	if (r == 1)
		*ret = range;
	return r;
}

void mmapfs__snapshot_in_again(struct mmapfs__snapshot_in *in)
{
	in->place = in->ranges;
	in->in_ranges = true;
	if (in->place.offset >= in->base && in->place.offset - in->base <= in->have) {
		in->at = (size_t)(in->place.offset - in->base);
		return;
	}
	in->base = in->place.offset;
	in->at = in->have = 0;
}
