/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy means, as slowly and as plainly as it can be said. */
#pragma once

/*
 * The rules are walked in order, and each is asked for every key it has. Nothing is
 * prepared and nothing is shared with the compiler or with the classifier, so that an
 * error there cannot be repeated here. Sets hold what struct shunt_policy says they
 * hold.
 */
#include "loader/policy/policy.h"
#include "maps/pkt.h"

struct shunt_model {
	size_t rule;	/* the deciding rule's place; policy->rules: the default */
	uint8_t action; /* enum shunt_verdict: never a `count` */
	size_t counted; /* `count` rules that matched before it, and which */
	uint16_t counted_rule[SHUNT_RULE_MAX];
};

void shunt_model_decide(const struct shunt_policy *policy, const struct shunt_pkt *pkt,
			struct shunt_model *answer);

/* Does this one rule match? */
bool shunt_model_matches(const struct shunt_policy *policy, size_t rule,
			 const struct shunt_pkt *pkt);
