/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include "loader/policy/spans.h"

/* --- one field --------------------------------------------------------------- */

static const uint64_t last_index[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

static void read_items(struct shunt_match *match, const struct shunt_node *node,
		       struct shunt_spans *spans, shunt_item_fn *item)
{
	if (!shunt_node_not_empty(node))
		return;
	shunt_node_each(one, shunt_node_any(node)) item(match, &one, spans);
	shunt_spans_settle(spans);
}

void shunt_match_exclude(struct shunt_match *match, const struct shunt_node *out,
			 enum shunt_field field, const struct shunt_spans *spans)
{
	struct shunt_spans *left = &match->layer->field[field];
	bool asked = left->n;

	if (match->broken[field])
		return;
	if (shunt_spans_exclude(left, spans, last_index[field]) < 0)
		out->doc->oom = true;
	if (left->n)
		return;
	match->broken[field] = true;
	shunt_node_error(out, "%s",
			 asked ? "could match no packet: it rules out all that the "
				 "same key of \"match\" admits"
			       : "could match no packet: it rules out every value and "
				 "the lack of one");
}

void shunt_match_field(struct shunt_match *match, const struct shunt_pair *pair,
		       enum shunt_field field, shunt_item_fn *item)
{
	const struct shunt_node *node = pair->in.json ? &pair->in : &pair->out;
	struct shunt_spans out = { 0 };
	size_t errors = node->doc->diags->errors;

	if (!shunt_pair_there(pair))
		return;
	if (pair->in.json)
		read_items(match, &pair->in, &match->layer->field[field], item);
	if (pair->out.json)
		read_items(match, &pair->out, &out, item);
	if (node->doc->diags->errors != errors)
		match->broken[field] = true;
	if (pair->out.json)
		shunt_match_exclude(match, &pair->out, field, &out);
	shunt_spans_free(&out);
}

/* --- the object -------------------------------------------------------------- */

/* "not" is taken off for the keys of a "not", what stands behind it for an "inner". */
#define KEYS                                                                           \
	"src", "dst", "eth_type", "vlan", "proto", "sport", "dport", "tcp_flags",      \
		"icmp", "fragment", "dscp", "length", "src_mac", "dst_mac"

static const char *const keys[] = { KEYS, "iface", "tunnel", "not", NULL };
static const char *const not_keys[] = { KEYS, "iface", "tunnel", NULL };
static const char *const inner_keys[] = { KEYS, "not", NULL };
static const char *const inner_not_keys[] = { KEYS, NULL };

/* Keys of either layer. */
static void read_layer(struct shunt_match *match, const struct shunt_node *in,
		       const struct shunt_node *out)
{
	shunt_match_sides(match, in, out);
	shunt_match_values(match, in, out);
}

static void read_inner(struct shunt_match *outer, struct shunt_policy_rule *rule,
		       const struct shunt_node *tunnel)
{
	struct shunt_match inner = { .policy = outer->policy,
				     .ports = outer->ports,
				     .layer = &rule->layer[SHUNT_INNER] };
	struct shunt_node in = shunt_node_get(tunnel, "inner");
	struct shunt_node out = shunt_node_get(&in, "not");

	if (!in.json || !shunt_node_object(&in, inner_keys))
		return;
	if (out.json)
		shunt_node_object(&out, inner_not_keys);
	read_layer(&inner, &in, &out);
	shunt_match_contradictions(&inner, &in);
	shunt_match_inner_contradictions(outer, &inner, &in);
}

void shunt_match_read(struct shunt_match *match, struct shunt_policy_rule *rule,
		      const struct shunt_node *node)
{
	struct shunt_node out = shunt_node_get(node, "not");
	struct shunt_pair iface = shunt_pair_get(node, &out, "iface");
	struct shunt_pair tunnel = shunt_pair_get(node, &out, "tunnel");

	if (!shunt_node_object(node, keys))
		return;
	if (out.json)
		shunt_node_object(&out, not_keys);
	read_layer(match, node, &out);
	if (shunt_pair_there(&iface))
		shunt_match_iface(rule, &iface);
	if (shunt_pair_there(&tunnel))
		shunt_match_tunnel(match, &tunnel);
	shunt_match_contradictions(match, node);
	shunt_match_outer_contradictions(match, node);
	if (tunnel.in.json)
		read_inner(match, rule, &tunnel.in);
}
