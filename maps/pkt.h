/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A parsed packet: all that a decision may look at. */
#pragma once

#include "maps/field.h"
#include "maps/type.h"

/* Which address family a layer's addresses belong to. */
enum shunt_l3 { SHUNT_L3_NONE = 0, SHUNT_L3_IP4 = 4, SHUNT_L3_IP6 = 6 };

/* One address of a layer. */
enum shunt_side { SHUNT_SIDE_SRC = 0, SHUNT_SIDE_DST = 1, SHUNT_SIDES = 2 };

struct shunt_layer {
	__u32 field[SHUNT_FIELD_STRIDE]; /* index (value + 1, 0 absent) by enum
					    shunt_field */
	__u64 wide[SHUNT_FIELD_WIDE];	 /* the same, by enum minus FIELD_NARROW */
	__u32 addr[SHUNT_SIDES][4];	 /* network order; IPv4 in the first word */
	__u16 l3_off; /* offset of the IP header from the frame's start; 0: none */
	__u16 l4_off; /* offset of the transport header; 0: none */
	__u8 l3;      /* enum shunt_l3 */
	__u8 pad[3];
};

/*
 * The inner layer is all zero where there is no tunnel, where its packet is malformed
 * or cut, and where no rule asks for it (maps/config.h).
 */
struct shunt_pkt {
	struct shunt_layer layer[SHUNT_LAYERS];
	__u32 len;  /* bytes on the wire, Ethernet header included, FCS not */
	__u16 join; /* the parser's own; of no meaning afterwards */
	__u16 pad;
} SHUNT_ALIGN8;

/* A layer as words: its fields come first, so that one number names a field of any. */
#define SHUNT_LAYER_WORDS 32

_Static_assert(sizeof(struct shunt_layer) == 4 * SHUNT_LAYER_WORDS, "fields by word");
_Static_assert(sizeof(struct shunt_pkt) == 264, "shared with pinned maps");
