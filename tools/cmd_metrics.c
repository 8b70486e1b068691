/* SPDX-License-Identifier: MIT */
/* cmd_metrics.c - mmapctl metrics: the counters of a mount, for Prometheus. */
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "exposition.h"
#include "mount_root.h"
#include "options.h"

/* As node_exporter calls it, so that the two can be joined. */
#define LABEL "mountpoint"

static const char *way_out(int error)
{
	switch (error) {
	case -EOPNOTSUPP:
		return "it is not on a mounted mmapfs";
	case -ENODATA:
		return "of that mount only a part is visible here, without its root";
	case -EACCES:
		return "it takes the right to read the root of the mount";
	default:
		return NULL;
	}
}

static int write_metrics(const char *text, const char *root)
{
	exposition_write(stdout, text, LABEL, root);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CODE_DONE;
	say("cannot write the output: %s", strerror(errno));
	return CODE_SOME_FAILED;
}

static int read_metrics(const char *path, char **ret_root, char **ret_text)
{
	int r = mount_root_of(path, ret_root);

	if (r < 0)
		return r;
	r = mount_root_get(*ret_root, "metrics", ret_text);
	/* A file that is bound by itself, to where nothing above it is on its filesystem. */
	return r == -ENOTDIR ? -ENODATA : r;
}

static int print_metrics(const char *path)
{
	_cleanup_free_ char *root = NULL, *text = NULL;
	int r = read_metrics(path, &root, &text);

	if (r < 0) {
		say_cannot("read the metrics of", path, r, way_out(r));
		return CODE_SOME_FAILED;
	}
	return write_metrics(text, root);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct options options;
	int code = options_parse(command, argc, argv, &options, NULL);

	if (code == OPTIONS_GO_ON && options.operand_count != 1) {
		say("metrics takes one MOUNT; see mmapctl metrics --help");
		code = CODE_USAGE;
	}
	if (code == OPTIONS_GO_ON)
		code = print_metrics(options.operands[0]);
	options_done(&options);
	return code;
}

const struct command cmd_metrics = {
	.name = "metrics",
	.summary = "print the counters of a mount, for Prometheus",
	.synopsis = "[OPTION]... MOUNT",
	.about = "Opens, requests, errors, pages warmed, evicted and locked, limits, queues, and\n"
		 "how long requests take, since the mount was made, in the Prometheus text\n"
		 "format. MOUNT is the root of a mounted mmapfs or any path below it; the root is\n"
		 "added to each line as the label mountpoint.\n",
	.example = "Example: mmapctl metrics /mnt/data | grep errors_total\n",
	.run = run,
};
