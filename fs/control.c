/* SPDX-License-Identifier: MIT */
/* control.c - control requests: at once, or on a worker. */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmapfs.h>

#include "base/macro.h"
#include "ctl.h"
#include "meter.h"
#include "reply.h"
#include "worker.h"

/* A request on its way through a worker. Owns a reference to the inode. */
struct request {
	fuse_req_t req;
	struct fs *fs;
	struct inode *inode;
	enum control_door door;
	bool set;
	struct meter meter; /* while no thread has it */
	size_t size; /* get: room for the answer; set: length of value */
	char *value;
	char name[]; /* value follows its NUL */
};

struct creds_user req_user(fuse_req_t req, bool with_groups)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct creds_user user = { .uid = ctx->uid, .gid = ctx->gid };
	int count;

	if (!with_groups || user.uid == 0)
		return user;
	/* Counts them all, also those that did not fit; fails where the caller is gone. */
	count = fuse_req_getgroups(req, CREDS_GROUPS_MAX, user.groups);
	if (count > 0)
		user.group_count = (unsigned int)count < CREDS_GROUPS_MAX ? (unsigned int)count
									  : CREDS_GROUPS_MAX;
	return user;
}

static bool interrupted(void *req)
{
	return fuse_req_interrupted(req);
}

static void reply_ioctl(fuse_req_t req, int r, const struct ctl_text *text)
{
	struct mmapfs_control *out;

	if (r == 0 && text && text->length > sizeof(out->value))
		r = -ERANGE;
	if (r < 0) {
		reply_result(req, r);
		return;
	}
	out = calloc(1, sizeof(*out));
	if (!out) {
		reply_result(req, -ENOMEM);
		return;
	}
	if (text && text->length) {
		out->length = (uint32_t)text->length;
		memcpy(out->value, text->data, text->length);
	}
	(void)fuse_reply_ioctl(req, 0, out, sizeof(*out));
	free(out);
}

static struct ctl_caller caller_of(const struct request *request)
{
	return (struct ctl_caller){ .user = req_user(request->req, S_ISDIR(request->inode->type)),
				    .interrupted = interrupted,
				    .ctx = request->req };
}

static void run_get(const struct request *request)
{
	struct ctl_caller caller = caller_of(request);
	/* Through the ioctl a list is cut to what fits; an attribute's reader can come again
	 * with more room, so there it is cut only to what any attribute may hold. */
	struct ctl_text text = { .limit = request->door == CONTROL_IOCTL ? request->size : 0 };
	int r = ctl_get(request->fs, request->inode, request->name, &caller, &text);

	if (request->door == CONTROL_IOCTL)
		reply_ioctl(request->req, r, &text);
	else
		reply_text(request->req, r < 0 ? r : (int64_t)text.length, text.data,
			   request->size);
	ctl_text_free(&text);
}

static void run_set(const struct request *request)
{
	struct ctl_caller caller = caller_of(request);
	int r = ctl_set(request->fs, request->inode, request->name, request->value,
			request->size, &caller);

	if (request->door == CONTROL_IOCTL)
		reply_ioctl(request->req, r, NULL);
	else
		reply_result(request->req, r);
}

static void run(struct request *request)
{
	if (request->set)
		run_set(request);
	else
		run_get(request);
	inode_unref(request->fs->inodes, request->inode, 1);
	free(request);
}

static void run_on_worker(void *arg)
{
	struct request *request = arg;

	meter_give(request->meter);
	run(request);
}

static struct request *request_new(fuse_req_t req, struct inode *inode, const char *name,
				   const char *value, size_t size, enum control_door door)
{
	size_t name_size = strlen(name) + 1;
	struct request *request = malloc(sizeof(*request) + name_size + (value ? size : 0));

	if (!request)
		return NULL;
	*request = (struct request){ .req = req, .fs = req_fs(req), .inode = inode,
				     .door = door, .set = value != NULL, .size = size,
				     .value = request->name + name_size };
	memcpy(request->name, name, name_size);
	if (value && size)
		memcpy(request->value, value, size);
	inode_ref(request->fs->inodes, inode);
	return request;
}

static void start(fuse_req_t req, struct request *request, bool is_long)
{
	int r;

	if (!request) {
		reply_result(req, -ENOMEM);
		return;
	}
	if (!is_long) {
		run(request);
		return;
	}
	request->meter = meter_take();
	r = workers_submit(request->fs->request_workers, run_on_worker, request);
	if (r < 0) {
		meter_give(request->meter);
		inode_unref(request->fs->inodes, request->inode, 1);
		free(request);
		reply_result(req, r);
	}
}

void control_get(fuse_req_t req, struct inode *inode, const char *name, size_t size,
		 enum control_door door)
{
	start(req, request_new(req, inode, name, NULL, size, door),
	      ctl_get_is_long(inode, name));
}

void control_set(fuse_req_t req, struct inode *inode, const char *name, const char *value,
		 size_t length, enum control_door door)
{
	start(req, request_new(req, inode, name, value ? value : "", length, door),
	      ctl_set_is_long(inode, name));
}
