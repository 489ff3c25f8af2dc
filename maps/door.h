/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A door: the UDP port, the addresses and the MAC address at which a program takes packets. */
#pragma once

#include "maps/pkt.h"
#include "maps/type.h"

#define SHUNT_DOOR_ADDRESSES 8u

/* Set before the program is loaded; the rest of it passes by. */
struct shunt_door {
	__u32 address[SHUNT_DOOR_ADDRESSES]
		     [4];	       /* network order; IPv4 in the first word */
	__u8 l3[SHUNT_DOOR_ADDRESSES]; /* enum shunt_l3 */
	__u32 addresses; /* how many; 0: whatever comes to the MAC address */
	__u16 port;	 /* host order */
	__u8 mac[6];
};

_Static_assert(sizeof(struct shunt_door) == 148, "shared with programs");

#ifdef __bpf__
const volatile struct shunt_door shunt_door;
#endif
