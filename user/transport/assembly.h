/* SPDX-License-Identifier: BSD-2-Clause */
/* Assembly: one message of the fragments that a peer has sent it in. */
#pragma once

/*
 * A peer has room for SHUNT_ASSEMBLIES messages at a time; where another one begins, the
 * oldest is given up. All peers together may hold `budget` bytes. A message whose
 * fragments stop coming is given up when the room is needed or its time is over.
 */
#include "user/rt/frame.h"
#include "user/transport/wire.h"

#define SHUNT_ASSEMBLIES 4u
#define SHUNT_ASSEMBLY_NS 2000000000u /* how long a message may take to arrive */

/* What all peers of a transport share. */
struct shunt_assembly_room {
	uint64_t budget;     /* bytes */
	uint64_t used;	     /* bytes of messages that are not whole */
	uint64_t incomplete; /* messages that were given up */
};

struct shunt_assembly;

/*
 * Enters a fragment (not a whole message) that has not come before, with its bytes. 1: the message is whole, in
 * `frame`, from the heap; 0: not yet, or it doesn't fit to what came before; -ENOMEM: no
 * memory, or the budget is used up. *assembly begins with NULL.
 */
int shunt_assembly_enter(struct shunt_assembly **assembly,
			 struct shunt_assembly_room *room,
			 const struct shunt_wire_piece *piece, const void *bytes,
			 uint64_t now_ns, struct shunt_frame *frame);

/* Forgets all of it; NULL is fine. */
void shunt_assembly_free(struct shunt_assembly *assembly,
			 struct shunt_assembly_room *room);
