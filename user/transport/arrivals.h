/* SPDX-License-Identifier: BSD-2-Clause */
/* Arrivals: the numbers of a peer's packets, and when to acknowledge them. */
#pragma once

/*
 * All numbers below `before` have come, or the peer has given them up; those from there to
 * `top` are a bitmap. Every second packet is acknowledged at once, and any that comes
 * out of order; a single one after a while (RFC 9002 has no part in this: RFC 9000
 * section 13.2).
 */
#include "user/transport/segment.h"

#define SHUNT_ARRIVALS 4096u /* numbers that are remembered */

struct shunt_arrivals {
	uint64_t before;
	uint64_t top;	    /* the greatest number that came, plus 1 */
	uint64_t newest_ns; /* when that was */
	uint64_t due_ns;    /* when those that came are to be acknowledged */
	uint32_t pending;   /* how many are not acknowledged */
	bool at_once;
	uint64_t bits[SHUNT_ARRIVALS / 64]; /* of number % SHUNT_ARRIVALS */
};

void shunt_arrivals_init(struct shunt_arrivals *arrivals, uint64_t start);

/* A packet came that is to be acknowledged within delay_ns; the peer waits for none that
 * is more than `back` (below SHUNT_ARRIVALS) behind it. False: it came before. */
bool shunt_arrivals_enter(struct shunt_arrivals *arrivals, uint64_t number,
			  uint16_t back, uint64_t now_ns, uint64_t delay_ns);

/* Is it time for an acknowledgement? */
static inline bool shunt_arrivals_due(const struct shunt_arrivals *arrivals,
				      uint64_t now_ns)
{
	return arrivals->at_once || arrivals->pending >= 2 ||
	       (arrivals->pending && now_ns >= arrivals->due_ns);
}

/* Some came since the last acknowledgement, or one has to be sent again. */
static inline bool shunt_arrivals_wait(const struct shunt_arrivals *arrivals)
{
	return arrivals->at_once || arrivals->pending;
}

/* Acknowledges, with the newest ranges if they are too many. */
void shunt_arrivals_write(struct shunt_arrivals *arrivals, uint64_t now_ns,
			  struct shunt_segment *segment, uint32_t ranges_max);
