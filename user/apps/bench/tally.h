/* SPDX-License-Identifier: BSD-2-Clause */
/* What rounds of one case come to: medians and ranges of its figures, sums of its counts. */
#pragma once

#include <stddef.h>

#include <cjson/cJSON.h>

#include "user/apps/bench/link.h"

#define SHUNT_BENCH_ROUNDS 32u

/* Of latency, in ns; then rates; then CPU time a message, in ns. X(ENUM, key, help) */
#define SHUNT_BENCH_TIMES(X)                                                           \
	X(MIN, "min", "the shortest")                                                  \
	X(MEAN, "mean", "their sum by their number")                                   \
	X(P50, "p50", "half of them are shorter")                                      \
	X(P90, "p90", "so are 90 %")                                                   \
	X(P99, "p99", "99 %")                                                          \
	X(P99_9, "p99_9", "99.9 %")                                                    \
	X(P99_99, "p99_99", "99.99 %")                                                 \
	X(MAX, "max", "the longest")
#define SHUNT_BENCH_RATES(X)                                                           \
	X(MESSAGES, "messages_per_s", "round trips, or messages that arrived")         \
	X(BYTES, "bytes_per_s", "of these messages")                                   \
	X(CLIENT_CPU, "client_cpu_ns", "CPU time of the client's process a message")   \
	X(SERVER_CPU, "server_cpu_ns", "and of the server's")
#define SHUNT_BENCH_FIGURES(X) SHUNT_BENCH_TIMES(X) SHUNT_BENCH_RATES(X)

#define SHUNT_BENCH_FIGURE(name, key, help) SHUNT_BENCH_##name,
enum shunt_bench_figure {
	SHUNT_BENCH_FIGURES(SHUNT_BENCH_FIGURE) SHUNT_BENCH_FIGURE_COUNT
};
#define SHUNT_BENCH_TIME_COUNT (SHUNT_BENCH_MAX + 1)

extern const char *const shunt_bench_figure_key[SHUNT_BENCH_FIGURE_COUNT];

/* The figures of one round, as far as they are known. */
struct shunt_bench_round {
	double value[SHUNT_BENCH_FIGURE_COUNT];
	uint32_t known; /* bits */
};

struct shunt_bench_tally {
	struct shunt_bench_case todo;
	uint32_t n[SHUNT_BENCH_FIGURE_COUNT]; /* rounds in which it was known */
	double sample[SHUNT_BENCH_FIGURE_COUNT][SHUNT_BENCH_ROUNDS];
	uint32_t rounds;
	uint64_t requests, replies, lost, stray, late, unsent;
	char clients[16];
	char error[SHUNT_BENCH_WORDS];	/* the first one */
	struct shunt_histogram latency; /* of all rounds */
};

struct shunt_bench_stat {
	double median, min, max;
	bool known;
};

static inline void shunt_bench_know(struct shunt_bench_round *round,
				    enum shunt_bench_figure figure, double value)
{
	round->value[figure] = value;
	round->known |= 1u << figure;
}

/* Adds a round whose figures are in the result. */
void shunt_bench_tally_result(struct shunt_bench_tally *tally,
			      const struct shunt_bench_result *result);

/* Adds a round of which only these are known, as others' programs tell them. */
void shunt_bench_tally_round(struct shunt_bench_tally *tally,
			     const struct shunt_bench_round *round);

/* Of at most SHUNT_BENCH_ROUNDS samples. */
struct shunt_bench_stat shunt_bench_stat_of(const double *sample, uint32_t n);

struct shunt_bench_stat shunt_bench_tally_stat(const struct shunt_bench_tally *tally,
					       enum shunt_bench_figure figure);

/* Adds it under a key, rounded to 1/`places` (10, 1000) while it is below 1000. */
void shunt_bench_stat_json(struct shunt_bench_stat stat, cJSON *json, const char *key,
			   unsigned int places);

/* Adds what it knows to a row of the reply. */
void shunt_bench_tally_json(const struct shunt_bench_tally *tally, cJSON *row);
