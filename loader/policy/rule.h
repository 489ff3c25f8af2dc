/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule of the policy's "rules". */
#pragma once

#include "loader/policy/node.h"
#include "loader/policy/policy.h"

/* Fills rule; the policy's sets, consumers and earlier rules stand already. */
void shunt_rule_read(const struct shunt_policy *policy, struct shunt_policy_rule *rule,
		     const struct shunt_node *node);

/* Frees what the rule points to. */
void shunt_rule_free(struct shunt_policy_rule *rule);
