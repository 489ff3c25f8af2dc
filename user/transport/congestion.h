/* SPDX-License-Identifier: BSD-2-Clause */
/* The congestion window: RFC 9002 section 7 (NewReno), or a fixed one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct shunt_congestion {
	uint64_t window;    /* bytes that may be under way */
	uint64_t threshold; /* slow start below it */
	uint64_t recovery;  /* losses of packets below this number are one event */
	uint32_t packet;    /* bytes of an ordinary one */
	bool fixed;
};

/* fixed_bytes 0: NewReno. */
void shunt_congestion_init(struct shunt_congestion *congestion, uint32_t packet_bytes,
			   uint64_t fixed_bytes);

/* May one more packet go? One always may. */
static inline bool shunt_congestion_allows(const struct shunt_congestion *congestion,
					   uint64_t flight_bytes)
{
	return !flight_bytes || flight_bytes + congestion->packet <= congestion->window;
}

/* A packet arrived; `flight_bytes` were under way, it included. */
void shunt_congestion_acked(struct shunt_congestion *congestion, uint64_t number,
			    uint32_t bytes, uint64_t flight_bytes);

/* A packet was lost; `next` is the number of the packet to be sent next. */
void shunt_congestion_lost(struct shunt_congestion *congestion, uint64_t number,
			   uint64_t next);

/* Nothing arrives any more. */
void shunt_congestion_collapse(struct shunt_congestion *congestion);
