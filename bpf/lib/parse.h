/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes to struct shunt_pkt: strict, once a packet, the same code in BPF and on the
 * host. */
#pragma once

/*
 *     shunt_parse_outer() ─▶ layer[SHUNT_OUTER], and where a tunnel carries a packet
 *     shunt_parse_inner() ─▶ layer[SHUNT_INNER], by the same functions
 *
 * When the packet is malformed, the fields that were understood before stay filled. An
 * inner packet is never the fault of the outer one: where it is malformed, or cut by a
 * fragment or by the end of what the hook can see, its layer stays all zero, while the
 * outer layer names the tunnel and its key. A tunnel inside the tunnel is not looked
 * into: the inner layer has no TUNNEL and no KEY.
 *
 * IP right inside a tunnel, without Ethernet, has the EtherType of its version, and no
 * MAC addresses.
 */
#include "maps/config.h"
#include "bpf/lib/parse_cursor.h"
#include "bpf/lib/parse_ip.h"
#include "bpf/lib/parse_l4.h"
#include "bpf/lib/tunnel.h"
#include "bpf/lib/wire.h"

/*
 * No inner packet lies further behind: 22 bytes, IPv6, 8 headers of at most 2048, UDP,
 * GENEVE and its options. The verifier must be told.
 */
#define SHUNT_INSIDE_MAX 0x5000

SHUNT_INLINE int shunt_parse_arp(struct shunt_cursor *c)
{
	const struct shunt_arp *arp = shunt_take(c, sizeof(*arp));

	if (!arp)
		return shunt_parse_short(c, sizeof(*arp), SHUNT_REASON_ARP_SHORT);
	if (!shunt_skip(c, 2u * (arp->hlen + arp->plen)))
		return SHUNT_REASON_ARP_SHORT;
	return SHUNT_PARSE_OK;
}

/* A MAC address as a number, its first byte the highest. */
SHUNT_INLINE __u64 shunt_mac(const __u8 mac[6])
{
	return (__u64)mac[0] << 40 | (__u64)mac[1] << 32 | (__u64)mac[2] << 24 |
	       (__u64)mac[3] << 16 | (__u64)mac[4] << 8 | mac[5];
}

SHUNT_INLINE void shunt_parse_length(struct shunt_layer *l, __u32 bytes)
{
	l->field[SHUNT_FIELD_LENGTH] = (bytes < 65535 ? bytes : 65535) + 1;
}

/* The Ethernet header and up to two tags. *type: what follows, below 1536 a length. */
SHUNT_INLINE int shunt_parse_link(struct shunt_cursor *c, struct shunt_layer *l,
				  __u32 *type)
{
	const struct shunt_eth *eth = shunt_take(c, sizeof(*eth));
	int i;

	if (!eth)
		return shunt_parse_short(c, sizeof(*eth), SHUNT_REASON_ETH_SHORT);
	if (SHUNT_HAS(WIDE)) {
		l->wide[SHUNT_FIELD_DST_MAC - SHUNT_FIELD_NARROW] =
			shunt_mac(eth->dst) + 1;
		l->wide[SHUNT_FIELD_SRC_MAC - SHUNT_FIELD_NARROW] =
			shunt_mac(eth->src) + 1;
	}
	*type = shunt_be16(eth->type);
	for (i = 0; i < 2; i++) {
		const struct shunt_vlan *vlan;
		__u32 id;

		if (*type != SHUNT_ETH_VLAN && *type != SHUNT_ETH_QINQ &&
		    *type != SHUNT_ETH_QINQ1)
			break;
		if (l->field[SHUNT_FIELD_VLAN_INNER])
			break;
		vlan = shunt_take(c, sizeof(*vlan));
		if (!vlan)
			return shunt_parse_short(c, sizeof(*vlan),
						 SHUNT_REASON_VLAN_SHORT);
		id = (shunt_be16(vlan->tci) & 0xfff) + 1;
		if (l->field[SHUNT_FIELD_VLAN])
			l->field[SHUNT_FIELD_VLAN_INNER] = id;
		else
			l->field[SHUNT_FIELD_VLAN] = id;
		*type = shunt_be16(vlan->type);
	}
	return SHUNT_PARSE_OK;
}

/* What an EtherType announces, up to and including the transport header. */
SHUNT_INLINE int shunt_parse_network(struct shunt_cursor *c, struct shunt_layer *l,
				     __u32 type)
{
	int reason;

	if (type < SHUNT_ETH_MIN) /* 802.3: LLC, no EtherType */
		return SHUNT_PARSE_OK;
	l->field[SHUNT_FIELD_ETH_TYPE] = type + 1;
	shunt_join(c);
	if (type == SHUNT_ETH_IP4)
		reason = shunt_parse_ip4(c, l);
	else if (type == SHUNT_ETH_IP6)
		reason = shunt_parse_ip6(c, l);
	else
		return type == SHUNT_ETH_ARP ? shunt_parse_arp(c) : SHUNT_PARSE_OK;
	if (reason != SHUNT_PARSE_OK)
		return reason;
	shunt_join(c);
	return shunt_parse_l4(c, l, l->field[SHUNT_FIELD_PROTO] - 1);
}

/*
 * Parses a frame, but not what a tunnel in it carries: where that lies is in *in, which
 * the caller has zeroed. `end` is the end of the readable bytes; `hidden`: the frame goes
 * on behind it.
 *
 * The caller has zeroed pkt and set its len. It may have set the outer layer's VLAN,
 * where the hook has already taken the outer tag off the frame; len counts that tag.
 *
 * Returns SHUNT_PARSE_OK, or the enum shunt_reason that makes the packet malformed.
 */
SHUNT_INLINE int shunt_parse_outer(const void *data, const void *end, __u32 hidden,
				   struct shunt_pkt *pkt, struct shunt_inside *in)
{
	struct shunt_layer *l = &pkt->layer[SHUNT_OUTER];
	__u32 gone = l->field[SHUNT_FIELD_VLAN] ? sizeof(struct shunt_vlan) : 0;
	struct shunt_cursor c = { .data = data,
				  .pos = data,
				  .end = end,
				  .limit = pkt->len - gone,
				  .hidden = hidden,
				  .join = &pkt->join };
	__u32 type;
	int reason;

	shunt_cursor_frame(&c, data);
	shunt_parse_length(l, pkt->len);
	reason = shunt_parse_link(&c, l, &type);
	if (reason == SHUNT_PARSE_OK)
		reason = shunt_parse_network(&c, l, type);
	if (SHUNT_HAS(TUNNEL) && reason == SHUNT_PARSE_OK &&
	    l->l4_off) /* no later fragment has one */
		shunt_parse_tunnel(&c, l, l->field[SHUNT_FIELD_PROTO] - 1, in);
	return reason;
}

/* Fills the inner layer, or leaves it all zero; data, end and hidden are the frame's. */
SHUNT_INLINE void shunt_parse_inner(const void *data, const void *end, __u32 hidden,
				    struct shunt_pkt *pkt, __u64 off, __u32 bytes,
				    __u32 type)
{
	struct shunt_layer *l = &pkt->layer[SHUNT_INNER];
	struct shunt_cursor c = { .end = end,
				  .limit = bytes,
				  .base = off,
				  .hidden = hidden,
				  .join = &pkt->join };
	int reason = SHUNT_PARSE_OK;

	shunt_cursor_frame(&c, data);
	SHUNT_OPAQUE(off); /* Linux 6.1 does not tie the check to an older copy */
	if (off > SHUNT_INSIDE_MAX)
		return;
	c.data = c.pos = (const __u8 *)data + off;
	shunt_parse_length(l, bytes);
	if (type == SHUNT_ETH_TEB)
		reason = shunt_parse_link(&c, l, &type);
	if (reason == SHUNT_PARSE_OK)
		reason = shunt_parse_network(&c, l, type);
	if (reason != SHUNT_PARSE_OK)
		__builtin_memset(l, 0, sizeof(*l));
}

/* Both layers in one, where no verifier counts the ways (see bpf/xdp.bpf.c). */
SHUNT_INLINE int shunt_parse(const void *data, const void *end, __u32 hidden,
			     struct shunt_pkt *pkt)
{
	struct shunt_inside in = { 0 };
	int reason = shunt_parse_outer(data, end, hidden, pkt, &in);

	if (in.type)
		shunt_parse_inner(data, end, hidden, pkt, in.off, in.bytes, in.type);
	return reason;
}
