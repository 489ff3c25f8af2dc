/* SPDX-License-Identifier: BSD-2-Clause */
/* The subjects of bench/rt.c, and DPDK's among them, where the build has it. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/rt/core.h"

#define BENCH_SLOTS 1024u
#define BENCH_BURST_MAX 64

/* Each moves `count` elements, in bursts of `burst`. */
struct bench_subject {
	void (*both)(uint64_t count, unsigned int burst);
	void (*produce)(uint64_t count, unsigned int burst);
	void (*consume)(uint64_t count, unsigned int burst);
};

/* Keeps what was taken out from being optimised away. */
#define bench_use(array) __asm__ volatile("" : : "r"(array) : "memory")

/* A ring: `push` puts n elements of in[], `take` takes up to n into out[]. */
#define BENCH_RING(name, type, push, take)                                             \
	static void name##_both(uint64_t count, unsigned int n)                        \
	{                                                                              \
		type in[BENCH_BURST_MAX] = { 0 };                                      \
		type out[BENCH_BURST_MAX];                                             \
                                                                                       \
		for (; count; count -= n) {                                            \
			if ((push) != n || (take) != n)                                \
				abort();                                               \
			bench_use(out);                                                \
		}                                                                      \
	}                                                                              \
	static void name##_produce(uint64_t count, unsigned int burst)                 \
	{                                                                              \
		type in[BENCH_BURST_MAX] = { 0 };                                      \
                                                                                       \
		while (count) {                                                        \
			unsigned int n = count < burst ? (unsigned int)count : burst;  \
			unsigned int done = (push);                                    \
                                                                                       \
			if (!done)                                                     \
				shunt_core_relax();                                    \
			count -= done;                                                 \
		}                                                                      \
	}                                                                              \
	static void name##_consume(uint64_t count, unsigned int n)                     \
	{                                                                              \
		type out[BENCH_BURST_MAX];                                             \
                                                                                       \
		while (count) {                                                        \
			unsigned int done = (take);                                    \
                                                                                       \
			if (!done)                                                     \
				shunt_core_relax();                                    \
			bench_use(out);                                                \
			count -= done;                                                 \
		}                                                                      \
	}                                                                              \
	static const struct bench_subject name##_subject = { name##_both,              \
							     name##_produce,           \
							     name##_consume };

/*
 * A pool: `get` gets n buffers into in[] and says how many, `put` gives n of out[] back.
 * push and take hand them over as in BENCH_RING.
 */
#define BENCH_POOL(name, type, get, put, push, take)                                   \
	static void name##_both(uint64_t count, unsigned int n)                        \
	{                                                                              \
		type in[BENCH_BURST_MAX];                                              \
		type *out = in;                                                        \
                                                                                       \
		for (; count; count -= n) {                                            \
			if ((get) != n)                                                \
				abort();                                               \
			bench_use(in);                                                 \
			put;                                                           \
		}                                                                      \
	}                                                                              \
	static void name##_produce(uint64_t count, unsigned int burst)                 \
	{                                                                              \
		type held[BENCH_BURST_MAX];                                            \
		type *in;                                                              \
                                                                                       \
		while (count) {                                                        \
			unsigned int n = count < burst ? (unsigned int)count : burst;  \
                                                                                       \
			in = held;                                                     \
			n = (get);                                                     \
			count -= n;                                                    \
			while (n) {                                                    \
				unsigned int done = (push);                            \
                                                                                       \
				if (!done)                                             \
					shunt_core_relax();                            \
				n -= done;                                             \
				in += done;                                            \
			}                                                              \
		}                                                                      \
	}                                                                              \
	static void name##_consume(uint64_t count, unsigned int burst)                 \
	{                                                                              \
		type out[BENCH_BURST_MAX];                                             \
                                                                                       \
		while (count) {                                                        \
			unsigned int n = burst;                                        \
                                                                                       \
			n = (take);                                                    \
			if (n)                                                         \
				put;                                                   \
			else                                                           \
				shunt_core_relax();                                    \
			count -= n;                                                    \
		}                                                                      \
	}                                                                              \
	static const struct bench_subject name##_subject = { name##_both,              \
							     name##_produce,           \
							     name##_consume };

#ifdef BENCH_DPDK
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring_elem.h>

#include "user/rt/frame.h"

#define BENCH_PEER(name) (&name##_subject)
#define PEER_BUFFERS 8191u /* rte_mempool likes 2^n - 1 */
#define PEER_CACHE 512u	   /* RTE_MEMPOOL_CACHE_MAX_SIZE, as large as ours */

static struct rte_ring *sp_pointers, *sp_frames, *mp_pointers, *mp_frames;
static struct rte_mempool *mempool, *pktmbuf;

BENCH_RING(sp_pointers, void *, rte_ring_sp_enqueue_burst(sp_pointers, in, n, NULL),
	   rte_ring_sc_dequeue_burst(sp_pointers, out, n, NULL))
BENCH_RING(sp_frames, struct shunt_frame,
	   rte_ring_sp_enqueue_burst_elem(sp_frames, in, sizeof(*in), n, NULL),
	   rte_ring_sc_dequeue_burst_elem(sp_frames, out, sizeof(*out), n, NULL))
BENCH_RING(mp_pointers, void *, rte_ring_mp_enqueue_burst(mp_pointers, in, n, NULL),
	   rte_ring_sc_dequeue_burst(mp_pointers, out, n, NULL))
BENCH_RING(mp_frames, struct shunt_frame,
	   rte_ring_mp_enqueue_burst_elem(mp_frames, in, sizeof(*in), n, NULL),
	   rte_ring_sc_dequeue_burst_elem(mp_frames, out, sizeof(*out), n, NULL))

BENCH_POOL(mempool, void *, rte_mempool_get_bulk(mempool, in, n) ? 0 : n,
	   rte_mempool_put_bulk(mempool, out, n),
	   rte_ring_sp_enqueue_burst(sp_pointers, (void *const *)in, n, NULL),
	   rte_ring_sc_dequeue_burst(sp_pointers, out, n, NULL))
BENCH_POOL(pktmbuf, struct rte_mbuf *, rte_pktmbuf_alloc_bulk(pktmbuf, in, n) ? 0 : n,
	   rte_pktmbuf_free_bulk(out, n),
	   rte_ring_sp_enqueue_burst(sp_pointers, (void *const *)in, n, NULL),
	   rte_ring_sc_dequeue_burst(sp_pointers, (void **)out, n, NULL))

static struct rte_ring *peer_ring(const char *name, unsigned int bytes,
				  unsigned int flags)
{
	return rte_ring_create_elem(name, bytes, BENCH_SLOTS, SOCKET_ID_ANY,
				    flags | RING_F_SC_DEQ);
}

static void bench_peer_open(void)
{
	/* --no-shconf: it leaves no files behind. */
	static char words[][16] = { "rt",
				    "--no-huge",
				    "--no-shconf",
				    "--no-pci",
				    "--no-telemetry",
				    "--log-level=3",
				    "-m",
				    "128",
				    "-l",
				    "0",
				    "--file-prefix",
				    "shunt-bench" };
	enum { WORDS = sizeof(words) / sizeof(*words) };
	char *argv[WORDS + 1] = { 0 };
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		argv[i] = words[i];
	if (rte_eal_init(WORDS, argv) < 0) {
		fprintf(stderr, "rt: DPDK does not start (EAL)\n");
		exit(1);
	}
	sp_pointers = peer_ring("sp8", 8, RING_F_SP_ENQ);
	sp_frames = peer_ring("sp32", 32, RING_F_SP_ENQ);
	mp_pointers = peer_ring("mp8", 8, 0);
	mp_frames = peer_ring("mp32", 32, 0);
	mempool = rte_mempool_create("raw", PEER_BUFFERS, 2048, PEER_CACHE, 0, NULL,
				     NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	pktmbuf = rte_pktmbuf_pool_create("mbuf", PEER_BUFFERS, PEER_CACHE, 0, 2048,
					  SOCKET_ID_ANY);
	if (!sp_pointers || !sp_frames || !mp_pointers || !mp_frames || !mempool ||
	    !pktmbuf) {
		fprintf(stderr, "rt: DPDK gives no rings or pools\n");
		exit(1);
	}
}

static void bench_peer_close(void)
{
	char folder[256];

	snprintf(folder, sizeof(folder), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	rmdir(folder); /* unless another one runs there */
}

/* A thread without a number has no cache in DPDK's pools. */
static void bench_peer_enter(void)
{
	if (rte_thread_register() < 0) {
		fprintf(stderr, "rt: DPDK does not know the thread\n");
		exit(1);
	}
}

static void bench_peer_leave(void)
{
	rte_thread_unregister();
}

#else
#define BENCH_PEER(name) NULL

static void bench_peer_open(void)
{
	fprintf(stderr, "rt: the peer is not built: pkg-config knows no libdpdk\n");
}

static void bench_peer_close(void)
{
}

static void bench_peer_enter(void)
{
}

static void bench_peer_leave(void)
{
}
#endif
