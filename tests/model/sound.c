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

static const char *offsets(const struct shunt_pkt *pkt, int code)
{
	__u32 least = pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP4 ? 20 : 40;

	if (pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_NONE)
		return pkt->layer[SHUNT_OUTER].l3_off || pkt->layer[SHUNT_OUTER].l4_off
			       ? "offsets without an IP header"
			       : NULL;
	if (pkt->layer[SHUNT_OUTER].l3 != SHUNT_L3_IP4 &&
	    pkt->layer[SHUNT_OUTER].l3 != SHUNT_L3_IP6)
		return "l3 is neither 0, 4 nor 6";
	if (pkt->layer[SHUNT_OUTER].l3_off < 14 ||
	    pkt->layer[SHUNT_OUTER].l3_off > 22 ||
	    pkt->layer[SHUNT_OUTER].l3_off + least > pkt->len)
		return "the IP header does not lie inside the frame";
	if (pkt->layer[SHUNT_OUTER].l4_off &&
	    pkt->layer[SHUNT_OUTER].l4_off < least + pkt->layer[SHUNT_OUTER].l3_off)
		return "the transport header lies inside the IP header";
	if (pkt->layer[SHUNT_OUTER].l4_off > pkt->len)
		return "the transport header lies behind the frame";
	return code < 0 && !pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT]
		       ? "IP, but nothing known about fragments"
		       : NULL;
}

static const char *transport(const struct shunt_pkt *pkt)
{
	__u32 proto = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO];
	bool sport = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT],
	     dport = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT];
	bool flags = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_TCP_FLAGS];
	__u32 icmp = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_ICMP];

	if (sport != dport)
		return "one port without the other";
	if (sport && proto != 6 + 1 && proto != 17 + 1 && proto != 132 + 1)
		return "ports of a protocol that has none";
	if (flags && (proto != 6 + 1 || !sport))
		return "TCP flags without TCP";
	if (icmp && proto != (icmp > SHUNT_ICMP6_BASE ? 58 : 1) + 1)
		return "ICMP of another protocol";
	if (icmp && pkt->layer[SHUNT_OUTER].l3 !=
			    (icmp > SHUNT_ICMP6_BASE ? SHUNT_L3_IP6 : SHUNT_L3_IP4))
		return "ICMP of the other family";
	if (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT] !=
	    SHUNT_FRAGMENT_LATER + 1)
		return NULL;
	return sport || icmp || pkt->layer[SHUNT_OUTER].l4_off
		       ? "a later fragment with a header"
		       : NULL;
}

static const char *link_layer(const struct shunt_pkt *pkt)
{
	__u32 type = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_ETH_TYPE];

	if (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN_INNER] &&
	    !pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN])
		return "an inner tag without an outer one";
	if (type && type < 1536 + 1)
		return "a length taken for an EtherType";
	if (pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP4 && type != 0x0800 + 1)
		return "IPv4 under another EtherType";
	if (pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP6 && type != 0x86dd + 1)
		return "IPv6 under another EtherType";
	if (pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_NONE &&
	    (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO] ||
	     pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT]))
		return "a protocol without IP";
	return NULL;
}

const char *shunt_pkt_unsound(const struct shunt_pkt *pkt, int code)
{
	const char *what = offsets(pkt, code);
	int f;

	if (code >= 0 && !malformed(code))
		return "the parser's answer is no reason for a malformed packet";
	for (f = 0; f < SHUNT_FIELD_NARROW; f++)
		if (pkt->layer[SHUNT_OUTER].field[f] > field_values[f])
			return "a field's index is beyond its values";
	if (!what)
		what = transport(pkt);
	return what ? what : link_layer(pkt);
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
