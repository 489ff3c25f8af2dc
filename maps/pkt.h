/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A parsed packet: all that a decision may look at. */
#pragma once

#include "maps/field.h"
#include "maps/type.h"

/* Which address family struct shunt_pkt's addresses belong to. */
enum shunt_l3 { SHUNT_L3_NONE = 0, SHUNT_L3_IP4 = 4, SHUNT_L3_IP6 = 6 };

struct shunt_pkt {
	__u32 field[SHUNT_FIELD_ROOM]; /* index (value + 1, 0 absent) by enum
					  shunt_field */
	__u32 src[4];		       /* network order; IPv4 in src[0] */
	__u32 dst[4];
	__u32 len;    /* bytes on the wire, Ethernet header included, FCS not */
	__u16 l3_off; /* offset of the IP header from the frame's start; 0: none */
	__u16 l4_off; /* offset of the transport header; 0: none */
	__u8 l3;      /* enum shunt_l3 */
	__u8 pad;
	__u16 join; /* the parser's own; of no meaning afterwards */
	__u8 pad2[4];
} SHUNT_ALIGN8;

_Static_assert(sizeof(struct shunt_pkt) == 112, "shared with pinned maps");
