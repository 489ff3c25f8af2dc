/* SPDX-License-Identifier: BSD-2-Clause */
/* What a ring and a pool cost an element, beside those of DPDK. */

/*
 * A case is two subjects, ours and the peer's, that do the same: bursts through a ring, or
 * out of a pool and back. In one thread a burst goes in and comes out again; the figure is
 * CPU time an element. With two threads, each pinned to a core, one puts in and one takes
 * out, and both spin; the figure is time an element, from the first to the last. A pool's
 * two threads hand the buffers over through a ring of the same make. The subjects take
 * turns, round by round; the ratio is the median over the rounds of ours to the peer's.
 *
 * The peer is built if pkg-config knows libdpdk; it runs without huge pages or devices.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/options.h"
#include "bench/rt_peer.h"
#include "bench/stat.h"
#include "user/rt/mpsc.h"
#include "user/rt/pool.h"
#include "user/rt/core.h"
#include "user/rt/spsc.h"

#define FRAMES 8192u
#define CORES 2

static struct {
	bool json, quick;
	unsigned int rounds;
	const char *only;
} opt = { .rounds = BENCH_ROUNDS_UNTOLD };

/* Elements of 8 bytes: what a program moves that keeps its buffers' handles elsewhere. */
struct pointer {
	void *at;
};

static struct shunt_spsc *spsc_pointers, *spsc_frames, *spsc_tokens;
static struct shunt_mpsc *mpsc_pointers, *mpsc_frames;
static struct shunt_memory *memory;

/* --- ours ------------------------------------------------------------------------------ */

BENCH_RING(spsc_pointers, struct pointer, shunt_spsc_push(spsc_pointers, in, n),
	   shunt_spsc_pop(spsc_pointers, out, n))
BENCH_RING(spsc_frames, struct shunt_frame, shunt_spsc_push(spsc_frames, in, n),
	   shunt_spsc_pop(spsc_frames, out, n))
BENCH_RING(mpsc_pointers, struct pointer, shunt_mpsc_push(mpsc_pointers, in, n),
	   shunt_mpsc_pop(mpsc_pointers, out, n))
BENCH_RING(mpsc_frames, struct shunt_frame, shunt_mpsc_push(mpsc_frames, in, n),
	   shunt_mpsc_pop(mpsc_frames, out, n))

BENCH_POOL(frames, struct shunt_frame, shunt_pool_get(&memory->pool, in, n),
	   shunt_frames_put(out, n), shunt_spsc_push(spsc_frames, in, n),
	   shunt_spsc_pop(spsc_frames, out, n))
BENCH_POOL(tokens, uint32_t, shunt_memory_get_tokens(memory, in, n),
	   shunt_memory_put_tokens(memory, out, n), shunt_spsc_push(spsc_tokens, in, n),
	   shunt_spsc_pop(spsc_tokens, out, n))

static void open_ours(void)
{
	struct shunt_slots_opts pointers = { .sz = sizeof(pointers),
					     .slots = BENCH_SLOTS,
					     .bytes = sizeof(struct pointer) };
	struct shunt_slots_opts tokens = { .sz = sizeof(tokens),
					   .slots = BENCH_SLOTS,
					   .bytes = sizeof(uint32_t) };
	struct shunt_slots_opts frames = { .sz = sizeof(frames), .slots = BENCH_SLOTS };
	struct shunt_memory_opts opts = { .sz = sizeof(opts),
					  .frames = FRAMES,
					  .frame_bytes = 2048 };
	struct shunt_err err;

	if (shunt_spsc_open(&spsc_pointers, &pointers, &err) ||
	    shunt_spsc_open(&spsc_frames, &frames, &err) ||
	    shunt_spsc_open(&spsc_tokens, &tokens, &err) ||
	    shunt_mpsc_open(&mpsc_pointers, &pointers, &err) ||
	    shunt_mpsc_open(&mpsc_frames, &frames, &err) ||
	    shunt_memory_open(&memory, &opts, &err)) {
		fprintf(stderr, "rt: %s\n", err.message);
		exit(1);
	}
}

static void close_ours(void)
{
	shunt_spsc_close(spsc_pointers);
	shunt_spsc_close(spsc_frames);
	shunt_spsc_close(spsc_tokens);
	shunt_mpsc_close(mpsc_pointers);
	shunt_mpsc_close(mpsc_frames);
	shunt_memory_close(memory);
}

/* --- cases ----------------------------------------------------------------------------- */

static const struct rt_case {
	const char *name;
	const char *peer_name;
	const struct bench_subject *ours, *peer;
} cases[] = {
	{ "spsc, 8 bytes", "rte_ring SP/SC", &spsc_pointers_subject,
	  BENCH_PEER(sp_pointers) },
	{ "spsc, frames", "rte_ring SP/SC, 32 bytes", &spsc_frames_subject,
	  BENCH_PEER(sp_frames) },
	{ "mpsc, 8 bytes", "rte_ring MP/SC", &mpsc_pointers_subject,
	  BENCH_PEER(mp_pointers) },
	{ "mpsc, frames", "rte_ring MP/SC, 32 bytes", &mpsc_frames_subject,
	  BENCH_PEER(mp_frames) },
	{ "pool, tokens", "rte_mempool", &tokens_subject, BENCH_PEER(mempool) },
	{ "pool, frames", "rte_pktmbuf", &frames_subject, BENCH_PEER(pktmbuf) },
	{ "pool, frames", "rte_mempool", &frames_subject, BENCH_PEER(mempool) },
};

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set)) {
		fprintf(stderr, "rt: core %d is not to be had\n", core);
		exit(1);
	}
}

struct half {
	const struct bench_subject *subject;
	uint64_t count;
	unsigned int burst;
	pthread_barrier_t *ready;
};

static void *run_producer(void *arg)
{
	const struct half *half = arg;

	pin(1);
	bench_peer_enter();
	pthread_barrier_wait(half->ready);
	half->subject->produce(half->count, half->burst);
	bench_peer_leave();
	return NULL;
}

static double time_pair(const struct bench_subject *subject, uint64_t count,
			unsigned int burst)
{
	pthread_barrier_t ready;
	struct half half = { subject, count, burst, &ready };
	pthread_t thread;
	double from;

	pthread_barrier_init(&ready, NULL, 2);
	if (pthread_create(&thread, NULL, run_producer, &half)) {
		fprintf(stderr, "rt: no thread\n");
		exit(1);
	}
	pthread_barrier_wait(&ready);
	from = bench_now_ns(CLOCK_MONOTONIC);
	subject->consume(count, burst);
	from = bench_now_ns(CLOCK_MONOTONIC) - from;
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&ready);
	return from / count;
}

static double time_one(const struct bench_subject *subject, uint64_t count,
		       unsigned int burst)
{
	double from = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);

	subject->both(count, burst);
	return (bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - from) / count;
}

static void print_row(const struct rt_case *c, int threads, unsigned int burst,
		      struct bench_stat ours, const struct bench_stat *peer,
		      struct bench_stat ratio)
{
	if (!opt.json) {
		printf("%-14s %-25s %d %6u %8.2f", c->name, c->peer_name, threads,
		       burst, ours.median);
		if (peer)
			printf(" %8.2f %6.2f  %.2f..%.2f\n", peer->median, ratio.median,
			       ratio.min, ratio.max);
		else
			printf("  not built\n");
		return;
	}
	printf("{\"case\": \"%s\", \"peer\": \"%s\", \"threads\": %d, \"burst\": %u, "
	       "\"ns\": %.3f, \"ns_min\": %.3f, \"ns_max\": %.3f",
	       c->name, c->peer_name, threads, burst, ours.median, ours.min, ours.max);
	if (peer)
		printf(", \"peer_ns\": %.3f, \"peer_ns_min\": %.3f, "
		       "\"peer_ns_max\": %.3f, \"ratio\": %.3f, \"ratio_min\": %.3f, "
		       "\"ratio_max\": %.3f}\n",
		       peer->median, peer->min, peer->max, ratio.median, ratio.min,
		       ratio.max);
	else
		printf(", \"peer_ns\": null}\n");
}

static void run_case(const struct rt_case *c, int threads, unsigned int burst)
{
	double (*time)(const struct bench_subject *, uint64_t, unsigned int) =
		threads == 1 ? time_one : time_pair;
	double ours[BENCH_SAMPLES], peer[BENCH_SAMPLES], ratio[BENCH_SAMPLES];
	uint64_t count = (threads == 1 ? 4000000 : 1000000) / (burst == 1 ? 4 : 1);
	struct bench_stat peer_stat;
	unsigned int i;

	if (opt.quick)
		count /= 10;
	count = count / burst * burst;
	for (i = 0; i < opt.rounds + 1; i++) {
		/* The first round warms up. */
		size_t at = i ? i - 1 : 0;

		ours[at] = time(c->ours, count, burst);
		if (!c->peer)
			continue;
		peer[at] = time(c->peer, count, burst);
		ratio[at] = ours[at] / peer[at];
	}
	if (c->peer)
		peer_stat = bench_stat_of(peer, opt.rounds);
	print_row(c, threads, burst, bench_stat_of(ours, opt.rounds),
		  c->peer ? &peer_stat : NULL,
		  c->peer ? bench_stat_of(ratio, opt.rounds)
			  : (struct bench_stat){ 0 });
	fflush(stdout);
}

static const struct bench_option options[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("rounds", "N", &opt.rounds),
	BENCH_OPTION("case", "WORD", &opt.only),
	{ NULL },
};

int main(int argc, char **argv)
{
	static const unsigned int bursts[] = { 1, 8, 32, 64 };
	int threads, cores = sysconf(_SC_NPROCESSORS_ONLN) < CORES ? 1 : CORES;
	size_t i, b;

	if (bench_options(argc, argv, options) != argc ||
	    !bench_rounds(&opt.rounds, opt.quick))
		return bench_usage("rt", options, NULL);
	bench_peer_open();
	open_ours();
	pin(0);
	if (!opt.json)
		printf("%-14s %-25s %s %6s %8s %8s %6s  %s\n", "shunt", "peer", "t",
		       "burst", "ns", "peer", "ratio", "range");
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (threads = 1; threads <= cores; threads++)
			for (b = 0; b < sizeof(bursts) / sizeof(*bursts); b++)
				if (!opt.only || strstr(cases[i].name, opt.only) ||
				    strstr(cases[i].peer_name, opt.only))
					run_case(&cases[i], threads, bursts[b]);
	close_ours();
	bench_peer_close();
	return 0;
}
