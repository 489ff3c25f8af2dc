/* SPDX-License-Identifier: BSD-2-Clause */
/* The "match" object of a rule: keys to index ranges, prefixes and sets. */
#pragma once

#include "loader/policy/node.h"
#include "loader/policy/policy.h"

struct shunt_match {
	const struct shunt_policy *policy; /* its sets are there to be named */
	struct shunt_policy_rule *rule;	   /* what the match becomes */
	/* Keys that had errors: nothing follows from what was read of them. */
	bool broken[SHUNT_FIELD_COUNT];
	bool broken_side[SHUNT_SIDES];
};

/* Fills the rule's side[] and field[]. */
void shunt_match_read(struct shunt_match *match, const struct shunt_node *node);

/* Reports keys that contradict each other, so that no packet could match. */
void shunt_match_contradictions(const struct shunt_match *match,
				const struct shunt_node *node);

/* Adds what one item of "icmp" stands for; "proto" has been read. */
void shunt_match_icmp(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans);
