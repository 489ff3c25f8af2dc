/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A rule that covers another one matches any packet of it. So one packet that the other
 * rule matches is made up, as bare as can be, and the classifier says which rules match
 * it: a few, which are then compared in full.
 */
#include "loader/policy/cover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/judge.h"
#include "loader/policy/ranges.h"
#include "user/base/cleanup.h"

/* --- comparing two rules ----------------------------------------------------- */

static bool prefix_inside(const struct shunt_prefix *outer,
			  const struct shunt_prefix *inner)
{
	struct shunt_range a, b;

	if (outer->family != inner->family)
		return false;
	a = shunt_prefix_range(outer);
	b = shunt_prefix_range(inner);
	return a.lo <= b.lo && b.hi <= a.hi;
}

static bool list_holds(const struct shunt_addr_list *list,
		       const struct shunt_prefix *prefix)
{
	size_t i;

	for (i = 0; i < list->prefixes; i++)
		if (prefix_inside(&list->prefix[i], prefix))
			return true;
	return false;
}

static bool list_names(const struct shunt_addr_list *list, uint32_t set)
{
	size_t i;

	for (i = 0; i < list->sets; i++)
		if (list->set[i] == set)
			return true;
	return false;
}

/* Is all that b may be in also in a? An empty list stands for everything. */
static bool in_covers(const struct shunt_addr_list *a, const struct shunt_addr_list *b)
{
	size_t i;

	if (!a->prefixes && !a->sets)
		return true;
	if (!b->prefixes && !b->sets)
		return false;
	for (i = 0; i < b->prefixes; i++)
		if (!list_holds(a, &b->prefix[i]))
			return false;
	for (i = 0; i < b->sets; i++)
		if (!list_names(a, b->set[i]))
			return false;
	return true;
}

/* Is all that a must be out of also something that b must be out of? */
static bool out_covers(const struct shunt_addr_list *a, const struct shunt_addr_list *b)
{
	size_t i;

	for (i = 0; i < a->prefixes; i++)
		if (!list_holds(b, &a->prefix[i]))
			return false;
	for (i = 0; i < a->sets; i++)
		if (!list_names(b, a->set[i]))
			return false;
	return true;
}

static bool spans_cover(const struct shunt_spans *a, const struct shunt_spans *b)
{
	size_t i, j;

	if (!a->n)
		return true;
	for (j = 0; j < b->n; j++) {
		for (i = 0; i < a->n; i++)
			if (a->at[i].lo <= b->at[j].lo && b->at[j].hi <= a->at[i].hi)
				break;
		if (i == a->n)
			return false;
	}
	return b->n;
}

static bool layer_covers(const struct shunt_policy_layer *a,
			 const struct shunt_policy_layer *b)
{
	int side, field;

	for (side = 0; side < SHUNT_SIDES; side++)
		if (!in_covers(&a->side[side].in, &b->side[side].in) ||
		    !out_covers(&a->side[side].out, &b->side[side].out))
			return false;
	for (field = 0; field < SHUNT_FIELD_COUNT; field++)
		if (!spans_cover(&a->field[field], &b->field[field]))
			return false;
	return true;
}

/* Patterns are compared as they are written. */
static bool iface_covers(const struct shunt_policy_rule *a,
			 const struct shunt_policy_rule *b)
{
	size_t i;

	if (!a->ifaces)
		return true;
	if (a->ifaces != b->ifaces || a->iface_not != b->iface_not)
		return false;
	for (i = 0; i < a->ifaces; i++)
		if (strcmp(a->iface[i], b->iface[i]))
			return false;
	return true;
}

bool shunt_rule_covers(const struct shunt_policy_rule *a,
		       const struct shunt_policy_rule *b)
{
	return layer_covers(&a->layer[SHUNT_OUTER], &b->layer[SHUNT_OUTER]) &&
	       layer_covers(&a->layer[SHUNT_INNER], &b->layer[SHUNT_INNER]) &&
	       iface_covers(a, b);
}

/* --- all rules of a policy --------------------------------------------------- */

struct search {
	const struct shunt_policy *policy;
	uint32_t rule; /* that is to be covered */
	uint32_t by;
};

/* As if the packet were in every set: rules that name any are found, too. */
static bool any_set(void *self, uint32_t id, uint32_t type, uint32_t l3,
		    const uint32_t addr[4], uint32_t service)
{
	(void)self, (void)id, (void)type, (void)l3, (void)addr, (void)service;
	return true;
}

/* Some address that the rule allows; it is in all sets, and may be in what is excluded. */
static void make_addr(const struct shunt_addrs *addrs, uint8_t l3, uint32_t addr[4])
{
	size_t i;

	for (i = 0; i < addrs->in.prefixes; i++)
		if (addrs->in.prefix[i].family == l3) {
			memcpy(addr, addrs->in.prefix[i].addr, 16);
			return;
		}
}

static uint8_t family_of(const struct shunt_policy_layer *layer)
{
	int side;

	for (side = 0; side < SHUNT_SIDES; side++)
		if (layer->side[side].in.prefixes)
			return layer->side[side].in.prefix[0].family;
	for (side = 0; side < SHUNT_SIDES; side++)
		if (layer->side[side].in.sets)
			return SHUNT_L3_IP4;
	return SHUNT_L3_NONE;
}

static void make_layer(const struct shunt_policy_layer *rule, struct shunt_layer *layer)
{
	int f;

	layer->l3 = family_of(rule);
	for (f = 0; f < SHUNT_SIDES; f++)
		make_addr(&rule->side[f], layer->l3, layer->addr[f]);
	for (f = 0; f < (int)SHUNT_FIELD_COUNT; f++) {
		uint64_t index = rule->field[f].n ? rule->field[f].at[0].lo : 0;

		if (f < (int)SHUNT_FIELD_NARROW)
			layer->field[f] = index;
		else
			layer->wide[f - SHUNT_FIELD_NARROW] = index;
	}
}

static void compare(void *self, uint32_t place)
{
	struct search *s = self;
	const struct shunt_policy_rule *rule = &s->policy->rule[place];

	if (place < s->rule && place < s->by && rule->action != SHUNT_ACTION_COUNT &&
	    shunt_rule_covers(rule, &s->policy->rule[s->rule]))
		s->by = place;
}

int shunt_policy_covers(const struct shunt_policy *policy,
			const struct shunt_image *image, uint32_t *by)
{
	struct shunt_judge judge = { .image = image, .set_has = any_set };
	size_t r;

	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_layer *layer = policy->rule[r].layer;
		struct search s = { policy, r, SHUNT_COVER_NONE };
		struct shunt_pkt pkt = { .len = 0 };

		make_layer(&layer[SHUNT_OUTER], &pkt.layer[SHUNT_OUTER]);
		make_layer(&layer[SHUNT_INNER], &pkt.layer[SHUNT_INNER]);
		if (shunt_judge_each(&judge, &pkt, compare, &s))
			return -ENOMEM;
		by[r] = s.by;
	}
	return 0;
}

/* --- equal rules ------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	while (n--)
		h = (h ^ *at++) * 0x100000001b3ull; /* FNV-1a */
	return h;
}

static uint64_t hash_of(const struct shunt_policy_rule *rule)
{
	uint64_t h = 0xcbf29ce484222325ull;
	int layer, i;

	for (layer = 0; layer < SHUNT_LAYERS; layer++) {
		const struct shunt_policy_layer *l = &rule->layer[layer];

		for (i = 0; i < SHUNT_SIDES; i++)
			h = mix(h, l->side[i].in.prefix,
				l->side[i].in.prefixes * sizeof(struct shunt_prefix));
		for (i = 0; i < (int)SHUNT_FIELD_COUNT; i++)
			h = mix(mix(h, &l->field[i].n, sizeof(size_t)), l->field[i].at,
				l->field[i].n * sizeof(struct shunt_span));
	}
	return h;
}

static bool same(const struct shunt_policy_rule *a, const struct shunt_policy_rule *b)
{
	return shunt_rule_covers(a, b) && shunt_rule_covers(b, a);
}

int shunt_policy_equals(const struct shunt_policy *policy, bool *equal)
{
	size_t room = 2, r;
	_free_ uint32_t *seat = NULL; /* open addressing: place + 1, 0 free */

	while (room < 2 * policy->rules)
		room *= 2;
	seat = calloc(room, sizeof(*seat));
	if (!seat)
		return -ENOMEM;
	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_rule *rule = &policy->rule[r];
		size_t at = hash_of(rule) & (room - 1);

		equal[r] = false;
		while (seat[at] && !same(&policy->rule[seat[at] - 1], rule))
			at = (at + 1) & (room - 1);
		if (seat[at])
			equal[r] = true;
		else if (rule->action != SHUNT_ACTION_COUNT)
			seat[at] = r + 1;
	}
	return 0;
}
