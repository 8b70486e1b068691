/* SPDX-License-Identifier: MIT */
/* snapshot-out.c - write the text of a snapshot. Pure but for the store it is given. */
#include "snapshot-format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/macro.h"

uint64_t mmapfs__snapshot_hash(uint64_t hash, const char *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* "/" counts as the lowest byte; a name that ends is lower still. */
static unsigned int rank(char c)
{
	if (c == '\0' || c == '/')
		return c == '/';
	return (unsigned int)(unsigned char)c + 1;
}

int mmapfs__snapshot_compare(const char *a, const char *b)
{
	while (*a == *b && *a != '\0') {
		a++;
		b++;
	}
	return (int)rank(*a) - (int)rank(*b);
}

void mmapfs__snapshot_out_init(struct mmapfs__snapshot_out *out,
			       mmapfs__snapshot_store_fn store, void *ctx,
			       uint64_t page_size)
{
	memset(out, 0, offsetof(struct mmapfs__snapshot_out, buf));
	out->store = store;
	out->ctx = ctx;
	out->page_size = page_size;
	out->hash = MMAPFS__SNAPSHOT_HASH;
}

int mmapfs__snapshot_out_flush(struct mmapfs__snapshot_out *out)
{
	if (out->error == 0 && out->have > 0)
		out->error = out->store(out->ctx, out->buf, out->have, out->base);
	out->base += out->have;
	out->have = 0;
	return out->error;
}

void mmapfs__snapshot_out_put(struct mmapfs__snapshot_out *out, const char *bytes,
			      size_t length)
{
	out->hash = mmapfs__snapshot_hash(out->hash, bytes, length);
	while (length > 0) {
		size_t n = u64_min(length, sizeof(out->buf) - out->have);

		memcpy(out->buf + out->have, bytes, n);
		out->have += n;
		bytes += n;
		length -= n;
		if (out->have == sizeof(out->buf))
			(void)mmapfs__snapshot_out_flush(out); /* kept in `error` */
	}
}

static void put_text(struct mmapfs__snapshot_out *out, const char *text)
{
	mmapfs__snapshot_out_put(out, text, strlen(text));
}

static void put_number(struct mmapfs__snapshot_out *out, char before, uint64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%c%" PRIu64, before, number);
	put_text(out, text);
}

/* Everything else is %XX: blanks, controls, "%" and all that is not ASCII. */
static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c != '\0' && strchr("/._-+,=@:~^#", c));
}

static void put_encoded(struct mmapfs__snapshot_out *out, const char *name)
{
	char hex[4];

	for (; *name != '\0'; name++) {
		if (is_plain(*name)) {
			mmapfs__snapshot_out_put(out, name, 1);
			continue;
		}
		(void)snprintf(hex, sizeof(hex), "%%%02X", (unsigned char)*name);
		mmapfs__snapshot_out_put(out, hex, 3);
	}
}

void mmapfs__snapshot_out_header(struct mmapfs__snapshot_out *out,
				 const struct mmapfs__snapshot_header *header)
{
	time_t seconds = (time_t)header->time_s;
	struct tm utc = { 0 };
	char text[64];

	put_text(out, "mmapfs-snapshot");
	put_number(out, ' ', header->heat ? 2 : 1);
	put_text(out, "\npage-size");
	put_number(out, ' ', header->page_size);
	(void)gmtime_r(&seconds, &utc);
	(void)strftime(text, sizeof(text), "\ntime %Y-%m-%dT%H:%M:%SZ\n", &utc);
	put_text(out, text);
	put_text(out, "kernel ");
	put_encoded(out, header->kernel[0] != '\0' ? header->kernel : "unknown");
	put_text(out, "\n");
}

static int check_entry(const struct mmapfs_snapshot_entry *entry)
{
	if (!entry->name || entry->name[0] == '\0')
		return -EINVAL;
	if (strlen(entry->name) >= MMAPFS__SNAPSHOT_NAME_SIZE)
		return -ENAMETOOLONG;
	if (!entry->skipped)
		return entry->file_size > INT64_MAX ||
				       entry->heat > MMAPFS_SNAPSHOT_HEAT_MAX ?
			       -EINVAL : 0;
	if (entry->skipped[0] == '\0' ||
	    strlen(entry->skipped) >= MMAPFS__SNAPSHOT_WORD_SIZE)
		return -EINVAL;
	return 0;
}

static void put_skip(struct mmapfs__snapshot_out *out,
		     const struct mmapfs_snapshot_entry *entry)
{
	put_text(out, "skip ");
	put_encoded(out, entry->name);
	put_text(out, " ");
	put_encoded(out, entry->skipped);
	put_text(out, "\n");
	out->counts.skipped++;
}

static void put_file(struct mmapfs__snapshot_out *out,
		     const struct mmapfs_snapshot_entry *entry)
{
	char text[96];

	put_text(out, "file ");
	put_encoded(out, entry->name);
	put_number(out, ' ', entry->file_size);
	(void)snprintf(text, sizeof(text), " %" PRId64 " %" PRIu32 ":%" PRIu32 ":%" PRIu64,
		       entry->mtime_ns, entry->dev_major, entry->dev_minor, entry->ino);
	put_text(out, text);
	if (out->heat)
		put_number(out, ' ', entry->heat);
	out->counts.files++;
	out->open = true;
	out->file_size = entry->file_size;
	out->held = (struct mmapfs_range){ 0, 0 };
	out->held_ranges = 0;
}

int mmapfs__snapshot_out_begin(struct mmapfs__snapshot_out *out,
			       const struct mmapfs_snapshot_entry *entry)
{
	int r;

	r = out->open ? -EINVAL : check_entry(entry);
	if (r < 0)
		return r;
	out->mark.offset = out->base + out->have;
	out->mark.hash = out->hash;
	out->mark.counts = out->counts;
	if (entry->skipped)
		put_skip(out, entry);
	else
		put_file(out, entry);
	return out->error;
}

static void put_held(struct mmapfs__snapshot_out *out)
{
	if (out->held.length == 0)
		return;
	put_number(out, out->held_ranges == 1 ? ' ' : ',', out->held.offset);
	put_number(out, '+', out->held.length);
	out->counts.ranges++;
	out->counts.bytes += out->held.length;
}

int mmapfs__snapshot_out_range(struct mmapfs__snapshot_out *out, uint64_t offset,
			       uint64_t length)
{
	uint64_t end = add_saturated(offset, length);
	uint64_t before = out->held.offset + out->held.length;

	if (!out->open || length == 0 || offset < before || end > out->file_size ||
	    offset % out->page_size != 0 ||
	    (end % out->page_size != 0 && end != out->file_size))
		return -EINVAL;
	if (out->held.length > 0 && offset == before) {
		out->held.length += length;
		return out->error;
	}
	put_held(out);
	out->held = (struct mmapfs_range){ offset, length };
	out->held_ranges++;
	return out->error;
}

int mmapfs__snapshot_out_end(struct mmapfs__snapshot_out *out)
{
	if (!out->open)
		return -EINVAL;
	put_held(out);
	put_text(out, out->held_ranges == 0 ? " -\n" : "\n");
	out->open = false;
	return out->error;
}

void mmapfs__snapshot_out_undo(struct mmapfs__snapshot_out *out)
{
	out->open = false;
	out->hash = out->mark.hash;
	out->counts = out->mark.counts;
	if (out->mark.offset >= out->base) {
		out->have = (size_t)(out->mark.offset - out->base);
		return;
	}
	/* Part of it has been stored: what comes next is stored over it. */
	out->base = out->mark.offset;
	out->have = 0;
}

int mmapfs__snapshot_out_finish(struct mmapfs__snapshot_out *out, uint64_t *ret)
{
	char text[24];

	put_text(out, "end");
	put_number(out, ' ', out->counts.files);
	put_number(out, ' ', out->counts.skipped);
	put_number(out, ' ', out->counts.ranges);
	put_number(out, ' ', out->counts.bytes);
	put_text(out, " ");
	(void)snprintf(text, sizeof(text), "%016" PRIx64 "\n", out->hash);
	put_text(out, text);
	*ret = out->base + out->have;
	return mmapfs__snapshot_out_flush(out);
}
