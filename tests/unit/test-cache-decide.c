/* SPDX-License-Identifier: MIT */
/* test-cache-decide.c - who goes first, how much, and how that does against plain LRU. */
#include "cache_decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/macro.h"
#include "cache-sim.h"

#define MIB (UINT64_C(1) << 20)
#define GRANULE (2 * MIB)

/* ---- heat ---- */

static void use_makes_hotter_and_time_changes_nothing(void **state)
{
	const double once = heat_used(HEAT_NONE, 3);

	(void)state;
	assert_true(once > HEAT_NONE);
	assert_true(heat_used(once, 3) > once);
	assert_true(heat_used(once, 4) > heat_used(HEAT_NONE, 4));
	assert_true(heat_used(HEAT_NONE, 4) > once);
}

static void two_uses_weigh_one_half_life(void **state)
{
	(void)state;
	/* Twice at turn 10 is as hot as once half a turn later. */
	assert_true(fabs(heat_used(heat_used(HEAT_NONE, 10), 10) -
			 heat_used(HEAT_NONE, 10.5)) < 1e-9);
}

static void signs_of_one_use_do_not_add_up(void **state)
{
	double heat = heat_used(HEAT_NONE, 7);

	(void)state;
	for (int i = 0; i < 1000; i++)
		heat = heat_seen(heat, 7);
	assert_true(heat == heat_used(HEAT_NONE, 7));
	assert_true(heat_seen(heat, 8) == heat_used(HEAT_NONE, 8));
	assert_true(heat_seen(HEAT_NONE, 8) == heat_used(HEAT_NONE, 8));
}

static void many_uses_at_once_are_outlived(void **state)
{
	double heat = HEAT_NONE;

	(void)state;
	for (int i = 0; i < 1000000; i++)
		heat = heat_used(heat, 5);
	assert_true(heat > heat_used(HEAT_NONE, 7));
	assert_true(heat < heat_used(HEAT_NONE, 9));
}

/* ---- tables ---- */

#define FILES_MAX 4

struct expected {
	size_t file;
	uint64_t mib;
};

static const struct table_case {
	const char *name;
	uint64_t used, high, low; /* MiB */
	struct {
		uint64_t resident, kept; /* MiB */
		double heat;
		uint64_t used_at;
		uint8_t priority;
		bool never;
	} files[FILES_MAX];
	struct expected expected[FILES_MAX];
} cases[] = {
	{ "below the high mark nothing goes", 90, 90, 50, { { 90, 0, 1 } }, { { 0 } } },
	{ "the coldest goes first",
	  100, 90, 80,
	  { { 40, 0, 3 }, { 40, 0, 1 }, { 20, 0, 2 } },
	  { { 1, 20 } } },
	{ "then the next",
	  100, 90, 50,
	  { { 40, 0, 3 }, { 40, 0, 1 }, { 20, 0, 2 } },
	  { { 1, 40 }, { 2, 10 } } },
	{ "priority decides before heat",
	  100, 90, 50,
	  { { 40, 0, 3, 0, 10 }, { 40, 0, 1, 0, 50 }, { 20, 0, 2, 0, 50 } },
	  { { 0, 40 }, { 1, 10 } } },
	{ "equally hot: who was used longer ago",
	  100, 90, 85,
	  { { 50, 0, 1, 7 }, { 50, 0, 1, 6 } },
	  { { 1, 16 } } },
	{ "what is kept stays, the rest of the file goes",
	  100, 90, 50,
	  { { 60, 58, 1 }, { 40, 0, 2 } },
	  { { 0, 2 }, { 1, 40 } } },
	{ "more kept than resident: nothing to give",
	  100, 90, 50,
	  { { 60, 80, 1 }, { 40, 0, 2 } },
	  { { 1, 40 } } },
	{ "never is never",
	  100, 90, 10,
	  { { 60, 0, 1, 0, 0, true }, { 40, 0, 2 } },
	  { { 1, 40 } } },
	{ "nothing to be had", 100, 90, 10, { { 60, 60, 1 }, { 40, 0, 2, 0, 0, true } }, { { 0 } } },
	{ "rounded up to the granule",
	  101, 90, 80,
	  { { 61, 0, 1 }, { 40, 0, 2 } },
	  { { 0, 22 } } },
	{ "but not beyond what the file has",
	  101, 90, 80,
	  { { 21, 0, 1 }, { 80, 0, 2 } },
	  { { 0, 21 } } },
	{ "nothing is known of its use: first",
	  100, 90, 80,
	  { { 40, 0, 0 }, { 40, 0, HEAT_NONE } },
	  { { 1, 20 } } },
	{ "more is used than the table shows",
	  200, 90, 80,
	  { { 50, 0, 2 }, { 50, 0, 1 } },
	  { { 1, 50 }, { 0, 50 } } },
};

static void run_case(const struct table_case *c)
{
	const struct marks marks = { c->used * MIB, c->high * MIB, c->low * MIB, GRANULE };
	struct cache_file files[FILES_MAX] = { 0 };
	struct action actions[FILES_MAX];
	size_t count, i;

	for (i = 0; i < FILES_MAX; i++) {
		files[i] = (struct cache_file){ .resident = c->files[i].resident * MIB,
						.kept = c->files[i].kept * MIB,
						.heat = c->files[i].heat,
						.used_at = c->files[i].used_at,
						.priority = c->files[i].priority,
						.never = c->files[i].never,
						.sync = i == 1 };
	}
	count = decide(files, FILES_MAX, &marks, actions);
	for (i = 0; i < FILES_MAX && c->expected[i].mib; i++) {
		if (i >= count || actions[i].file != c->expected[i].file ||
		    actions[i].bytes != c->expected[i].mib * MIB)
			fail_msg("%s: action %zu is not as expected", c->name, i);
		assert_int_equal(actions[i].sync, actions[i].file == 1);
	}
	if (count != i)
		fail_msg("%s: %zu actions instead of %zu", c->name, count, i);
}

static void tables_are_decided_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(&cases[i]);
}

static void empty_table_gives_nothing(void **state)
{
	const struct marks marks = { 100, 10, 5, GRANULE };

	(void)state;
	assert_int_equal(decide(NULL, 0, &marks, NULL), 0);
}

/* ---- any table ---- */

#define RANDOM_TABLES 2000
#define RANDOM_FILES 200

struct random_table {
	struct cache_file files[RANDOM_FILES];
	struct action actions[RANDOM_FILES];
	size_t count;
	struct marks marks;
};

static void make_table(struct random_table *table, uint64_t *seed)
{
	table->count = sim_random(seed) % (RANDOM_FILES + 1);
	table->marks = (struct marks){ .granule = UINT64_C(1) << (sim_random(seed) % 22) };
	for (size_t i = 0; i < table->count; i++) {
		struct cache_file *file = &table->files[i];

		*file = (struct cache_file){
			.resident = sim_random(seed) % (64 * MIB),
			.kept = sim_random(seed) % 3 ? 0 : sim_random(seed) % (80 * MIB),
			.heat = sim_random(seed) % 5 ? sim_uniform(seed) * 4 : HEAT_NONE,
			.used_at = sim_random(seed) % 50,
			.priority = (uint8_t)(sim_random(seed) % 3 * 50),
			.never = sim_random(seed) % 8 == 0,
			.sync = sim_random(seed) & 1,
		};
		table->marks.used += file->resident;
	}
	table->marks.high = (uint64_t)((double)table->marks.used * sim_uniform(seed) * 1.2);
	table->marks.low = (uint64_t)((double)table->marks.high * sim_uniform(seed));
}

static uint64_t gives(const struct cache_file *file)
{
	return file->never || file->kept >= file->resident ? 0 : file->resident - file->kept;
}

static bool colder(const struct cache_file *a, const struct cache_file *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	if (a->heat != b->heat)
		return a->heat < b->heat;
	return a->used_at < b->used_at;
}

static void check_action(const struct random_table *table, size_t i, bool last, char *taken)
{
	const struct action *action = &table->actions[i];
	const struct cache_file *file = &table->files[action->file];

	assert_true(action->file < table->count);
	assert_false(taken[action->file]);
	taken[action->file] = 1;
	assert_true(action->bytes > 0);
	assert_int_equal(action->sync, file->sync);
	if (last)
		assert_true(action->bytes <= gives(file));
	else
		assert_int_equal(action->bytes, gives(file));
}

static void check_table(const struct random_table *table, size_t actions)
{
	const struct marks *marks = &table->marks;
	const uint64_t need = marks->used > marks->high ? marks->used - marks->low : 0;
	uint64_t total = 0, possible = 0;
	char taken[RANDOM_FILES] = { 0 };

	for (size_t i = 0; i < actions; i++) {
		check_action(table, i, i == actions - 1, taken);
		total += table->actions[i].bytes;
		if (i > 0)
			assert_false(colder(&table->files[table->actions[i].file],
					    &table->files[table->actions[i - 1].file]));
	}
	for (size_t i = 0; i < table->count; i++) {
		possible += gives(&table->files[i]);
		/* Nobody who stays has more to give and is colder than one who goes. */
		if (actions && !taken[i] && gives(&table->files[i]))
			assert_false(colder(&table->files[i],
					    &table->files[table->actions[actions - 1].file]));
	}
	assert_true(total >= u64_min(need, possible));
	assert_true(total < need + marks->granule || !need);
	assert_true(need || !actions);
}

static void any_table_is_decided_by_the_rules(void **state)
{
	struct random_table *table = malloc(sizeof(*table));
	uint64_t seed = 20250101;

	(void)state;
	assert_non_null(table);
	for (int i = 0; i < RANDOM_TABLES; i++) {
		make_table(table, &seed);
		check_table(table, decide(table->files, table->count, &table->marks,
					  table->actions));
	}
	free(table);
}

/* ---- against plain LRU ---- */

#define WORKING_SET 384 /* files of 8 MiB: 3 GiB */
#define BUDGET (1024 * MIB)

static void compare(const char *name, struct sim_trace *trace, double margin)
{
	const struct sim_ratios ratios = sim_run(trace, BUDGET);

	print_message("%-36s LRU %.4f, budget %.4f\n", name, ratios.lru, ratios.ours);
	if (ratios.ours < ratios.lru - margin)
		fail_msg("%s: %.4f is too far below LRU's %.4f", name, ratios.ours, ratios.lru);
	sim_free(trace);
}

static void zipf_hits_are_not_below_lru(void **state)
{
	(void)state;
	for (double skew = 0.6; skew < 1.25; skew += 0.2) {
		struct sim_trace trace = sim_new(WORKING_SET, 8 * MIB);
		char name[64];

		sim_add_zipf(&trace, 0, WORKING_SET, skew, 10000, 7);
		(void)snprintf(name, sizeof(name), "Zipf %.1f", skew);
		compare(name, &trace, 0);
	}
}

static void files_of_all_sizes_are_not_below_lru(void **state)
{
	struct sim_trace trace = sim_new(WORKING_SET, 0);
	uint64_t seed = 3;

	(void)state;
	for (size_t i = 0; i < WORKING_SET; i++)
		trace.size[i] = (uint64_t)(exp(5 * sim_uniform(&seed)) * 0.4 * MIB);
	sim_add_zipf(&trace, 0, WORKING_SET, 0.9, 10000, 8);
	compare("Zipf 0.9, sizes 0.4 to 60 MiB", &trace, 0);
}

/* Files that are read once do not push out those that are read all the time. */
static void scans_hurt_less_than_with_lru(void **state)
{
	const size_t scans = 10, scanned = 300;
	struct sim_trace trace = sim_new(WORKING_SET + scans * scanned, 8 * MIB);

	(void)state;
	for (size_t i = 0; i < scans; i++) {
		sim_add_zipf(&trace, 0, WORKING_SET, 0.9, 1000, 9);
		for (size_t j = 0; j < scanned; j++)
			sim_open(&trace, WORKING_SET + i * scanned + j);
	}
	compare("Zipf 0.9 and scans of 2.3 GiB", &trace, -0.005);
}

static void changing_favourites_cost_little(void **state)
{
	struct sim_trace slow = sim_new(WORKING_SET, 8 * MIB);
	struct sim_trace fast = sim_new(WORKING_SET, 8 * MIB);

	(void)state;
	for (uint64_t i = 1; i <= 5; i++)
		sim_add_zipf(&slow, 0, WORKING_SET, 0.9, 2000, i);
	for (uint64_t i = 1; i <= 20; i++)
		sim_add_zipf(&fast, 0, WORKING_SET, 0.9, 500, i);
	compare("Zipf 0.9, new ranks every 2000 opens", &slow, 0);
	compare("Zipf 0.9, new ranks every 500 opens", &fast, 0.05);
}

/* What was read lately is likely to be read again, however often it was read before: the best
 * case of LRU. */
static void recency_alone_costs_little(void **state)
{
	struct sim_trace trace = sim_new(WORKING_SET, 8 * MIB);
	uint64_t seed = 11;

	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		const double back = pow(sim_uniform(&seed), 3) * (double)(i < 400 ? i : 400);

		if (i < 50 || sim_uniform(&seed) < 0.3)
			sim_open(&trace, sim_random(&seed) % WORKING_SET);
		else
			sim_open(&trace, trace.order[i - 1 - (size_t)back]);
	}
	compare("read again what was read lately", &trace, 0.05);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(use_makes_hotter_and_time_changes_nothing),
		cmocka_unit_test(two_uses_weigh_one_half_life),
		cmocka_unit_test(signs_of_one_use_do_not_add_up),
		cmocka_unit_test(many_uses_at_once_are_outlived),
		cmocka_unit_test(tables_are_decided_as_written),
		cmocka_unit_test(empty_table_gives_nothing),
		cmocka_unit_test(any_table_is_decided_by_the_rules),
		cmocka_unit_test(zipf_hits_are_not_below_lru),
		cmocka_unit_test(files_of_all_sizes_are_not_below_lru),
		cmocka_unit_test(scans_hurt_less_than_with_lru),
		cmocka_unit_test(changing_favourites_cost_little),
		cmocka_unit_test(recency_alone_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
