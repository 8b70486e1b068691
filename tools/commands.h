/* SPDX-License-Identifier: MIT */
/* commands.h - one line for each verb; cmd_<verb>.c includes it too. */
#ifndef MMAPCTL_COMMANDS_H
#define MMAPCTL_COMMANDS_H

#include "cmd.h"

extern const struct command cmd_advise;
extern const struct command cmd_diff;
extern const struct command cmd_evict;
extern const struct command cmd_explain;
extern const struct command cmd_lock;
extern const struct command cmd_map;
extern const struct command cmd_metrics;
extern const struct command cmd_probe;
extern const struct command cmd_ranges;
extern const struct command cmd_restore;
extern const struct command cmd_snapshot;
extern const struct command cmd_stat;
extern const struct command cmd_sync;
extern const struct command cmd_warm;
extern const struct command cmd_watch;

#endif
