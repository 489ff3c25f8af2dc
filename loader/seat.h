/* SPDX-License-Identifier: BSD-2-Clause */
/* Seats of consumers (maps/seat.h): reading them, and how many packets one was handed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/instance.h"
#include "loader/watch.h"
#include "maps/handed.h"
#include "maps/seat.h"

/* Copies all SHUNT_SEAT_MAX of them. */
SHUNT_MUST_CHECK int shunt_seats_read(struct shunt_seat *all,
				      const struct shunt_maps *maps,
				      struct shunt_err *err);

/* What the ledger is made of behind the programs, read once. */
struct shunt_flow {
	struct shunt_seat seat[SHUNT_SEAT_MAX];
	uint64_t watch[SHUNT_WATCH_COUNT];
	struct shunt_losses losses;
	uint64_t handed[SHUNT_HANDED_MAX];
	bool watched; /* the watch is whole: losses are known */
};

/*
 * Reads against the stream: seats first, what the programs have handed over last, so that
 * under traffic what came later counts as not arrived yet, never as come from nowhere.
 */
SHUNT_MUST_CHECK int shunt_flow_read(struct shunt_flow *flow,
				     const struct shunt_instance *instance,
				     struct shunt_err *err);

/* Handed to a seat: into the socket, or into the ring buffer from all the hooks. */
uint64_t shunt_flow_handed(const struct shunt_flow *flow, uint32_t slot,
			   uint32_t place);

/*
 * Lost by the kernel between the program and the seat's ring; as the socket's statistics
 * had it last where there is no watch.
 */
uint64_t shunt_flow_lost(const struct shunt_flow *flow, uint32_t slot, uint32_t place);

/* What the seat does not account for (yet); below 0: it has more than it was handed. */
int64_t shunt_flow_open(const struct shunt_flow *flow, uint32_t slot, uint32_t place);

/* Is it served by a process that lives? In the network namespace of the interface. */
bool shunt_seat_is_served(const struct shunt_maps *maps, uint32_t slot, uint32_t place);
