/* SPDX-License-Identifier: BSD-2-Clause */
/* Values at and next to what a rule asks for. */
#pragma once

/*
 * A field is drawn from the first, the last or any value of one of its ranges, seldom
 * from the ones just outside; an address likewise from prefixes and members of sets,
 * and from what the rule excludes.
 */
#include "loader/policy/policy.h"
#include "tests/model/random.h"

/* Any rule of the policy; NULL where it has none, and once in 16 times. */
const struct shunt_policy_rule *shunt_aim_rule(struct shunt_random *random,
					       const struct shunt_policy *policy);

/* An index of the field (0: absent); -1: the layer does not ask for it. */
int64_t shunt_aim_field(struct shunt_random *random,
			const struct shunt_policy_layer *layer, enum shunt_field field);

/* Any index that the field can have, 0 too. */
uint64_t shunt_aim_any(struct shunt_random *random, enum shunt_field field);

/*
 * 4 or 6, as the addresses that the layer asks for say; 0: they do not. A side that
 * excludes addresses says nothing.
 */
int shunt_aim_family(struct shunt_random *random, const struct shunt_policy *policy,
		     const struct shunt_policy_layer *layer);

/*
 * An address of the family for one side. The layer may be NULL, or not ask for one:
 * then what any other rule asks for will do. Returns the member of a set of services
 * that it was taken from, whose protocol and port belong to it, or NULL.
 */
const struct shunt_prefix *shunt_aim_address(struct shunt_random *random,
					     const struct shunt_policy *policy,
					     const struct shunt_policy_layer *layer,
					     enum shunt_side side, int family,
					     uint8_t addr[16]);
