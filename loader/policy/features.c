/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/features.h"

#include "loader/policy/mods.h"

static uint32_t of_prefixes(const struct shunt_addr_list *list)
{
	size_t i;

	for (i = 0; i < list->prefixes; i++)
		if (list->prefix[i].family == 6)
			return SHUNT_HAS_IP6;
	return 0;
}

static uint32_t of_sets(const struct shunt_policy *policy,
			const struct shunt_addr_list *list)
{
	uint32_t features = 0;
	size_t i;

	for (i = 0; i < list->sets; i++) {
		switch (policy->set[list->set[i]].type) {
		case SHUNT_SET_ADDRESS:
		case SHUNT_SET_PREFIX:
			features |= SHUNT_HAS_SETS;
			break;
		default:
			features |= SHUNT_HAS_SERVICES;
		}
	}
	return features;
}

static bool asks(const struct shunt_policy_layer *layer)
{
	int side, field;

	for (side = 0; side < SHUNT_SIDES; side++) {
		const struct shunt_addrs *addrs = &layer->side[side];

		if (addrs->in.prefixes || addrs->in.sets || addrs->out.prefixes ||
		    addrs->out.sets)
			return true;
	}
	for (field = 0; field < SHUNT_FIELD_COUNT; field++)
		if (layer->field[field].n)
			return true;
	return false;
}

static uint32_t of_layer(const struct shunt_policy *policy,
			 const struct shunt_policy_layer *layer)
{
	uint32_t features = 0;
	int side, field;

	for (side = 0; side < SHUNT_SIDES; side++) {
		const struct shunt_addrs *addrs = &layer->side[side];

		features |= of_prefixes(&addrs->in) | of_prefixes(&addrs->out);
		features |= of_sets(policy, &addrs->in) | of_sets(policy, &addrs->out);
	}
	for (field = SHUNT_FIELD_NARROW; field < SHUNT_FIELD_COUNT; field++)
		if (layer->field[field].n)
			features |= SHUNT_HAS_WIDE;
	if (layer->field[SHUNT_FIELD_TUNNEL].n || layer->field[SHUNT_FIELD_KEY].n)
		features |= SHUNT_HAS_TUNNEL;
	if (layer->field[SHUNT_FIELD_VLAN].n || layer->field[SHUNT_FIELD_VLAN_INNER].n)
		features |= SHUNT_HAS_VLAN_TAG;
	return features;
}

uint32_t shunt_policy_features(const struct shunt_policy *policy)
{
	uint32_t features = 0;
	size_t r, c;

	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_rule *rule = &policy->rule[r];

		features |= of_layer(policy, &rule->layer[SHUNT_OUTER]) |
			    of_layer(policy, &rule->layer[SHUNT_INNER]) |
			    shunt_mods_features(rule) |
			    (rule->action == SHUNT_ACTION_COUNT ? SHUNT_HAS_COUNT : 0);
		if (asks(&rule->layer[SHUNT_INNER]))
			features |= SHUNT_HAS_TUNNEL;
	}
	/* what goes into sockets in XDP goes by a ring in TC */
	if (policy->consumers)
		features |= SHUNT_HAS_RING;
	for (c = 0; c < policy->consumers; c++)
		if (policy->consumer[c].heartbeat_ns)
			features |= SHUNT_HAS_HEARTBEAT;
	return features;
}

const char *shunt_feature_name(uint32_t feature)
{
	switch (feature) {
#define X(id, bit, name, help)                                                         \
	case SHUNT_HAS_##id:                                                           \
		return name;
		SHUNT_FEATURES(X)
#undef X
	}
	return NULL;
}
