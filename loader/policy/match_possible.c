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

#define IP4 1u
#define IP6 2u

/* A field that speaks: it is constrained, and was read without an error. */
static bool speaks(const struct shunt_match *match, enum shunt_field field)
{
	return match->rule->layer[SHUNT_OUTER].field[field].n && !match->broken[field];
}

static bool have(const struct shunt_match *match, enum shunt_field field,
		 uint32_t value)
{
	return shunt_spans_have(&match->rule->layer[SHUNT_OUTER].field[field],
				value + 1);
}

static bool proto_lacks(const struct shunt_match *match, const int *protos)
{
	if (!speaks(match, SHUNT_FIELD_PROTO))
		return false;
	for (; *protos; protos++)
		if (have(match, SHUNT_FIELD_PROTO, *protos))
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
	bool later = speaks(match, SHUNT_FIELD_FRAGMENT) &&
		     !have(match, SHUNT_FIELD_FRAGMENT, SHUNT_FRAGMENT_NONE) &&
		     !have(match, SHUNT_FIELD_FRAGMENT, SHUNT_FRAGMENT_FIRST);

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		const struct header *h = &headers[i];
		struct shunt_node at = shunt_node_get(node, h->key);

		if (!speaks(match, h->field))
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
		if (h->field != SHUNT_FIELD_ICMP && speaks(match, SHUNT_FIELD_ICMP))
			shunt_node_error(
				&at,
				"could match no packet: it needs %s, and \"icmp\" "
				"needs ICMP; make two rules of it",
				h->of);
	}
}

static unsigned int side_families(const struct shunt_match *match, enum shunt_side side)
{
	const struct shunt_addrs *addrs = &match->rule->layer[SHUNT_OUTER].side[side];
	unsigned int families = 0;

	if (match->broken_side[side] || addrs->in.sets || !addrs->in.prefixes)
		return IP4 | IP6;
	for (size_t i = 0; i < addrs->in.prefixes; i++)
		families |= addrs->in.prefix[i].family == 4 ? IP4 : IP6;
	return families;
}

static unsigned int eth_families(const struct shunt_match *match)
{
	if (!speaks(match, SHUNT_FIELD_ETH_TYPE))
		return IP4 | IP6;
	return (have(match, SHUNT_FIELD_ETH_TYPE, ETH_P_IP) ? IP4 : 0) |
	       (have(match, SHUNT_FIELD_ETH_TYPE, ETH_P_IPV6) ? IP6 : 0);
}

static unsigned int icmp_families(const struct shunt_match *match)
{
	const struct shunt_spans *icmp =
		&match->rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_ICMP];

	if (!speaks(match, SHUNT_FIELD_ICMP))
		return IP4 | IP6;
	return (shunt_spans_touch(icmp, 1, SHUNT_ICMP6_BASE) ? IP4 : 0) |
	       (shunt_spans_touch(icmp, SHUNT_ICMP6_BASE + 1, UINT32_MAX) ? IP6 : 0);
}

/* Packets that are not IP have none of these. */
static void check_not_ip(const struct shunt_node *node)
{
	static const char *const of_ip[] = {
		"src", "dst", "proto", "sport", "dport", "tcp_flags", "icmp", "fragment"
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

	if (!asks[0].families) {
		check_not_ip(node);
		return;
	}
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = i + 1; j < 4; j++) {
			struct shunt_node at = shunt_node_get(node, asks[j].key);

			if (asks[i].families & asks[j].families)
				continue;
			shunt_node_error(&at,
					 "could match no packet: it is for IPv%d only, "
					 "and \"%s\" "
					 "for IPv%d only; make a rule for each",
					 asks[j].families == IP4 ? 4 : 6, asks[i].key,
					 asks[i].families == IP4 ? 4 : 6);
			return;
		}
	}
}

static void check_vlan(const struct shunt_match *match, const struct shunt_node *node)
{
	const struct shunt_spans *outer =
		&match->rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN];
	struct shunt_node vlan = shunt_node_get(node, "vlan");
	struct shunt_node inner = shunt_node_get(&vlan, "inner");

	if (speaks(match, SHUNT_FIELD_VLAN) && speaks(match, SHUNT_FIELD_VLAN_INNER) &&
	    outer->at[outer->n - 1].hi == 0 &&
	    !shunt_spans_have(
		    &match->rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN_INNER], 0))
		shunt_node_error(&inner,
				 "could match no packet: there is no inner tag where "
				 "\"outer\" is \"none\"");
}

void shunt_match_contradictions(const struct shunt_match *match,
				const struct shunt_node *node)
{
	check_headers(match, node);
	check_families(match, node);
	check_vlan(match, node);
}
