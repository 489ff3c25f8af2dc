/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine for few rules: each alternative is a bit of every vector. */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/build.h"
#include "user/base/cleanup.h"

struct engine {
	struct shunt_build *b;
	const struct shunt_alt *alt;
	size_t alts;
	struct shunt_vectors pool;
	struct shunt_ranges ranges;
};

typedef uint64_t bits[SHUNT_IMAGE_WORDS];

static struct shunt_image_vectors *engine_head(const struct engine *e)
{
	return &shunt_build_head(e->b)->vectors;
}

/* Cuts one domain into intervals. */
static int sweep(struct engine *e, struct shunt_lookup lookup, int family,
		 struct shunt_interval **intervals, size_t *count)
{
	const struct shunt_policy *policy = e->b->policy;
	_free_ struct shunt_allow *allow = NULL;
	size_t n = 0, room = 0, a, i;
	bits base = { 0 };

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
static int none_class(struct engine *e, struct shunt_lookup lookup)
{
	bits none = { 0 };
	size_t a;

	for (a = 0; a < e->alts; a++)
		if (shunt_alt_is_free(e->b->policy, &e->alt[a], lookup) ||
		    shunt_alt_takes_none(e->b->policy, &e->alt[a], lookup))
			shunt_bit_set(none, a);
	return shunt_vectors_class(&e->pool, none);
}

static int build_one(struct engine *e, uint32_t tables, struct shunt_lookup lookup,
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
		ret = shunt_build_lookup(e->b, tables, lookup, slot, &c);
	shunt_classes_free(&c);
	return ret;
}

/* --- sets -------------------------------------------------------------------- */

/* Class of the alternatives that have the set's bit among those wanted, or unwanted. */
static int set_class(struct engine *e, unsigned int where, size_t set, bool wanted)
{
	bits v = { 0 };
	size_t a;

	for (a = 0; a < e->alts; a++) {
		struct shunt_alt_sets s =
			shunt_alt_sets(e->b->policy, &e->alt[a], where);

		if ((wanted ? s.any : s.none) >> set & 1)
			shunt_bit_set(v, a);
	}
	return shunt_vectors_class(&e->pool, v);
}

static int free_class(struct engine *e, unsigned int where)
{
	bits v = { 0 };
	size_t a;

	for (a = 0; a < e->alts; a++)
		if (!(e->alt[a].by_set >> where & 1))
			shunt_bit_set(v, a);
	return shunt_vectors_class(&e->pool, v);
}

/* The image's list of sets has been made, sorted by where. */
static int build_sets(struct engine *e)
{
	struct shunt_image *image = shunt_build_head(e->b);
	struct shunt_image_vectors *head = engine_head(e);
	unsigned int where;
	uint32_t i;

	for (where = 0; where < SHUNT_SIDE_MAX; where++) {
		int class = free_class(e, where);

		if (class < 0)
			return class;
		head->free[where] = class;
	}
	for (i = 0; i < image->sets; i++) {
		struct shunt_image_set *set = &image->set[i];
		int in = set_class(e, set->where, set->bit, true);
		int out = set_class(e, set->where, set->bit, false);

		if (in < 0 || out < 0)
			return in < 0 ? in : out;
		set->in = in;
		set->out = out;
		if (!head->asks[set->where]++)
			head->ask[set->where] = i;
	}
	return 0;
}

/* --- the whole --------------------------------------------------------------- */

static int build_places(struct engine *e)
{
	uint32_t at = shunt_build_piece(e->b, e->alts * sizeof(uint16_t));
	size_t a;

	if (!at)
		return -ENOMEM;
	for (a = 0; a < e->alts; a++)
		((uint16_t *)shunt_build_at(e->b, at))[a] = e->alt[a].rule;
	engine_head(e)->place = at;
	engine_head(e)->rules = e->alts;
	return 0;
}

static int build_pool(struct engine *e)
{
	size_t bytes = e->pool.n * sizeof(bits);
	uint32_t at = shunt_build_piece(e->b, bytes);

	if (!at)
		return -ENOMEM;
	if (bytes)
		memcpy(shunt_build_at(e->b, at), e->pool.at, bytes);
	engine_head(e)->vector = at;
	engine_head(e)->vectors = e->pool.n;
	e->b->stats->classes += e->pool.n;
	return 0;
}

int shunt_build_vectors(struct shunt_build *b, const struct shunt_alt *alt, size_t alts)
{
	struct engine e = {
		.b = b, .alt = alt, .alts = alts, .pool.words = SHUNT_IMAGE_WORDS
	};
	uint32_t tables = offsetof(struct shunt_image, vectors.tables);
	struct shunt_lookup lookup[SHUNT_LOOKUP_MAX];
	size_t n = shunt_lookups_of(b->policy, alt, alts, lookup), i;
	int ret = build_places(&e);

	for (i = 0; !ret && i < n; i++)
		ret = build_one(&e, tables, lookup[i], i);
	engine_head(&e)->tables.slots = n;
	if (!ret)
		ret = build_sets(&e);
	if (!ret)
		ret = build_pool(&e);
	if (ret == -E2BIG)
		b->full = "classes";
	shunt_vectors_free(&e.pool);
	shunt_ranges_free(&e.ranges);
	return ret;
}
