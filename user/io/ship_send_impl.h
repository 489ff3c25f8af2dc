/* SPDX-License-Identifier: BSD-2-Clause */
/* The sender of ship: ports, as its own files know it. */
#pragma once

/*
 *     ship_send.c      the port: opening, waiting, what it tells
 *     ship_link.c      its connection, and what the device and the receiver say
 *     ship_records.c   packets into records, and records on their way
 */
#include "user/io/ship.h"
#include "user/io/ship_ring.h"

#define SHUNT_SHIP_FLIGHT 1024u /* frames under way */
#define SHUNT_SHIP_BATCHES 64u	/* runs of records under way, each with its produced */

/* What a request is for, in the upper half of its id. */
enum shunt_ship_purpose {
	SHUNT_SHIP_FOR_BATCH = 1,
	SHUNT_SHIP_FOR_FACTS,
	SHUNT_SHIP_FOR_BELL
};

#define SHUNT_SHIP_ID(purpose, number) ((uint64_t)(purpose) << 32 | (number))

enum shunt_ship_area_number { SHUNT_SHIP_AREA_FRAMES, SHUNT_SHIP_AREA_SCRATCH };

/* Registered: what requests read and write besides frames. */
struct shunt_ship_scratch {
	uint64_t facts[sizeof(struct shunt_ship_facts) / sizeof(uint64_t)];
	uint64_t produced[SHUNT_SHIP_BATCHES];
};

enum { SHUNT_SHIP_FACT_SESSION, SHUNT_SHIP_FACT_CONSUMED, SHUNT_SHIP_FACT_NAP };

struct shunt_ship_batch {
	uint32_t frames, packets;
};

enum shunt_ship_state {
	SHUNT_SHIP_STATE_DOWN,
	SHUNT_SHIP_STATE_CALLING,
	SHUNT_SHIP_STATE_UP
};

struct shunt_ship_sender {
	struct shunt_port port;
	struct shunt_ship_options options;
	const struct shunt_ship_wire_ops *ops;
	struct shunt_ship_wire *wire;
	struct shunt_memory *own; /* NULL: the memory is the opener's */
	struct shunt_memory *memory;
	struct shunt_ship_scratch *scratch;
	int ready; /* an eventfd that is always readable */

	enum shunt_ship_state state;
	uint64_t due_ns;   /* DOWN: to call again; CALLING: to give up */
	uint64_t look_ns;  /* when the connection is asked after */
	uint64_t probe_ns; /* UP: when a READ is due, whatever else */
	int failed;	   /* -errno, and why: the port is of no more use */
	struct shunt_err why;

	struct shunt_ship_offer offer;
	unsigned int pieces;
	uint64_t produced, consumed;
	bool reading;	   /* a READ of the facts is under way */
	bool certain;	   /* consumed is as new as produced */
	uint64_t asked_at; /* produced, when the last READ was posted */
	uint64_t known_at; /* and the last one that was answered */
	uint64_t rung;	   /* the nap that was ended by a bell */

	struct shunt_frame frame[SHUNT_SHIP_FLIGHT]; /* rings, by number */
	uint32_t frames_posted, frames_done;
	struct shunt_ship_batch batch[SHUNT_SHIP_BATCHES];
	uint32_t batches_posted, batches_done;

	uint64_t thrown; /* packets, told in each record */
	uint64_t arrived, batches, reads, bells;
};

static inline struct shunt_ship_sender *shunt_ship_sender_of(struct shunt_port *port)
{
	return (struct shunt_ship_sender *)port;
}

/* --- ship_link.c ------------------------------------------------------------------------- */

/* Begins to connect: 0 or -errno. */
SHUNT_MUST_CHECK int shunt_ship_begin_call(struct shunt_ship_sender *s,
					   struct shunt_err *err);

/* What has become of it: 0, or -errno: why it came to nothing; -ENODEV: the device is gone. */
SHUNT_MUST_CHECK int shunt_ship_hear(struct shunt_ship_sender *s,
				     struct shunt_err *err);

/* As above, and connects again when it is time for that; only -ENODEV is an error. */
SHUNT_MUST_CHECK int shunt_ship_tend(struct shunt_ship_sender *s,
				     struct shunt_err *err);

/* There is no connection any more; what was under way counts as failed. */
void shunt_ship_end(struct shunt_ship_sender *s);

/* Posts; the connection is lost where that fails. */
void shunt_ship_hand(struct shunt_ship_sender *s, const struct shunt_ship_post *posts,
		     unsigned int n);

/* Takes what is done: how many requests. */
unsigned int shunt_ship_settle(struct shunt_ship_sender *s);

/*
 * A receiver that may sleep is asked behind every run of records, though by no more than one
 * question at a time; of one that never does only its room is of interest.
 */
bool shunt_ship_wants_facts(const struct shunt_ship_sender *s);
void shunt_ship_ask_facts(struct shunt_ship_sender *s);

/* --- ship_records.c ------------------------------------------------------------------------ */

/* ops->tx */
unsigned int shunt_ship_tx(struct shunt_port *port, struct shunt_frame *frames,
			   unsigned int n);
