/* SPDX-License-Identifier: MIT */
/* datapath.c - choose and keep the data path of an inode. */
#include "datapath.h"

#include <errno.h>
#include <sys/stat.h>
#include <syslog.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "creds.h"
#include "log.h"
#include "region.h"
#include "table_window.h"

/*
 * Whether a write takes the set-ID bits away depends on who writes. The kernel's passthrough
 * writes as nobody for everybody, which always takes them: also from root, and the set-group-ID
 * bit that members of the group keep where it gives no right. So such a file, where it is
 * opened to be written first, is served by us.
 */
static bool has_set_id(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID));
}

/* Returns a backing id; 0 where there is to be none. */
static int register_backing(struct session *session, struct inode *inode, bool writer)
{
	_cleanup_inode_fd_ struct inode_fd fd = INODE_FD_NONE;
	_cleanup_creds_ struct creds creds = { .entered = false };
	int r = inode_path_fd(session->fs.inodes, inode, &fd);

	if (r < 0)
		return r;
	if (writer && has_set_id(fd.fd))
		return 0;
	creds = creds_enter(CREDS_BACKING, 0, 0);
	return passthrough_backing_open(&session->passthrough, fd.fd);
}

/* One line for the whole mount: the reason is nearly always the same for all files. */
static void explain_fallback(int error)
{
	static atomic_bool explained;

	if (!atomic_exchange(&explained, true))
		log_line(LOG_NOTICE, "no passthrough for some files (%s%s): served from the "
				     "mapping instead",
			 mmapfs_errno_name(error),
			 error == -ELOOP ? ", the source is stacked: try -o stack_depth=2" : "");
}

/* The kernel knows no offset into a backing file, and no end of it but its own. */
static bool is_whole(const struct inode *inode)
{
	return !inode->window || window_is_whole(inode->window);
}

/*
 * Memory of a region table has a backing file for the memory maps of clients, which so are
 * the memory itself. Reads and writes come here all the same, for a write must not make it
 * longer than its row says.
 */
static void choose(struct session *session, struct inode *inode, bool writer)
{
	bool whole = is_whole(inode);
	int id = -EPERM;

	if (session->passthrough.active &&
	    (whole || inode->window->kind == WINDOW_MEMORY)) {
		id = register_backing(session, inode, writer);
		if (id < 0)
			explain_fallback(id);
	}
	inode->backing_id = id > 0 ? id : 0;
	inode->data_path = id > 0 && whole ? DATA_PATH_PASSTHROUGH : DATA_PATH_MAPPED;
}

bool datapath_is_direct(const struct inode *inode)
{
	return inode->window && inode->data_path == DATA_PATH_MAPPED;
}

int datapath_open(struct session *session, struct inode *inode, bool writer)
{
	/* Held across the ioctl, so that two first opens cannot register two ids: the kernel
	 * takes one per inode. The ioctl opens a known file and waits for nobody. */
	SCOPE_LOCK(inode_lock(inode));

	if (inode->opens == 0)
		choose(session, inode, writer);
	inode->opens++;
	if (writer)
		inode->writers++;
	metrics_add(&session->fs.metrics, METRIC_OPENS + inode->data_path - 1, 1);
	return inode->backing_id;
}

/* Returns true when that was the last open handle. */
static bool count_close(struct session *session, struct inode *inode, bool writer)
{
	SCOPE_LOCK(inode_lock(inode));

	inode->opens--;
	if (writer)
		inode->writers--;
	if (inode->opens > 0)
		return false;
	if (inode->backing_id)
		passthrough_backing_close(&session->passthrough, inode->backing_id);
	inode->backing_id = 0;
	inode->data_path = DATA_PATH_UNDECIDED;
	return true;
}

void datapath_close(struct session *session, struct inode *inode, bool writer)
{
	/* Whoever opens it again meanwhile gets a new view with the next read. */
	if (count_close(session, inode, writer))
		view_forget(inode);
}
