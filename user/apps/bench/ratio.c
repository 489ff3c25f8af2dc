/* SPDX-License-Identifier: BSD-2-Clause */
/* Contenders beside others: a ratio for each round, as absolute figures vary too much. */
#include <string.h>

#include "user/apps/bench/beside.h"
#include "user/apps/bench/name.h"
#include "user/apps/bench/reply.h"
#include "user/base/json.h"

/* What is compared, in order of preference; who tells no median tells a mean. */
static const enum shunt_bench_figure of_times[] = { SHUNT_BENCH_P50, SHUNT_BENCH_MEAN },
				     of_rates[] = { SHUNT_BENCH_MESSAGES };

/* Others' programs that wait as they like are beside those that spin, as they do. */
static bool wait_alike(const struct shunt_bench_contender *contender,
		       const struct shunt_bench_contender *other)
{
	const char *wait = strcmp(other->wait, "own") != 0 ? other->wait : "spin";

	return !strcmp(contender->wait, wait);
}

static bool is_named(const struct shunt_bench_contender *contender, const char *name)
{
	return name && shunt_bench_means(name, contender->name, contender->proto);
}

/* Others' programs and plain sockets of the same protocol, and who is named. */
static bool is_beside(const struct shunt_bench_contender *contender,
		      const struct shunt_bench_contender *other, const char *against)
{
	if (!contender->ops || !wait_alike(contender, other))
		return false;
	if (other->ops)
		return is_named(other, against) && !is_named(contender, against);
	return !strcmp(contender->proto, other->proto);
}

static bool is_same_case(const struct shunt_bench_case *a,
			 const struct shunt_bench_case *b)
{
	return a->kind == b->kind && a->size == b->size && a->batch == b->batch &&
	       a->peers == b->peers;
}

static void put_ratio(cJSON *list, const struct shunt_bench_contender *contender,
		      const struct shunt_bench_tally *tally,
		      const struct shunt_bench_contender *other,
		      const struct shunt_bench_tally *beside,
		      enum shunt_bench_figure figure)
{
	double ratio[SHUNT_BENCH_ROUNDS];
	uint32_t n, rounds = tally->n[figure] < beside->n[figure] ? tally->n[figure]
								  : beside->n[figure];
	struct shunt_bench_stat stat;
	cJSON *item;

	for (n = 0; n < rounds && beside->sample[figure][n] > 0; n++)
		ratio[n] = tally->sample[figure][n] / beside->sample[figure][n];
	stat = shunt_bench_stat_of(ratio, n);
	if (!stat.known)
		return;
	item = cJSON_CreateObject();
	shunt_bench_name(item, contender);
	shunt_bench_name(cJSON_AddObjectToObject(item, "beside"), other);
	shunt_bench_case_json(&tally->todo, item);
	cJSON_AddStringToObject(item, "figure", shunt_bench_figure_key[figure]);
	shunt_bench_stat_json(stat, item, "ratio", 1000);
	cJSON_AddItemToArray(list, item);
}

static void put_pair(cJSON *list, const struct shunt_bench_contender *contender,
		     const struct shunt_bench_tally *tally,
		     const struct shunt_bench_contender *other,
		     const struct shunt_bench_tally *beside)
{
	bool flow = tally->todo.kind == SHUNT_BENCH_FLOW;
	const enum shunt_bench_figure *figure = flow ? of_rates : of_times;
	size_t i, n = flow ? 1 : 2;

	for (i = 0; i < n; i++)
		if (tally->n[figure[i]] && beside->n[figure[i]]) {
			put_ratio(list, contender, tally, other, beside, figure[i]);
			return;
		}
}

/* All cases that both have. */
static void put_both(cJSON *list, const struct shunt_bench_contender *contender,
		     const struct shunt_bench_contender *other)
{
	uint32_t i, k;

	for (i = 0; i < contender->cases; i++)
		for (k = 0; k < other->cases; k++)
			if (is_same_case(&contender->tally[i].todo,
					 &other->tally[k].todo))
				put_pair(list, contender, &contender->tally[i], other,
					 &other->tally[k]);
}

void shunt_bench_ratios(cJSON *reply, const struct shunt_bench_field *field,
			const char *against)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "ratios");
	size_t i, k;

	for (i = 0; i < field->contenders; i++)
		for (k = 0; k < field->contenders; k++)
			if (k != i && is_beside(&field->contender[i],
						&field->contender[k], against))
				put_both(list, &field->contender[i],
					 &field->contender[k]);
}
