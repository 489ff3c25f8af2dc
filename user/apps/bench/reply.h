/* SPDX-License-Identifier: BSD-2-Clause */
/* The reply of a measurement: where it was made, and a row for each case. */
#pragma once

#include <cjson/cJSON.h>

#include "user/apps/bench/bench.h"
#include "user/apps/bench/contender.h"

struct shunt_bench_facts {
	char kernel[96];  /* its release */
	char machine[32]; /* "x86_64" */
	char cpu[128];	  /* "" where the kernel does not tell */
	long cores;	  /* online */
	double load;	  /* of the minute before */
	char began[32];	  /* ISO 8601, UTC */
	int client_core, server_core;
	uint64_t rate; /* of the open loops, a second */
};

void shunt_bench_facts_look(struct shunt_bench_facts *facts);

/* NULL: out of memory. */
cJSON *shunt_bench_reply(const struct shunt_bench_opts *opts,
			 const struct shunt_bench_facts *facts,
			 const struct shunt_bench_field *field);

/* --- claims.c ------------------------------------------------------------------------------ */

/* Adds "claims": what is said of each technology, beside what was measured. */
void shunt_bench_claims(cJSON *reply);

/* --- rows of a reply, for those that view it ----------------------------------------------- */

/* The row of one case; proto and wait NULL: whichever comes first. NULL: there is none. */
const cJSON *shunt_bench_row(const cJSON *reply, const char *contender,
			     const char *proto, const char *wait, const char *kind,
			     uint32_t size, uint32_t batch, uint32_t peers);

/* The median of a figure, of latency_ns too; 0: the row has none. */
double shunt_bench_row_median(const cJSON *row, const char *figure);
