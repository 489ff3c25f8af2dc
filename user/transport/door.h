/* SPDX-License-Identifier: BSD-2-Clause */
/* What ringbuf:// and xdp:// share: a program's door, and a raw socket to send by. */
#pragma once

#include "maps/door.h"
#include "user/transport/station.h"

/* What a URI says of the program and its ring buffer; in the backend's own values. */
struct shunt_door_values {
	unsigned int mode; /* place in shunt_door_modes */
	uint64_t ring;	   /* bytes */
};

#define SHUNT_DOOR_VALUES                                                              \
	{                                                                              \
		.ring = 4u << 20                                                       \
	}

extern const char *const shunt_door_modes[];

/* Their rows; `values` is the backend's struct, which has them as its member `door`. */
#define SHUNT_DOOR_ROWS(values)                                                        \
	{ "mode",                                                                      \
	  SHUNT_SPEC_CHOICE,                                                           \
	  .choices = shunt_door_modes,                                                 \
	  .offset = offsetof(values, door.mode),                                       \
	  .value = "MODE",                                                             \
	  .help = "of XDP: insist on native or generic; auto (the default) takes the " \
		  "best that there is" },                                              \
	{                                                                              \
		"ring", SHUNT_SPEC_NUMBER, 1 << 16, 1 << 28,                           \
			.offset = offsetof(values, door.ring), .value = "BYTES",       \
			.help = "of the ring buffer, a power of two; 256 a short "     \
				"datagram (default: 4M)"                               \
	}

/* What loaders call the mode: NULL for auto. */
const char *shunt_door_mode(const struct shunt_door_values *values);

/* -EINVAL where the ring is no power of two. */
SHUNT_MUST_CHECK int shunt_door_check(const struct shunt_door_values *values,
				      struct shunt_err *err);

/* The door of a station; its MAC address is left to whoever loads the program. */
void shunt_transport_door(struct shunt_door *door, const struct shunt_endpoint *local);

/* A port that only sends. */
SHUNT_MUST_CHECK int shunt_transport_raw_tx(struct shunt_port **port,
					    const char *interface,
					    struct shunt_err *err);

/* -EADDRNOTAVAIL where the kernel does not answer for the address, for nobody else can. */
SHUNT_MUST_CHECK int shunt_transport_needs_address(const struct shunt_station *station,
						   struct shunt_err *err);
