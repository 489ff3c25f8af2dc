/* SPDX-License-Identifier: BSD-2-Clause */
/* `shunt bench transports`: every backend, measured on this machine in the same way. */
#pragma once

/*
 *     warm up, find a common rate
 *     for each round: for each contender: a server and a client process measure its cases
 *     medians and ranges over the rounds ─▶ one reply (schema shunt.bench.transports/1)
 *
 * The reply is all there is: the table and the chart are views of it, and so is the advice
 * of `shunt probe --advise`.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

#define SHUNT_BENCH_NAMES 24
#define SHUNT_BENCH_FEW 8 /* sizes, peers and waits at most */
#define SHUNT_BENCH_PORT 7100

struct shunt_bench_opts {
	const char *backends[SHUNT_BENCH_NAMES]; /* "epoll", "epoll/tcp"; none: all */
	size_t backend_count;
	uint32_t sizes[SHUNT_BENCH_FEW];
	size_t size_count;
	uint32_t peers[SHUNT_BENCH_FEW];
	size_t peer_count;
	const char *waits[SHUNT_BENCH_FEW];
	size_t wait_count;
	uint32_t rounds;
	uint64_t duration_ns; /* of a case, in each round */
	uint64_t rate;	      /* of open loops; 0: half of what the slowest manages */
	bool beside;	      /* others' programs as well */
	int cores[2];	  /* client's, server's; -1: the first two that we may use */
	const char *peer; /* "192.0.2.2:7100": a server elsewhere; NULL: our own */
	const char *rdma
		[2]; /* addresses of the client's, the server's device; NULL: found */
	const char *against; /* "kmod": the others' ratios to it as well; NULL: none */
	const char *note;    /* goes into the reply; NULL: none */
};

/* Measures. -EINTR: ^C, without a reply. */
SHUNT_MUST_CHECK int shunt_bench_transports(const struct shunt_bench_opts *opts,
					    cJSON **reply, struct shunt_err *err);

/* Serves one backend ("epoll/tcp") at an address, "192.0.2.2:7100", until ^C. */
SHUNT_MUST_CHECK int shunt_bench_server(const char *backend, const char *address,
					const char *wait, FILE *out,
					struct shunt_err *err);

/* The reply for people. */
void shunt_bench_print(const cJSON *reply, FILE *out);

/*
 * Draws the distributions of a reply into a file, .svg or .png, by gnuplot.
 * -ENOENT: there is no gnuplot; the sentence names the package.
 */
SHUNT_MUST_CHECK int shunt_bench_chart(const cJSON *reply, const char *path,
				       struct shunt_err *err);
