/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/engine.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/cleanup.h"

/* Cuts one domain into intervals. */
static int sweep(struct shunt_engine_build *e, struct shunt_lookup lookup, int family,
		 struct shunt_interval **intervals, size_t *count)
{
	const struct shunt_policy *policy = e->b->policy;
	_free_ struct shunt_allow *allow = NULL;
	_free_ uint64_t *base = calloc(e->pool.words, sizeof(*base));
	size_t n = 0, room = 0, a, i;

	if (!base)
		return -ENOMEM;
	for (a = 0; a < e->alts; a++) {
		if (shunt_alt_is_free(policy, &e->alt[a], lookup)) {
			shunt_bit_set(base, a);
			continue;
		}
		if (shunt_alt_ranges(policy, &e->alt[a], lookup, family, &e->ranges))
			return -ENOMEM;
		if (n + e->ranges.n > room) {
			struct shunt_allow *more;

			room = 2 * (n + e->ranges.n);
			more = realloc(allow, room * sizeof(*allow));
			if (!more)
				return -ENOMEM;
			allow = more;
		}
		for (i = 0; i < e->ranges.n; i++)
			allow[n++] = (struct shunt_allow){ e->ranges.at[i].lo,
							   e->ranges.at[i].hi, a };
	}
	return shunt_sweep(allow, n, base, &e->pool, intervals, count);
}

/* The class of packets that have no such address. */
static int none_class(struct shunt_engine_build *e, struct shunt_lookup lookup)
{
	_free_ uint64_t *none = calloc(e->pool.words, sizeof(*none));
	size_t a;

	if (!none)
		return -ENOMEM;
	for (a = 0; a < e->alts; a++)
		if (shunt_alt_is_free(e->b->policy, &e->alt[a], lookup) ||
		    shunt_alt_takes_none(e->b->policy, &e->alt[a], lookup))
			shunt_bit_set(none, a);
	return shunt_vectors_class(&e->pool, none);
}

static int build_one(struct shunt_engine_build *e, struct shunt_lookup lookup,
		     uint32_t slot)
{
	bool side = lookup.kind == SHUNT_LOOKUP_SIDE;
	struct shunt_classes c = { 0 };
	int ret = sweep(e, lookup, side ? 4 : 0, &c.at[0], &c.n[0]), none = 0;

	if (!ret && side) {
		ret = sweep(e, lookup, 6, &c.at[1], &c.n[1]);
		none = none_class(e, lookup);
		c.none = none;
		c.same6 = c.n[1] == 1;
	}
	if (!ret && none < 0)
		ret = none;
	if (!ret)
		ret = shunt_build_lookup(e->b, e->tables, lookup, slot, &c);
	shunt_classes_free(&c);
	return ret;
}

/* --- sets -------------------------------------------------------------------- */

/* Class of the alternatives that have the set's bit among those wanted, or unwanted. */
static int set_class(struct shunt_engine_build *e, unsigned int where, size_t set,
		     bool wanted)
{
	_free_ uint64_t *v = calloc(e->pool.words, sizeof(*v));
	size_t a;

	if (!v)
		return -ENOMEM;
	for (a = 0; a < e->alts; a++) {
		struct shunt_alt_sets s =
			shunt_alt_sets(e->b->policy, &e->alt[a], where);

		if ((wanted ? s.any : s.none) >> set & 1)
			shunt_bit_set(v, a);
	}
	return shunt_vectors_class(&e->pool, v);
}

static int free_class(struct shunt_engine_build *e, unsigned int where)
{
	_free_ uint64_t *v = calloc(e->pool.words, sizeof(*v));
	size_t a;

	if (!v)
		return -ENOMEM;
	for (a = 0; a < e->alts; a++)
		if (!(e->alt[a].by_set >> where & 1))
			shunt_bit_set(v, a);
	return shunt_vectors_class(&e->pool, v);
}

int shunt_engine_sets(struct shunt_engine_build *e, uint16_t free[SHUNT_SIDE_MAX],
		      uint16_t ask[SHUNT_SIDE_MAX], uint16_t asks[SHUNT_SIDE_MAX])
{
	struct shunt_image *image = shunt_build_head(e->b);
	unsigned int where;
	uint32_t i;

	for (where = 0; where < SHUNT_SIDE_MAX; where++) {
		int class = free_class(e, where);

		if (class < 0)
			return class;
		free[where] = class;
	}
	for (i = 0; i < image->sets; i++) { /* sorted by where */
		struct shunt_image_set *set = &image->set[i];
		int in = set_class(e, set->where, set->bit, true);
		int out = set_class(e, set->where, set->bit, false);

		if (in < 0 || out < 0)
			return in < 0 ? in : out;
		set->in[e->engine] = in;
		set->out[e->engine] = out;
		if (!asks[set->where]++)
			ask[set->where] = i;
	}
	return 0;
}

int shunt_engine_lookups(struct shunt_engine_build *e)
{
	struct shunt_lookup lookup[SHUNT_LOOKUP_MAX];
	size_t n = shunt_lookups_of(e->b->policy, e->alt, e->alts, lookup), i;
	struct shunt_image_tables *tables;
	int ret = 0;

	for (i = 0; !ret && i < n; i++)
		ret = build_one(e, lookup[i], i);
	tables = shunt_build_at(e->b, e->tables);
	tables->slots = n;
	return ret;
}

void shunt_engine_free(struct shunt_engine_build *e)
{
	shunt_vectors_free(&e->pool);
	shunt_ranges_free(&e->ranges);
}
