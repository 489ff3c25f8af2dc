/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy reader on arbitrary bytes; what it accepts must be sound. */
#include "loader/policy/policy.h"
#include "loader/policy/prefix.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool contains(const uint8_t *data, size_t size, const char *word)
{
	return memmem(data, size, word, strlen(word));
}

/*
 * A set's "file" would be opened, whatever it names. The key may also be written with
 * escapes, all of whose letters lie in 0060..006f.
 */
static bool may_open_files(const uint8_t *data, size_t size)
{
	return contains(data, size, "file") || contains(data, size, "\\u006");
}

static void check(bool sound)
{
	if (!sound)
		abort();
}

static void check_prefix(const struct shunt_prefix *prefix)
{
	char text[SHUNT_PREFIX_TEXT];
	struct shunt_prefix again;

	check(shunt_prefix_parse(&again, shunt_prefix_format(prefix, text), NULL) == 0);
	check(memcmp(&again, prefix, sizeof(again)) == 0);
}

static void check_member(const struct shunt_policy_set *set,
			 const struct shunt_prefix *element)
{
	char text[SHUNT_PREFIX_TEXT];
	struct shunt_prefix again;

	check(shunt_prefix_member(&again, shunt_prefix_format(element, text), set->type,
				  NULL) == 0);
	check(memcmp(&again, element, sizeof(again)) == 0);
}

static const uint64_t field_values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

static void check_addrs(const struct shunt_policy *policy,
			const struct shunt_addr_list *list)
{
	for (size_t i = 0; i < list->prefixes; i++)
		check_prefix(&list->prefix[i]);
	for (size_t i = 0; i < list->sets; i++)
		check(list->set[i] < policy->sets);
}

static void check_layer(const struct shunt_policy *policy,
			const struct shunt_policy_layer *layer)
{
	for (int side = 0; side < SHUNT_SIDES; side++) {
		check_addrs(policy, &layer->side[side].in);
		check_addrs(policy, &layer->side[side].out);
	}
	for (int field = 0; field < SHUNT_FIELD_COUNT; field++) {
		const struct shunt_spans *spans = &layer->field[field];

		for (size_t i = 0; i < spans->n; i++) {
			check(spans->at[i].lo <= spans->at[i].hi);
			check(spans->at[i].hi <= field_values[field]);
			check(!i || spans->at[i].lo > spans->at[i - 1].hi + 1);
		}
	}
}

/* What is set must be usable, and what is not set must be zero. */
static void check_modifiers(const struct shunt_policy_rule *rule)
{
	const struct shunt_policy_limit *limit = &rule->limit;
	const struct shunt_policy_rewrite *rewrite = &rule->rewrite;

	check(!limit->rate == !limit->burst);
	check(!limit->by == !limit->size);
	check(limit->bits4 <= 32 && limit->bits6 <= 128);
	check(limit->burst / 3601 <= limit->rate + 1);
	check((rule->mirror.to == SHUNT_MIRROR_INTERFACE) == !!*rule->mirror.target);
	for (int side = 0; side < SHUNT_SIDES; side++)
		if (rewrite->bits & SHUNT_REWRITE_SRC << side)
			check_prefix(&rewrite->addr[side]);
	check(rewrite->vlan < 4095 && rewrite->dscp < 64);
	if (rule->action == SHUNT_ACTION_COUNT)
		check(!limit->rate && !rule->sample.one_in && !rule->mirror.to &&
		      !rewrite->bits);
}

static void check_rule(const struct shunt_policy *policy,
		       const struct shunt_policy_rule *rule)
{
	const struct shunt_policy_layer *inner = &rule->layer[SHUNT_INNER];

	for (int layer = 0; layer < SHUNT_LAYERS; layer++)
		check_layer(policy, &rule->layer[layer]);
	check(!inner->field[SHUNT_FIELD_TUNNEL].n && !inner->field[SHUNT_FIELD_KEY].n);
	for (size_t i = 0; i < rule->ifaces; i++)
		check(strnlen(rule->iface[i], SHUNT_NAME_MAX) < SHUNT_NAME_MAX);
	check(!rule->iface_not || rule->ifaces);
	check_modifiers(rule);
	if (rule->action == SHUNT_VERDICT_CONSUMER)
		check(rule->arg < policy->consumers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	int ret;

	if (may_open_files(data, size))
		return 0;
	ret = shunt_policy_read(&policy, (const char *)data, size, NULL, &diags);
	check(ret == 0 ? diags.errors == 0 : diags.errors > 0);
	if (policy) {
		check(!(policy->ring_bytes & (policy->ring_bytes - 1)));
		for (size_t i = 0; i < policy->rules; i++)
			check_rule(policy, &policy->rule[i]);
		for (size_t i = 0; i < policy->sets; i++)
			for (size_t e = 0; e < policy->set[i].elements; e++)
				check_member(&policy->set[i],
					     &policy->set[i].element[e]);
	}
	shunt_policy_free(policy);
	shunt_diags_free(&diags);
	return 0;
}
