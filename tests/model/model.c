/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/model.h"

#include <assert.h>
#include <fnmatch.h>

/* Whole bytes first, then the bits that are left. */
static bool in_prefix(const struct shunt_prefix *prefix, unsigned int family,
		      const uint8_t *addr)
{
	unsigned int bytes = prefix->bits / 8, rest = prefix->bits % 8;

	if (prefix->family != family)
		return false;
	for (unsigned int i = 0; i < bytes; i++)
		if (prefix->addr[i] != addr[i])
			return false;
	return !rest || (prefix->addr[bytes] ^ addr[bytes]) >> (8 - rest) == 0;
}

/* --- addresses and sets ---------------------------------------------------- */

/* One side of a layer: its address, and what a member of a set of services adds. */
struct end {
	const uint8_t *addr;
	uint8_t family;
	uint32_t proto, port; /* indexes: value + 1, 0 absent */
};

static void take_end(const struct shunt_layer *layer, enum shunt_side side,
		     struct end *end)
{
	end->family = layer->l3;
	end->addr = (const uint8_t *)layer->addr[side];
	end->proto = layer->field[SHUNT_FIELD_PROTO];
	end->port = layer->field[side == SHUNT_SIDE_SRC ? SHUNT_FIELD_SPORT
							: SHUNT_FIELD_DPORT];
}

static bool in_set(const struct shunt_policy_set *set, const struct end *end)
{
	bool service = set->type == SHUNT_SET_SERVICE;

	for (size_t e = 0; e < set->elements; e++) {
		const struct shunt_prefix *p = &set->element[e];

		if (!in_prefix(p, end->family, end->addr))
			continue;
		if (!service ||
		    (end->proto == p->proto + 1u && end->port == p->port + 1u))
			return true;
	}
	return false;
}

/* A packet without the address is in nothing. */
static bool in_list(const struct shunt_policy *policy,
		    const struct shunt_addr_list *list, const struct end *end)
{
	if (end->family == SHUNT_L3_NONE)
		return false;
	for (size_t i = 0; i < list->prefixes; i++)
		if (in_prefix(&list->prefix[i], end->family, end->addr))
			return true;
	for (size_t i = 0; i < list->sets; i++)
		if (in_set(&policy->set[list->set[i]], end))
			return true;
	return false;
}

static bool side_matches(const struct shunt_policy *policy,
			 const struct shunt_addrs *want,
			 const struct shunt_layer *layer, enum shunt_side side)
{
	bool in = want->in.prefixes || want->in.sets;
	bool out = want->out.prefixes || want->out.sets;
	struct end end;

	if (!in && !out)
		return true;
	take_end(layer, side, &end);
	if (in && !in_list(policy, &want->in, &end))
		return false;
	return !out || !in_list(policy, &want->out, &end);
}

/* --- rules ----------------------------------------------------------------- */

static bool field_matches(const struct shunt_spans *want, uint64_t index)
{
	if (!want->n)
		return true;
	for (size_t i = 0; i < want->n; i++)
		if (index >= want->at[i].lo && index <= want->at[i].hi)
			return true;
	return false;
}

static uint64_t index_of(const struct shunt_layer *layer, int field)
{
	return field < SHUNT_FIELD_NARROW ? layer->field[field]
					  : layer->wide[field - SHUNT_FIELD_NARROW];
}

/* Addresses come first, for they tell most rules apart. */
static bool layer_matches(const struct shunt_policy *policy,
			  const struct shunt_policy_layer *want,
			  const struct shunt_layer *layer)
{
	for (int side = 0; side < SHUNT_SIDES; side++)
		if (!side_matches(policy, &want->side[side], layer, side))
			return false;
	for (int f = 0; f < SHUNT_FIELD_COUNT; f++)
		if (!field_matches(&want->field[f], index_of(layer, f)))
			return false;
	return true;
}

bool shunt_model_matches(const struct shunt_policy *policy, size_t rule,
			 const struct shunt_pkt *pkt)
{
	for (int i = 0; i < SHUNT_LAYERS; i++)
		if (!layer_matches(policy, &policy->rule[rule].layer[i],
				   &pkt->layer[i]))
			return false;
	return true;
}

bool shunt_model_meant(const struct shunt_policy_rule *rule, const char *iface)
{
	for (size_t i = 0; i < rule->ifaces; i++)
		if (!fnmatch(rule->iface[i], iface, 0))
			return !rule->iface_not;
	return !rule->ifaces || rule->iface_not;
}

void shunt_model_decide(const struct shunt_policy *policy, const char *iface,
			const struct shunt_pkt *pkt, struct shunt_model *answer)
{
	answer->counted = 0;
	for (size_t r = 0; r < policy->rules; r++) {
		if (!shunt_model_matches(policy, r, pkt) ||
		    !shunt_model_meant(&policy->rule[r], iface))
			continue;
		if (policy->rule[r].action == SHUNT_ACTION_COUNT) {
			assert(answer->counted < SHUNT_MODEL_COUNTED);
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
