/* SPDX-License-Identifier: BSD-2-Clause */
/* What the Internet checksum costs, by each row of user/net/csum.h and by DPDK. */

/*
 * Every way adds up the same packets, one call a packet, in alternation. The peer is
 * rte_raw_cksum(), a loop in a header that each program compiles for itself: once as
 * Debian compiles by default, and once as well as this compiler can for the widest
 * vectors of this CPU, which a program that is to run elsewhere too cannot do.
 */
#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifdef BENCH_DPDK
#include <rte_ip.h>
#endif

#include "bench/stat.h"
#include "tests/model/random.h"
#include "user/net/csum.h"

#define PACKETS 64u
#define ROOM 2048u
#define WAYS 16u

static uint8_t packets[PACKETS][ROOM];

struct way {
	const char *name;
	uint16_t (*sum)(const void *bytes, size_t len);
};

static struct way ways[WAYS];
static size_t way_count;

/* --- the peer ------------------------------------------------------------------------ */

#ifdef BENCH_DPDK
__attribute__((noinline)) static uint16_t dpdk_plain(const void *bytes, size_t len)
{
	return rte_raw_cksum(bytes, len);
}

#if defined(__x86_64__) && !defined(__clang__)
#define PEER_FLAGS(cpu) __attribute__((noinline, optimize("O3"), target(cpu)))

PEER_FLAGS("avx2") static uint16_t dpdk_avx2(const void *bytes, size_t len)
{
	return rte_raw_cksum(bytes, len);
}

PEER_FLAGS("avx512f,avx512bw,avx512vl,prefer-vector-width=512")
static uint16_t dpdk_avx512(const void *bytes, size_t len)
{
	return rte_raw_cksum(bytes, len);
}
#endif
#endif

static void add(const char *name, uint16_t (*sum)(const void *bytes, size_t len))
{
	ways[way_count++] = (struct way){ name, sum };
}

static void collect(void)
{
	const struct shunt_csum_row *row;

	for (row = shunt_csum_rows; row->name; row++)
		if (row->fits())
			add(row->name, row->sum);
#ifdef BENCH_DPDK
	add("rte_raw_cksum, -O2", dpdk_plain);
#if defined(__x86_64__) && !defined(__clang__)
	if (__builtin_cpu_supports("avx2"))
		add("rte_raw_cksum, -O3 avx2", dpdk_avx2);
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
		add("rte_raw_cksum, -O3 avx512", dpdk_avx512);
#endif
#endif
}

/* --- measuring ----------------------------------------------------------------------- */

static double measure(const struct way *way, size_t len, unsigned int loops)
{
	uint32_t all = 0;
	unsigned int i, p;
	double start = bench_now_ns(CLOCK_THREAD_CPUTIME_ID), end;

	for (i = 0; i < loops; i++)
		for (p = 0; p < PACKETS; p++)
			all += way->sum(packets[p], len);
	end = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
	asm volatile("" : : "r"(all)); /* somebody wants the sums */
	return (end - start) / loops / PACKETS;
}

/* All of them give the same sums, or there is nothing to compare. */
static bool agree(size_t len)
{
	size_t w, p;

	for (p = 0; p < PACKETS; p++) {
		for (w = 1; w < way_count; w++) {
			if (ways[w].sum(packets[p], len) ==
			    ways[0].sum(packets[p], len))
				continue;
			fprintf(stderr, "csum: %s and %s differ at %zu bytes\n",
				ways[w].name, ways[0].name, len);
			return false;
		}
	}
	return true;
}

static void print_row(const struct way *way, size_t len, const double *sample,
		      const double *best, unsigned int rounds, bool json)
{
	struct bench_stat ns = bench_stat_of(sample, rounds), ratio;
	double ratios[BENCH_SAMPLES];
	unsigned int i;

	for (i = 0; i < rounds; i++)
		ratios[i] = sample[i] / best[i];
	ratio = bench_stat_of(ratios, rounds);
	if (json)
		printf("{\"bytes\":%zu,\"way\":\"%s\",\"ns\":%.2f,\"min\":%.2f,"
		       "\"max\":%.2f,\"times_ours\":%.3f,\"times_ours_min\":%.3f,"
		       "\"times_ours_max\":%.3f}\n",
		       len, way->name, ns.median, ns.min, ns.max, ratio.median,
		       ratio.min, ratio.max);
	else
		printf("%5zu  %-26s %8.2f  %7.2f..%-7.2f %7.2f  %5.2f..%.2f\n", len,
		       way->name, ns.median, ns.min, ns.max, ratio.median, ratio.min,
		       ratio.max);
}

static bool run_size(size_t len, unsigned int rounds, unsigned int loops, bool json)
{
	static double sample[WAYS][BENCH_SAMPLES];
	unsigned int round;
	size_t w;

	if (!agree(len))
		return false;
	for (round = 0; round < rounds; round++)
		for (w = 0; w < way_count; w++)
			sample[w][round] = measure(&ways[w], len, loops);
	for (w = 0; w < way_count; w++)
		print_row(&ways[w], len, sample[w], sample[0], rounds, json);
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "quick", no_argument, NULL, 'q' },
		{ "rounds", required_argument, NULL, 'r' },
		{ 0 },
	};
	static const size_t sizes[] = { 20, 64, 256, 1400, 2000 };
	struct shunt_random random = { 1071 };
	unsigned int rounds = 15, loops = 4000;
	bool json = false, sound = true;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		json |= c == 'j';
		loops = c == 'q' ? 200 : loops;
		if (c == 'r')
			rounds = (unsigned int)strtoul(optarg, NULL, 10);
	}
	if (!rounds || rounds > BENCH_SAMPLES)
		rounds = BENCH_SAMPLES;
	for (i = 0; i < sizeof(packets); i++)
		packets[i / ROOM][i % ROOM] = (uint8_t)shunt_random_next(&random);
	collect();
	if (!json)
		printf("%5s  %-26s %8s  %-16s %8s  %s\n", "bytes", "way", "ns",
		       "min..max", "x ours", "min..max");
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes) && sound; i++)
		sound = run_size(sizes[i], rounds, loops, json);
	return !sound;
}
