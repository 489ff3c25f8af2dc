/* SPDX-License-Identifier: BSD-2-Clause */
/* Others' programs, run in the same namespaces and on the same cores. */
#pragma once

#include "user/apps/bench/beside_read.h"
#include "user/apps/bench/pair.h"
#include "user/apps/bench/rdma.h"
#include "user/apps/bench/tally.h"

#define SHUNT_BENCH_ARGS 24

struct shunt_bench_program {
	const char *name;    /* "sockperf"; NULL ends the table */
	const char *binary;  /* what is run */
	const char *package; /* of Debian, which has it */
	const char *proto;
	const char *wait; /* "spin", or "own": as the program likes */
	enum shunt_bench_kind kind;
	/* {size}, {server} and {port} stand for what they say; so do {device}, {link} (its
	 * port) and {gid} of the RDMA device that an end is on */
	const char *server[SHUNT_BENCH_ARGS];
	const char *client[SHUNT_BENCH_ARGS];
	const char *environment; /* "NAME=VALUE"; NULL: none */
	bool server_ends;	 /* by itself, with its client */
	uint32_t batch;		 /* messages handed over together; 0: one */
	uint32_t size_max;	 /* of a message; 0: any */
	bool rdma; /* between two RDMA devices, in the command's own namespace */
	/* From what the client, and the server, have printed. */
	shunt_bench_read_fn *read;
};

extern const struct shunt_bench_program shunt_bench_programs[];

/* False: `why` has a sentence that names the package. */
bool shunt_bench_program_is_here(const struct shunt_bench_program *program, char *why,
				 size_t room);

/*
 * Runs it for one case, on the stage or between two RDMA devices (NULL for those that do
 * not). What goes wrong with the program, or with understanding it, is in
 * `error` ("" else); -EINTR: ^C; other errors: nothing can be run.
 */
SHUNT_MUST_CHECK int shunt_bench_program_run(
	const struct shunt_bench_program *program, const struct shunt_bench_case *todo,
	const struct shunt_bench_stage *stage, const struct shunt_bench_rdma *rdma,
	const int cores[2], const struct shunt_stop *stop,
	struct shunt_bench_round *round, char error[SHUNT_BENCH_WORDS],
	struct shunt_err *err);
