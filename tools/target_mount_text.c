/* SPDX-License-Identifier: MIT */
/* target_mount_text.c - understand what control attributes say. */
#include "target_mount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

/* Beyond the largest errno of any architecture we know. */
#define ERRNO_END 256

static int errno_of_name(const char *name)
{
	for (int i = 1; i < ERRNO_END; i++) {
		const char *known = mmapfs_errno_name(i);

		if (known && strcmp(known, name) == 0)
			return -i;
	}
	return -EIO;
}

/* The number whose word, by @name_of, is @word; 0 when there is none. */
static uint32_t number_of_word(const char *(*name_of)(uint32_t), const char *word)
{
	for (uint32_t i = 0; strcmp(name_of(i), "?") != 0; i++)
		if (strcmp(name_of(i), word) == 0)
			return i;
	return 0;
}

static const struct {
	const char *key;
	uint32_t figure; /* 0: always there */
	size_t offset;	 /* in struct mmapfs_residency */
} figures[] = {
	{ "size", 0, offsetof(struct mmapfs_residency, file_size) },
	{ "pages", 0, offsetof(struct mmapfs_residency, pages) },
	{ "page_size", 0, offsetof(struct mmapfs_residency, page_size) },
	{ "resident", MMAPFS_RESIDENT, offsetof(struct mmapfs_residency, resident) },
	{ "occupied", MMAPFS_OCCUPIED, offsetof(struct mmapfs_residency, occupied) },
	{ "dirty", MMAPFS_DIRTY, offsetof(struct mmapfs_residency, dirty) },
	{ "writeback", MMAPFS_WRITEBACK, offsetof(struct mmapfs_residency, writeback) },
	{ "evicted", MMAPFS_EVICTED, offsetof(struct mmapfs_residency, evicted) },
};

static int put_figure(const char *key, const char *value, struct mmapfs_residency *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		uint64_t number;

		if (strcmp(figures[i].key, key) != 0)
			continue;
		if (figures[i].figure && strcmp(value, "unknown") == 0)
			return 0;
		if (sscanf(value, "%" SCNu64, &number) != 1)
			return -EPROTO;
		memcpy((char *)ret + figures[i].offset, &number, sizeof(number));
		ret->valid |= figures[i].figure;
		return 0;
	}
	return 0; /* a newer mount may tell more */
}

static void put_word(const char *key, const char *value, struct observation *ret)
{
	struct mmapfs_residency *residency = &ret->residency;

	if (strcmp(key, "locked") == 0)
		ret->locked_known = sscanf(value, "%" SCNu64, &ret->locked) == 1;
	else if (strcmp(key, "advice") == 0)
		snprintf(ret->advice, sizeof(ret->advice), "%s", value);
	else if (strcmp(key, "data_path") == 0)
		snprintf(ret->data_path, sizeof(ret->data_path), "%s", value);
	else if (strcmp(key, "method") == 0)
		residency->method = number_of_word(mmapfs_method_name, value);
	else if (strcmp(key, "confidence") == 0)
		residency->confidence = number_of_word(mmapfs_confidence_name, value);
	else if (strcmp(key, "reason") == 0)
		residency->reason = number_of_word(mmapfs_reason_name, value);
	else if (strcmp(key, "upper_bound") == 0 && strcmp(value, "dirty") == 0)
		residency->upper_bound |= MMAPFS_DIRTY;
	else if (strcmp(key, "changed") == 0)
		residency->changed = 1;
}

int mount_parse_stat(const char *text, struct observation *ret)
{
	struct observation found = { .residency.size = sizeof(found.residency) };
	char line[128], *value;
	int r = 0;

	for (; r == 0 && *text; text += strcspn(text, "\n"), text += *text == '\n') {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		value = strchr(line, '=');
		if (!value)
			return -EPROTO;
		*value++ = 0;
		r = put_figure(line, value, &found.residency);
		put_word(line, value, &found);
	}
	if (r < 0)
		return r;
	if (found.residency.page_size == 0)
		return -EPROTO;
	if (found.residency.confidence == MMAPFS_CONFIDENCE_UPPER_BOUND)
		found.residency.upper_bound |= MMAPFS_RESIDENT;
	*ret = found;
	return 0;
}

static int put_stay(const char *key, const char *value, struct mmapfs_evict_result *ret)
{
	uint64_t number;

	if (strcmp(key, "reasons") == 0) {
		ret->exact = strcmp(value, "exact") == 0;
		return 0;
	}
	if (strcmp(value, "unknown") == 0) {
		ret->valid = 0;
		return 0;
	}
	if (sscanf(value, "%" SCNu64, &number) != 1)
		return -EPROTO;
	if (strcmp(key, "before") == 0)
		ret->before = number;
	else if (strcmp(key, "after") == 0)
		ret->after = number;
	for (uint32_t i = 0; i < MMAPFS_STAY_COUNT; i++)
		if (strcmp(mmapfs_stay_name(i), key) == 0)
			ret->stayed[i] = number;
	return 0;
}

int mount_parse_evict(const char *text, struct mmapfs_evict_result *ret)
{
	struct mmapfs_evict_result found = { .size = sizeof(found), .valid = 1 };
	char copy[512], *save = NULL, *word;

	if (strncmp(text, "before=", 7) != 0)
		return -EPROTO;
	snprintf(copy, sizeof(copy), "%s", text);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		int r;

		if (!value)
			return -EPROTO;
		*value++ = 0;
		r = put_stay(word, value, &found);
		if (r < 0)
			return r;
	}
	*ret = found;
	return 0;
}

int mount_parse_warm(const char *text, struct mount_warm_state *ret)
{
	struct mount_warm_state found = { 0 };
	char error[24];
	int n;

	n = sscanf(text, "%15s %" SCNu64 "/%" SCNu64 " %23s at %" SCNu64, found.state,
		   &found.done, &found.total, error, &found.error_offset);
	if (n < 3)
		return -EPROTO;
	if (n == 5)
		found.error = errno_of_name(error);
	*ret = found;
	return 0;
}
