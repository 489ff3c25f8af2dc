/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two ends of a measurement share with the command that started them. */
#pragma once

/*
 *     command ── fork ─▶ server: says where it can be reached ─▶ ready
 *           └─── fork ─▶ client: measures case after case ─▶ results
 *
 * The link is memory that all three have mapped. The client alone writes results; `stop`
 * is the command's, and both ends look at it at least every SHUNT_BENCH_LOOK_NS.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/net/endpoint.h"
#include "user/rt/histogram.h"

#define SHUNT_BENCH_LOOK_NS 20000000u
#define SHUNT_BENCH_LOST_NS 200000000u	 /* a reply that takes longer is lost */
#define SHUNT_BENCH_STALL_NS 2000000000u /* no reply for so long: it stalls */
#define SHUNT_BENCH_BATCH 64u /* messages that are handed over together, in "batched" */
#define SHUNT_BENCH_PEERS 16u /* that one server is asked by at a time */
#define SHUNT_BENCH_CASES 32u
#define SHUNT_BENCH_WORDS 512

/* X(ENUM, name, help) */
#define SHUNT_BENCH_KINDS(X)                                                           \
	X(TURN, "round-trip", "a request waits for the reply to the one before")       \
	X(RATE, "open-loop", "requests at a fixed rate, whatever the replies do")      \
	X(FLOW, "one-way", "messages that nobody answers, as fast as they are taken")

#define SHUNT_BENCH_KIND(name, text, help) SHUNT_BENCH_##name,
enum shunt_bench_kind { SHUNT_BENCH_KINDS(SHUNT_BENCH_KIND) SHUNT_BENCH_KIND_COUNT };

struct shunt_bench_case {
	enum shunt_bench_kind kind;
	uint32_t size;	/* bytes of a message */
	uint32_t batch; /* messages handed over together */
	uint32_t peers; /* clients of the server, each with a request of its own */
	uint64_t rate;	/* RATE: requests a second */
	uint64_t duration_ns;
};

enum shunt_bench_state {
	SHUNT_BENCH_UNTRIED,
	SHUNT_BENCH_MEASURED,
	SHUNT_BENCH_FAILED, /* `error` says how */
};

struct shunt_bench_result {
	enum shunt_bench_state state;
	uint64_t requests; /* sent; in one-way: messages taken for sending */
	uint64_t replies;  /* come back, in time and whole; in one-way: arrived */
	uint64_t lost;	   /* requests - replies */
	uint64_t stray; /* replies that were given up before they came, or came twice */
	uint64_t late;	/* RATE: sent later than the next one was due */
	uint64_t unsent; /* RATE: due, and never sent */
	uint64_t elapsed_ns;
	uint64_t client_cpu_ns; /* of its process, while this was measured */
	uint64_t server_cpu_ns;
	bool cpu_known;	       /* of the client; */
	bool server_cpu_known; /* the other end may be far away, or the kernel */
	char clients[16];      /* whom the client used, where not its own kind */
	char error[SHUNT_BENCH_WORDS];
	struct shunt_histogram latency; /* TURN and RATE */
};

struct shunt_bench_link {
	_Atomic uint32_t ready; /* the server can be asked */
	_Atomic uint32_t stop;
	int server_pid;			   /* before ready; 0: it is elsewhere */
	char address[SHUNT_ENDPOINT_TEXT]; /* of the server, before ready */
	char server_error[SHUNT_BENCH_WORDS];
	char client_error[SHUNT_BENCH_WORDS]; /* that came before the first case */
	uint32_t cases;
	struct shunt_bench_case todo[SHUNT_BENCH_CASES];
	struct shunt_bench_result result[SHUNT_BENCH_CASES];
};

static inline bool shunt_bench_stopped(const struct shunt_bench_link *link)
{
	return atomic_load_explicit(&link->stop, memory_order_relaxed);
}
