/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame that has the fields it is wished to have: the parser's opposite. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "maps/pkt.h"
#include "user/base/err.h"

#define SHUNT_FORGE_ROOM 65550 /* bytes that the longest frame takes */

/*
 * Writes a frame from the Ethernet header on, with right lengths and checksums. Of the
 * wish, the fields, addresses and l3 of its layers count. A field that is absent
 * (index 0) is left out where frames can do without, else it is what is usual: MAC
 * addresses 02:00:00:00:00:01 and :02, source port 40000, destination port 9, the TCP
 * flag syn, an echo request. Of IP, the protocol must be there. LENGTH, where it is
 * there, is reached by padding behind the packet. TUNNEL wraps the inner layer, which is
 * IP then, or has MAC addresses, VLAN tags or an EtherType; it decides the protocol, and
 * of VXLAN and GENEVE the destination port. What KEY does not say is 0, or left out
 * (GRE).
 *
 * Returns the frame's bytes; -EINVAL: no frame is like that, or not one that this can
 * write; -EMSGSIZE: it is longer than LENGTH, or than room.
 */
SHUNT_MUST_CHECK int shunt_forge(const struct shunt_pkt *wish, uint8_t *bytes,
				 size_t room);

/* Parses a frame as the programs do: -1, or the enum shunt_reason that is wrong. */
SHUNT_MUST_CHECK int shunt_unforge(const uint8_t *bytes, size_t len,
				   struct shunt_pkt *pkt);
