/* SPDX-License-Identifier: BSD-2-Clause */
/* The client of a measurement: how it sends, waits and asks; each kind is one file. */
#pragma once

#include "user/apps/bench/ends.h"
#include "user/apps/bench/payload.h"

struct shunt_bench_client {
	struct shunt_transport *transport;
	shunt_peer peer;
	uint64_t number; /* of the next message; never used twice */
	bool sockets;	 /* it has become ordinary sockets: client_crowd.c */
	const struct shunt_bench_job *job;
	const struct shunt_bench_link *link;
};

/* Runs for todo->duration_ns and adds to the result; 0, or -errno with a sentence. */
typedef int shunt_bench_kind_fn(struct shunt_bench_client *client,
				const struct shunt_bench_case *todo,
				struct shunt_bench_result *result,
				struct shunt_err *err);

shunt_bench_kind_fn shunt_bench_turns; /* client_turn.c: round trips, one peer */
shunt_bench_kind_fn shunt_bench_crowd; /* client_crowd.c: round trips, several */
shunt_bench_kind_fn shunt_bench_rate;  /* client_rate.c: open loop */
shunt_bench_kind_fn shunt_bench_flow;  /* client_flow.c: one-way */

/*
 * One message of that number and size: 1; 0: no room now; or -errno. It is on its way
 * after the next kick.
 */
SHUNT_MUST_CHECK int shunt_bench_send(struct shunt_transport *transport,
				      shunt_peer peer, uint16_t channel,
				      uint64_t number, uint32_t size);

/* Tries until the time is over, which is -ETIMEDOUT. */
SHUNT_MUST_CHECK int shunt_bench_send_surely(struct shunt_bench_client *client,
					     uint16_t channel, uint64_t number,
					     uint32_t size, struct shunt_err *err);

/* -EBADMSG: a reply had other bytes than any request. */
SHUNT_MUST_CHECK int shunt_bench_wrong(const struct shunt_message *message,
				       struct shunt_err *err);

/* -ETIMEDOUT where nothing has come for SHUNT_BENCH_STALL_NS. */
SHUNT_MUST_CHECK int shunt_bench_stalls(uint64_t since_ns,
					const struct shunt_bench_result *result,
					struct shunt_err *err);

/* What the server says of itself; numbers in host order. */
SHUNT_MUST_CHECK int shunt_bench_question(struct shunt_bench_client *client,
					  struct shunt_bench_answer *answer,
					  struct shunt_err *err);
