/* SPDX-License-Identifier: MIT */
/* options.c - one row per option: parsing and help. */
#include "options.h"

#include <errno.h>
#include <fuse_opt.h>
#include <stdlib.h>
#include <string.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cache_budget.h"

/* How @value, what follows "name=", becomes part of the options. 0 or -EINVAL. */
typedef int (*set_fn)(struct options *options, const char *value);

#define HELP_COLUMN 20 /* of --help, in characters */

struct row {
	const char *name;  /* "-f", or the word after -o */
	const char *value; /* what follows "=", for the help; NULL: nothing does */
	set_fn set;
	const char *help; /* NULL: accepted, not mentioned */
};

static int parse_seconds(const char *text, double *ret)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0) || value > 86400)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_count(const char *text, unsigned int min, unsigned int max, unsigned int *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || value < min || value > max)
		return -EINVAL;
	*ret = (unsigned int)value;
	return 0;
}

static int set_foreground(struct options *o, const char *value)
{
	(void)value;
	o->foreground = true;
	return 0;
}

static int set_debug(struct options *o, const char *value)
{
	o->debug = true;
	return set_foreground(o, value);
}

static int set_help(struct options *o, const char *value)
{
	(void)value;
	o->help = true;
	return 0;
}

static int set_version(struct options *o, const char *value)
{
	(void)value;
	o->version = true;
	return 0;
}

static int set_list_xattrs(struct options *o, const char *value)
{
	(void)value;
	o->list_xattrs = true;
	return 0;
}

static int set_no_acl(struct options *o, const char *value)
{
	(void)value;
	o->no_acl = true;
	return 0;
}

static int set_noatime(struct options *o, const char *value)
{
	(void)value;
	o->noatime = true;
	return fuse_opt_add_opt(&o->libfuse_options, "noatime") < 0 ? -ENOMEM : 0;
}

static int set_remount(struct options *o, const char *value)
{
	(void)value;
	o->remount = true;
	return 0;
}

static int set_data_path(struct options *o, const char *value)
{
	static const char *const words[] = { [PATH_AUTO] = "auto",
					     [PATH_PASSTHROUGH] = "passthrough",
					     [PATH_MAPPED] = "mapped" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(value, words[i]) == 0) {
			o->data_path = (enum path_choice)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_lock_limit(struct options *o, const char *value)
{
	return mmapfs_size_parse(value, &o->lock_limit) < 0 ? -EINVAL : 0;
}

static int set_snapshot(struct options *o, const char *value)
{
	free(o->snapshot);
	o->snapshot = *value ? strdup(value) : NULL;
	return o->snapshot ? 0 : -EINVAL;
}

static int set_snapshot_interval(struct options *o, const char *value)
{
	return parse_count(value, 0, SNAPSHOT_INTERVAL_MAX, &o->snapshot_interval);
}

static int set_snapshot_rate(struct options *o, const char *value)
{
	return mmapfs_size_parse(value, &o->snapshot_rate) < 0 ? -EINVAL : 0;
}

static int set_budget(struct options *o, const char *value)
{
	return budget_parse(value, &o->budget);
}

static int set_policy(struct options *o, const char *value)
{
	free(o->policy);
	o->policy = *value ? strdup(value) : NULL;
	return o->policy ? 0 : -EINVAL;
}

static int set_policy_rescan(struct options *o, const char *value)
{
	return parse_count(value, 0, 86400, &o->policy_rescan);
}

/* What is wrong with a pattern is said with the policy that it is a part of. */
static int add_glob(struct option_globs *globs, const char *value)
{
	char **list = reallocarray(globs->list, globs->count + 1, sizeof(*list));

	if (!list)
		return -EINVAL;
	globs->list = list;
	list[globs->count] = strdup(value);
	if (!list[globs->count])
		return -EINVAL;
	globs->count++;
	return 0;
}

static int add_lock_glob(struct options *o, const char *value)
{
	return add_glob(&o->lock_globs, value);
}

static int add_warm_glob(struct options *o, const char *value)
{
	return add_glob(&o->warm_globs, value);
}

static void free_globs(struct option_globs *globs)
{
	for (size_t i = 0; i < globs->count; i++)
		free(globs->list[i]);
	free(globs->list);
}

static int set_attr_timeout(struct options *o, const char *value)
{
	return parse_seconds(value, &o->attr_timeout);
}

static int set_entry_timeout(struct options *o, const char *value)
{
	return parse_seconds(value, &o->entry_timeout);
}

static int set_negative_timeout(struct options *o, const char *value)
{
	return parse_seconds(value, &o->negative_timeout);
}

static int set_stack_depth(struct options *o, const char *value)
{
	return parse_count(value, 1, 2, &o->stack_depth);
}

static int set_max_threads(struct options *o, const char *value)
{
	return parse_count(value, 1, 256, &o->max_threads);
}

static int set_workers(struct options *o, const char *value)
{
	return parse_count(value, 1, 64, &o->workers);
}

static int ignore(struct options *o, const char *value)
{
	(void)o;
	(void)value;
	return 0;
}

static const struct row rows[] = {
	{ "-f", NULL, set_foreground, "stay in the foreground, messages on the terminal" },
	{ "-d", NULL, set_debug, "as -f, and print every request" },
	{ "-h", NULL, set_help, "print this help" },
	{ "--help", NULL, set_help, NULL },
	{ "-V", NULL, set_version, "print the version" },
	{ "--version", NULL, set_version, NULL },
	{ "data_path", "WORD", set_data_path,
	  "auto, passthrough (or fail) or mapped; default auto" },
	{ "stack_depth", "N", set_stack_depth,
	  "2: the source is an overlayfs or FUSE mount; default 1" },
	{ "lock_limit", "SIZE", set_lock_limit,
	  "bytes all files together may lock; default a quarter of RAM" },
	{ "policy", "FILE", set_policy, "how to treat which files, see mmapfs(8)" },
	{ "lock", "GLOB", add_lock_glob, "keep these files in RAM; may be repeated" },
	{ "warm", "GLOB", add_warm_glob, "read in these files at once; may be repeated" },
	{ "policy_rescan", "SECONDS", set_policy_rescan,
	  "look for what others did to the source; default 60" },
	{ "snapshot", "FILE", set_snapshot,
	  "save to it what is resident, restore it at the next mount" },
	{ "snapshot_interval", "SECONDS", set_snapshot_interval,
	  "between two saves, 0: only at the end; default 300" },
	{ "snapshot_rate", "SIZE", set_snapshot_rate,
	  "bytes a second to restore at most, 0: any; default 256M" },
	{ "budget", "SIZE", set_budget,
	  "RAM that files may take, from 16M on, or N%; default off" },
	{ "attr_timeout", "SECONDS", set_attr_timeout,
	  "seconds the kernel keeps attributes, to 86400; default 1" },
	{ "entry_timeout", "SECONDS", set_entry_timeout,
	  "seconds the kernel keeps names, to 86400; default 1" },
	{ "negative_timeout", "SECONDS", set_negative_timeout,
	  "seconds the kernel keeps missing names, to 86400; default 0" },
	{ "noatime", NULL, set_noatime, "leave access times alone, those of the source too" },
	{ "list_xattrs", NULL, set_list_xattrs, "let listxattr show the names that report" },
	{ "noacl", NULL, set_no_acl, "leave POSIX ACLs out of permission checks" },
	{ "max_threads", "N", set_max_threads, "threads that answer requests; default 10" },
	{ "workers", "N", set_workers, "threads for warm, evict and the like; default 2" },
	/* Words of mount(8) and fstab(5) that are not for the filesystem. */
	{ "remount", NULL, set_remount, NULL },
	{ "defaults", NULL, ignore, NULL },
	{ "auto", NULL, ignore, NULL },
	{ "noauto", NULL, ignore, NULL },
	{ "user", NULL, ignore, NULL },
	{ "nouser", NULL, ignore, NULL },
	{ "users", NULL, ignore, NULL },
	{ "owner", NULL, ignore, NULL },
	{ "group", NULL, ignore, NULL },
	{ "nofail", NULL, ignore, NULL },
	{ "_netdev", NULL, ignore, NULL },
	/* Always in force. */
	{ "default_permissions", NULL, ignore, NULL },
};

/* What the caller of fuse_opt_parse() hands to its callback. */
struct parse {
	struct options *options;
	bool failed;
};

static bool complain(struct parse *parse, const char *what, const char *arg)
{
	if (!parse->failed)
		(void)fprintf(stderr, "mmapfs: %s '%s'; see mmapfs --help\n", what, arg);
	parse->failed = true;
	return false;
}

static bool complain_of_value(struct parse *parse, const struct row *row, const char *arg)
{
	if (!parse->failed)
		(void)fprintf(stderr, "mmapfs: bad value in option '%s' (%s); see mmapfs --help\n",
			      arg, row->help);
	parse->failed = true;
	return false;
}

static bool take_operand(struct parse *parse, const char *arg)
{
	char **place = !parse->options->source	   ? &parse->options->source
		       : !parse->options->mountpoint ? &parse->options->mountpoint
						     : NULL;

	if (!place)
		return complain(parse, "unexpected argument", arg);
	*place = strdup(arg);
	return *place != NULL;
}

static bool take_row(struct parse *parse, const struct row *row, const char *arg)
{
	const char *value = row->value ? strchr(arg, '=') + 1 : NULL;

	if (row->set(parse->options, value) < 0)
		return complain_of_value(parse, row, arg);
	return true;
}

/* fuse_opt_proc_t: 0 taken, -1 give up. Keys from 0 on are rows. */
static int take(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct parse *parse = data;
	bool ok;

	(void)out;
	if (key >= 0)
		ok = take_row(parse, &rows[key], arg);
	else if (key == FUSE_OPT_KEY_NONOPT)
		ok = take_operand(parse, arg);
	else if (*arg == '-')
		ok = complain(parse, "unknown option", arg);
	else if (strncmp(arg, "x-", 2) == 0)
		ok = true;
	else
		ok = fuse_opt_add_opt_escaped(&parse->options->libfuse_options, arg) == 0;
	return ok ? 0 : -1;
}

/* Templates "name" or "name=", with the row's number as key. */
static int run_parser(struct fuse_args *args, struct parse *parse)
{
	struct fuse_opt templates[ARRAY_SIZE(rows) + 1];
	char names[ARRAY_SIZE(rows)][32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s%s", rows[i].name,
			       rows[i].value ? "=" : "");
		templates[i] = (struct fuse_opt){ names[i], -1U, (int)i };
	}
	templates[ARRAY_SIZE(rows)] = (struct fuse_opt)FUSE_OPT_END;
	return fuse_opt_parse(args, parse, templates, take);
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct parse parse = { .options = ret };
	int r;

	*ret = (struct options){ .lock_limit = UINT64_MAX, .attr_timeout = 1,
				 .entry_timeout = 1, .max_threads = 10, .workers = 2,
				 .stack_depth = 1,
				 .policy_rescan = POLICY_RESCAN,
				 .snapshot_interval = SNAPSHOT_INTERVAL,
				 .snapshot_rate = SNAPSHOT_RATE };
	r = run_parser(&args, &parse);
	fuse_opt_free_args(&args);
	if (r < 0)
		return -EINVAL;
	if (ret->help || ret->version)
		return 0;
	if (!ret->snapshot && (ret->snapshot_interval != SNAPSHOT_INTERVAL ||
			       ret->snapshot_rate != SNAPSHOT_RATE)) {
		(void)fprintf(stderr, "mmapfs: snapshot_interval and snapshot_rate need "
				      "snapshot=FILE; see mmapfs --help\n");
		return -EINVAL;
	}
	if (!ret->mountpoint) {
		(void)fprintf(stderr, "mmapfs: a source directory and a mount point are needed; "
				      "see mmapfs --help\n");
		return -EINVAL;
	}
	return 0;
}

void options_free(struct options *options)
{
	free(options->source);
	free(options->mountpoint);
	free(options->libfuse_options);
	free(options->policy);
	free_globs(&options->lock_globs);
	free_globs(&options->warm_globs);
	free(options->snapshot);
	*options = (struct options){ 0 };
}

void options_print_help(FILE *out)
{
	(void)fprintf(out, "Usage: mmapfs SOURCE MOUNTPOINT [-f] [-d] [-o OPTION[,OPTION...]]\n"
			   "       mount -t fuse.mmapfs SOURCE MOUNTPOINT [-o ...]\n\n"
			   "Show the directory SOURCE at MOUNTPOINT at native speed, with extended\n"
			   "attributes that tell and steer which pages of each file are in RAM.\n\n"
			   "Options:\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char left[40];
		int width;

		if (!rows[i].help)
			continue;
		width = snprintf(left, sizeof(left), "  %s%s%s%s",
				 *rows[i].name == '-' ? "" : "-o ", rows[i].name,
				 rows[i].value ? "=" : "", rows[i].value ? rows[i].value : "");
		/* Help in a column; below the option where that is too long. */
		(void)fprintf(out, "%s%s%*s%s\n", left, width >= HELP_COLUMN ? "\n" : "",
			      width >= HELP_COLUMN ? HELP_COLUMN : HELP_COLUMN - width, "",
			      rows[i].help);
	}
	(void)fprintf(out, "  -o allow_other, ro, nosuid, nodev, noexec and\n"
			   "  others: as for every FUSE filesystem, see mount.fuse3(8)\n\n"
			   "Example:\n"
			   "  mount -t fuse.mmapfs /srv/data /mnt/data -o allow_other\n"
			   "  getfattr -n user.mmapfs.stat /mnt/data/model.gguf\n");
}
