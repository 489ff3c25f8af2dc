/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/json.h"

#define KEY(name, key, help) [SHUNT_BENCH_##name] = key,
const char *const shunt_bench_figure_key[] = { SHUNT_BENCH_FIGURES(KEY) };

static void know_latency(struct shunt_bench_round *round,
			 const struct shunt_histogram *latency)
{
	static const struct {
		enum shunt_bench_figure figure;
		double percent;
	} percentiles[] = {
		{ SHUNT_BENCH_P50, 50 },       { SHUNT_BENCH_P90, 90 },
		{ SHUNT_BENCH_P99, 99 },       { SHUNT_BENCH_P99_9, 99.9 },
		{ SHUNT_BENCH_P99_99, 99.99 },
	};
	size_t i;

	if (!latency->count)
		return;
	for (i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++)
		shunt_bench_know(round, percentiles[i].figure,
				 (double)shunt_histogram_percentile(
					 latency, percentiles[i].percent));
	shunt_bench_know(round, SHUNT_BENCH_MIN, (double)latency->least_ns);
	shunt_bench_know(round, SHUNT_BENCH_MAX, (double)latency->most_ns);
	shunt_bench_know(round, SHUNT_BENCH_MEAN,
			 (double)latency->sum_ns / (double)latency->count);
}

static void know_rates(struct shunt_bench_round *round,
		       const struct shunt_bench_result *result, uint32_t size)
{
	bool one_way = !result->latency.count;
	/* of one-way messages the client's end is sending, the server's receiving */
	double sent = (double)(one_way ? result->requests : result->replies),
	       arrived = (double)result->replies,
	       seconds = (double)result->elapsed_ns / 1e9;

	if (seconds > 0) {
		shunt_bench_know(round, SHUNT_BENCH_MESSAGES, arrived / seconds);
		shunt_bench_know(round, SHUNT_BENCH_BYTES, arrived * size / seconds);
	}
	if (result->cpu_known && sent > 0)
		shunt_bench_know(round, SHUNT_BENCH_CLIENT_CPU,
				 (double)result->client_cpu_ns / sent);
	if (result->server_cpu_known && arrived > 0)
		shunt_bench_know(round, SHUNT_BENCH_SERVER_CPU,
				 (double)result->server_cpu_ns / arrived);
}

void shunt_bench_tally_result(struct shunt_bench_tally *tally,
			      const struct shunt_bench_result *result)
{
	struct shunt_bench_round round = { .known = 0 };

	if (result->state == SHUNT_BENCH_UNTRIED)
		return;
	if (*result->error && !*tally->error)
		snprintf(tally->error, sizeof(tally->error), "%s", result->error);
	if (*result->clients)
		snprintf(tally->clients, sizeof(tally->clients), "%s", result->clients);
	tally->requests += result->requests;
	tally->replies += result->replies;
	tally->lost += result->lost;
	tally->stray += result->stray;
	tally->late += result->late;
	tally->unsent += result->unsent;
	if (result->state == SHUNT_BENCH_FAILED)
		return;
	shunt_histogram_merge(&tally->latency, &result->latency);
	know_latency(&round, &result->latency);
	know_rates(&round, result, tally->todo.size);
	shunt_bench_tally_round(tally, &round);
}

void shunt_bench_tally_round(struct shunt_bench_tally *tally,
			     const struct shunt_bench_round *round)
{
	size_t i;

	if (tally->rounds == SHUNT_BENCH_ROUNDS)
		return;
	tally->rounds++;
	for (i = 0; i < SHUNT_BENCH_FIGURE_COUNT; i++)
		if (round->known & 1u << i)
			tally->sample[i][tally->n[i]++] = round->value[i];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct shunt_bench_stat shunt_bench_stat_of(const double *sample, uint32_t n)
{
	double sorted[SHUNT_BENCH_ROUNDS];

	if (!n)
		return (struct shunt_bench_stat){ .known = false };
	memcpy(sorted, sample, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct shunt_bench_stat){
		.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
		.min = sorted[0],
		.max = sorted[n - 1],
		.known = true,
	};
}

struct shunt_bench_stat shunt_bench_tally_stat(const struct shunt_bench_tally *tally,
					       enum shunt_bench_figure figure)
{
	return shunt_bench_stat_of(tally->sample[figure], tally->n[figure]);
}

/* --- as JSON ---------------------------------------------------------------------------- */

/* With so many places behind the point, in powers of ten, while it is below 1000: more is
 * noise. */
static double tidy(double value, unsigned int places)
{
	double unit = value < 1000 ? places : 1;

	return (double)(int64_t)(value * unit + 0.5) / unit;
}

void shunt_bench_stat_json(struct shunt_bench_stat stat, cJSON *json, const char *key,
			   unsigned int places)
{
	cJSON *item = cJSON_AddObjectToObject(json, key);

	cJSON_AddNumberToObject(item, "median", tidy(stat.median, places));
	cJSON_AddNumberToObject(item, "min", tidy(stat.min, places));
	cJSON_AddNumberToObject(item, "max", tidy(stat.max, places));
}

static void put_stat(cJSON *object, const struct shunt_bench_tally *tally,
		     enum shunt_bench_figure figure)
{
	struct shunt_bench_stat stat = shunt_bench_tally_stat(tally, figure);

	if (stat.known)
		shunt_bench_stat_json(stat, object, shunt_bench_figure_key[figure], 10);
}

/* Pairs of a percentile and its ns, denser towards the end, as HdrHistogram plots them:
 * five steps for each halving of what is left, until fewer than one sample is. */
static void put_distribution(const struct shunt_histogram *latency, cJSON *row)
{
	cJSON *list = cJSON_AddArrayToObject(row, "distribution");
	double left = 100, step = 10;
	int i = 0;

	while (left / 100 * (double)latency->count >= 1) {
		double at[] = { 100 - left, (double)shunt_histogram_percentile(
						    latency, 100 - left) };

		cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(at, 2));
		left -= step;
		if (++i % 5 == 0)
			step /= 2;
	}
}

void shunt_bench_tally_json(const struct shunt_bench_tally *tally, cJSON *row)
{
	size_t i;

	cJSON_AddNumberToObject(row, "rounds", tally->rounds);
	shunt_json_add_u64(row, "requests", tally->requests);
	shunt_json_add_u64(row, "replies", tally->replies);
	shunt_json_add_u64(row, "lost", tally->lost);
	shunt_json_add_u64(row, "stray", tally->stray);
	if (tally->todo.kind == SHUNT_BENCH_RATE) {
		shunt_json_add_u64(row, "late", tally->late);
		shunt_json_add_u64(row, "unsent", tally->unsent);
	}
	if (tally->n[SHUNT_BENCH_P50] || tally->n[SHUNT_BENCH_MEAN]) {
		cJSON *times = cJSON_AddObjectToObject(row, "latency_ns");

		for (i = 0; i < SHUNT_BENCH_TIME_COUNT; i++)
			put_stat(times, tally, i);
	}
	for (i = SHUNT_BENCH_TIME_COUNT; i < SHUNT_BENCH_FIGURE_COUNT; i++)
		put_stat(row, tally, i);
	if (tally->latency.count)
		put_distribution(&tally->latency, row);
	if (*tally->error)
		cJSON_AddStringToObject(row, "error", tally->error);
}
