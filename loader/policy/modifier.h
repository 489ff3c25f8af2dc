/* SPDX-License-Identifier: BSD-2-Clause */
/* What else a rule does with its packets: "limit", "sample", "mirror", "rewrite". */
#pragma once

#include "loader/policy/match.h"
#include "loader/policy/node.h"
#include "loader/policy/policy.h"

/*
 * Fills the rule's modifiers; its match and its action have been read. sound: the action
 * had no errors, so that modifiers can be compared with it.
 */
void shunt_modifiers_read(const struct shunt_match *match,
			  struct shunt_policy_rule *rule, const struct shunt_node *node,
			  bool sound);

/* The keys that shunt_modifiers_read understands. */
#define SHUNT_MODIFIER_KEYS "limit", "sample", "mirror", "rewrite"

/* "rewrite", compared with what the match admits. */
void shunt_rewrite_read(const struct shunt_match *match,
			struct shunt_policy_rewrite *rewrite,
			const struct shunt_node *node);
