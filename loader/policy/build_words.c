/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine for many rules. What makes it fast is the order of the bits: alternatives
 * that ask for nearby ranges stand in the same word, or in one nearby, so that the
 * summaries of a packet's classes agree on few words, and these lie in few cache lines.
 * They are sorted by the lookup that most of them constrain, then by the next one, and cut
 * into words.
 */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/engine.h"
#include "user/base/cleanup.h"

/* --- the order of the bits --------------------------------------------------- */

/* An alternative, and the range around what it asks of each lookup. */
struct spread {
	struct shunt_alt alt;
	struct shunt_range *hull; /* by rank of the lookup */
};

struct ranked {
	struct shunt_lookup lookup;
	size_t bound; /* alternatives that look at it */
};

static int by_bound(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return (x->bound < y->bound) - (x->bound > y->bound);
}

/* The lookups, those first that most alternatives look at; addresses before fields. */
static size_t rank(const struct shunt_policy *policy, const struct shunt_alt *alt,
		   size_t alts, struct ranked ranked[SHUNT_LOOKUP_MAX])
{
	struct shunt_lookup lookup[SHUNT_LOOKUP_MAX];
	size_t n = shunt_lookups_of(policy, alt, alts, lookup), i, a;

	for (i = 0; i < n; i++) {
		bool few = lookup[i].kind == SHUNT_LOOKUP_NARROW &&
			   shunt_field_values(lookup[i].id) < 1024;

		ranked[i] = (struct ranked){ lookup[i], 0 };
		for (a = 0; a < alts; a++)
			ranked[i].bound +=
				!shunt_alt_is_free(policy, &alt[a], lookup[i]);
		if (lookup[i].kind == SHUNT_LOOKUP_SIDE)
			ranked[i].bound += alts;
		if (few) /* such a field tells too few rules apart */
			ranked[i].bound = 0;
	}
	qsort(ranked, n, sizeof(*ranked), by_bound);
	return n;
}

/* From the first to the last value that it allows; all of them, where it is free. */
static int find_hull(const struct shunt_policy *policy, const struct shunt_alt *alt,
		     struct shunt_lookup lookup, struct shunt_ranges *ranges,
		     struct shunt_range *hull)
{
	int family = lookup.kind == SHUNT_LOOKUP_SIDE ? 4 : 0;

	*hull = (struct shunt_range){ 0, (shunt_u128)-1 };
	if (shunt_alt_is_free(policy, alt, lookup))
		return 0;
	if (shunt_alt_ranges(policy, alt, lookup, family, ranges))
		return -ENOMEM;
	if (!ranges->n && family && shunt_alt_ranges(policy, alt, lookup, 6, ranges))
		return -ENOMEM;
	if (ranges->n)
		*hull = (struct shunt_range){ ranges->at[0].lo,
					      ranges->at[ranges->n - 1].hi };
	return 0;
}

/* qsort has no argument of its own. */
static __thread size_t hulls;

static int by_hulls(const void *a, const void *b)
{
	const struct spread *x = a, *y = b;
	size_t i;

	for (i = 0; i < hulls; i++) {
		const struct shunt_range *p = &x->hull[i], *q = &y->hull[i];

		if (p->lo != q->lo)
			return p->lo < q->lo ? -1 : 1;
		if (p->hi != q->hi)
			return p->hi > q->hi ? -1 : 1;
	}
	return (x->alt.rule > y->alt.rule) - (x->alt.rule < y->alt.rule);
}

static int by_rule(const void *a, const void *b)
{
	const struct shunt_alt *x = a, *y = b;

	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	return (x->by_set > y->by_set) - (x->by_set < y->by_set);
}

/*
 * In a word, the first bit is the first rule. The words stay as they are: those of a
 * neighbourhood share cache lines.
 */
static void sort_words(struct shunt_alt *alt, size_t alts)
{
	size_t i;

	for (i = 0; i < alts; i += 64)
		qsort(alt + i, alts - i < 64 ? alts - i : 64, sizeof(*alt), by_rule);
}

/* The alternatives in the order of their bits; malloced. */
static int arrange(const struct shunt_policy *policy, const struct shunt_alt *alt,
		   size_t alts, struct shunt_alt **out)
{
	struct ranked ranked[SHUNT_LOOKUP_MAX];
	size_t n = rank(policy, alt, alts, ranked), a, i;
	_free_ struct spread *spread = calloc(alts + 1, sizeof(*spread));
	_free_ struct shunt_range *hull = calloc(alts * n + 1, sizeof(*hull));
	_free_ struct shunt_alt *order = malloc((alts + 1) * sizeof(*order));
	struct shunt_ranges ranges = { 0 };
	int ret = spread && hull && order ? 0 : -ENOMEM;

	for (a = 0; !ret && a < alts; a++) {
		spread[a] = (struct spread){ alt[a], hull + a * n };
		for (i = 0; !ret && i < n; i++)
			ret = find_hull(policy, &alt[a], ranked[i].lookup, &ranges,
					&spread[a].hull[i]);
	}
	shunt_ranges_free(&ranges);
	if (ret)
		return ret;
	hulls = n;
	qsort(spread, alts, sizeof(*spread), by_hulls);
	for (a = 0; a < alts; a++)
		order[a] = spread[a].alt;
	sort_words(order, alts);
	*out = shunt_steal(&order);
	return 0;
}

/* --- into the image ---------------------------------------------------------- */

static struct shunt_image_words *engine_head(const struct shunt_engine_build *e)
{
	return &shunt_build_head(e->b)->words;
}

static int build_places(struct shunt_engine_build *e)
{
	size_t words = e->pool.words, a, w;
	uint32_t place = shunt_build_piece(e->b, words * 64 * sizeof(uint16_t));
	uint32_t first = shunt_build_piece(e->b, words * sizeof(uint32_t));
	uint16_t *places;
	uint32_t *firsts;

	if (!place || !first)
		return -ENOMEM;
	places = shunt_build_at(e->b, place);
	firsts = shunt_build_at(e->b, first);
	for (a = 0; a < words * 64; a++)
		places[a] = a < e->alts ? e->alt[a].rule : UINT16_MAX;
	for (w = 0; w < words; w++)
		firsts[w] = places[w * 64];
	engine_head(e)->place = place;
	engine_head(e)->first = first;
	return 0;
}

/* The pages of all vectors, each kept once, and the class of a page by its place. */
struct pages {
	struct shunt_vectors pool;
	uint32_t *page; /* of vector v: page[v * each] .. */
	size_t each;
};

static int find_pages(struct shunt_engine_build *e, struct pages *p)
{
	size_t words = e->pool.words, v, w;
	uint64_t page[SHUNT_PAGE_WORDS];

	p->pool.words = SHUNT_PAGE_WORDS;
	p->each = (words + SHUNT_PAGE_WORDS - 1) / SHUNT_PAGE_WORDS;
	p->page = malloc((e->pool.n * p->each + 1) * sizeof(*p->page));
	if (!p->page)
		return -ENOMEM;
	memset(page, 0xff, sizeof(page)); /* the first page: all bits set */
	if (shunt_vectors_class(&p->pool, page) < 0)
		return -ENOMEM;
	for (v = 0; v < e->pool.n; v++) {
		const uint64_t *vector = e->pool.at + v * words;

		for (w = 0; w < p->each; w++) {
			size_t left = words - w * SHUNT_PAGE_WORDS;
			int class;

			memset(page, 0, sizeof(page));
			memcpy(page, vector + w * SHUNT_PAGE_WORDS,
			       (left < SHUNT_PAGE_WORDS ? left : SHUNT_PAGE_WORDS) *
				       sizeof(*page));
			class = shunt_vectors_class(&p->pool, page);
			if (class < 0)
				return class;
			p->page[v * p->each + w] = class;
		}
	}
	return 0;
}

/* Summaries and lists of pages; the pages stand at offset `at`. */
static int put_vectors(struct shunt_engine_build *e, const struct pages *p, uint32_t at)
{
	size_t words = e->pool.words, summaries = (words + 63) / 64, v, w;
	size_t stride = summaries * sizeof(uint64_t) + ((p->each + 1) & ~1ull) * 4;
	uint32_t vectors = shunt_build_piece(e->b, e->pool.n * stride);
	uint32_t ones = shunt_build_piece(e->b, p->each * sizeof(uint32_t));

	if (!vectors || !ones)
		return -ENOMEM;
	for (v = 0; v < e->pool.n; v++) {
		uint64_t *summary = shunt_build_at(e->b, vectors + v * stride);
		uint32_t *list = (uint32_t *)(summary + summaries);

		for (w = 0; w < words; w++)
			if (e->pool.at[v * words + w])
				shunt_bit_set(summary, w);
		for (w = 0; w < p->each; w++)
			list[w] = at + p->page[v * p->each + w] * SHUNT_PAGE_WORDS *
					       sizeof(uint64_t);
	}
	for (w = 0; w < p->each; w++)
		((uint32_t *)shunt_build_at(e->b, ones))[w] = at;
	engine_head(e)->vector = vectors;
	engine_head(e)->stride = stride;
	engine_head(e)->ones = ones;
	engine_head(e)->summaries = summaries;
	engine_head(e)->words = words;
	return 0;
}

static int build_pool(struct shunt_engine_build *e)
{
	struct pages p = { .page = NULL };
	int ret = find_pages(e, &p);
	size_t bytes = p.pool.n * SHUNT_PAGE_WORDS * sizeof(uint64_t);
	/* pages are cache lines: to begin with one, some bytes may be left out */
	uint32_t at = ret ? 0 : shunt_build_piece(e->b, bytes + 56);

	if (!ret && !at)
		ret = -ENOMEM;
	if (!ret) {
		at = (at + 63) & ~63u;
		memcpy(shunt_build_at(e->b, at), p.pool.at, bytes);
		ret = put_vectors(e, &p, at);
	}
	e->b->stats->classes += e->pool.n;
	e->b->stats->words = e->pool.words;
	shunt_vectors_free(&p.pool);
	free(p.page);
	return ret;
}

int shunt_build_words(struct shunt_build *b, const struct shunt_alt *alt, size_t alts)
{
	_free_ struct shunt_alt *order = NULL;
	struct shunt_engine_build e = {
		.b = b,
		.alts = alts,
		.engine = SHUNT_ENGINE_WORDS,
		.tables = offsetof(struct shunt_image, words.tables),
		.pool.words = (alts + 63) / 64,
	};
	uint16_t free[SHUNT_SIDE_MAX], ask[SHUNT_SIDE_MAX] = { 0 };
	uint16_t asks[SHUNT_SIDE_MAX] = { 0 };
	int ret;

	b->full = "alternatives of rules";
	if (e.pool.words > SHUNT_WORD_MAX)
		return -E2BIG;
	b->full = "classes";
	ret = arrange(b->policy, alt, alts, &order);
	e.alt = order;
	if (!ret)
		ret = build_places(&e);
	if (!ret)
		ret = shunt_engine_lookups(&e);
	if (!ret)
		ret = shunt_engine_sets(&e, free, ask, asks);
	if (!ret)
		ret = build_pool(&e);
	if (!ret) {
		memcpy(engine_head(&e)->free, free, sizeof(free));
		memcpy(engine_head(&e)->ask, ask, sizeof(ask));
		memcpy(engine_head(&e)->asks, asks, sizeof(asks));
		engine_head(&e)->more = shunt_build_head(b)->sets ||
					engine_head(&e)->tables.slots > SHUNT_WORD_FEW;
		b->full = NULL;
	}
	shunt_engine_free(&e);
	return ret;
}
