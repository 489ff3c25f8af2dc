/* SPDX-License-Identifier: BSD-2-Clause */
/* Who serves a consumer, and whether it keeps its promise, in replies. */
#pragma once

#include <cjson/cJSON.h>

#include "loader/instance.h"
#include "loader/seat.h"

/*
 * Adds "pid" (null: nobody), "heartbeat" (null: not watched) and "stalled" of a seat, and
 * says whether it is served.
 */
bool shunt_seat_put(cJSON *item, const struct shunt_maps *maps,
		    const struct shunt_seat *seat, uint32_t slot, uint32_t place);

/* Adds "queue": the receive queue of a socket; null: a ring buffer. */
void shunt_seat_put_place(cJSON *item, uint32_t place);

/* Adds "consumers": those of the policy, each with the seats that are taken. */
SHUNT_MUST_CHECK int shunt_seats_put(cJSON *reply,
				     const struct shunt_instance *instance,
				     struct shunt_err *err);
