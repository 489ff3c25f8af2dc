/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of frames that one machine writes into the memory of another. */
#pragma once

/*
 *     receiver's memory, one registered area:
 *
 *     ┌ page ───────────────────────────┬ ring ──────────┬ the same ring again ┐
 *     │ facts: session, consumed, nap   │ record record …│                     │
 *     │ produced                        │                │                     │
 *     └─────────────────────────────────┴────────────────┴─────────────────────┘
 *
 * Positions count bytes from the beginning of a connection and never go back; what is between
 * consumed and produced is there to be read. A record is a head and a frame's bytes, filled up
 * to a multiple of eight. The ring is mapped twice in a row, so that none is ever split, and a
 * WRITE of several records is one piece wherever it begins.
 *
 * The sender writes records, then `produced`; both go by one reliable connection, which keeps
 * their order. It reads the facts (one READ) when it has to know more. Nothing but the
 * receiver writes those, each time in one store.
 *
 * Sleep. Before it sleeps, the receiver makes `nap` odd and then looks at `produced` again.
 * The sender reads the facts behind what it wrote last: so either the receiver sees the
 * records, or the sender sees the odd number, and rings.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHUNT_SHIP_PAGE 4096u
#define SHUNT_SHIP_LINE 128u /* two cache lines: neighbours are fetched together */

/* The receiver's, and read by the sender. */
struct shunt_ship_facts {
	uint64_t session;
	_Atomic uint64_t
		consumed;     /* release: the records in front of it are done with */
	_Atomic uint64_t nap; /* odd: it sleeps, or is about to */
};

struct shunt_ship_page {
	_Alignas(SHUNT_SHIP_LINE) struct shunt_ship_facts facts;
	/* The sender's device writes it; acquire pairs with the order of its writes. */
	_Alignas(SHUNT_SHIP_LINE) _Atomic uint64_t produced;
};

_Static_assert(sizeof(struct shunt_ship_page) <= SHUNT_SHIP_PAGE,
	       "in front of the ring");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "positions and records are written as they lie in memory");

/* In front of a frame, which then has its time where shunt_frame_time() looks for it. */
struct shunt_ship_record {
	uint32_t len;	  /* of the frame */
	uint32_t check;	  /* shunt_ship_check() */
	uint64_t dropped; /* frames that the sender has thrown away before this one */
	uint64_t time_ns; /* since 1970, when it came to the sender */
};

#define SHUNT_SHIP_HEAD ((uint32_t)sizeof(struct shunt_ship_record))

_Static_assert(sizeof(struct shunt_ship_record) == 24, "on the wire");

/* Bytes of a record in the ring. */
static inline uint32_t shunt_ship_span(uint32_t len)
{
	return (SHUNT_SHIP_HEAD + len + 7) & ~7u;
}

/* What tells a record from what was there before, or belongs elsewhere. */
static inline uint32_t shunt_ship_check(uint64_t session, uint64_t position,
					uint32_t len)
{
	uint64_t x = (session ^ position) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(x >> 32) ^ len * 0x85ebca6bu;
}
