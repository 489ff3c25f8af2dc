/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/sound.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/parse.h"
#include "maps/reason.h"

static const __u64 field_values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

static bool malformed(int code)
{
	switch (code) {
#define X(id, value, name, is, help)                                                   \
	case value:                                                                    \
		return is;
		SHUNT_REASONS(X)
#undef X
	default:
		return false;
	}
}

static __u64 wide(const struct shunt_layer *l, enum shunt_field field)
{
	return l->wide[field - SHUNT_FIELD_NARROW];
}

static const char *offsets(const struct shunt_layer *l, __u32 first, __u32 len)
{
	__u32 least = l->l3 == SHUNT_L3_IP4 ? 20 : 40;

	if (l->l3 == SHUNT_L3_NONE)
		return l->l3_off || l->l4_off ? "offsets without an IP header" : NULL;
	if (l->l3 != SHUNT_L3_IP4 && l->l3 != SHUNT_L3_IP6)
		return "l3 is neither 0, 4 nor 6";
	if (l->l3_off < first || l->l3_off + least > len)
		return "the IP header does not lie inside the packet";
	if (l->l4_off && l->l4_off < least + l->l3_off)
		return "the transport header lies inside the IP header";
	return l->l4_off > len ? "the transport header lies behind the frame" : NULL;
}

static const char *transport(const struct shunt_layer *l)
{
	__u32 proto = l->field[SHUNT_FIELD_PROTO];
	bool sport = l->field[SHUNT_FIELD_SPORT], dport = l->field[SHUNT_FIELD_DPORT];
	bool flags = l->field[SHUNT_FIELD_TCP_FLAGS];
	__u32 icmp = l->field[SHUNT_FIELD_ICMP];

	if (sport != dport)
		return "one port without the other";
	if (sport && proto != 6 + 1 && proto != 17 + 1 && proto != 132 + 1)
		return "ports of a protocol that has none";
	if (flags && (proto != 6 + 1 || !sport))
		return "TCP flags without TCP";
	if (icmp && proto != (icmp > SHUNT_ICMP6_BASE ? 58 : 1) + 1)
		return "ICMP of another protocol";
	if (icmp && l->l3 != (icmp > SHUNT_ICMP6_BASE ? SHUNT_L3_IP6 : SHUNT_L3_IP4))
		return "ICMP of the other family";
	if (l->field[SHUNT_FIELD_FRAGMENT] != SHUNT_FRAGMENT_LATER + 1)
		return NULL;
	return sport || icmp || l->l4_off || l->field[SHUNT_FIELD_TUNNEL]
		       ? "a later fragment with a header"
		       : NULL;
}

static const char *link_layer(const struct shunt_layer *l)
{
	__u32 type = l->field[SHUNT_FIELD_ETH_TYPE];

	if (l->field[SHUNT_FIELD_VLAN_INNER] && !l->field[SHUNT_FIELD_VLAN])
		return "an inner tag without an outer one";
	if (type && type < 1536 + 1)
		return "a length taken for an EtherType";
	if (!wide(l, SHUNT_FIELD_SRC_MAC) != !wide(l, SHUNT_FIELD_DST_MAC))
		return "one MAC address without the other";
	if (l->l3 == SHUNT_L3_IP4 && type != 0x0800 + 1)
		return "IPv4 under another EtherType";
	if (l->l3 == SHUNT_L3_IP6 && type != 0x86dd + 1)
		return "IPv6 under another EtherType";
	if ((l->l3 == SHUNT_L3_NONE) != !l->field[SHUNT_FIELD_DSCP])
		return "IP without a DSCP, or a DSCP without IP";
	if (l->l3 == SHUNT_L3_NONE &&
	    (l->field[SHUNT_FIELD_PROTO] || l->field[SHUNT_FIELD_FRAGMENT]))
		return "a protocol without IP";
	return NULL;
}

/* What holds of either layer; its first byte is at `first`. */
static const char *layer(const struct shunt_layer *l, __u32 first, __u32 len)
{
	const char *what = offsets(l, first, len);
	int f;

	for (f = 0; f < SHUNT_FIELD_COUNT; f++)
		if ((f < SHUNT_FIELD_NARROW ? l->field[f] : wide(l, f)) >
		    field_values[f])
			return "a field's index is beyond its values";
	if (!what)
		what = transport(l);
	return what ? what : link_layer(l);
}

static const char *tunnel(const struct shunt_layer *l)
{
	__u32 proto = l->field[SHUNT_FIELD_PROTO], port = l->field[SHUNT_FIELD_DPORT];
	__u64 key = wide(l, SHUNT_FIELD_KEY);

	switch ((int)l->field[SHUNT_FIELD_TUNNEL] - 1) {
	case -1:
		return key ? "a key without a tunnel" : NULL;
	case SHUNT_TUNNEL_VXLAN:
	case SHUNT_TUNNEL_GENEVE:
		if (!key || key > 1 << 24)
			return "a network id that is not of 24 bits";
		if (l->field[SHUNT_FIELD_TUNNEL] - 1 == SHUNT_TUNNEL_VXLAN)
			return proto != 17 + 1 || port != 4789 + 1 ? "no VXLAN" : NULL;
		return proto != 17 + 1 || port != 6081 + 1 ? "no GENEVE" : NULL;
	case SHUNT_TUNNEL_GRE:
		return proto != 47 + 1 ? "no GRE" : NULL;
	case SHUNT_TUNNEL_IPIP:
		return key				   ? "IPIP with a key"
		       : proto != 4 + 1 && proto != 41 + 1 ? "no IPIP"
							   : NULL;
	default:
		return "a tunnel of no kind";
	}
}

/* What a tunnel carries, where something of it is known at all. */
static const char *inside(const struct shunt_pkt *pkt)
{
	const struct shunt_layer *l = &pkt->layer[SHUNT_INNER],
				 *outer = &pkt->layer[SHUNT_OUTER];
	__u32 length = l->field[SHUNT_FIELD_LENGTH] - 1;
	bool mac = wide(l, SHUNT_FIELD_SRC_MAC);

	if (!outer->field[SHUNT_FIELD_TUNNEL])
		return "an inner packet without a tunnel";
	if (l->field[SHUNT_FIELD_TUNNEL] || wide(l, SHUNT_FIELD_KEY))
		return "a tunnel inside a tunnel";
	if (!l->field[SHUNT_FIELD_LENGTH] || length > pkt->len)
		return "an inner packet longer than its frame";
	if (!mac && l->l3 == SHUNT_L3_NONE)
		return "an inner packet of neither Ethernet nor IP";
	if (mac != (outer->field[SHUNT_FIELD_TUNNEL] - 1 == SHUNT_TUNNEL_VXLAN) &&
	    outer->field[SHUNT_FIELD_TUNNEL] - 1 != SHUNT_TUNNEL_GENEVE &&
	    outer->field[SHUNT_FIELD_TUNNEL] - 1 != SHUNT_TUNNEL_GRE)
		return "VXLAN without Ethernet inside, or IPIP with it";
	if (l->l3 != SHUNT_L3_NONE && !l->field[SHUNT_FIELD_FRAGMENT])
		return "IP, but nothing known about fragments";
	if (l->l3_off && l->l3_off + (l->l3 == SHUNT_L3_IP4 ? 20u : 40u) > pkt->len)
		return "the inner IP header lies behind the frame";
	return layer(l, outer->l4_off + (mac ? 14 : 0), pkt->len);
}

const char *shunt_pkt_unsound(const struct shunt_pkt *pkt, int code)
{
	static const struct shunt_layer none;
	const struct shunt_layer *outer = &pkt->layer[SHUNT_OUTER];
	bool empty = !memcmp(&pkt->layer[SHUNT_INNER], &none, sizeof(none));
	const char *what;

	if (code >= 0 && !malformed(code))
		return "the parser's answer is no reason for a malformed packet";
	if (code >= 0 && (!empty || outer->field[SHUNT_FIELD_TUNNEL]))
		return "a tunnel in a malformed packet";
	if (outer->field[SHUNT_FIELD_LENGTH] !=
	    (pkt->len < 65535 ? pkt->len : 65535) + 1)
		return "the length is not the frame's";
	if (code < 0 && !wide(outer, SHUNT_FIELD_SRC_MAC))
		return "Ethernet without a MAC address";
	if (outer->l3_off > 22)
		return "more than two tags before the IP header";
	if (code < 0 && outer->l3 != SHUNT_L3_NONE &&
	    !outer->field[SHUNT_FIELD_FRAGMENT])
		return "IP, but nothing known about fragments";
	what = layer(outer, 14, pkt->len);
	if (!what)
		what = tunnel(outer);
	return what || empty ? what : inside(pkt);
}

int shunt_parse_exact(const uint8_t *bytes, size_t view, size_t len,
		      struct shunt_pkt *pkt, const char **unsound)
{
	uint8_t *copy = malloc(view);
	int code;

	if (!copy && view)
		abort();
	if (view)
		memcpy(copy, bytes, view);
	memset(pkt, 0, sizeof(*pkt));
	pkt->len = len;
	code = shunt_parse(copy, copy + view, view < len, pkt);
	free(copy);
	*unsound = shunt_pkt_unsound(pkt, code);
	return code;
}
