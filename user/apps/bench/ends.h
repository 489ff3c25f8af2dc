/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a measured transport, and of the plain sockets beside it. */
#pragma once

#include "user/apps/bench/pair.h"
#include "user/transport/transport.h"

/* Ends for a job (user/apps/bench/pair.h). */
void shunt_bench_serve(struct shunt_bench_link *link,
		       const struct shunt_bench_job *job);
void shunt_bench_ask(struct shunt_bench_link *link, const struct shunt_bench_job *job);

/* The floor: recvfrom() and sendto() on a UDP socket, and nothing around them. */
void shunt_bench_plain_serve(struct shunt_bench_link *link,
			     const struct shunt_bench_job *job);
void shunt_bench_plain_ask(struct shunt_bench_link *link,
			   const struct shunt_bench_job *job);

/* Serves a transport until the link says stop; 0, or -errno of the transport. */
SHUNT_MUST_CHECK int shunt_bench_serve_on(struct shunt_transport *transport,
					  const struct shunt_bench_link *link,
					  struct shunt_err *err);
