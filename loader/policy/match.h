/* SPDX-License-Identifier: BSD-2-Clause */
/* The "match" object of a rule: keys to index ranges, prefixes and sets. */
#pragma once

/*
 * A key may stand in the object itself and in its "not": what the first admits and the
 * second does not is what the rule matches. The complement of a field contains absence,
 * so that a packet without the field matches a "not".
 *
 * The packet's own layer and that of a tunnel are read alike, each as one shunt_match.
 */
#include "loader/policy/node.h"
#include "loader/policy/policy.h"
#include "loader/policy/ports.h"

struct shunt_match {
	const struct shunt_policy *policy; /* its sets are there to be named */
	struct shunt_ports *ports;
	struct shunt_policy_layer *layer; /* what the match becomes */
	/* Keys that had errors: nothing follows from what was read of them. */
	bool broken[SHUNT_FIELD_COUNT];
	bool broken_side[SHUNT_SIDES];
	bool faulty; /* there were errors in the whole: compare nothing with it */
};

/* A key where it is asked for, and where it is ruled out; json is NULL where it is not. */
struct shunt_pair {
	struct shunt_node in, out;
};

static inline struct shunt_pair shunt_pair_get(const struct shunt_node *in,
					       const struct shunt_node *out,
					       const char *key)
{
	return (struct shunt_pair){ shunt_node_get(in, key), shunt_node_get(out, key) };
}

static inline bool shunt_pair_there(const struct shunt_pair *pair)
{
	return pair->in.json || pair->out.json;
}

/*
 * Fills the rule's layers and interfaces; `match` is the packet's own layer, the outer
 * one. Faults are reported, keys that contradict each other among them.
 */
void shunt_match_read(struct shunt_match *match, struct shunt_policy_rule *rule,
		      const struct shunt_node *node);

/* --- pieces of it ------------------------------------------------------------ */

/* Adds what one item of a key stands for. */
typedef void shunt_item_fn(struct shunt_match *match, const struct shunt_node *item,
			   struct shunt_spans *spans);

/* Fills a field with what the items of a key, or of its "not", stand for. */
void shunt_match_field(struct shunt_match *match, const struct shunt_pair *pair,
		       enum shunt_field field, shunt_item_fn *item);

/* Takes spans, which are settled, out of a field; `out` is where they were ruled out. */
void shunt_match_exclude(struct shunt_match *match, const struct shunt_node *out,
			 enum shunt_field field, const struct shunt_spans *spans);

/* The keys that look at one field each, ports and ICMP among them. */
void shunt_match_values(struct shunt_match *match, const struct shunt_node *in,
			const struct shunt_node *out);

/* "src" and "dst". */
void shunt_match_sides(struct shunt_match *match, const struct shunt_node *in,
		       const struct shunt_node *out);

/* Adds what one item of "icmp" stands for; "proto" has been read. */
shunt_item_fn shunt_match_icmp;

/* "iface". */
void shunt_match_iface(struct shunt_policy_rule *rule, const struct shunt_pair *pair);

/* Type and id of "tunnel", not its "inner". */
void shunt_match_tunnel(struct shunt_match *match, const struct shunt_pair *tunnel);

/* --- what a match admits ----------------------------------------------------- */

/* The field is constrained, and was read without an error. */
bool shunt_match_speaks(const struct shunt_match *match, enum shunt_field field);

/* The same, and a packet must have the field. */
bool shunt_match_needs(const struct shunt_match *match, enum shunt_field field);

/* Does a constrained field admit the value? */
bool shunt_match_admits(const struct shunt_match *match, enum shunt_field field,
			uint64_t value);

#define SHUNT_ADMITS_IP4 1u
#define SHUNT_ADMITS_IP6 2u
#define SHUNT_ADMITS_OTHER 4u /* not IP */
#define SHUNT_ADMITS_IP (SHUNT_ADMITS_IP4 | SHUNT_ADMITS_IP6)

/* What packets may match, as far as the keys say. */
unsigned int shunt_match_families(const struct shunt_match *match);

/* Reports keys of one layer that contradict each other, so that no packet could match. */
void shunt_match_contradictions(const struct shunt_match *match,
				const struct shunt_node *node);

/* The same for a tunnel and keys of the packet that carries it ... */
void shunt_match_outer_contradictions(const struct shunt_match *match,
				      const struct shunt_node *node);

/* ... and for a tunnel and keys of the packet inside; node: "inner". */
void shunt_match_inner_contradictions(const struct shunt_match *outer,
				      const struct shunt_match *inner,
				      const struct shunt_node *node);
