/* SPDX-License-Identifier: MIT */
/* progress.c - how far long work is, on the terminal and for programs. */
#include "progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mmapfs.h>

#include "base/cleanup.h"
#include "options.h"
#include "out_words.h"

#define DRAW_INTERVAL_NS UINT64_C(100000000)
#define BAR_CELLS 30

/* The one of the process. `mutex` protects all of it. */
static struct {
	pthread_mutex_t mutex;
	bool active;
	bool bar; /* stderr is a terminal and nobody minds */
	bool drawn;
	int fd; /* -1: none */
	const char *what;
	uint64_t done, total;
	uint64_t started_ns, drawn_ns;
} now = { .mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static uint64_t clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static uint64_t rate_at(uint64_t ns)
{
	uint64_t ms = (ns - now.started_ns) / 1000000;

	return ms > 0 ? now.done * 1000 / ms : 0;
}

static void erase(void)
{
	if (now.drawn)
		fputs("\r\033[K", stderr);
	now.drawn = false;
}

static void draw_bar(uint64_t ns)
{
	char done[MMAPFS_WORD_MAX], total[MMAPFS_WORD_MAX], rate[MMAPFS_WORD_MAX];
	char bar[BAR_CELLS + 1];
	size_t filled = 0;

	if (now.total > 0)
		filled = (size_t)((double)BAR_CELLS * (double)now.done / (double)now.total);
	if (filled > BAR_CELLS)
		filled = BAR_CELLS;
	memset(bar, '.', BAR_CELLS);
	memset(bar, '#', filled);
	bar[BAR_CELLS] = 0;
	fprintf(stderr, "\r\033[K%s [%s] %s of %s, %s/s", now.what, bar,
		bytes_format(done, now.done), bytes_format(total, now.total),
		bytes_format(rate, rate_at(ns)));
	fflush(stderr);
	now.drawn = true;
}

static void write_line(const char *event, uint64_t ns)
{
	char line[160], total[24] = "null";
	int length;

	if (now.total > 0)
		snprintf(total, sizeof(total), "%" PRIu64, now.total);
	length = snprintf(line, sizeof(line),
			  "{\"ev\":\"%s\",\"bytes\":%" PRIu64 ",\"total\":%s,\"rate\":%" PRIu64
			  "}\n",
			  event, now.done, total, rate_at(ns));
	/* Whoever has stopped reading is no reason to stop working; SIGPIPE is ignored. */
	if (write(now.fd, line, (size_t)length) != length)
		now.fd = -1;
}

static void draw(void)
{
	uint64_t ns = clock_ns();

	if (!now.active || ns - now.drawn_ns < DRAW_INTERVAL_NS)
		return;
	now.drawn_ns = ns;
	if (now.fd >= 0)
		write_line("progress", ns);
	if (now.bar)
		draw_bar(ns);
}

void progress_begin(const struct options *options, const char *what)
{
	SCOPE_LOCK(&now.mutex);
	now.fd = options->progress_fd;
	now.bar = isatty(STDERR_FILENO) && !options->no_progress && !options->quiet;
	now.active = now.bar || now.fd >= 0;
	now.what = what;
	now.done = now.total = 0;
	now.started_ns = clock_ns();
	/* The first draw after an interval: short work shows no bar. */
	now.drawn_ns = now.started_ns;
}

void progress_expect(uint64_t bytes)
{
	SCOPE_LOCK(&now.mutex);
	now.total += bytes;
	draw();
}

void progress_add(uint64_t bytes)
{
	SCOPE_LOCK(&now.mutex);
	now.done += bytes;
	draw();
}

void progress_hide(void)
{
	SCOPE_LOCK(&now.mutex);
	erase();
}

void progress_end(void)
{
	SCOPE_LOCK(&now.mutex);
	erase();
	if (now.active && now.fd >= 0)
		write_line("end", clock_ns());
	now.active = false;
	now.fd = -1;
}
