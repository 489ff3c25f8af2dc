/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include <netinet/in.h>
#include <string.h>

#include "loader/policy/range.h"
#include "loader/policy/spans.h"

#define VNI_MAX ((1 << 24) - 1)
#define GRE_KEY_MAX UINT32_MAX
#define TUNNEL_LAST 7 /* the last value that the field has room for */

static const struct shunt_name type_names[] = {
#define X(id, value, name, help) { name, value },
	SHUNT_TUNNELS(X)
#undef X
		{ NULL, 0 },
};

static void read_type(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	int value = shunt_node_name(item, "a type of tunnel", type_names);

	(void)match;
	if (value >= 0)
		shunt_range_add(item, spans, value, value);
}

static void read_vni(struct shunt_match *match, const struct shunt_node *item,
		     struct shunt_spans *spans)
{
	(void)match;
	shunt_range_read(item, spans, "a network id (VNI)", VNI_MAX);
}

static void read_gre_key(struct shunt_match *match, const struct shunt_node *item,
			 struct shunt_spans *spans)
{
	(void)match;
	shunt_range_read(item, spans, "a GRE key", GRE_KEY_MAX);
}

/* --- ids --------------------------------------------------------------------- */

/* Two ids that share one field: whose they are, and how they are read. */
static const struct id {
	const char *key;
	uint64_t lo, hi; /* indices of the types that carry it */
	const char *types;
	shunt_item_fn *item;
} ids[] = {
	{ "vni", SHUNT_TUNNEL_VXLAN + 1, SHUNT_TUNNEL_GENEVE + 1,
	  "\"vxlan\" or \"geneve\"", read_vni },
	{ "key", SHUNT_TUNNEL_GRE + 1, SHUNT_TUNNEL_GRE + 1, "\"gre\"", read_gre_key },
};

/*
 * An id that is asked for says of which types the tunnel is, where "type" does not. One
 * that is ruled out does not: a tunnel of another type lacks it, and matches.
 */
static void check_carrier(struct shunt_match *match, const struct id *id,
			  const struct shunt_pair *pair, bool typed)
{
	struct shunt_spans *types = &match->layer->field[SHUNT_FIELD_TUNNEL];
	const struct shunt_node *at = pair->in.json ? &pair->in : &pair->out;
	struct shunt_spans carriers = { 0 };

	if (match->broken[SHUNT_FIELD_TUNNEL])
		return;
	if (typed && !shunt_spans_within(types, id->lo, id->hi))
		shunt_node_error(at,
				 "only tunnels of the type %s have it, and \"type\" "
				 "admits others: give those a rule of their own",
				 id->types);
	else if (!typed && !pair->in.json)
		shunt_node_error(at,
				 "only tunnels of the type %s have it: add \"type\", "
				 "beside \"not\", to say which tunnels are meant",
				 id->types);
	if (typed || !pair->in.json)
		return;
	if (shunt_spans_add(&carriers, id->lo, id->hi) < 0)
		at->doc->oom = true;
	shunt_spans_free(types);
	*types = carriers;
}

static void read_ids(struct shunt_match *match, const struct shunt_node *in,
		     const struct shunt_node *out, bool typed)
{
	bool done = false;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		struct shunt_pair pair = shunt_pair_get(in, out, ids[i].key);

		if (!shunt_pair_there(&pair))
			continue;
		if (done) {
			shunt_node_error(
				pair.in.json ? &pair.in : &pair.out,
				"could match no packet: no tunnel has both \"vni\" and "
				"\"key\"; make two rules of it");
			return;
		}
		done = true;
		shunt_match_field(match, &pair, SHUNT_FIELD_KEY, ids[i].item);
		check_carrier(match, &ids[i], &pair, typed);
	}
}

/* --- tunnels ----------------------------------------------------------------- */

/* "not": { "tunnel": … }: not this type, or no tunnel at all. */
static void read_ruled_out(struct shunt_match *match, const struct shunt_node *tunnel)
{
	struct shunt_pair type = { { .doc = tunnel->doc },
				   shunt_node_get(tunnel, "type") };
	struct shunt_spans any = { 0 };

	if (!shunt_node_object(tunnel, NULL))
		return;
	shunt_node_each(child, shunt_node_first(tunnel))
	{
		if (strcmp(child.key, "type") != 0)
			shunt_node_error(&child,
					 "a tunnel is ruled out by its \"type\" alone: "
					 "put a \"not\" into \"tunnel\", or into its "
					 "\"inner\", for what it carries");
	}
	if (type.out.json) {
		shunt_match_field(match, &type, SHUNT_FIELD_TUNNEL, read_type);
		return;
	}
	shunt_range_add(tunnel, &any, 0, TUNNEL_LAST);
	shunt_match_exclude(match, tunnel, SHUNT_FIELD_TUNNEL, &any);
	shunt_spans_free(&any);
}

static void read_asked_for(struct shunt_match *match, const struct shunt_node *tunnel)
{
	static const char *const keys[] = {
		"type", "vni", "key", "inner", "not", NULL
	};
	static const char *const not_keys[] = { "type", "vni", "key", NULL };
	struct shunt_spans *types = &match->layer->field[SHUNT_FIELD_TUNNEL];
	struct shunt_node out = shunt_node_get(tunnel, "not");
	struct shunt_pair type = shunt_pair_get(tunnel, &out, "type");

	if (!shunt_node_object(tunnel, keys)) {
		match->broken[SHUNT_FIELD_TUNNEL] = true;
		return;
	}
	if (out.json)
		shunt_node_object(&out, not_keys);
	if (!type.in.json)
		shunt_range_add(tunnel, types, 0, TUNNEL_LAST);
	shunt_match_field(match, &type, SHUNT_FIELD_TUNNEL, read_type);
	read_ids(match, tunnel, &out, shunt_pair_there(&type));
}

void shunt_match_tunnel(struct shunt_match *match, const struct shunt_pair *tunnel)
{
	if (tunnel->in.json)
		read_asked_for(match, &tunnel->in);
	if (tunnel->out.json)
		read_ruled_out(match, &tunnel->out);
}

/* --- contradictions ---------------------------------------------------------- */

/* The protocols that carry a type; 0 behind the last. */
static const uint8_t carriers[][3] = {
	[SHUNT_TUNNEL_VXLAN] = { IPPROTO_UDP },
	[SHUNT_TUNNEL_GENEVE] = { IPPROTO_UDP },
	[SHUNT_TUNNEL_GRE] = { IPPROTO_GRE },
	[SHUNT_TUNNEL_IPIP] = { IPPROTO_IPIP, IPPROTO_IPV6 },
};
#define TYPES (sizeof(carriers) / sizeof(*carriers))

/* Does the match admit a type over a protocol that it admits, over this one if not 0? */
static bool can_be_carried(const struct shunt_match *match, int proto)
{
	for (unsigned int type = 0; type < TYPES; type++) {
		if (!shunt_match_admits(match, SHUNT_FIELD_TUNNEL, type))
			continue;
		for (const uint8_t *by = carriers[type]; *by; by++)
			if ((!proto || *by == proto) &&
			    (!shunt_match_speaks(match, SHUNT_FIELD_PROTO) ||
			     shunt_match_admits(match, SHUNT_FIELD_PROTO, *by)))
				return true;
	}
	return false;
}

/* Keys that a tunnel's own packet cannot have, and the protocol with which it can. */
static void check_outer(const struct shunt_match *match, const struct shunt_node *node)
{
	static const struct {
		const char *key;
		enum shunt_field field;
		int proto; /* 0: of no tunnel */
	} rows[] = {
		{ "sport", SHUNT_FIELD_SPORT, IPPROTO_UDP },
		{ "dport", SHUNT_FIELD_DPORT, IPPROTO_UDP },
		{ "tcp_flags", SHUNT_FIELD_TCP_FLAGS, 0 },
		{ "icmp", SHUNT_FIELD_ICMP, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_node at = shunt_node_get(node, rows[i].key);

		if (!shunt_match_needs(match, rows[i].field) ||
		    (rows[i].proto && can_be_carried(match, rows[i].proto)))
			continue;
		shunt_node_error(&at,
				 "could match no packet: those that carry a tunnel of "
				 "this type have none; put it into the tunnel's "
				 "\"inner\" for the packet inside");
	}
}

void shunt_match_outer_contradictions(const struct shunt_match *match,
				      const struct shunt_node *node)
{
	struct shunt_node tunnel = shunt_node_get(node, "tunnel");

	if (!shunt_match_needs(match, SHUNT_FIELD_TUNNEL) || !tunnel.json)
		return;
	check_outer(match, node);
	if (!can_be_carried(match, 0))
		shunt_node_error(&tunnel,
				 "could match no packet: \"proto\" admits none of the "
				 "protocols that carry it, which are UDP for vxlan and "
				 "geneve, 47 for gre, 4 and 41 for ipip; leave "
				 "\"proto\" out");
	if (shunt_match_speaks(match, SHUNT_FIELD_FRAGMENT) &&
	    !shunt_match_admits(match, SHUNT_FIELD_FRAGMENT, SHUNT_FRAGMENT_NONE) &&
	    !shunt_match_admits(match, SHUNT_FIELD_FRAGMENT, SHUNT_FRAGMENT_FIRST))
		shunt_node_error(&tunnel,
				 "could match no packet: what later fragments carry is "
				 "not known; remove \"fragment\"");
}

void shunt_match_inner_contradictions(const struct shunt_match *outer,
				      const struct shunt_match *inner,
				      const struct shunt_node *node)
{
	static const struct {
		const char *key;
		enum shunt_field field;
	} rows[] = {
		{ "src_mac", SHUNT_FIELD_SRC_MAC },
		{ "dst_mac", SHUNT_FIELD_DST_MAC },
		{ "vlan", SHUNT_FIELD_VLAN },
	};
	const struct shunt_spans *types = &outer->layer->field[SHUNT_FIELD_TUNNEL];

	if (!shunt_match_speaks(outer, SHUNT_FIELD_TUNNEL) ||
	    !shunt_spans_within(types, SHUNT_TUNNEL_IPIP + 1, SHUNT_TUNNEL_IPIP + 1))
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_node at = shunt_node_get(node, rows[i].key);

		if (at.json && shunt_match_needs(inner, rows[i].field))
			shunt_node_error(&at,
					 "could match no packet: there is no Ethernet "
					 "header inside ipip");
	}
}
