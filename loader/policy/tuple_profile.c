/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/tuples.h"
#include "user/base/cleanup.h"

#define PROFILE_MAX 65536 /* they are numbered by a u16 */

/* --- which profile ----------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static uint64_t hash_of(const struct shunt_build *b, const struct shunt_alt *alt,
			const struct shunt_cuts *cuts, uint32_t which, uint64_t lookups)
{
	uint64_t h = mix(1, lookups);
	unsigned int w, i;
	uint32_t r;

	for (i = 0; lookups >> i; i++) {
		if (!(lookups >> i & 1))
			continue;
		for (r = cuts[i].first[which]; r < cuts[i].first[which + 1]; r++)
			h = mix(h,
				(uint64_t)cuts[i].run[r].lo << 16 | cuts[i].run[r].hi);
	}
	for (w = 0; w < SHUNT_SIDE_MAX; w++) {
		struct shunt_alt_sets s = shunt_alt_sets(b->policy, &alt[which], w);

		h = mix(mix(h, s.any), s.none);
	}
	return h;
}

static bool same(const struct shunt_build *b, const struct shunt_alt *alt,
		 const struct shunt_cuts *cuts, const struct shunt_profile *p,
		 uint32_t which, uint64_t lookups)
{
	unsigned int w, i;

	if (p->lookups != lookups)
		return false;
	for (i = 0; lookups >> i; i++) {
		const struct shunt_cuts *c = &cuts[i];
		uint32_t n = shunt_cuts_runs(c, which);

		if (!(lookups >> i & 1))
			continue;
		if (shunt_cuts_runs(c, p->alt) != n ||
		    memcmp(&c->run[c->first[which]], &c->run[c->first[p->alt]],
			   n * sizeof(*c->run)))
			return false;
	}
	for (w = 0; w < SHUNT_SIDE_MAX; w++) {
		struct shunt_alt_sets s = shunt_alt_sets(b->policy, &alt[which], w);
		struct shunt_alt_sets t = shunt_alt_sets(b->policy, &alt[p->alt], w);

		if (s.any != t.any || s.none != t.none)
			return false;
	}
	return true;
}

static int grow(struct shunt_profiles *p, const struct shunt_build *b,
		const struct shunt_alt *alt, const struct shunt_cuts *cuts)
{
	size_t room = p->room ? 2 * p->room : 64, i;
	struct shunt_profile *at = realloc(p->at, room * sizeof(*at));
	uint32_t *bucket;

	if (!at)
		return -ENOMEM;
	p->at = at;
	bucket = calloc(2 * room, sizeof(*bucket));
	if (!bucket)
		return -ENOMEM;
	free(p->bucket);
	p->bucket = bucket;
	p->buckets = 2 * room;
	p->room = room;
	if (!p->n)
		p->at[p->n++] = (struct shunt_profile){ 0, 0 };
	for (i = 1; i < p->n; i++) {
		size_t slot = hash_of(b, alt, cuts, p->at[i].alt, p->at[i].lookups) &
			      (p->buckets - 1);

		while (p->bucket[slot])
			slot = (slot + 1) & (p->buckets - 1);
		p->bucket[slot] = i + 1;
	}
	return 0;
}

int shunt_profile_of(struct shunt_profiles *p, const struct shunt_build *b,
		     const struct shunt_alt *alt, const struct shunt_cuts *cuts,
		     uint32_t which, uint64_t lookups)
{
	bool sets = false;
	unsigned int w;
	size_t slot;

	for (w = 0; w < SHUNT_SIDE_MAX; w++) {
		struct shunt_alt_sets s = shunt_alt_sets(b->policy, &alt[which], w);

		sets |= s.any || s.none;
	}
	if (!lookups && !sets)
		return 0;
	if (p->n == p->room && grow(p, b, alt, cuts))
		return -ENOMEM;
	slot = hash_of(b, alt, cuts, which, lookups) & (p->buckets - 1);
	while (p->bucket[slot]) {
		if (same(b, alt, cuts, &p->at[p->bucket[slot] - 1], which, lookups))
			return p->bucket[slot] - 1;
		slot = (slot + 1) & (p->buckets - 1);
	}
	if (p->n == PROFILE_MAX)
		return -E2BIG;
	p->at[p->n++] = (struct shunt_profile){ which, lookups };
	p->bucket[slot] = p->n;
	return p->n - 1;
}

void shunt_profiles_free(struct shunt_profiles *p)
{
	free(p->at);
	free(p->bucket);
	memset(p, 0, sizeof(*p));
}

/* --- into the image ---------------------------------------------------------- */

/* The profiles that a class may have, for every class of one lookup. */
static int sweep(const struct shunt_profiles *p, const struct shunt_cuts *cuts,
		 unsigned int lookup, struct shunt_vectors *pool,
		 struct shunt_interval **interval, size_t *n)
{
	_free_ uint64_t *base = calloc(pool->words, sizeof(*base));
	_free_ struct shunt_allow *allow = NULL;
	size_t count = 0, i;
	uint32_t r;

	for (i = 0; i < p->n; i++)
		if (p->at[i].lookups >> lookup & 1)
			count += shunt_cuts_runs(cuts, p->at[i].alt);
	allow = malloc((count + 1) * sizeof(*allow));
	if (!base || !allow)
		return -ENOMEM;
	for (i = count = 0; i < p->n; i++) {
		uint32_t alt = p->at[i].alt;

		if (!(p->at[i].lookups >> lookup & 1)) {
			shunt_bit_set(base, i);
			continue;
		}
		for (r = cuts->first[alt]; r < cuts->first[alt + 1]; r++)
			allow[count++] = (struct shunt_allow){ cuts->run[r].lo,
							       cuts->run[r].hi, i };
	}
	return shunt_sweep(allow, count, base, pool, interval, n);
}

static int build_aux(const struct shunt_profiles *p, struct shunt_build *b,
		     const struct shunt_cuts *cuts, unsigned int lookup, uint32_t slot)
{
	struct shunt_vectors pool = { .words = (p->n + 63) / 64 };
	_free_ struct shunt_interval *interval = NULL;
	struct shunt_image_tuples *t;
	uint32_t table = 0, vector = 0;
	size_t n;
	int ret = sweep(p, cuts, lookup, &pool, &interval, &n);

	if (!ret) {
		table = shunt_build_table(b, cuts->classes - 1, interval, n);
		vector = shunt_build_piece(b, pool.n * pool.words * sizeof(uint64_t));
		ret = table && vector ? 0 : -ENOMEM;
	}
	if (!ret) {
		memcpy(shunt_build_at(b, vector), pool.at,
		       pool.n * pool.words * sizeof(uint64_t));
		t = &shunt_build_head(b)->tuples;
		t->aux[t->auxes++] = (struct shunt_image_aux){
			.slot = slot,
			.table = table,
			.vector = vector,
		};
		b->stats->classes += pool.n;
	}
	shunt_vectors_free(&pool);
	return ret;
}

static int build_needs(const struct shunt_profiles *p, struct shunt_build *b,
		       const struct shunt_alt *alt)
{
	struct shunt_image_need *need;
	uint32_t at;
	unsigned int w;
	size_t i;

	if (!shunt_build_head(b)->sets)
		return 0;
	at = shunt_build_piece(b, p->n * sizeof(*need));
	if (!at)
		return -ENOMEM;
	need = shunt_build_at(b, at);
	for (i = 1; i < p->n; i++) {
		for (w = 0; w < SHUNT_SIDE_MAX; w++) {
			struct shunt_alt_sets s =
				shunt_alt_sets(b->policy, &alt[p->at[i].alt], w);

			need[i].any[w] = s.any;
			need[i].none[w] = s.none;
		}
	}
	shunt_build_head(b)->tuples.need = at;
	return 0;
}

int shunt_profiles_build(const struct shunt_profiles *p, struct shunt_build *b,
			 const struct shunt_alt *alt, const struct shunt_cuts *cuts,
			 size_t lookups, const uint32_t *slot)
{
	uint64_t used = 0;
	size_t i;
	int ret;

	if (!p->n)
		return 0;
	for (i = 0; i < p->n; i++)
		used |= p->at[i].lookups;
	shunt_build_head(b)->tuples.profile_words = (p->n + 63) / 64;
	ret = build_needs(p, b, alt);
	for (i = 0; !ret && i < lookups; i++)
		if (used >> i & 1)
			ret = build_aux(p, b, &cuts[i], i, slot[i]);
	return ret;
}
