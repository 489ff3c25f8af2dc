/* SPDX-License-Identifier: BSD-2-Clause */
/* Contenders: backends, each by its protocols and ways to wait, and what stands beside. */
#pragma once

#include "user/apps/bench/pair.h"
#include "user/apps/bench/rdma.h"
#include "user/apps/bench/tally.h"
#include "user/transport/backend.h"

struct shunt_bench_opts;
struct shunt_bench_program;

struct shunt_bench_contender {
	char name[20]; /* "epoll", "sockperf" */
	char proto
		[8]; /* "udp", "tcp"; of RDMA "rc", "write", "ud"; "": no such choice */
	const char *wait; /* "spin", "poll", "adaptive"; "own": as the program likes */
	bool full;	  /* all cases; the others stand beside those of one wait */
	const struct shunt_transport_ops *ops;	   /* NULL: it is no backend of ours */
	const struct shunt_bench_program *program; /* NULL: it is none of others' */
	const struct shunt_bench_rdma *rdma; /* where it runs; NULL: on the stage */
	const char *options;		     /* more of the server's, "&KEY=VALUE" */
	char client[20]; /* the client's scheme, where it is another one */
	char failed[SHUNT_BENCH_WORDS]; /* "": it works so far */
	uint32_t cases;
	struct shunt_bench_tally *tally; /* of each case */
};

/* A backend that cannot be measured here, and why. */
struct shunt_bench_absent {
	char name[20];
	char why[SHUNT_BENCH_WORDS];
};

struct shunt_bench_field {
	struct shunt_bench_contender *contender;
	size_t contenders;
	struct shunt_bench_absent *absent;
	size_t absents;
	struct shunt_bench_rdma rdma;
	bool has_rdma;
};

/*
 * All that the options name. -EINVAL: they name a backend that there is not; -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_bench_field_make(struct shunt_bench_field *field,
					    const struct shunt_bench_opts *opts,
					    struct shunt_err *err);
void shunt_bench_field_free(struct shunt_bench_field *field);

/* "epoll/tcp, spin". Returns text. */
const char *shunt_bench_contender_text(const struct shunt_bench_contender *contender,
				       char text[64]);
