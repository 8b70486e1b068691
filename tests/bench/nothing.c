/* SPDX-License-Identifier: MIT */
/*
 * nothing.c - a FUSE filesystem whose getxattr does nothing: the floor of every question that
 * goes to a daemon and back. One file, `f`; any attribute of it reads "262144".
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_INO 2
#define KEEP 3600.0

static struct stat attributes(fuse_ino_t ino)
{
	return (struct stat){ .st_ino = ino,
			      .st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644,
			      .st_nlink = 1 };
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .ino = FILE_INO, .attr_timeout = KEEP,
					  .entry_timeout = KEEP, .attr = attributes(FILE_INO) };

	if (parent != FUSE_ROOT_ID || strcmp(name, "f") != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = attributes(ino);

	(void)fi;
	fuse_reply_attr(req, &st, KEEP);
}

static void getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	static const char value[] = "262144";

	(void)ino;
	(void)name;
	if (size == 0)
		fuse_reply_xattr(req, sizeof(value) - 1);
	else
		fuse_reply_buf(req, value, sizeof(value) - 1);
}

static const struct fuse_lowlevel_ops ops = { .lookup = lookup, .getattr = getattr,
					      .getxattr = getxattr };

static int serve(struct fuse_session *session, const char *point)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (fuse_set_signal_handlers(session) || fuse_session_mount(session, point))
		return 1;
	/* Threads as mmapfs has them: as many as come together, none ended when idle. */
	fuse_loop_cfg_set_max_threads(config, 10);
	fuse_loop_cfg_set_idle_threads(config, 10);
	r = fuse_session_loop_mt(session, config);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	fuse_loop_cfg_destroy(config);
	return r != 0;
}

int main(int argc, char **argv)
{
	char *own[] = { argv[0], NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, own);
	struct fuse_session *session;

	if (argc != 2) {
		fprintf(stderr, "Usage: bench-nothing MOUNTPOINT\n");
		return 2;
	}
	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	return session ? serve(session, argv[1]) : 1;
}
