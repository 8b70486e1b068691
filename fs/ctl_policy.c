/* SPDX-License-Identifier: MIT */
/* ctl_policy.c - the control attribute `policy` of the mount's root. */
#include "ctl_private.h"

#include <errno.h>
#include <string.h>

#include "cache.h"
#include "cache_treat.h"

static struct policy_keeper *policy_of(const struct ctl_request *rq)
{
	return rq->fs->cache ? rq->fs->cache->policy : NULL;
}

int ctl_set_policy(struct ctl_request *rq)
{
	const uid_t uid = rq->caller->user.uid;

	if (rq->words.count != 1 || strcmp(rq->words.word[0], "reload") != 0)
		return -EINVAL;
	/* It decides what is locked, of everybody's files. */
	if (uid != 0 && uid != rq->fs->owner)
		return -EPERM;
	return treat_reload(policy_of(rq));
}

int ctl_get_policy(struct ctl_request *rq, struct ctl_text *ret)
{
	return treat_print(policy_of(rq), ret);
}
