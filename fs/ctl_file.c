/* SPDX-License-Identifier: MIT */
/* ctl_file.c - the control attributes that report: counts, runs, pictures, the summary.
 */
#include "ctl_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define MAP_CELLS 64

/* Of a map's cell: not a page resident, ever more, all. */
static const char ramp[] = ".:-=+*#%@";

static void close_mapp(struct mmapfs_map **map)
{
	mmapfs_map_close(*map);
}

uint64_t ctl_page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t ctl_pages_of(uint64_t size)
{
	return align_up(size, ctl_page_size()) / ctl_page_size();
}

static int file_size(struct ctl_request *rq, uint64_t *ret)
{
	struct stat st;
	int r = inode_stat(rq->fs->inodes, rq->inode, &st);

	if (r >= 0)
		*ret = (uint64_t)st.st_size;
	return r;
}

/* Of the request's range, cut at the end of a file of @size. */
static uint64_t locked_pages(struct ctl_request *rq, uint64_t size)
{
	struct mmapfs_range range = rq->range;
	uint64_t end = range.length ? add_saturated(range.offset, range.length) : size;

	return region_locked(rq->inode, range.offset, u64_min(end, size)) / ctl_page_size();
}

/* ---- figures of a file ---- */

static void figures_from(const struct mmapfs_residency *found, struct ctl_figures *ret)
{
	*ret = (struct ctl_figures){
		.size = found->file_size,
		.pages = found->pages,
		.resident = found->resident,
		.occupied = found->occupied,
		.dirty = found->dirty,
		.writeback = found->writeback,
		.evicted = found->evicted,
		.missing = ~found->valid,
		.upper_bound = found->upper_bound,
		.method = found->method,
		.confidence = found->confidence,
		.reason = found->reason,
		.changed = found->changed,
	};
}

static int file_figures(struct ctl_request *rq, struct ctl_figures *ret)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct mmapfs_residency found = MMAPFS_INIT(found);
	int r;

	r = region_open_map(rq->fs, rq->inode, MMAPFS_ACCESS_READ, &map);
	if (r < 0)
		return r;
	r = mmapfs_residency(map, rq->range, MMAPFS_OBSERVE_READY, &found);
	if (r < 0)
		return r;
	figures_from(&found, ret);
	ret->locked = locked_pages(rq, found.file_size);
	return 0;
}

static int get_figures(struct ctl_request *rq, struct ctl_figures *ret)
{
	if (S_ISDIR(rq->inode->type))
		return ctl_tree_figures(rq, true, ret);
	return file_figures(rq, ret);
}

static uint64_t figure_value(const struct ctl_figures *figures, uint32_t which)
{
	switch (which) {
	case MMAPFS_RESIDENT:
		return figures->resident;
	case MMAPFS_OCCUPIED:
		return figures->occupied;
	case MMAPFS_DIRTY:
		return figures->dirty;
	case MMAPFS_WRITEBACK:
		return figures->writeback;
	default:
		return figures->evicted;
	}
}

/* ---- stat ---- */

static const struct {
	const char *key;
	uint32_t figure;
} stat_figures[] = {
	{ "resident", MMAPFS_RESIDENT }, { "occupied", MMAPFS_OCCUPIED },
	{ "dirty", MMAPFS_DIRTY },	 { "writeback", MMAPFS_WRITEBACK },
	{ "evicted", MMAPFS_EVICTED },
};

static int print_figure(const struct ctl_figures *figures, const char *key,
			uint32_t figure, struct ctl_text *ret)
{
	if (figures->missing & figure)
		return ctl_text_printf(ret, "\n%s=unknown", key);
	return ctl_text_printf(ret, "\n%s=%" PRIu64, key, figure_value(figures, figure));
}

static int print_figures(const struct ctl_figures *figures, struct ctl_text *ret)
{
	int r;

	r = ctl_text_printf(ret,
			    "size=%" PRIu64 "\npages=%" PRIu64 "\npage_size=%" PRIu64,
			    figures->size, figures->pages, ctl_page_size());
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(stat_figures); i++)
		r = print_figure(figures, stat_figures[i].key, stat_figures[i].figure,
				 ret);
	if (r >= 0)
		r = ctl_text_printf(ret, "\nlocked=%" PRIu64, figures->locked);
	return r;
}

static const char *data_path_name(struct inode *inode)
{
	switch (atomic_load(&inode->data_path)) {
	case DATA_PATH_PASSTHROUGH:
		return "passthrough";
	case DATA_PATH_MAPPED:
		return "mapped";
	default:
		return "undecided";
	}
}

static int print_file(struct inode *inode, const struct ctl_figures *figures,
		      struct ctl_text *ret)
{
	return ctl_text_printf(ret, "\nadvice=%s\ndata_path=%s\nmethod=%s\nconfidence=%s",
			       mmapfs_advice_name(region_advice(inode)),
			       data_path_name(inode), mmapfs_method_name(figures->method),
			       mmapfs_confidence_name(figures->confidence));
}

/* The lines that are there only when there is something to warn of. */
static int print_notes(const struct ctl_figures *figures, struct ctl_text *ret)
{
	int r = 0;

	if (figures->reason != MMAPFS_REASON_NONE)
		r = ctl_text_printf(ret, "\nreason=%s",
				    mmapfs_reason_name(figures->reason));
	if (r >= 0 && (figures->upper_bound & MMAPFS_DIRTY))
		r = ctl_text_printf(ret, "\nupper_bound=dirty");
	if (r >= 0 && figures->changed)
		r = ctl_text_printf(ret, "\nchanged=1");
	return r;
}

static int print_stat(struct ctl_request *rq, const struct ctl_figures *figures,
		      struct ctl_text *ret)
{
	int r = print_figures(figures, ret);

	if (r < 0)
		return r;
	if (S_ISDIR(rq->inode->type))
		r = ctl_text_printf(ret, "\nfiles=%" PRIu64 "\nunknown_files=%" PRIu64,
				    figures->files, figures->unknown_files);
	else
		r = print_file(rq->inode, figures, ret);
	return r < 0 ? r : print_notes(figures, ret);
}

int ctl_get_stat(struct ctl_request *rq, struct ctl_text *ret)
{
	struct ctl_figures figures;
	int r = get_figures(rq, &figures);

	if (r >= 0)
		r = print_stat(rq, &figures, ret);
	return r < 0 ? r : ctl_text_printf(ret, "\n");
}

/* ---- plain numbers ---- */

int ctl_get_pages(struct ctl_request *rq, struct ctl_text *ret)
{
	struct ctl_figures figures;
	struct byte_span pages;
	uint64_t size;
	int r;

	if (S_ISDIR(rq->inode->type)) {
		r = ctl_tree_figures(rq, false, &figures);
		if (r < 0)
			return r;
		if (figures.unread_dirs)
			return -ENODATA;
		return ctl_text_printf(ret, "%" PRIu64, figures.pages);
	}
	r = file_size(rq, &size);
	if (r < 0)
		return r;
	pages = region_pages(rq->inode, rq->range, size);
	return ctl_text_printf(ret, "%" PRIu64, (pages.end - pages.begin) / ctl_page_size());
}

int ctl_get_figure(struct ctl_request *rq, struct ctl_text *ret)
{
	struct ctl_figures figures;
	int r = get_figures(rq, &figures);

	if (r < 0)
		return r;
	/* A sum that lacks a file is not the tree's figure. */
	if ((figures.missing & rq->row->figure) || figures.unknown_files)
		return -ENODATA;
	return ctl_text_printf(ret, "%" PRIu64, figure_value(&figures, rq->row->figure));
}

int ctl_get_locked(struct ctl_request *rq, struct ctl_text *ret)
{
	struct ctl_figures figures = { 0 };
	uint64_t size;
	int r;

	if (S_ISDIR(rq->inode->type)) {
		r = ctl_tree_figures(rq, false, &figures);
	} else {
		r = file_size(rq, &size);
		if (r >= 0)
			figures.locked = locked_pages(rq, size);
	}
	return r < 0 ? r : ctl_text_printf(ret, "%" PRIu64, figures.locked);
}

/* ---- ranges and map ---- */

static int add_line(void *ctx, uint64_t offset, uint64_t length)
{
	return ctl_lines_add(ctx, offset, length);
}

int ctl_get_ranges(struct ctl_request *rq, struct ctl_text *ret)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct ctl_lines lines = ctl_lines_begin(ret);
	int r;

	r = region_open_map(rq->fs, rq->inode, MMAPFS_ACCESS_READ, &map);
	if (r < 0)
		return r;
	r = mmapfs_ranges(map, rq->range, MMAPFS_OBSERVE_READY, add_line, &lines);
	if (r < 0 || !ret->length)
		return r;
	/* 1: the list was cut, and says so itself. */
	return ctl_text_printf(ret, "\n");
}

/* A picture being drawn: equal parts of [begin, end), bytes. */
struct picture {
	uint64_t begin;
	uint64_t end;
	uint64_t resident[MAP_CELLS]; /* bytes of each cell */
};

static uint64_t cell_edge(const struct picture *picture, unsigned int cell)
{
	uint64_t length = picture->end - picture->begin;

	/* Without the product, which could overflow. */
	return picture->begin + length / MAP_CELLS * cell +
	       length % MAP_CELLS * cell / MAP_CELLS;
}

static int draw_run(void *ctx, uint64_t offset, uint64_t length)
{
	struct picture *picture = ctx;

	for (unsigned int i = 0; i < MAP_CELLS; i++) {
		uint64_t from = u64_max(offset, cell_edge(picture, i));
		uint64_t to = u64_min(offset + length, cell_edge(picture, i + 1));

		if (from < to)
			picture->resident[i] += to - from;
	}
	return 0;
}

static char cell_char(uint64_t resident, uint64_t length)
{
	const unsigned int full = sizeof(ramp) - 2;

	if (!resident || !length)
		return ramp[0];
	if (resident >= length)
		return ramp[full];
	return ramp[1 + (unsigned int)((double)resident / (double)length * (full - 1))];
}

int ctl_get_map(struct ctl_request *rq, struct ctl_text *ret)
{
	_cleanup_(close_mapp) struct mmapfs_map *map = NULL;
	struct picture picture = { 0 };
	char cells[MAP_CELLS + 1] = "";
	struct mmapfs_range bytes;
	uint64_t size;
	int r;

	r = region_open_map(rq->fs, rq->inode, MMAPFS_ACCESS_READ, &map);
	if (r < 0)
		return r;
	size = mmapfs_map_length(map);
	bytes = region_bytes(rq->inode, region_pages(rq->inode, rq->range, size));
	picture.begin = bytes.offset;
	picture.end = u64_min(bytes.offset + bytes.length, size);
	if (picture.begin >= picture.end)
		return -ENODATA; /* a share of nothing */
	r = mmapfs_ranges(map, rq->range, MMAPFS_OBSERVE_READY, draw_run, &picture);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < MAP_CELLS; i++)
		cells[i] = cell_char(picture.resident[i],
				     cell_edge(&picture, i + 1) - cell_edge(&picture, i));
	return ctl_text_printf(ret, "%s", cells);
}

/* ---- user.mmapfs ---- */

static int summary_of_work(struct ctl_request *rq, struct ctl_text *ret)
{
	int r = ctl_text_printf(ret, "\nwarm=");

	if (r >= 0)
		r = ctl_job_print(rq->inode, JOB_WARM, ret);
	if (r >= 0)
		r = ctl_text_printf(ret, "\nevict=");
	return r < 0 ? r : ctl_get_evict(rq, ret);
}

int ctl_get_summary(struct ctl_request *rq, struct ctl_text *ret)
{
	size_t length;
	struct ctl_figures figures;
	int r = get_figures(rq, &figures);

	if (r >= 0)
		r = print_stat(rq, &figures, ret);
	if (r >= 0 && S_ISREG(rq->inode->type)) {
		length = ret->length;
		r = ctl_text_printf(ret, "\nmap=");
		if (r >= 0)
			r = ctl_get_map(rq, ret);
		if (r == -ENODATA) {
			ret->length = length; /* no picture of what cannot be known */
			r = 0;
		}
	}
	if (r >= 0)
		r = summary_of_work(rq, ret);
	return r < 0 ? r : ctl_text_printf(ret, "\nnames: user.mmapfs.help");
}
