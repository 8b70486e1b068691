/* SPDX-License-Identifier: MIT */
/* cmd_map.c - verb map: a picture of where in each file the resident pages are. */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "jobs.h"
#include "options.h"
#include "out.h"
#include "picture.h"
#include "progress.h"

#define CELLS 64
#define WIDTH_MAX 1024
#define LINES_MAX 64
/* What the other columns need on a line of a terminal. */
#define OTHER_COLUMNS 30

enum { OFFSET, MAP, PERCENT, PATH, SIZE, RESIDENT, REASON, CELL_SIZE, COLUMNS };

static const struct out_column columns[COLUMNS + 1] = {
	[OFFSET] = { "OFFSET", "offset", CELL_BYTES, COLUMN_SHOWN, 6, "where the line begins" },
	[MAP] = { "MAP", "map", CELL_TEXT, COLUMN_SHOWN, 0, "the picture" },
	[PERCENT] = { "PERCENT", "percent", CELL_PERCENT, COLUMN_SHOWN, 7,
		      "of the line's bytes that are resident" },
	[PATH] = { "PATH", "path", CELL_PATH, COLUMN_SHOWN, 0, "name of the file" },
	[SIZE] = { "SIZE", "size", CELL_BYTES, 0, 0, "of the file" },
	[RESIDENT] = { "RESIDENT", "resident_bytes", CELL_BYTES, 0, 0,
		       "bytes of the line that are resident" },
	[REASON] = { "REASON", "reason", CELL_WORD, 0, 0, "why nothing is known" },
	[CELL_SIZE] = { "CELL", "cell_bytes", CELL_BYTES, 0, 0, "that one character stands for" },
};

struct own {
	unsigned int width; /* 0: what fits */
	unsigned int lines; /* 0: likewise */
};

static const struct option_row rows[] = {
	{ "width", 'w', "N", "characters in a line (64, or what the terminal has)",
	  option_set_count, offsetof(struct own, width), 0, 0 },
	{ "lines", 0, "N", "lines for each file (1, or what the terminal has for\n"
	  "a single file)", option_set_count, offsetof(struct own, lines), 0, 0 },
	{ 0 },
};

struct map_verb {
	struct own own;
	const struct options *options;
	struct out *out;
	struct tally tally;
	uint64_t page;
};

static int on_run(void *ctx, uint64_t offset, uint64_t length)
{
	picture_add(ctx, offset, length);
	return interrupted();
}

static int print_line(struct map_verb *verb, struct target *target,
		      const struct picture *picture, size_t from, size_t to)
{
	uint64_t begin = picture_edge(picture, from), end = picture_edge(picture, to);
	struct cell cells[COLUMNS] = { 0 };
	char text[WIDTH_MAX + 1];
	uint64_t resident = 0;

	for (size_t i = from; i < to; i++) {
		text[i - from] = picture_char(picture, i);
		resident += picture->resident[i];
	}
	text[to - from] = 0;
	cells[OFFSET] = cell_number(begin);
	cells[MAP] = cell_text(text);
	cells[PERCENT] = cell_percent_of(resident, end - begin);
	cells[PATH] = cell_text(from == 0 || out_is_json(verb->out) ? target->path : NULL);
	cells[SIZE] = cell_number((uint64_t)target->st.st_size);
	cells[RESIDENT] = cell_number(resident);
	cells[REASON] = cell_none();
	cells[CELL_SIZE] = cell_number(picture_edge(picture, from + 1) - begin);
	return out_row(verb->out, cells);
}

static int print_picture(struct map_verb *verb, struct target *target,
			 const struct picture *picture)
{
	size_t width = verb->own.width;
	int r = 0;

	for (size_t i = 0; r == 0 && i < picture->cells; i += width)
		r = print_line(verb, target, picture, i,
			       (size_t)u64_min(i + width, picture->cells));
	return r;
}

static int print_unknown(struct map_verb *verb, struct target *target,
			 struct mmapfs_range range)
{
	struct cell cells[COLUMNS] = { 0 };
	struct observation seen;
	const char *reason = "unknown";

	if (target_observe(target, range, 0, &seen) == 0)
		reason = mmapfs_reason_name(seen.residency.reason);
	verb->tally.unknown++;
	cells[OFFSET] = cell_number(range.offset);
	cells[MAP] = cells[PERCENT] = cells[RESIDENT] = cell_unknown(reason);
	cells[PATH] = cell_text(target->path);
	cells[SIZE] = cell_number((uint64_t)target->st.st_size);
	cells[REASON] = cell_text(reason);
	cells[CELL_SIZE] = cell_none();
	return out_row(verb->out, cells);
}

/* No more cells than pages: several of one page would draw what is not there. */
static size_t cell_count(const struct map_verb *verb, uint64_t begin, uint64_t end)
{
	uint64_t pages = align_up(end - u64_min(begin, end), verb->page) / verb->page;

	return (size_t)u64_max(1, u64_min((uint64_t)verb->own.width * verb->own.lines, pages));
}

static int draw(struct map_verb *verb, struct target *target, struct mmapfs_range range)
{
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : UINT64_MAX;
	struct picture picture;
	uint64_t size;
	int r;

	r = target_size(target, &size);
	if (r < 0)
		return r;
	end = u64_min(end, size);
	r = picture_init(&picture, u64_min(range.offset, end), end,
			 cell_count(verb, range.offset, end));
	if (r == 0)
		r = target_ranges(target, range, 0, on_run, &picture);
	if (r == 0)
		r = print_picture(verb, target, &picture);
	picture_done(&picture);
	return r;
}

static int deliver(void *ctx, struct target *target, struct mmapfs_range range, int error,
		   void *result)
{
	struct map_verb *verb = ctx;
	int r = draw(verb, target, range);

	(void)error;
	(void)result;
	if (r == -ENODATA) {
		out_count_file(verb->out, true);
		return print_unknown(verb, target, range);
	}
	if (r < 0) {
		out_error(verb->out, "measure", target->path, r, NULL);
		verb->tally.failed++;
		return 0;
	}
	out_count_file(verb->out, false);
	return 0;
}

/* A single file on a terminal gets most of it. */
static void choose_size(struct map_verb *verb)
{
	struct winsize window = { 0 };
	bool terminal = isatty(STDOUT_FILENO) &&
			ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0;
	bool table = verb->options->out.format == OUT_TABLE;
	struct own *own = &verb->own;

	if (own->width == 0 && terminal && table && window.ws_col > OTHER_COLUMNS + 8)
		own->width = (unsigned int)window.ws_col - OTHER_COLUMNS;
	if (own->lines == 0 && terminal && table && window.ws_row > 12 &&
	    verb->options->operand_count == 1)
		own->lines = (unsigned int)window.ws_row / 2;
	own->width = (unsigned int)u64_min(own->width ? own->width : CELLS, WIDTH_MAX);
	own->lines = (unsigned int)u64_min(own->lines ? own->lines : 1, LINES_MAX);
}

static int run_on(struct map_verb *verb)
{
	static const struct jobs_ops ops = { .deliver = deliver };
	int r, ended;

	interrupt_catch();
	choose_size(verb);
	r = jobs_run(verb->options, &ops, verb, verb->out, &verb->tally);
	ended = out_end(verb->out, verb->tally.interrupted);
	return r < 0 || ended < 0 ? CODE_SOME_FAILED : tally_exit_code(&verb->tally);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct map_verb verb = { .page = (uint64_t)sysconf(_SC_PAGESIZE) };
	struct options options;
	int code;

	code = options_parse(command, argc, argv, &options, &verb.own);
	if (code == OPTIONS_GO_ON)
		code = options_need_operands(command, &options);
	verb.options = &options;
	if (code == OPTIONS_GO_ON)
		code = out_begin(&options.out, columns, "mmapfs.map/1", stdout, &verb.out) < 0
			       ? CODE_USAGE
			       : run_on(&verb);
	options_done(&options);
	return code;
}

const struct command cmd_map = {
	.name = "map",
	.summary = "a picture of where in each file the resident pages are",
	.synopsis = "[OPTION]... PATH...",
	.about =
		"Draw each file as equal parts: . none of it resident, then :-=+*#% for more and\n"
		"more, @ all of it. One line for each file; on a terminal as many as fit when\n"
		"there is only one.\n",
	.example = "Example: mmapctl map --width 100 --lines 4 model.gguf\n",
	.groups = GROUP_SELECT | GROUP_RANGE | GROUP_OUTPUT,
	.rows = rows,
	.columns = columns,
	.run = run,
};
