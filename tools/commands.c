/* SPDX-License-Identifier: MIT */
/* commands.c - the verbs. */
#include "cmd.h"

#include <stddef.h>
#include <string.h>

#include "commands.h"

const struct command *const commands[] = {
	&cmd_stat,
	&cmd_ranges,
	&cmd_map,
	&cmd_explain,
	&cmd_warm,
	&cmd_evict,
	&cmd_lock,
	&cmd_sync,
	&cmd_advise,
	&cmd_snapshot,
	&cmd_restore,
	&cmd_diff,
	&cmd_watch,
	&cmd_metrics,
	&cmd_probe,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}
