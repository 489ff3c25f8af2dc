/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/model.h"

#include <string.h>

static int bit(const uint8_t *addr, unsigned int i)
{
	return addr[i / 8] >> (7 - i % 8) & 1;
}

static bool in_prefix(const struct shunt_prefix *prefix, unsigned int family,
		      const uint8_t *addr)
{
	if (prefix->family != family)
		return false;
	for (unsigned int i = 0; i < prefix->bits; i++)
		if (bit(prefix->addr, i) != bit(addr, i))
			return false;
	return true;
}

static bool side_matches(const struct shunt_policy *policy,
			 const struct shunt_addrs *want, unsigned int family,
			 const __u32 where[4])
{
	uint8_t addr[16];

	memcpy(addr, where, sizeof(addr));
	if (!want->in.prefixes && !want->in.sets)
		return true;
	if (family == SHUNT_L3_NONE)
		return false;
	for (size_t i = 0; i < want->in.prefixes; i++)
		if (in_prefix(&want->in.prefix[i], family, addr))
			return true;
	for (size_t i = 0; i < want->in.sets; i++) {
		const struct shunt_policy_set *set = &policy->set[want->in.set[i]];

		for (size_t e = 0; e < set->elements; e++)
			if (in_prefix(&set->element[e], family, addr))
				return true;
	}
	return false;
}

static bool field_matches(const struct shunt_spans *want, uint32_t index)
{
	if (!want->n)
		return true;
	for (size_t i = 0; i < want->n; i++)
		if (index >= want->at[i].lo && index <= want->at[i].hi)
			return true;
	return false;
}

bool shunt_model_matches(const struct shunt_policy *policy, size_t rule,
			 const struct shunt_pkt *pkt)
{
	const struct shunt_policy_rule *r = &policy->rule[rule];

	for (int f = 0; f < SHUNT_FIELD_NARROW; f++)
		if (!field_matches(&r->layer[SHUNT_OUTER].field[f],
				   pkt->layer[SHUNT_OUTER].field[f]))
			return false;
	return side_matches(policy, &r->layer[SHUNT_OUTER].side[SHUNT_SIDE_SRC],
			    pkt->layer[SHUNT_OUTER].l3,
			    pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC]) &&
	       side_matches(policy, &r->layer[SHUNT_OUTER].side[SHUNT_SIDE_DST],
			    pkt->layer[SHUNT_OUTER].l3,
			    pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST]);
}

void shunt_model_decide(const struct shunt_policy *policy, const struct shunt_pkt *pkt,
			struct shunt_model *answer)
{
	answer->counted = 0;
	for (size_t r = 0; r < policy->rules; r++) {
		if (!shunt_model_matches(policy, r, pkt))
			continue;
		if (policy->rule[r].action == SHUNT_ACTION_COUNT) {
			answer->counted_rule[answer->counted++] = r;
			continue;
		}
		answer->rule = r;
		answer->action = policy->rule[r].action;
		return;
	}
	answer->rule = policy->rules;
	answer->action = policy->default_action;
}
