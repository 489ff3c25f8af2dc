/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two kinds of contradiction are looked for: a key that needs a transport header which
 * another key rules out, and keys that ask for different IP versions. Rules that can
 * match no packet for other reasons are harmless and are not looked for.
 */
#include "loader/policy/match.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include "loader/policy/spans.h"

#define IP4 SHUNT_ADMITS_IP4
#define IP6 SHUNT_ADMITS_IP6
#define IP SHUNT_ADMITS_IP
#define ANY (IP | SHUNT_ADMITS_OTHER)

bool shunt_match_speaks(const struct shunt_match *match, enum shunt_field field)
{
	return match->layer->field[field].n && !match->broken[field];
}

bool shunt_match_needs(const struct shunt_match *match, enum shunt_field field)
{
	return shunt_match_speaks(match, field) &&
	       !shunt_spans_have(&match->layer->field[field], 0);
}

bool shunt_match_admits(const struct shunt_match *match, enum shunt_field field,
			uint64_t value)
{
	return shunt_spans_have(&match->layer->field[field], value + 1);
}

static bool proto_lacks(const struct shunt_match *match, const int *protos)
{
	if (!shunt_match_speaks(match, SHUNT_FIELD_PROTO))
		return false;
	for (; *protos; protos++)
		if (shunt_match_admits(match, SHUNT_FIELD_PROTO, *protos))
			return false;
	return true;
}

/* Keys that look into a transport header. */
static const struct header {
	const char *key;
	const char *of; /* whose header it is */
	const char *fix;
	int protos[4];
	enum shunt_field field;
} headers[] = {
	{ "sport",
	  "TCP, UDP or SCTP",
	  "\"tcp\", \"udp\" or \"sctp\"",
	  { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 0 },
	  SHUNT_FIELD_SPORT },
	{ "dport",
	  "TCP, UDP or SCTP",
	  "\"tcp\", \"udp\" or \"sctp\"",
	  { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 0 },
	  SHUNT_FIELD_DPORT },
	{ "tcp_flags", "TCP", "\"tcp\"", { IPPROTO_TCP, 0 }, SHUNT_FIELD_TCP_FLAGS },
	{ "icmp",
	  "ICMP or ICMPv6",
	  "\"icmp\" or \"icmpv6\"",
	  { IPPROTO_ICMP, IPPROTO_ICMPV6, 0 },
	  SHUNT_FIELD_ICMP },
};

static void check_headers(const struct shunt_match *match,
			  const struct shunt_node *node)
{
	bool later =
		shunt_match_speaks(match, SHUNT_FIELD_FRAGMENT) &&
		!shunt_match_admits(match, SHUNT_FIELD_FRAGMENT, SHUNT_FRAGMENT_NONE) &&
		!shunt_match_admits(match, SHUNT_FIELD_FRAGMENT, SHUNT_FRAGMENT_FIRST);

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		const struct header *h = &headers[i];
		struct shunt_node at = shunt_node_get(node, h->key);

		if (!shunt_match_needs(match, h->field))
			continue;
		if (proto_lacks(match, h->protos))
			shunt_node_error(
				&at,
				"could match no packet: it needs %s, and \"proto\" "
				"admits "
				"none; add %s to \"proto\" or remove one of the keys",
				h->of, h->fix);
		if (later)
			shunt_node_error(
				&at,
				"could match no packet: later fragments have no %s "
				"header; "
				"port, flag and ICMP rules never match later fragments",
				h->of);
		if (h->field != SHUNT_FIELD_ICMP &&
		    shunt_match_needs(match, SHUNT_FIELD_ICMP))
			shunt_node_error(
				&at,
				"could match no packet: it needs %s, and \"icmp\" "
				"needs ICMP; make two rules of it",
				h->of);
	}
}

/* --- IP versions ------------------------------------------------------------- */

static unsigned int side_families(const struct shunt_match *match, enum shunt_side side)
{
	const struct shunt_addr_list *in = &match->layer->side[side].in;
	unsigned int families = 0;

	if (match->broken_side[side] || (!in->sets && !in->prefixes))
		return ANY;
	if (in->sets)
		return IP;
	for (size_t i = 0; i < in->prefixes; i++)
		families |= in->prefix[i].family == 4 ? IP4 : IP6;
	return families;
}

static unsigned int eth_families(const struct shunt_match *match)
{
	const struct shunt_spans *types = &match->layer->field[SHUNT_FIELD_ETH_TYPE];
	uint32_t ip4 = ETH_P_IP + 1, ip6 = ETH_P_IPV6 + 1;

	if (!shunt_match_speaks(match, SHUNT_FIELD_ETH_TYPE))
		return ANY;
	return (shunt_spans_have(types, ip4) ? IP4 : 0) |
	       (shunt_spans_have(types, ip6) ? IP6 : 0) |
	       (shunt_spans_touch(types, 0, ip4 - 1) ||
				shunt_spans_touch(types, ip4 + 1, ip6 - 1) ||
				shunt_spans_touch(types, ip6 + 1, UINT64_MAX)
			? SHUNT_ADMITS_OTHER
			: 0);
}

static unsigned int icmp_families(const struct shunt_match *match)
{
	const struct shunt_spans *icmp = &match->layer->field[SHUNT_FIELD_ICMP];

	if (!shunt_match_needs(match, SHUNT_FIELD_ICMP))
		return ANY;
	return (shunt_spans_touch(icmp, 1, SHUNT_ICMP6_BASE) ? IP4 : 0) |
	       (shunt_spans_touch(icmp, SHUNT_ICMP6_BASE + 1, UINT64_MAX) ? IP6 : 0);
}

unsigned int shunt_match_families(const struct shunt_match *match)
{
	static const enum shunt_field of_ip[] = {
		SHUNT_FIELD_PROTO,     SHUNT_FIELD_FRAGMENT, SHUNT_FIELD_SPORT,
		SHUNT_FIELD_DPORT,     SHUNT_FIELD_DSCP,     SHUNT_FIELD_TUNNEL,
		SHUNT_FIELD_TCP_FLAGS,
	};
	unsigned int families = eth_families(match) & icmp_families(match) &
				side_families(match, SHUNT_SIDE_SRC) &
				side_families(match, SHUNT_SIDE_DST);

	for (size_t i = 0; i < sizeof(of_ip) / sizeof(*of_ip); i++)
		if (shunt_match_needs(match, of_ip[i]))
			families &= IP;
	return families;
}

/* Packets that are not IP have none of these. */
static void check_not_ip(const struct shunt_node *node)
{
	static const char *const of_ip[] = {
		"src",	     "dst",  "proto",	 "sport", "dport",
		"tcp_flags", "icmp", "fragment", "dscp",  "tunnel",
	};

	for (size_t i = 0; i < sizeof(of_ip) / sizeof(*of_ip); i++) {
		struct shunt_node at = shunt_node_get(node, of_ip[i]);

		if (at.json)
			shunt_node_error(
				&at,
				"could match no packet: it needs IPv4 or IPv6, and "
				"\"eth_type\" admits neither");
	}
}

static void check_families(const struct shunt_match *match,
			   const struct shunt_node *node)
{
	const struct {
		const char *key;
		unsigned int families;
	} asks[] = {
		{ "eth_type", eth_families(match) },
		{ "src", side_families(match, SHUNT_SIDE_SRC) },
		{ "dst", side_families(match, SHUNT_SIDE_DST) },
		{ "icmp", icmp_families(match) },
	};

	if (!(asks[0].families & IP)) {
		check_not_ip(node);
		return;
	}
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = i + 1; j < 4; j++) {
			struct shunt_node at = shunt_node_get(node, asks[j].key);

			if (asks[i].families & asks[j].families & IP)
				continue;
			shunt_node_error(&at,
					 "could match no packet: it is for IPv%d only, "
					 "and \"%s\" "
					 "for IPv%d only; make a rule for each",
					 asks[j].families & IP4 ? 4 : 6, asks[i].key,
					 asks[i].families & IP4 ? 4 : 6);
			return;
		}
	}
}

static void check_vlan(const struct shunt_match *match, const struct shunt_node *node)
{
	const struct shunt_spans *outer = &match->layer->field[SHUNT_FIELD_VLAN];
	struct shunt_node vlan = shunt_node_get(node, "vlan");
	struct shunt_node inner = shunt_node_get(&vlan, "inner");

	if (shunt_match_speaks(match, SHUNT_FIELD_VLAN) &&
	    shunt_match_needs(match, SHUNT_FIELD_VLAN_INNER) &&
	    shunt_spans_within(outer, 0, 0))
		shunt_node_error(inner.json ? &inner : node,
				 "could match no packet: there is no inner tag where "
				 "the outer one is \"none\"");
}

void shunt_match_contradictions(const struct shunt_match *match,
				const struct shunt_node *node)
{
	check_headers(match, node);
	check_families(match, node);
	check_vlan(match, node);
}
