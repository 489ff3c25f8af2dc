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

/* Who it is: "contender", "kind", "proto", "wait". */
void shunt_bench_name(cJSON *json, const struct shunt_bench_contender *contender);

/* What was asked of it: "case", "size", "batch", "peers". */
void shunt_bench_case_json(const struct shunt_bench_case *todo, cJSON *json);

/* --- ratio.c ------------------------------------------------------------------------------- */

/*
 * Adds "ratios": each of ours beside others' programs of its protocol and beside who is
 * named (NULL: nobody), of the same round.
 */
void shunt_bench_ratios(cJSON *reply, const struct shunt_bench_field *field,
			const char *against);

/* --- claims.c ------------------------------------------------------------------------------ */

/* Adds "claims": what is said of each technology, beside what was measured. */
void shunt_bench_claims(cJSON *reply);
