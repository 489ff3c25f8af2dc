/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/advise_judge.h"

#include <string.h>

#include "user/base/json.h"

#define BETTER 1.1 /* by less than a tenth, rounds differ among themselves */

const struct shunt_advise_fact *shunt_advise_fact(
	const struct shunt_advise_facts *facts, const char *name)
{
	size_t i;

	for (i = 0; i < facts->n; i++)
		if (!strcmp(facts->fact[i].name, name))
			return &facts->fact[i];
	return NULL;
}

bool shunt_advise_is_better(const struct shunt_advise_goal *goal, double a, double b)
{
	return goal->more ? a > b : a < b;
}

static double figure_of(const cJSON *row, const char *figure)
{
	const cJSON *item = shunt_json_get(row, figure);

	if (!item)
		item = shunt_json_get(shunt_json_get(row, "latency_ns"), figure);
	item = shunt_json_get(item, "median");
	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* The smallest messages that were measured. */
static uint64_t size_of(const cJSON *measured)
{
	uint64_t least = UINT64_MAX;
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(measured, "rows"))
	{
		uint64_t size = shunt_json_u64(row, "size");

		if (size < least)
			least = size;
	}
	return least;
}

/* The best of a backend's protocols, by one way to wait. */
static const cJSON *best_row(const struct shunt_advise_judging *judging,
			     const char *backend, const char *wait, double *value)
{
	const struct shunt_advise_goal *goal = judging->goal;
	uint64_t size = size_of(judging->measured);
	const cJSON *row, *best = NULL;

	cJSON_ArrayForEach(row, shunt_json_get(judging->measured, "rows"))
	{
		double figure = figure_of(row, goal->figure);

		if (strcmp(shunt_json_str(row, "contender"), backend) ||
		    strcmp(shunt_json_str(row, "wait"), wait) ||
		    strcmp(shunt_json_str(row, "case"), goal->kind) ||
		    shunt_json_u64(row, "size") != size ||
		    shunt_json_u64(row, "batch") != goal->batch ||
		    shunt_json_u64(row, "peers") != 1 || figure <= 0 ||
		    *shunt_json_str(row, "error"))
			continue;
		if (!best || shunt_advise_is_better(goal, figure, *value)) {
			best = row;
			*value = figure;
		}
	}
	return best;
}

static void measure(const struct shunt_advise_judging *judging,
		    struct shunt_advise_judged *judged)
{
	size_t i;

	for (i = 0; !judged->row && i < 3 && judging->goal->waits[i]; i++)
		judged->row = best_row(judging, judged->candidate->backend,
				       judging->goal->waits[i], &judged->value);
}

static void judge(const struct shunt_advise_judging *judging,
		  struct shunt_advise_judged *judged)
{
	const struct shunt_advise_fact *here =
		shunt_advise_fact(judging->facts, judged->candidate->backend);
	size_t i;

	judged->unheard = !here;
	if (here && here->answer != SHUNT_ADVISE_YES)
		judged->lacks = here;
	for (i = 0; !judged->lacks && i < SHUNT_ADVISE_NEEDS; i++) {
		const char *need = judged->candidate->needs[i];
		const struct shunt_advise_fact *fact =
			need ? shunt_advise_fact(judging->facts, need) : NULL;

		if (fact && fact->answer != SHUNT_ADVISE_YES)
			judged->lacks = fact;
	}
	if (judging->measured)
		measure(judging, judged);
}

bool shunt_advise_serves(const struct shunt_advise_judged *judged)
{
	return !judged->lacks && !judged->unheard;
}

/* With figures the best, else the first; what was not measured is behind what was. */
static void choose(struct shunt_advise_judging *judging)
{
	const struct shunt_advise_judged *best = NULL;
	size_t i;

	for (i = 0; i < judging->n; i++) {
		const struct shunt_advise_judged *judged = &judging->judged[i];

		if (!shunt_advise_serves(judged))
			continue;
		if (!best || (judged->row && !best->row && !judging->goal->in_order)) {
			best = judged;
			continue;
		}
		if (judged->row && best->row && !judging->goal->in_order &&
		    (judging->goal->more ? judged->value > best->value * BETTER
					 : judged->value * BETTER < best->value))
			best = judged;
	}
	judging->chosen = best;
}

void shunt_advise_judge(struct shunt_advise_judging *judging)
{
	const struct shunt_advise_candidate *candidate = judging->goal->candidates;

	for (; judging->n < SHUNT_ADVISE_CANDIDATES && candidate->backend;
	     candidate++) {
		struct shunt_advise_judged *judged = &judging->judged[judging->n++];

		*judged = (struct shunt_advise_judged){ .candidate = candidate };
		judge(judging, judged);
	}
	choose(judging);
}
