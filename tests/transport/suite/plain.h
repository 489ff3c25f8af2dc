/* SPDX-License-Identifier: BSD-2-Clause */
/* A peer that is made of a plain socket, and says what the test has it say. */
#pragma once

#include "tests/transport/suite/rig.h"

struct plain {
	int fd;
	uint16_t port;
	uint32_t sequence; /* of the next datagram */
	uint16_t epoch;
};

/* A UDP socket at FAR. */
void plain_open(struct plain *plain, uint16_t port);

/* Message `number` as one datagram that has the next sequence, to NEAR. */
void plain_say(struct rig *rig, struct plain *plain, uint32_t number);

/* With a sequence of its own. */
void plain_say_as(struct rig *rig, struct plain *plain, uint32_t number,
		  uint32_t sequence);

/* A piece with bytes; piece->bytes says how many. */
void plain_piece(struct plain *plain, const struct shunt_wire_piece *piece,
		 const void *bytes);

/* NEAR receives messages first to first + n - 1 from this peer, in their order. */
shunt_peer plain_heard(struct rig *rig, uint32_t first, uint32_t n);
