/* SPDX-License-Identifier: MIT */
/* who.c - add up page cache events by process, action and file. */
#include "who.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTORS_MAX 512

static bool is_same(const struct who *who, const struct trace_event *event)
{
	return who->pid == event->pid && who->action == event->action &&
	       who->file.ino == event->ino && who->file.dev_major == event->dev_major &&
	       who->file.dev_minor == event->dev_minor &&
	       strcmp(who->comm, event->comm) == 0;
}

static struct who *find(struct actors *actors, const struct trace_event *event)
{
	if (actors->last < actors->count && is_same(&actors->list[actors->last], event))
		return &actors->list[actors->last];
	for (size_t i = 0; i < actors->count; i++) {
		if (is_same(&actors->list[i], event)) {
			actors->last = i;
			return &actors->list[i];
		}
	}
	return NULL;
}

static struct who *add(struct actors *actors, const struct trace_event *event)
{
	struct who *who;

	if (!actors->list)
		actors->list = calloc(ACTORS_MAX, sizeof(*actors->list));
	if (!actors->list || actors->count == ACTORS_MAX)
		return NULL;
	actors->last = actors->count++;
	who = &actors->list[actors->last];
	*who = (struct who){ .pid = event->pid,
			     .action = event->action,
			     .file = { event->dev_major, event->dev_minor, event->ino } };
	memcpy(who->comm, event->comm, sizeof(who->comm));
	return who;
}

/* Onto the end of a range or before its beginning; from the last one, as reads go. */
static bool extend(struct who *who, uint64_t offset, uint64_t length)
{
	for (size_t i = who->range_count; i > 0; i--) {
		struct mmapfs_range *range = &who->ranges[i - 1];

		if (offset == range->offset + range->length) {
			range->length += length;
			return true;
		}
		if (offset + length == range->offset) {
			range->offset = offset;
			range->length += length;
			return true;
		}
	}
	return false;
}

void actors_add(struct actors *actors, const struct trace_event *event)
{
	struct who *who = find(actors, event);

	if (!who)
		who = add(actors, event);
	if (!who) {
		actors->dropped++;
		return;
	}
	who->bytes += event->length;
	if (extend(who, event->offset, event->length))
		return;
	if (who->range_count == WHO_RANGES_MAX)
		who->more += event->length;
	else
		who->ranges[who->range_count++] =
			(struct mmapfs_range){ event->offset, event->length };
}

static int compare(const void *a, const void *b)
{
	const struct mmapfs_range *one = a, *two = b;

	return one->offset < two->offset ? -1 : one->offset > two->offset;
}

static void finish(struct who *who)
{
	size_t to = 0;

	qsort(who->ranges, who->range_count, sizeof(who->ranges[0]), compare);
	for (size_t i = 1; i < who->range_count; i++) {
		struct mmapfs_range *last = &who->ranges[to];
		uint64_t end = who->ranges[i].offset + who->ranges[i].length;

		/* A page may have come twice, with a delete in between. */
		if (who->ranges[i].offset > last->offset + last->length)
			who->ranges[++to] = who->ranges[i];
		else if (end > last->offset + last->length)
			last->length = end - last->offset;
	}
	if (who->range_count)
		who->range_count = to + 1;
}

void actors_finish(struct actors *actors)
{
	for (size_t i = 0; i < actors->count; i++)
		finish(&actors->list[i]);
}

void actors_clear(struct actors *actors)
{
	actors->count = 0;
	actors->last = 0;
	actors->dropped = 0;
}

void actors_free(struct actors *actors)
{
	free(actors->list);
	*actors = (struct actors){ 0 };
}

const char *who_ranges(const struct who *who, char *buf, size_t size)
{
	char word[MMAPFS_WORD_MAX];
	size_t used = 0, shown = 0;

	buf[0] = '\0';
	for (; shown < who->range_count; shown++) {
		int n = snprintf(word, sizeof(word), "%s%" PRIu64 "+%" PRIu64,
				 shown ? " " : "", who->ranges[shown].offset,
				 who->ranges[shown].length);

		if (used + (size_t)n + sizeof(" ...") > size)
			break;
		memcpy(buf + used, word, (size_t)n + 1);
		used += (size_t)n;
	}
	if (shown < who->range_count || who->more)
		(void)snprintf(buf + used, size - used, " ...");
	return buf;
}
