/* SPDX-License-Identifier: MIT */
/* advise.c - the words of madvise(2), what kind each is, and how each is given. */
#include <mmapfs.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "map.h"
#include "populate.h"
#include "probe.h"

#define STATE MMAPFS_ADVICE_STATE
#define ACTION MMAPFS_ADVICE_ACTION
#define DESTRUCTIVE MMAPFS_ADVICE_DESTRUCTIVE
#define DESTRUCTIVE_ON_COPY MMAPFS_ADVICE_DESTRUCTIVE_ON_COPY

/* The kernel cuts each MADV_WILLNEED to one readahead window, often no larger. */
#define WILLNEED_PIECE (UINT64_C(2) << 20)

/* The longest word of the table, with its NUL, is well below. */
#define WORD_MAX 32

static const struct advice {
	const char *word;
	int value; /* MADV_ */
	uint32_t kinds;
} advices[MMAPFS_ADVICE_COUNT] = {
	[MMAPFS_ADVICE_NORMAL] = { "normal", MADV_NORMAL, STATE },
	[MMAPFS_ADVICE_RANDOM] = { "random", MADV_RANDOM, STATE },
	[MMAPFS_ADVICE_SEQUENTIAL] = { "sequential", MADV_SEQUENTIAL, STATE },
	[MMAPFS_ADVICE_WILLNEED] = { "willneed", MADV_WILLNEED, ACTION },
	[MMAPFS_ADVICE_DONTNEED] = { "dontneed", MADV_DONTNEED,
				     ACTION | DESTRUCTIVE_ON_COPY },
	[MMAPFS_ADVICE_COLD] = { "cold", MADV_COLD, ACTION },
	[MMAPFS_ADVICE_PAGEOUT] = { "pageout", MADV_PAGEOUT, ACTION },
	[MMAPFS_ADVICE_POPULATE_READ] = { "populate-read", MADV_POPULATE_READ, ACTION },
	[MMAPFS_ADVICE_POPULATE_WRITE] = { "populate-write", MADV_POPULATE_WRITE,
					   ACTION },
	[MMAPFS_ADVICE_HUGEPAGE] = { "hugepage", MADV_HUGEPAGE, STATE },
	[MMAPFS_ADVICE_NOHUGEPAGE] = { "nohugepage", MADV_NOHUGEPAGE, STATE },
	[MMAPFS_ADVICE_COLLAPSE] = { "collapse", MADV_COLLAPSE, ACTION },
	[MMAPFS_ADVICE_MERGEABLE] = { "mergeable", MADV_MERGEABLE, STATE },
	[MMAPFS_ADVICE_UNMERGEABLE] = { "unmergeable", MADV_UNMERGEABLE, STATE },
	[MMAPFS_ADVICE_DONTFORK] = { "dontfork", MADV_DONTFORK, STATE },
	[MMAPFS_ADVICE_DOFORK] = { "dofork", MADV_DOFORK, STATE },
	[MMAPFS_ADVICE_DONTDUMP] = { "dontdump", MADV_DONTDUMP, STATE },
	[MMAPFS_ADVICE_DODUMP] = { "dodump", MADV_DODUMP, STATE },
	[MMAPFS_ADVICE_WIPEONFORK] = { "wipeonfork", MADV_WIPEONFORK,
				       STATE | DESTRUCTIVE },
	[MMAPFS_ADVICE_KEEPONFORK] = { "keeponfork", MADV_KEEPONFORK, STATE },
	[MMAPFS_ADVICE_DONTNEED_LOCKED] = { "dontneed-locked", MADV_DONTNEED_LOCKED,
					    ACTION | DESTRUCTIVE_ON_COPY },
	[MMAPFS_ADVICE_FREE] = { "free", MADV_FREE, ACTION | DESTRUCTIVE },
	[MMAPFS_ADVICE_REMOVE] = { "remove", MADV_REMOVE, ACTION | DESTRUCTIVE },
};

static bool is_known(enum mmapfs_advice advice)
{
	return (unsigned int)advice < MMAPFS_ADVICE_COUNT;
}

/* Of ASCII, whatever the locale: tolower("I") is not "i" everywhere. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Without "MADV_", in lower case, "_" as "-". False when it is longer than any word. */
static bool normalize(const char *word, char ret[WORD_MAX])
{
	size_t i;

	if (strncasecmp(word, "MADV_", 5) == 0)
		word += 5;
	for (i = 0; word[i] != '\0'; i++) {
		if (i == WORD_MAX - 1)
			return false;
		ret[i] = word[i] == '_' ? '-' : lower(word[i]);
	}
	ret[i] = '\0';
	return true;
}

MMAPFS_PUBLIC int mmapfs_advice_parse(const char *word)
{
	char plain[WORD_MAX];

	if (!normalize(word, plain))
		return -EINVAL;
	for (int i = 0; i < MMAPFS_ADVICE_COUNT; i++)
		if (strcmp(advices[i].word, plain) == 0)
			return i;
	return -EINVAL;
}

MMAPFS_PUBLIC const char *mmapfs_advice_name(enum mmapfs_advice advice)
{
	return is_known(advice) ? advices[advice].word : NULL;
}

MMAPFS_PUBLIC uint32_t mmapfs_advice_kinds(enum mmapfs_advice advice)
{
	return is_known(advice) ? advices[advice].kinds : 0;
}

/* A destructive word takes more than a misspelling. */
static int check_allowed(const struct mmapfs_map *map, uint32_t kinds, uint32_t flags)
{
	uint32_t losing = DESTRUCTIVE;

	if (flags & ~(uint32_t)MMAPFS_ADVISE_MAY_DESTROY)
		return -EINVAL;
	if (flags & MMAPFS_ADVISE_MAY_DESTROY)
		return 0;
	if (map->access == MMAPFS_ACCESS_COPY)
		losing |= DESTRUCTIVE_ON_COPY;
	return kinds & losing ? -EPERM : 0;
}

/* What an old kernel answers to a word it does not know, also for a feature that is only
 * disabled. */
static int check_feature(int value)
{
	switch (value) {
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return mmapfs__feature(MMAPFS_FEATURE_POPULATE) == 1 ? 0 : -EINVAL;
	case MADV_COLD:
	case MADV_PAGEOUT:
		return mmapfs__feature(MMAPFS_FEATURE_PAGEOUT) == 1 ? 0 : -EINVAL;
	}
	return 0;
}

static int advise_willneed(struct mmapfs_map *map, const struct mmapfs__extent *e)
{
	uint64_t next;
	int r;

	for (uint64_t begin = e->begin; begin < e->end; begin = next) {
		next = u64_min(begin + WILLNEED_PIECE, e->end);
		r = mmapfs__sys->madvise(mmapfs__map_at(map, begin), next - begin,
					 MADV_WILLNEED);
		if (r < 0)
			return r;
	}
	return 0;
}

static int advise_extent(struct mmapfs_map *map, const struct mmapfs__extent *e,
			 int value)
{
	switch (value) {
	case MADV_WILLNEED:
		return advise_willneed(map, e);
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return mmapfs__populate(map, value, e->begin, e->end, e->eof);
	default:
		return mmapfs__sys->madvise(mmapfs__map_at(map, e->begin),
					    e->end - e->begin, value);
	}
}

/* What stays in force on the memory does so wherever the file ends, now or later: so nobody
 * need ask. */
static int advice_extent(struct mmapfs_map *map, struct mmapfs_range range, uint32_t kinds,
			 struct mmapfs__extent *ret)
{
	if (kinds != STATE)
		return mmapfs__map_extent(map, range, ret);
	mmapfs__map_window(map, range, ret);
	return 0;
}

MMAPFS_PUBLIC int mmapfs_advise(struct mmapfs_map *map, struct mmapfs_range range,
				enum mmapfs_advice advice, uint32_t flags)
{
	struct mmapfs__extent e;
	int r;

	if (!is_known(advice))
		return -EINVAL;
	r = check_allowed(map, advices[advice].kinds, flags);
	if (r < 0)
		return r;
	r = check_feature(advices[advice].value);
	if (r < 0)
		return r;

	r = advice_extent(map, range, advices[advice].kinds, &e);
	if (r < 0)
		return r;
	if (e.begin == e.end)
		return 0;
	r = mmapfs__map_ensure(map);
	if (r < 0)
		return r;
	return advise_extent(map, &e, advices[advice].value);
}
