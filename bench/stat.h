/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples of one figure: the clocks that take them, and what they come to. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_SAMPLES 64 /* of one figure, at most */

#define BENCH_ROUNDS_UNTOLD UINT_MAX

/* 9 unless told, or 3 for a quick look; false: none, or more than there is room for. */
static inline bool bench_rounds(unsigned int *rounds, bool quick)
{
	if (*rounds == BENCH_ROUNDS_UNTOLD)
		*rounds = quick ? 3 : 9;
	return *rounds && *rounds <= BENCH_SAMPLES;
}

/* CLOCK_MONOTONIC, or CLOCK_THREAD_CPUTIME_ID for work that a neighbour may interrupt.
 */
static inline double bench_now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

struct bench_stat {
	double median, min, max;
};

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of 1 to BENCH_SAMPLES samples. */
static inline struct bench_stat bench_stat_of(const double *sample, size_t n)
{
	double sorted[BENCH_SAMPLES];

	memcpy(sorted, sample, n * sizeof(*sample));
	qsort(sorted, n, sizeof(*sorted), bench_compare);
	return (struct bench_stat){
		.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
		.min = sorted[0],
		.max = sorted[n - 1],
	};
}

/* Of the differences of samples that were taken in the same rounds. */
static inline struct bench_stat bench_stat_over(const double *sample,
						const double *base, size_t n)
{
	double over[BENCH_SAMPLES];
	size_t i;

	for (i = 0; i < n; i++)
		over[i] = sample[i] - base[i];
	return bench_stat_of(over, n);
}
