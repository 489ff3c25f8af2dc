/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The header of a transport's message as it travels: user/transport/wire.h says what it
 * means. */
#pragma once

#include "maps/type.h"

#define SHUNT_WIRE_MAGIC 0xd7u

/* Flags; the others are 0. */
#define SHUNT_WIRE_MORE 1u
#define SHUNT_WIRE_ANSWER 2u /* the kernel's: its numbers are those of the question */

struct shunt_wire_header {
	__u8 magic;
	__u8 flags;
	__be16 channel;
	__be32 sequence;
	__be32 length;
	__be16 fragment;
	__be16 epoch;
};

#define SHUNT_WIRE_BYTES 16u
_Static_assert(sizeof(struct shunt_wire_header) == SHUNT_WIRE_BYTES, "as it travels");
