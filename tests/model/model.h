/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy means, as slowly and as plainly as it can be said. */
#pragma once

/*
 * The rules are walked in order, and each is asked for every key it has. Nothing is
 * prepared and nothing is shared with the compiler or with the classifier, so that an
 * error there cannot be repeated here. Sets hold what struct shunt_policy says they
 * hold. A rule of a large policy costs a few cache lines, so that 16,384 of them take
 * about 200 us a packet.
 */
#include "loader/policy/policy.h"
#include "maps/pkt.h"

/* A policy of more rules has at most so many that count (docs/policy.md). */
#define SHUNT_MODEL_COUNTED 256

struct shunt_model {
	size_t rule;	/* the deciding rule's place; policy->rules: the default */
	uint8_t action; /* enum shunt_verdict: never a `count` */
	size_t counted; /* `count` rules that matched before it, and which */
	uint16_t counted_rule[SHUNT_MODEL_COUNTED];
};

/* `iface` is the name of the interface that the packet passes. */
void shunt_model_decide(const struct shunt_policy *policy, const char *iface,
			const struct shunt_pkt *pkt, struct shunt_model *answer);

/* Does this one rule match the packet, whatever the interface? */
bool shunt_model_matches(const struct shunt_policy *policy, size_t rule,
			 const struct shunt_pkt *pkt);

/* Is the rule meant for this interface? */
bool shunt_model_meant(const struct shunt_policy_rule *rule, const char *iface);
