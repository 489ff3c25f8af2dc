/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/histogram.h"

uint64_t shunt_histogram_highest(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < SHUNT_HISTOGRAM_LINEAR)
		return bucket;
	shift = bucket / SHUNT_HISTOGRAM_OCTAVE - 1;
	return (((uint64_t)bucket - shift * SHUNT_HISTOGRAM_OCTAVE + 1) << shift) - 1;
}

void shunt_histogram_merge(struct shunt_histogram *into,
			   const struct shunt_histogram *from)
{
	uint32_t i;

	if (!from->count)
		return;
	if (!into->count || from->least_ns < into->least_ns)
		into->least_ns = from->least_ns;
	if (from->most_ns > into->most_ns)
		into->most_ns = from->most_ns;
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	for (i = 0; i < SHUNT_HISTOGRAM_BUCKETS; i++)
		if (from->buckets[i]) /* leave untouched memory untouched */
			into->buckets[i] += from->buckets[i];
}

/* How many of the shortest ones are so many percent: at least one, rounded up. */
static uint64_t rank_of(const struct shunt_histogram *histogram, double percent)
{
	double exact = percent / 100 * (double)histogram->count;
	uint64_t rank = (uint64_t)exact;

	/* 99.9 % of 1000 is 999, though in binary it comes out a little more */
	if (exact - (double)rank > 1e-6)
		rank++;
	if (rank < 1)
		return 1;
	return rank < histogram->count ? rank : histogram->count;
}

uint64_t shunt_histogram_percentile(const struct shunt_histogram *histogram,
				    double percent)
{
	uint64_t rank, seen = 0, ns;
	uint32_t i;

	if (!histogram->count)
		return 0;
	rank = rank_of(histogram, percent);
	for (i = 0; i < SHUNT_HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen < rank)
			continue;
		ns = shunt_histogram_highest(i);
		return ns < histogram->most_ns ? ns : histogram->most_ns;
	}
	return histogram->most_ns;
}
