/* SPDX-License-Identifier: BSD-2-Clause */
/* What ringbuf:// and xdp:// share: a program's door, and a raw socket to send by. */
#pragma once

#include "maps/door.h"
#include "user/transport/station.h"

/* The door of a station; its MAC address is left to whoever loads the program. */
void shunt_transport_door(struct shunt_door *door, const struct shunt_endpoint *local);

/* A port that only sends. */
SHUNT_MUST_CHECK int shunt_transport_raw_tx(struct shunt_port **port,
					    const char *interface,
					    struct shunt_err *err);

/* -EADDRNOTAVAIL where the kernel does not answer for the address, for nobody else can. */
SHUNT_MUST_CHECK int shunt_transport_needs_address(const struct shunt_station *station,
						   struct shunt_err *err);
