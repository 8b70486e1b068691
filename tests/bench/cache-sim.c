/* SPDX-License-Identifier: MIT */
/*
 * cache-sim.c - the hit ratio of the budget's decision and of plain LRU, for a recorded order
 * of opens. It reports; it does not judge.
 *
 *	cache-sim BUDGET < TRACE
 *
 * A line of the trace is "FILE SIZE": the number of a file and its bytes, opened and read
 * whole. bench-budget.py --trace writes one.
 */
#include "cache-sim.h"

#include <mmapfs.h>

int main(int argc, char **argv)
{
	struct sim_trace trace;
	struct sim_ratios ratios;
	uint64_t budget;

	if (argc != 2 || mmapfs_size_parse(argv[1], &budget) < 0 || budget == 0) {
		(void)fprintf(stderr, "usage: cache-sim BUDGET < TRACE\n");
		return EXIT_FAILURE;
	}
	if (sim_read(stdin, &trace) < 0) {
		(void)fprintf(stderr, "cache-sim: a line of the trace is not \"FILE SIZE\"\n");
		sim_free(&trace);
		return EXIT_FAILURE;
	}
	ratios = sim_run(&trace, budget);
	(void)printf("opens=%zu lru=%.4f budget=%.4f\n", trace.opens, ratios.lru, ratios.ours);
	sim_free(&trace);
	return EXIT_SUCCESS;
}
