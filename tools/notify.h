/* SPDX-License-Identifier: MIT */
/* notify.h - tell the service manager how this process is doing. */
#ifndef MMAPCTL_NOTIFY_H
#define MMAPCTL_NOTIFY_H

/**
 * Send @state ("READY=1\nSTATUS=4 files locked") to the socket that NOTIFY_SOCKET names,
 * as sd_notify(3) does. Returns 1 when sent, 0 when nobody asked. Errors: -EINVAL for an
 * address that is neither a path nor abstract; those of sendto(2).
 */
int notify_send(const char *state);

#endif
