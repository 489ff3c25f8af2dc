/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/tally.h"

#include <stdio.h>

static const char *const key_names[SHUNT_TALLY_KEY_COUNT] = {
#define X(id, name) [SHUNT_TALLY_##id] = name,
	SHUNT_TALLY_KEYS(X)
#undef X
#define X(id, name, values, help)                                                      \
	[SHUNT_TALLY_FIELD + SHUNT_FIELD_##id] = name,                                 \
			     [SHUNT_TALLY_FIELD + SHUNT_FIELD_STRIDE + SHUNT_FIELD_##  \
				     id] = "inner " name,
		SHUNT_FIELDS(X)
#undef X
};

/* --- adding ---------------------------------------------------------------- */

static void add_list(struct shunt_tally *t, const struct shunt_policy *policy,
		     const struct shunt_addr_list *list, int addr, int set)
{
	t->key[addr] += list->prefixes > 0;
	t->key[set] += list->sets > 0;
	for (size_t i = 0; i < list->sets; i++)
		t->key[SHUNT_TALLY_SERVICE] +=
			policy->set[list->set[i]].type == SHUNT_SET_SERVICE;
}

static void add_rule(struct shunt_tally *t, const struct shunt_policy *policy,
		     const struct shunt_policy_rule *rule)
{
	for (int l = 0; l < SHUNT_LAYERS; l++) {
		const struct shunt_policy_layer *layer = &rule->layer[l];

		for (int side = 0; side < SHUNT_SIDES; side++) {
			add_list(t, policy, &layer->side[side].in,
				 l ? SHUNT_TALLY_INNER_ADDR : SHUNT_TALLY_ADDR,
				 l ? SHUNT_TALLY_INNER_SET : SHUNT_TALLY_SET);
			add_list(t, policy, &layer->side[side].out,
				 l ? SHUNT_TALLY_INNER_ADDR_NOT : SHUNT_TALLY_ADDR_NOT,
				 l ? SHUNT_TALLY_INNER_SET : SHUNT_TALLY_SET_NOT);
		}
		for (int f = 0; f < SHUNT_FIELD_COUNT; f++)
			t->key[SHUNT_TALLY_FIELD + l * SHUNT_FIELD_STRIDE + f] +=
				layer->field[f].n > 0;
	}
	t->key[SHUNT_TALLY_IFACE] += rule->ifaces > 0;
}

void shunt_tally_add(struct shunt_tally *t, enum shunt_kind kind,
		     const struct shunt_policy *policy,
		     const struct shunt_model *answer, bool *hit)
{
	struct shunt_tally_kind *k = &t->kind[kind];

	k->decisions++;
	if (!answer) {
		k->malformed++;
		return;
	}
	k->counted += answer->counted;
	for (size_t i = 0; i < answer->counted; i++)
		hit[answer->counted_rule[i]] = true;
	if (answer->rule == policy->rules) {
		k->by_default++;
		return;
	}
	k->by_rule++;
	hit[answer->rule] = true;
	add_rule(t, policy, &policy->rule[answer->rule]);
}

void shunt_tally_policy(struct shunt_tally *t, enum shunt_kind kind,
			const struct shunt_policy *policy, const bool *hit)
{
	t->kind[kind].policies++;
	t->kind[kind].rules += policy->rules;
	for (size_t i = 0; i < policy->rules; i++)
		t->kind[kind].rules_hit += hit[i];
}

void shunt_tally_refused(struct shunt_tally *t, enum shunt_kind kind)
{
	t->kind[kind].refused++;
}

enum shunt_kind shunt_tally_next(const struct shunt_tally *t)
{
	enum shunt_kind least = 0, kind;

	for (kind = 0; kind < SHUNT_KIND_COUNT; kind++)
		if ((kind == SHUNT_KIND_FEW || SHUNT_RULE_MAX > 2000) &&
		    t->kind[kind].decisions * shunt_kind_rows[least].share <
			    t->kind[least].decisions * shunt_kind_rows[kind].share)
			least = kind;
	return least;
}

uint64_t shunt_tally_decisions(const struct shunt_tally *t)
{
	uint64_t n = 0;

	for (int kind = 0; kind < SHUNT_KIND_COUNT; kind++)
		n += t->kind[kind].decisions;
	return n;
}

/* --- what it came to ------------------------------------------------------- */

#define U(number) ((unsigned long long)(number))

void shunt_tally_print(const struct shunt_tally *t, uint64_t seed)
{
	printf("seed %#llx: %llu decisions\n", U(seed), U(shunt_tally_decisions(t)));
	for (int kind = 0; kind < SHUNT_KIND_COUNT; kind++) {
		const struct shunt_tally_kind *k = &t->kind[kind];
		uint64_t n = k->decisions ? k->decisions : 1;

		printf("  %-4s %8llu decisions: %llu%% by a rule, %llu%% by the "
		       "default, %llu%% malformed, %llu counted; %llu policies (%llu "
		       "more did not fit), "
		       "%llu of %llu rules hit\n",
		       shunt_kind_rows[kind].name, U(k->decisions),
		       U(k->by_rule * 100 / n), U(k->by_default * 100 / n),
		       U(k->malformed * 100 / n), U(k->counted), U(k->policies),
		       U(k->refused), U(k->rules_hit), U(k->rules));
	}
	printf("  decided by rules that look at");
	for (int key = 0; key < SHUNT_TALLY_KEY_COUNT; key++)
		if (key_names[key])
			printf("%s %s: %llu", key ? "," : "", key_names[key],
			       U(t->key[key]));
	printf("\n");
}

/* Is there nothing to be seen of this key, for the author leaves it out? */
static bool left_out(int key, uint32_t without)
{
	int field = key - SHUNT_TALLY_FIELD;
	bool inner = field >= SHUNT_FIELD_STRIDE ||
		     (key >= SHUNT_TALLY_INNER_ADDR && key <= SHUNT_TALLY_INNER_SET);

	if (field >= SHUNT_FIELD_STRIDE)
		field -= SHUNT_FIELD_STRIDE;
	if (inner && (field == SHUNT_FIELD_TUNNEL || field == SHUNT_FIELD_KEY))
		return true;
	if (without & SHUNT_AUTHOR_TUNNELS &&
	    (inner || field == SHUNT_FIELD_TUNNEL || field == SHUNT_FIELD_KEY))
		return true;
	if (without & SHUNT_AUTHOR_NOT &&
	    (key == SHUNT_TALLY_ADDR_NOT || key == SHUNT_TALLY_SET_NOT ||
	     key == SHUNT_TALLY_INNER_ADDR_NOT))
		return true;
	if (without & SHUNT_AUTHOR_VALUES &&
	    (field == SHUNT_FIELD_DSCP || field == SHUNT_FIELD_LENGTH ||
	     field == SHUNT_FIELD_SRC_MAC || field == SHUNT_FIELD_DST_MAC))
		return true;
	return (without & SHUNT_AUTHOR_IFACES && key == SHUNT_TALLY_IFACE) ||
	       (without & SHUNT_AUTHOR_SERVICES && key == SHUNT_TALLY_SERVICE);
}

const char *shunt_tally_gap(const struct shunt_tally *t, uint32_t without)
{
	uint64_t n = shunt_tally_decisions(t);

	if (n < 100000)
		return NULL;
	for (int kind = 0; kind < SHUNT_KIND_COUNT; kind++)
		if (t->kind[kind].policies >= 10 &&
		    (t->kind[kind].by_rule * 2 < t->kind[kind].decisions ||
		     t->kind[kind].refused > t->kind[kind].policies))
			return shunt_kind_rows[kind].name;
	for (int key = 0; key < SHUNT_TALLY_KEY_COUNT; key++)
		if (key_names[key] && !left_out(key, without) &&
		    t->key[key] * 20000 < n)
			return key_names[key];
	return NULL;
}
