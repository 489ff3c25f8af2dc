/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/aim.h"

#include <string.h>

static const uint64_t field_values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

const struct shunt_policy_rule *shunt_aim_rule(struct shunt_random *r,
					       const struct shunt_policy *policy)
{
	if (!policy->rules || shunt_random_one_in(r, 16))
		return NULL;
	return &policy->rule[shunt_random_below(r, policy->rules)];
}

/* --- fields ---------------------------------------------------------------- */

int64_t shunt_aim_field(struct shunt_random *r, const struct shunt_policy_layer *layer,
			enum shunt_field field)
{
	const struct shunt_spans *spans = &layer->field[field];
	uint64_t values = field_values[field];
	const struct shunt_span *span;

	if (!spans->n)
		return -1;
	span = &spans->at[shunt_random_below(r, spans->n)];
	switch (shunt_random_below(r, 24)) {
	case 0:
		return span->lo ? span->lo - 1 : 0;
	case 1:
		return span->hi < values ? span->hi + 1 : values;
	case 2:
		return 0;
	case 3 ... 9:
		return span->lo;
	case 10 ... 16:
		return span->hi < values ? span->hi : values;
	default:
		return shunt_random_in64(r, span->lo,
					 span->hi < values ? span->hi : values);
	}
}

uint64_t shunt_aim_any(struct shunt_random *r, enum shunt_field field)
{
	if (shunt_random_one_in(r, 3))
		return 0;
	return shunt_random_in64(r, 0, field_values[field]);
}

/* --- addresses ------------------------------------------------------------- */

static void draw_bytes(struct shunt_random *r, uint8_t addr[16])
{
	for (int i = 0; i < 16; i++)
		addr[i] = shunt_random_next(r);
}

/* The address one above or below, of n bytes; it wraps. */
static void step(uint8_t *addr, int n, bool up)
{
	while (n--) {
		addr[n] += up ? 1 : -1;
		if (addr[n] != (up ? 0 : 255))
			return;
	}
}

/* First, last or any address of a prefix, or the ones just outside. */
static void draw_in(struct shunt_random *r, const struct shunt_prefix *prefix,
		    uint8_t addr[16])
{
	int max = prefix->family == 4 ? 32 : 128, b;
	uint32_t how = shunt_random_below(r, 12);
	uint8_t rest[16];

	memcpy(addr, prefix->addr, 16);
	draw_bytes(r, rest);
	for (b = prefix->bits; b < max; b++) {
		uint8_t bit = 0x80 >> b % 8;

		if (how < 2   ? how == 0
		    : how < 6 ? true
		    : how < 9 ? false
			      : rest[b / 8] & bit)
			addr[b / 8] |= bit;
	}
	if (how == 0) /* filled with ones: the next one is outside */
		step(addr, max / 8, true);
	if (how == 1)
		step(addr, max / 8, false);
}

static const struct shunt_prefix *pick(struct shunt_random *r,
				       const struct shunt_prefix *prefix, size_t n,
				       int family)
{
	size_t start = n ? shunt_random_below(r, n) : 0;

	for (size_t i = 0; i < n; i++)
		if (prefix[(start + i) % n].family == family)
			return &prefix[(start + i) % n];
	return NULL;
}

/* What an address is taken from, and the set that this stands in. */
struct source {
	const struct shunt_prefix *prefix;
	const struct shunt_policy_set *set; /* NULL: none */
};

static struct source of_list(struct shunt_random *r, const struct shunt_policy *policy,
			     const struct shunt_addr_list *list, int family)
{
	struct source s = { pick(r, list->prefix, list->prefixes, family), NULL };

	if (!list->sets || (s.prefix && shunt_random_one_in(r, 2)))
		return s;
	s.set = &policy->set[list->set[shunt_random_below(r, list->sets)]];
	s.prefix = pick(r, s.set->element, s.set->elements, family);
	return s;
}

/* Of what the side wants, seldom of what it excludes; it may want nothing. */
static struct source of_side(struct shunt_random *r, const struct shunt_policy *policy,
			     const struct shunt_addrs *addrs, int family)
{
	bool in = addrs->in.prefixes || addrs->in.sets;

	if ((addrs->out.prefixes || addrs->out.sets) &&
	    shunt_random_one_in(r, in ? 8 : 3))
		return of_list(r, policy, &addrs->out, family);
	return of_list(r, policy, &addrs->in, family);
}

/* Of any rule: packets of other rules' addresses are nearer than packets from
 * nowhere. */
static struct source of_others(struct shunt_random *r,
			       const struct shunt_policy *policy, int family)
{
	struct source s = { NULL, NULL };

	for (int tries = 0; !s.prefix && policy->rules && tries < 4; tries++) {
		const struct shunt_policy_rule *rule =
			&policy->rule[shunt_random_below(r, policy->rules)];
		const struct shunt_policy_layer *layer =
			&rule->layer[shunt_random_one_in(r, 4)];

		s = of_side(r, policy, &layer->side[shunt_random_below(r, 2)], family);
	}
	return s;
}

const struct shunt_prefix *shunt_aim_address(struct shunt_random *r,
					     const struct shunt_policy *policy,
					     const struct shunt_policy_layer *layer,
					     enum shunt_side side, int family,
					     uint8_t addr[16])
{
	struct source s = { NULL, NULL };

	memset(addr, 0, 16);
	if (layer)
		s = of_side(r, policy, &layer->side[side], family);
	if (!s.prefix)
		s = of_others(r, policy, family);
	if (s.prefix)
		draw_in(r, s.prefix, addr);
	else
		draw_bytes(r, addr);
	if (family == 4)
		memset(addr + 4, 0, 12);
	return s.prefix && s.set && s.set->type == SHUNT_SET_SERVICE ? s.prefix : NULL;
}

/* A side that is nothing but a set says what the set's members are. */
static int side_family(struct shunt_random *r, const struct shunt_policy *policy,
		       const struct shunt_addrs *addrs)
{
	const struct shunt_policy_set *set;

	if (addrs->in.prefixes)
		return addrs->in.prefix[shunt_random_below(r, addrs->in.prefixes)]
			.family;
	if (!addrs->in.sets)
		return 0;
	set = &policy->set[addrs->in.set[shunt_random_below(r, addrs->in.sets)]];
	if (!set->elements)
		return 0;
	return set->element[shunt_random_below(r, set->elements)].family;
}

int shunt_aim_family(struct shunt_random *r, const struct shunt_policy *policy,
		     const struct shunt_policy_layer *layer)
{
	uint32_t first = shunt_random_below(r, SHUNT_SIDES);
	int family = side_family(r, policy, &layer->side[first]);

	return family ? family : side_family(r, policy, &layer->side[!first]);
}
