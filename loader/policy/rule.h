/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule of the policy's "rules". */
#pragma once

#include "loader/policy/index.h"
#include "loader/policy/node.h"
#include "loader/policy/policy.h"
#include "loader/policy/ports.h"

/* What a rule may name, and the names that are taken. */
struct shunt_rule_scope {
	const struct shunt_policy *policy; /* its sets and consumers stand already */
	struct shunt_ports ports;
	struct shunt_index rules; /* names of the rules that were read */
};

/* Fills rule, which is the place-th; the rules before it have been read. */
void shunt_rule_read(struct shunt_rule_scope *scope, struct shunt_policy_rule *rule,
		     size_t place, const struct shunt_node *node);

/* Frees what the rule points to. */
void shunt_rule_free(struct shunt_policy_rule *rule);

/* Does any part of it name the set at this place of the policy? */
bool shunt_rule_uses_set(const struct shunt_policy_rule *rule, uint32_t set);
