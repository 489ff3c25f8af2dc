/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A rewrite that could not be done to a packet that the rule matches would leave that
 * packet as it is, silently. So addresses ask for a match that admits their family
 * alone, and ports for one that admits TCP and UDP alone.
 */
#include "loader/policy/modifier.h"

#include <netinet/in.h>
#include <string.h>

#include "loader/policy/mac.h"
#include "loader/policy/spans.h"
#include "loader/policy/word.h"

#define VLAN_ID_MAX 4094 /* 4095 is reserved (IEEE 802.1Q) */
#define DSCP_MAX 63

/* --- Ethernet ---------------------------------------------------------------- */

static void read_mac(const struct shunt_match *match,
		     struct shunt_policy_rewrite *rewrite,
		     const struct shunt_node *node, enum shunt_side side)
{
	const char *text = shunt_node_string(node, "a MAC address");
	struct shunt_err err;
	unsigned int bits;
	uint64_t mac;

	(void)match;
	if (!text)
		return;
	if (shunt_mac_parse(&mac, &bits, text, &err) < 0) {
		shunt_node_error(node, "%s", err.message);
		return;
	}
	if (bits != SHUNT_MAC_BITS) {
		shunt_node_error(node,
				 "%s is a prefix: write the one address that is put in",
				 SHUNT_QUOTE(text));
		return;
	}
	if (side == SHUNT_SIDE_SRC && mac >> 40 & 1) {
		shunt_node_error(node,
				 "%s is the address of a group, from which no frame "
				 "may come: its first octet must be even",
				 SHUNT_QUOTE(text));
		return;
	}
	for (int i = 0; i < 6; i++)
		rewrite->mac[side][i] = mac >> (40 - 8 * i);
	rewrite->bits |= SHUNT_REWRITE_SRC_MAC << side;
}

/* Push, set or pop. */
static void read_vlan(const struct shunt_match *match,
		      struct shunt_policy_rewrite *rewrite,
		      const struct shunt_node *node)
{
	static const char *const keys[] = { "push", "set", NULL };
	const char *text = cJSON_GetStringValue(node->json);
	bool pop = text && strcmp(text, "pop") == 0;
	struct shunt_node push = shunt_node_get(node, "push");
	struct shunt_node set = shunt_node_get(node, "set");
	int64_t id = 0;

	if (!pop && (!cJSON_IsObject(node->json) || !push.json == !set.json)) {
		shunt_node_error(node, "must be { \"push\": 10 }, { \"set\": 10 } or "
				       "\"pop\"");
		return;
	}
	if (!pop) {
		shunt_node_object(node, keys);
		id = shunt_node_number(push.json ? &push : &set, "a VLAN id", 0,
				       VLAN_ID_MAX);
	}
	if (!push.json && !match->faulty &&
	    shunt_match_speaks(match, SHUNT_FIELD_VLAN) &&
	    shunt_spans_within(&match->layer->field[SHUNT_FIELD_VLAN], 0, 0))
		shunt_node_error(node,
				 "there is no tag to %s: \"match\" admits only packets "
				 "whose \"vlan\" is \"none\"",
				 pop ? "pop" : "set");
	rewrite->vlan = id < 0 ? 0 : id;
	rewrite->bits |= pop	     ? SHUNT_REWRITE_VLAN_POP
			 : push.json ? SHUNT_REWRITE_VLAN_PUSH
				     : SHUNT_REWRITE_VLAN_SET;
}

/* --- IP ---------------------------------------------------------------------- */

static void check_ip(const struct shunt_match *match, const struct shunt_node *node)
{
	if (!match->faulty && !(shunt_match_families(match) & SHUNT_ADMITS_IP))
		shunt_node_error(node, "the rule matches no packet of IPv4 or IPv6, "
				       "which alone have it");
}

static void read_dscp(const struct shunt_match *match,
		      struct shunt_policy_rewrite *rewrite,
		      const struct shunt_node *node)
{
	int64_t value = cJSON_IsString(node->json)
				? shunt_node_name(node, "a DSCP", shunt_dscp_names)
				: shunt_node_number(node, "a DSCP", 0, DSCP_MAX);

	if (value < 0)
		return;
	check_ip(match, node);
	rewrite->dscp = value;
	rewrite->bits |= SHUNT_REWRITE_DSCP;
}

static void read_ttl(const struct shunt_match *match,
		     struct shunt_policy_rewrite *rewrite,
		     const struct shunt_node *node)
{
	static const struct shunt_name words[] = { { "decrement", 0 }, { NULL, 0 } };
	int64_t value = cJSON_IsString(node->json)
				? shunt_node_name(node, "a TTL or \"decrement\"", words)
				: shunt_node_number(node, "a TTL", 1, 255);

	if (value < 0)
		return;
	check_ip(match, node);
	rewrite->ttl = value;
	rewrite->bits |= value ? SHUNT_REWRITE_TTL_SET : SHUNT_REWRITE_TTL_DEC;
}

static void read_addr(const struct shunt_match *match,
		      struct shunt_policy_rewrite *rewrite,
		      const struct shunt_node *node, enum shunt_side side)
{
	const char *text = shunt_node_string(node, "an IPv4 or IPv6 address");
	struct shunt_prefix *addr = &rewrite->addr[side];
	struct shunt_err err;
	bool ip4;

	if (!text)
		return;
	if (shunt_prefix_parse(addr, text, &err) < 0) {
		shunt_node_error(node, "%s", err.message);
		return;
	}
	ip4 = addr->family == 4;
	if (addr->bits != (ip4 ? 32 : 128))
		shunt_node_error(node,
				 "%s is a prefix: write the one address that is put in",
				 SHUNT_QUOTE(text));
	else if (!match->faulty && shunt_match_families(match) !=
					   (ip4 ? SHUNT_ADMITS_IP4 : SHUNT_ADMITS_IP6))
		shunt_node_error(
			node,
			"an IPv%d address can be put into IPv%d packets alone, and "
			"\"match\" admits others: add \"eth_type\": \"ipv%d\" to it",
			ip4 ? 4 : 6, ip4 ? 4 : 6, ip4 ? 4 : 6);
	rewrite->bits |= SHUNT_REWRITE_SRC << side;
}

/* --- ports ------------------------------------------------------------------- */

static bool only_tcp_and_udp(const struct shunt_match *match)
{
	const struct shunt_spans *proto = &match->layer->field[SHUNT_FIELD_PROTO];

	if (shunt_match_needs(match, SHUNT_FIELD_TCP_FLAGS))
		return true;
	if (!shunt_match_needs(match, SHUNT_FIELD_PROTO))
		return false;
	for (size_t i = 0; i < proto->n; i++)
		for (uint64_t at = proto->at[i].lo; at <= proto->at[i].hi; at++)
			if (at != IPPROTO_TCP + 1 && at != IPPROTO_UDP + 1)
				return false;
	return true;
}

static void read_port(const struct shunt_match *match,
		      struct shunt_policy_rewrite *rewrite,
		      const struct shunt_node *node, enum shunt_side side)
{
	int64_t port = shunt_node_number(node, "a port", 0, 65535);

	if (port < 0)
		return;
	if (!match->faulty && !only_tcp_and_udp(match))
		shunt_node_error(
			node,
			"a port can be put into packets of TCP and UDP alone, and "
			"\"match\" admits others: add \"proto\": \"tcp\", \"udp\" or "
			"[\"tcp\", \"udp\"] to it");
	rewrite->port[side] = port;
	rewrite->bits |= SHUNT_REWRITE_SPORT << side;
}

/* --- the object -------------------------------------------------------------- */

typedef void side_fn(const struct shunt_match *match,
		     struct shunt_policy_rewrite *rewrite,
		     const struct shunt_node *node, enum shunt_side side);

/* Reads what stands once for each side. */
static void read_sides(const struct shunt_match *match,
		       struct shunt_policy_rewrite *rewrite,
		       const struct shunt_node *node, const char *src, const char *dst,
		       side_fn *read)
{
	struct shunt_node from = shunt_node_get(node, src);
	struct shunt_node to = shunt_node_get(node, dst);

	if (from.json)
		read(match, rewrite, &from, SHUNT_SIDE_SRC);
	if (to.json)
		read(match, rewrite, &to, SHUNT_SIDE_DST);
}

void shunt_rewrite_read(const struct shunt_match *match,
			struct shunt_policy_rewrite *rewrite,
			const struct shunt_node *node)
{
	static const char *const keys[] = { "src_mac", "dst_mac", "vlan",  "dscp",
					    "src",     "dst",	  "sport", "dport",
					    "ttl",     NULL };
	struct shunt_node vlan = shunt_node_get(node, "vlan");
	struct shunt_node dscp = shunt_node_get(node, "dscp");
	struct shunt_node ttl = shunt_node_get(node, "ttl");

	if (!shunt_node_object(node, keys))
		return;
	if (!node->json->child)
		shunt_node_error(node, "names nothing to rewrite: remove it, or give "
				       "it a key such as \"dst_mac\"");
	read_sides(match, rewrite, node, "src_mac", "dst_mac", read_mac);
	if (vlan.json)
		read_vlan(match, rewrite, &vlan);
	if (dscp.json)
		read_dscp(match, rewrite, &dscp);
	read_sides(match, rewrite, node, "src", "dst", read_addr);
	read_sides(match, rewrite, node, "sport", "dport", read_port);
	if (ttl.json)
		read_ttl(match, rewrite, &ttl);
}
