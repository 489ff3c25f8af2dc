/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/members.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "loader/sets.h"
#include "tests/model/model.h"

/* One set: where it stands, and what the model thinks is in it. */
struct edited {
	const struct shunt_maps *maps;
	struct shunt_set_ref ref;
	struct shunt_prefix *at;
	size_t *n;
};

static bool has(const struct edited *s, const struct shunt_prefix *p)
{
	for (size_t i = 0; i < *s->n; i++)
		if (!memcmp(&s->at[i], p, sizeof(*p)))
			return true;
	return false;
}

/* Something that packets of this policy may come from: a rule's prefix, or part of it. */
static bool draw_member(struct shunt_random *r, const struct shunt_policy *policy,
			const struct shunt_policy_set *set, struct shunt_prefix *p)
{
	static const uint8_t protos[] = { 6, 17, 132 };
	const struct shunt_addrs *addrs;

	if (!policy->rules)
		return false;
	addrs = &policy->rule[shunt_random_below(r, policy->rules)]
			 .layer[SHUNT_OUTER]
			 .side[shunt_random_below(r, 2)];
	if (!addrs->in.prefixes)
		return false;
	*p = addrs->in.prefix[shunt_random_below(r, addrs->in.prefixes)];
	if (set->type != SHUNT_SET_PREFIX)
		p->bits = p->family == 4 ? 32 : 128;
	if (set->type == SHUNT_SET_SERVICE) {
		p->proto = shunt_random_of(r, protos);
		p->port = shunt_random_below(r, 4) * 100;
	}
	return true;
}

static void delete_one(struct edited *s, struct shunt_random *r)
{
	size_t i = shunt_random_below(r, *s->n);
	size_t changed = 0;
	int ret =
		shunt_set_change(s->maps, &s->ref, false, &s->at[i], 1, &changed, NULL);

	assert(!ret && changed == 1);
	s->at[i] = s->at[--*s->n];
}

static void add_one(struct edited *s, const struct shunt_prefix *p)
{
	bool there = has(s, p);
	size_t changed = 2;
	int ret = shunt_set_change(s->maps, &s->ref, true, p, 1, &changed, NULL);

	assert(!ret && changed == !there);
	if (!there)
		s->at[(*s->n)++] = *p;
}

static void edit(struct edited *s, struct shunt_random *r,
		 const struct shunt_policy *policy, const struct shunt_policy_set *set)
{
	struct shunt_prefix p;
	uint32_t n = shunt_random_below(r, 12);

	while (n--) {
		if (*s->n && shunt_random_one_in(r, 3))
			delete_one(s, r);
		else if (*s->n < SHUNT_MEMBERS_MAX && draw_member(r, policy, set, &p))
			add_one(s, &p);
	}
}

static void tell(struct shunt_policy_set *set, const struct edited *s)
{
	free(set->element);
	set->element = malloc((*s->n + 1) * sizeof(*set->element));
	assert(set->element);
	memcpy(set->element, s->at, *s->n * sizeof(*set->element));
	set->elements = *s->n;
}

void shunt_members_edit(struct shunt_members *members, struct shunt_rig *rig,
			struct shunt_random *r, struct shunt_policy *policy)
{
	bool named[SHUNT_MEMBERS_SETS] = { false };
	size_t i;

	for (i = 0; i < policy->sets; i++) {
		struct shunt_policy_set *set = &policy->set[i];
		int which = set->name[1] - '0';
		struct edited s = {
			.maps = &rig->maps,
			.ref = {
				.name = set->name,
				.id = shunt_state_set(rig->state, set->name)->id,
				.type = set->type,
				.size = set->size,
			},
		};

		if (!set->dynamic)
			continue;
		assert(which >= 0 && which < SHUNT_MEMBERS_SETS);
		named[which] = true;
		s.at = members->set[which].at;
		s.n = &members->set[which].n;
		edit(&s, r, policy, set);
		tell(set, &s);
	}
	for (i = 0; i < SHUNT_MEMBERS_SETS; i++)
		if (!named[i]) /* a set that a policy does not name is gone */
			members->set[i].n = 0;
}
