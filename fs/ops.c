/* SPDX-License-Identifier: MIT */
/*
 * ops.c - what this filesystem answers.
 *
 * Left out on purpose: flush (answered once with ENOSYS, the kernel then stops sending it
 * with every close), access (default_permissions has the kernel decide), getlk, setlk and
 * flock (locks are the kernel's, local to this mount: a blocking lock in a worker could
 * never be killed).
 */
#include "ops.h"

#include "fuse-compat.h"
#include "session.h"

void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct session *session = userdata;

	/* Attributes with every directory entry, not when the kernel guesses they are wanted:
	 * it guesses wrong for programs that read a directory to its end before they look
	 * at the files, find and ls -l among them (find -size over 200,000 files took 5
	 * times as long). */
	conn_refuse(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS |
				  FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_READDIRPLUS_AUTO);
	conn_want(conn, FUSE_CAP_IOCTL_DIR | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
				FUSE_CAP_AUTO_INVAL_DATA |
				FUSE_CAP_ATOMIC_O_TRUNC);
	if (!session->options->no_acl)
		conn_want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
	conn->time_gran = 1;
	passthrough_init(&session->passthrough, conn);
}

const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.fsync = op_fsync,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
	.statx = op_statx,
#endif
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.create = op_create,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	.tmpfile = op_tmpfile,
#endif
	.ioctl = op_ioctl,
	.fallocate = op_fallocate,
	.copy_file_range = op_copy_file_range,
	.lseek = op_lseek,
};
