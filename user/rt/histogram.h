/* SPDX-License-Identifier: BSD-2-Clause */
/* A histogram of times: three significant digits from 1 ns to 100 s, in fixed memory. */
#pragma once

/*
 *     value   0 … 2047        one bucket a value
 *             2048 … 4095     one bucket for two
 *             4096 … 8191     one bucket for four, and so on: 1024 buckets an octave
 *
 * The layout is that of HdrHistogram (Gil Tene): linear within an octave, so that a value
 * is known to one part in 1024 wherever it lies. Recording is an index and an addition;
 * there is no clock, no allocation and no lock in here.
 *
 * Of open-loop load a time counts from when the request was due, not from when it was
 * sent: a sender that is held up then counts what its requests have waited, and nothing
 * has to be corrected afterwards (shunt_histogram_record_due()).
 */
#include <stdint.h>

#define SHUNT_HISTOGRAM_MAX_NS 100000000000u /* 100 s; what is longer counts as this */
#define SHUNT_HISTOGRAM_LINEAR 2048u	     /* values with a bucket of their own */
#define SHUNT_HISTOGRAM_OCTAVE (SHUNT_HISTOGRAM_LINEAR / 2)
/* 2^37 is the first power of two beyond 100 s; each octave from 2^11 on has its buckets. */
#define SHUNT_HISTOGRAM_BUCKETS                                                        \
	(SHUNT_HISTOGRAM_LINEAR + (37u - 11u) * SHUNT_HISTOGRAM_OCTAVE)

/* Zeroed it is empty. */
struct shunt_histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t least_ns; /* 0 while it is empty */
	uint64_t most_ns;
	uint64_t buckets[SHUNT_HISTOGRAM_BUCKETS];
};

static inline uint32_t shunt_histogram_bucket(uint64_t ns)
{
	uint32_t shift;

	if (ns < SHUNT_HISTOGRAM_LINEAR)
		return (uint32_t)ns;
	shift = 53u - (uint32_t)__builtin_clzll(ns); /* ns >> shift has 11 bits */
	return (uint32_t)(ns >> shift) + shift * SHUNT_HISTOGRAM_OCTAVE;
}

static inline void shunt_histogram_record(struct shunt_histogram *histogram,
					  uint64_t ns)
{
	if (ns > SHUNT_HISTOGRAM_MAX_NS)
		ns = SHUNT_HISTOGRAM_MAX_NS;
	if (!histogram->count || ns < histogram->least_ns)
		histogram->least_ns = ns;
	if (ns > histogram->most_ns)
		histogram->most_ns = ns;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->buckets[shunt_histogram_bucket(ns)]++;
}

/* A request that was due then is answered now; 0 where the clock says it was early. */
static inline void shunt_histogram_record_due(struct shunt_histogram *histogram,
					      uint64_t due_ns, uint64_t now_ns)
{
	shunt_histogram_record(histogram, now_ns > due_ns ? now_ns - due_ns : 0);
}

/* The longest time that counts into this bucket. */
uint64_t shunt_histogram_highest(uint32_t bucket);

/* Adds all that `from` has counted. */
void shunt_histogram_merge(struct shunt_histogram *into,
			   const struct shunt_histogram *from);

/*
 * The time that so many percent (0 to 100) of those recorded do not exceed, as the longest
 * one of its bucket, and never more than the longest recorded. 0 where it is empty.
 */
uint64_t shunt_histogram_percentile(const struct shunt_histogram *histogram,
				    double percent);
