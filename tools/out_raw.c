/* SPDX-License-Identifier: MIT */
/* out_raw.c - rows as tab-separated text, and cells as text. */
#include "out_private.h"

#include <inttypes.h>
#include <string.h>

#include "out_words.h"
#include "utf8.h"

const char *cell_format(const struct out *out, const struct out_column *column,
			const struct cell *cell, bool at_least, char buf[CELL_TEXT_MAX])
{
	bool human = out->options.format == OUT_TABLE && !out->options.bytes;
	bool at_most = cell->upper_bound && out->options.format == OUT_TABLE;
	const char *mark = at_least && at_most ? "~" : at_least ? ">=" : at_most ? "<=" : "";
	char word[MMAPFS_WORD_MAX];

	if (cell->state == CELL_UNKNOWN)
		return "?";
	if (cell->state == CELL_NONE)
		return "-";
	switch (column->type) {
	case CELL_BYTES:
		if (human) {
			snprintf(buf, CELL_TEXT_MAX, "%s%s", mark,
				 bytes_format(word, cell->number));
			break;
		}
		/* fall through */
	case CELL_COUNT:
		snprintf(buf, CELL_TEXT_MAX, "%s%" PRIu64, mark, cell->number);
		break;
	case CELL_SIGNED:
		snprintf(buf, CELL_TEXT_MAX, "%s%+" PRId64, mark, cell->delta);
		break;
	case CELL_PERCENT:
		/* Never 100 or 0 by rounding: full and empty are facts that people act on. */
		snprintf(buf, CELL_TEXT_MAX, "%.2f",
			 cell->percent > 99.99 && cell->percent < 100 ? 99.99
			 : cell->percent > 0 && cell->percent < 0.01  ? 0.01
								      : cell->percent);
		break;
	case CELL_BOOL:
		return cell->number ? "yes" : "no";
	default:
		return cell->text ? cell->text : "-";
	}
	return buf;
}

/* Tab, newline and backslash as in C, other control characters and broken UTF-8 as \xNN. */
static void put_escaped(FILE *file, const char *text)
{
	for (; *text;) {
		size_t n = utf8_length(text);

		if (n > 1 || (n == 1 && *text >= ' ' && *text != '\\' && *text != 127)) {
			fwrite(text, 1, n, file);
			text += n;
			continue;
		}
		if (*text == '\t')
			fputs("\\t", file);
		else if (*text == '\n')
			fputs("\\n", file);
		else if (*text == '\\')
			fputs("\\\\", file);
		else
			fprintf(file, "\\x%02x", (unsigned char)*text);
		text++;
	}
}

static int raw_begin(struct out *out)
{
	if (out->options.no_headings)
		return 0;
	for (size_t i = 0; i < out->shown_count; i++)
		fprintf(out->file, "%s%s", i ? "\t" : "", out->columns[out->shown[i]].name);
	fputc('\n', out->file);
	return 0;
}

static void put_row(struct out *out, const struct cell *cells, bool total)
{
	char buf[CELL_TEXT_MAX];

	for (size_t i = 0; i < out->shown_count; i++) {
		size_t index = out->shown[i];
		bool at_least = total && out_at_least(out, index);

		if (i > 0)
			fputc('\t', out->file);
		if (total && out->columns[index].type == CELL_PATH)
			fputs("total", out->file);
		else
			put_escaped(out->file, cell_format(out, &out->columns[index],
							   &cells[index], at_least, buf));
	}
	fputc('\n', out->file);
}

static int raw_row(struct out *out, const struct cell *cells)
{
	put_row(out, cells, false);
	return 0;
}

static int raw_flush(struct out *out)
{
	(void)out;
	return 0;
}

static int raw_end(struct out *out, const struct cell *total, bool interrupted)
{
	(void)interrupted;
	if (total)
		put_row(out, total, true);
	return 0;
}

static void raw_done(struct out *out)
{
	(void)out;
}

const struct renderer render_raw = {
	.begin = raw_begin,
	.row = raw_row,
	.flush = raw_flush,
	.end = raw_end,
	.done = raw_done,
};
