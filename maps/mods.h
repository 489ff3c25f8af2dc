/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a rule's modifiers compile to: limit, rewrite, sample and mirror. */
#pragma once

/*
 * A rule with modifiers names one of these in the image (struct shunt_image_rule's
 * mods); rules with equal modifiers share it. A packet that the rule decides about meets
 * them in this order:
 *
 *     limit ─▶ (tx: MAC addresses swapped) ─▶ rewrite ─▶ mirror, action, sample
 *
 * A packet beyond the limit leaves at once, neither rewritten nor copied. Copies show
 * the packet as rewritten, with the verdict that it got in the end. A redirect whose
 * target is not there decides about the rewritten packet.
 *
 * Written by: user space (loader/policy/mods.c). Read by: the programs.
 */
#include "maps/type.h"

enum shunt_mod_bit {
	SHUNT_MOD_LIMIT = 1 << 0,
	SHUNT_MOD_SAMPLE = 1 << 1,
	SHUNT_MOD_MIRROR_INTERFACE = 1 << 2,
	SHUNT_MOD_MIRROR_RING = 1 << 3,
	SHUNT_MOD_REWRITE = 1 << 4,
};

/* One bucket a rule, or one a prefix. */
enum shunt_limit_by { SHUNT_LIMIT_RULE = 0, SHUNT_LIMIT_SRC = 1, SHUNT_LIMIT_DST = 2 };

/* What is rewritten. */
enum shunt_rewrite_bit {
	SHUNT_REWRITE_SRC_MAC = 1 << 0,
	SHUNT_REWRITE_DST_MAC = 1 << 1,
	SHUNT_REWRITE_VLAN_PUSH = 1 << 2,
	SHUNT_REWRITE_VLAN_POP = 1 << 3,
	SHUNT_REWRITE_VLAN_SET = 1 << 4, /* the outer tag's id, where there is one */
	SHUNT_REWRITE_DSCP = 1 << 5,
	SHUNT_REWRITE_SRC = 1 << 6,
	SHUNT_REWRITE_DST = 1 << 7,
	SHUNT_REWRITE_SPORT = 1 << 8,
	SHUNT_REWRITE_DPORT = 1 << 9,
	SHUNT_REWRITE_TTL_SET = 1 << 10,
	SHUNT_REWRITE_TTL_DEC = 1 << 11, /* a packet at 1 or 0 is dropped */
};

#define SHUNT_REWRITE_MACS (SHUNT_REWRITE_SRC_MAC | SHUNT_REWRITE_DST_MAC)
#define SHUNT_REWRITE_VLAN                                                             \
	(SHUNT_REWRITE_VLAN_PUSH | SHUNT_REWRITE_VLAN_POP | SHUNT_REWRITE_VLAN_SET)
#define SHUNT_REWRITE_PORTS (SHUNT_REWRITE_SPORT | SHUNT_REWRITE_DPORT)
#define SHUNT_REWRITE_IP                                                               \
	(SHUNT_REWRITE_DSCP | SHUNT_REWRITE_SRC | SHUNT_REWRITE_DST |                  \
	 SHUNT_REWRITE_PORTS | SHUNT_REWRITE_TTL_SET | SHUNT_REWRITE_TTL_DEC)

/* A bucket's parameters; the arithmetic is in bpf/lib/limit.h. */
struct shunt_image_limit {
	__u64 cost;  /* of one packet or byte, in ticks; at least 1 */
	__u64 burst; /* what a full bucket holds, in ticks: below 2^62 */
	__u64 units; /* the same in packets or bytes */
	__u32 id;    /* limiter id: of shunt_limit, or of shunt_limit_by */
	__u8 by;     /* enum shunt_limit_by */
	__u8 bytes;  /* 1: a unit is a byte on the wire, 0: a packet */
	__u8 over;   /* beyond it: SHUNT_VERDICT_DROP or _PASS */
	__u8 pad;
	__u32 mask4;	/* network order */
	__u32 mask6[4]; /* network order */
	__u32 pad2;
};

/* New values; which of them count, the bits say. */
struct shunt_image_rewrite {
	__u32 bits; /* enum shunt_rewrite_bit */
	__u8 mac[2][6];
	__u16 port[2]; /* network order */
	__u16 vlan;    /* id, host order */
	__u8 dscp;     /* 0..63 */
	__u8 ttl;
	__u8 family[2]; /* of the addresses: 4 or 6; 0: none */
	__u16 pad;
	__u32 addr[2][4]; /* network order; IPv4 in the first word */
};

struct shunt_image_mods {
	__u32 bits;	     /* enum shunt_mod_bit */
	__u32 sample_one_in; /* at least 1 */
	__u32 sample_bytes;  /* of a frame at most: 1..SHUNT_RING_FRAME_MAX */
	__u32 mirror;	     /* ifindex */
	struct shunt_image_limit limit;
	struct shunt_image_rewrite rewrite;
	__u32 pad; /* explicit: equal ones are found by their bytes */
} SHUNT_ALIGN8;

_Static_assert(sizeof(struct shunt_image_limit) == 56, "shared with pinned maps");
_Static_assert(sizeof(struct shunt_image_rewrite) == 60, "shared with pinned maps");
_Static_assert(sizeof(struct shunt_image_mods) == 136, "shared with pinned maps");
