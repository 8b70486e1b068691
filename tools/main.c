/* SPDX-License-Identifier: MIT */
/* main.c - mmapctl: find the verb and run it. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <mmapfs.h>

#include "cmd.h"
#include "commands.h"

static void print_help(void)
{
	puts("Usage: mmapctl [VERB] [OPTION]... PATH...\n\n"
	     "See, steer and verify which pages of files are in RAM: of plain files\n"
	     "everywhere, and of files on a mounted mmapfs.\n\n"
	     "Verbs:");
	for (size_t i = 0; commands[i]; i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	puts("\nWithout a verb: stat. `mmapctl VERB --help` shows its options; a file that is\n"
	     "called like a verb is written ./NAME.\n\n"
	     "Exit: 0 done; 1 usage; 2 some path failed, the others are done; 3 nothing could\n"
	     "be known; 4 the action is incomplete; 130 interrupted.\n\n"
	     "Example: mmapctl stat --totals /usr/lib");
}

int main(int argc, char **argv)
{
	static char stat_name[] = "stat";
	const struct command *command;

	(void)setlocale(LC_ALL, "");
	if (argc < 2) {
		say("no path given; see mmapctl --help");
		return CODE_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help();
		return CODE_DONE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("mmapctl %s\n", mmapfs_version());
		return CODE_DONE;
	}
	command = command_find(argv[1]);
	if (command)
		return command->run(command, argc - 1, argv + 1);
	argv[0] = stat_name;
	return cmd_stat.run(&cmd_stat, argc, argv);
}
