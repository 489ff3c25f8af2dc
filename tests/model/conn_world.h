/* SPDX-License-Identifier: BSD-2-Clause */
/* A caller, an answerer and a network between them that does whatever it is told. */
#pragma once

/*
 * The answerer has a gate and a few places for connections, as an endpoint has; the
 * network holds what is on its way, and hands it over in any order, twice, damaged or
 * never. Every datagram that either end says has a number; what arrives is compared with
 * what was said. Whatever is wrong then is told by conn_world_fault().
 */
#include "tests/model/random.h"
#include "user/transport/conn_gate.h"
#include "user/transport/conn_state.h"

#define CONN_WORLD_PLACES 8u
#define CONN_WORLD_PACKETS 64u
#define CONN_WORLD_PACKET 256u
#define CONN_WORLD_SAID 8192u

struct conn_world_packet {
	bool to_answerer;
	uint8_t from; /* the caller's place: changes when it moves */
	uint32_t bytes;
	uint8_t data[CONN_WORLD_PACKET];
};

struct conn_world_said {
	uint32_t from, to; /* ids of the two ends, when it was said */
	bool by_caller;
	bool arrived;
};

struct conn_world {
	struct shunt_random random;
	struct shunt_psk *psk;
	struct shunt_psk *caller_psk; /* another one, in some tests */
	struct shunt_conn_rules rules, caller_rules;
	uint64_t now_ns;
	uint8_t caller_at; /* its address */
	uint32_t ids;	   /* so many were given */

	struct shunt_conn_state caller;
	struct shunt_conn_gate gate;
	struct shunt_conn_state place[CONN_WORLD_PLACES];
	uint8_t peer_at[CONN_WORLD_PLACES]; /* where its caller is */

	struct conn_world_packet packet[CONN_WORLD_PACKETS];
	unsigned int packets;

	struct conn_world_said said[CONN_WORLD_SAID];
	uint32_t count;	  /* of said */
	uint32_t arrived; /* of them */
	uint32_t ups, downs;
	uint32_t admitted; /* HELLOs that cost memory */
	const char *fault;
};

void conn_world_open(struct conn_world *world, uint64_t seed);
void conn_world_close(struct conn_world *world);

/* NULL: all is as it has to be. */
const char *conn_world_fault(const struct conn_world *world);

struct shunt_conn_now conn_world_now(struct conn_world *world);

/* The caller begins, as a new process would. */
void conn_world_call(struct conn_world *world);
/* The answerer forgets all that it knew but the key. */
void conn_world_restart(struct conn_world *world);

/* Says a datagram; false: that end is not up. The answerer says it to each caller. */
bool conn_world_say(struct conn_world *world, bool by_caller);
void conn_world_close_end(struct conn_world *world, bool caller);

/* Hands over packet `at` (below world->packets), and forgets it unless it is to stay. */
void conn_world_deliver(struct conn_world *world, unsigned int at, bool stays);
void conn_world_drop(struct conn_world *world, unsigned int at);

/* Hands over bytes that nobody has sent. */
void conn_world_inject(struct conn_world *world, bool to_answerer, const void *bytes,
		       uint32_t count);

/* When something is due; and has it done. */
uint64_t conn_world_due(const struct conn_world *world);
void conn_world_tick(struct conn_world *world, uint64_t now_ns);

/* Nothing is lost for so long: all is delivered in order, and time goes on. */
void conn_world_calm(struct conn_world *world, uint64_t ns);

/* The answerer's end of the caller's connection; NULL: it has none. */
struct shunt_conn_state *conn_world_other_end(struct conn_world *world);
