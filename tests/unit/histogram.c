/* SPDX-License-Identifier: BSD-2-Clause */
/* The histogram beside a sorted array of everything that was recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "user/rt/histogram.h"

#define TIMES 20000

static struct shunt_histogram histogram, other;
static uint64_t sorted[TIMES];

static uint64_t draw_state = 0x9e3779b97f4a7c15u;

static uint64_t draw(void)
{
	draw_state ^= draw_state << 13;
	draw_state ^= draw_state >> 7;
	draw_state ^= draw_state << 17;
	return draw_state;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int empty(void **ctx)
{
	(void)ctx;
	memset(&histogram, 0, sizeof(histogram));
	memset(&other, 0, sizeof(other));
	return 0;
}

/* As the definition has it, without any bucket. */
static uint64_t naive_percentile(size_t n, uint64_t per_million)
{
	uint64_t rank = (per_million * n + 999999) / 1000000;

	return sorted[rank ? rank - 1 : 0];
}

static void percentiles_are_those_of_a_sorted_array(void **ctx)
{
	static const uint64_t per_million[] = {
		0, 1, 10000, 500000, 900000, 990000, 999000, 999900, 999999, 1000000
	};
	int round;

	for (round = 0; round < 20; round++) {
		size_t n = round ? 1 + draw() % TIMES : 1, i;

		empty(ctx);
		for (i = 0; i < n; i++) {
			/* all orders of magnitude, up to 100 s and a little beyond */
			sorted[i] = draw() >> (27 + draw() % 37);
			shunt_histogram_record(&histogram, sorted[i]);
			if (sorted[i] > SHUNT_HISTOGRAM_MAX_NS)
				sorted[i] = SHUNT_HISTOGRAM_MAX_NS;
		}
		qsort(sorted, n, sizeof(*sorted), compare);
		assert_int_equal(histogram.count, n);
		assert_int_equal(histogram.least_ns, sorted[0]);
		assert_int_equal(histogram.most_ns, sorted[n - 1]);
		for (i = 0; i < sizeof(per_million) / sizeof(*per_million); i++) {
			uint64_t want = naive_percentile(n, per_million[i]),
				 got = shunt_histogram_percentile(&histogram,
								  per_million[i] / 1e4);

			assert_true(got >= want);
			assert_true(got - want <= want / 1024);
		}
		assert_int_equal(shunt_histogram_percentile(&histogram, 100),
				 sorted[n - 1]);
	}
}

static void small_times_are_exact(void **ctx)
{
	uint64_t ns;

	(void)ctx;
	for (ns = 0; ns < SHUNT_HISTOGRAM_LINEAR; ns++) {
		assert_int_equal(shunt_histogram_bucket(ns), ns);
		assert_int_equal(shunt_histogram_highest((uint32_t)ns), ns);
	}
}

static void buckets_follow_one_another_without_a_gap(void **ctx)
{
	uint32_t i;

	(void)ctx;
	for (i = 0; i < SHUNT_HISTOGRAM_BUCKETS; i++) {
		uint64_t highest = shunt_histogram_highest(i);

		assert_int_equal(shunt_histogram_bucket(highest), i);
		if (highest < SHUNT_HISTOGRAM_MAX_NS)
			assert_int_equal(shunt_histogram_bucket(highest + 1), i + 1);
	}
	assert_true(shunt_histogram_bucket(SHUNT_HISTOGRAM_MAX_NS) <
		    SHUNT_HISTOGRAM_BUCKETS);
}

static void two_merged_are_one_that_saw_both(void **ctx)
{
	static struct shunt_histogram both;
	size_t i;

	(void)ctx;
	memset(&both, 0, sizeof(both));
	for (i = 0; i < TIMES; i++) {
		uint64_t ns = draw() >> (27 + draw() % 37);

		shunt_histogram_record(draw() & 1 ? &histogram : &other, ns);
		shunt_histogram_record(&both, ns);
	}
	shunt_histogram_merge(&histogram, &other);
	assert_memory_equal(&histogram, &both, sizeof(both));
	memset(&other, 0, sizeof(other));
	shunt_histogram_merge(&histogram, &other); /* nothing changes nothing */
	assert_memory_equal(&histogram, &both, sizeof(both));
	shunt_histogram_merge(&other, &both);
	assert_memory_equal(&other, &both, sizeof(both));
}

/* A request a microsecond; the answer to all that were due in 100 us comes at their end. */
static void a_stall_counts_for_every_request_that_it_delayed(void **ctx)
{
	uint64_t due;

	(void)ctx;
	for (due = 0; due < 900000; due += 1000)
		shunt_histogram_record_due(&histogram, due, due + 500);
	for (; due < 1000000; due += 1000)
		shunt_histogram_record_due(&histogram, due, 1000000);
	assert_int_equal(histogram.count, 1000);
	assert_int_equal(shunt_histogram_percentile(&histogram, 50), 500);
	assert_int_equal(shunt_histogram_percentile(&histogram, 90), 500);
	assert_in_range(shunt_histogram_percentile(&histogram, 95), 50000, 50048);
	assert_int_equal(histogram.most_ns, 100000);
	shunt_histogram_record_due(&histogram, 2000, 1000);
	assert_int_equal(histogram.least_ns, 0);
}

static void an_empty_one_says_0(void **ctx)
{
	(void)ctx;
	assert_int_equal(shunt_histogram_percentile(&histogram, 50), 0);
	assert_int_equal(shunt_histogram_percentile(&histogram, 100), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(percentiles_are_those_of_a_sorted_array, empty),
		cmocka_unit_test_setup(small_times_are_exact, empty),
		cmocka_unit_test_setup(buckets_follow_one_another_without_a_gap, empty),
		cmocka_unit_test_setup(two_merged_are_one_that_saw_both, empty),
		cmocka_unit_test_setup(a_stall_counts_for_every_request_that_it_delayed,
				       empty),
		cmocka_unit_test_setup(an_empty_one_says_0, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
