/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tunnel headers: what carries a packet inside, its key, and where that packet lies. */
#pragma once

/*
 * A tunnel is known by its UDP port or IP protocol, and only where its own header is
 * sound: another version, VXLAN without a network id, or GRE with a routing field is
 * traffic like any other. That is never a reason to call the outer packet malformed.
 */
#include "bpf/lib/parse_cursor.h"
#include "bpf/lib/wire.h"

/* The packet that a tunnel carries; type 0: there is none that we could parse. */
struct shunt_inside {
	__u32 off;   /* of its first byte, from the start of the frame */
	__u32 bytes; /* as carried: up to the end of the tunnel's payload */
	__u32 type;  /* SHUNT_ETH_TEB, SHUNT_ETH_IP4 or SHUNT_ETH_IP6 */
};

SHUNT_INLINE void shunt_tunnel_is(struct shunt_layer *l, enum shunt_tunnel kind)
{
	l->field[SHUNT_FIELD_TUNNEL] = kind + 1;
}

SHUNT_INLINE void shunt_tunnel_key(struct shunt_layer *l, __u32 key)
{
	l->wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW] = (__u64)key + 1;
}

/* Each of these returns the EtherType of what is inside, or 0: the header is unsound. */
SHUNT_INLINE __u32 shunt_parse_vxlan(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_vxlan *vxlan = shunt_take(c, sizeof(*vxlan));

	if (!vxlan || !(vxlan->flags & SHUNT_VXLAN_I))
		return 0;
	shunt_tunnel_is(l, SHUNT_TUNNEL_VXLAN);
	shunt_tunnel_key(l, shunt_be32(vxlan->vni) >> 8);
	return SHUNT_ETH_TEB;
}

SHUNT_INLINE __u32 shunt_parse_geneve(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_geneve *geneve = shunt_take(c, sizeof(*geneve));

	if (!geneve || geneve->version_length >> 6 ||
	    !shunt_skip(c, (geneve->version_length & 0x3f) * 4))
		return 0;
	shunt_tunnel_is(l, SHUNT_TUNNEL_GENEVE);
	shunt_tunnel_key(l, shunt_be32(geneve->vni) >> 8);
	return shunt_be16(geneve->type);
}

SHUNT_INLINE __u32 shunt_parse_gre(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_gre *gre = shunt_take(c, sizeof(*gre));
	const struct shunt_gre_key *key;
	__u32 word;

	if (!gre)
		return 0;
	word = shunt_be16(gre->flags_version);
	if (word & (SHUNT_GRE_ROUTING | SHUNT_GRE_VERSION))
		return 0;
	if (word & SHUNT_GRE_CHECKSUM && !shunt_skip(c, 4))
		return 0;
	if (word & SHUNT_GRE_KEY) {
		key = shunt_take(c, sizeof(*key));
		if (!key)
			return 0;
		shunt_tunnel_key(l, shunt_be32(key->key));
	}
	if (word & SHUNT_GRE_SEQUENCE && !shunt_skip(c, 4)) {
		l->wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW] = 0;
		return 0;
	}
	shunt_tunnel_is(l, SHUNT_TUNNEL_GRE);
	return shunt_be16(gre->type);
}

/* The cursor stands behind a UDP header, or at the header of another protocol. */
SHUNT_INLINE void shunt_parse_tunnel(struct shunt_cursor *c, struct shunt_layer *l,
				     __u32 proto, struct shunt_inside *in)
{
	__u32 type = 0;

	if (proto == SHUNT_IP_UDP) {
		if (l->field[SHUNT_FIELD_DPORT] == SHUNT_VXLAN_PORT + 1)
			type = shunt_parse_vxlan(c, l);
		else if (l->field[SHUNT_FIELD_DPORT] == SHUNT_GENEVE_PORT + 1)
			type = shunt_parse_geneve(c, l);
	} else if (proto == SHUNT_IP_GRE) {
		type = shunt_parse_gre(c, l);
	} else if (proto == SHUNT_IP_IP4 || proto == SHUNT_IP_IP6) {
		shunt_tunnel_is(l, SHUNT_TUNNEL_IPIP);
		type = proto == SHUNT_IP_IP4 ? SHUNT_ETH_IP4 : SHUNT_ETH_IP6;
	}
	if (type != SHUNT_ETH_TEB && type != SHUNT_ETH_IP4 && type != SHUNT_ETH_IP6)
		return;
	in->off = c->off;
	in->bytes = c->limit - c->off;
	in->type = type;
}
