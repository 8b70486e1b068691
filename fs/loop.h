/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the threads that take requests off the device and answer them. Wire.
 *
 * Not libfuse's own loop, which ends the mount when a thread finds no memory for its request,
 * and cancels its threads at the end, for which the C library wants memory again and aborts
 * without.
 */
#ifndef MMAPFS_FS_LOOP_H
#define MMAPFS_FS_LOOP_H

struct fuse_session;

/*
 * Serve until the session is unmounted or told to exit; in the latter case the caller's thread
 * has to be nudged (signals.h). A thread more is started whenever none waits, up to
 * @threads_max, and stays. Returns 0 or a negative errno: of the first thread that could not
 * be started, or of the device.
 */
int loop_run(struct fuse_session *fuse, unsigned int threads_max);

#endif
