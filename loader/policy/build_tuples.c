/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine for many rules: pruned tuple search. */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/tuples.h"
#include "user/base/cleanup.h"

#define EXPAND_MAX 16 /* entries of one alternative; more runs make a profile */

struct engine {
	struct shunt_build *b;
	const struct shunt_alt *alt;
	size_t alts;
	struct shunt_cuts cuts[SHUNT_LOOKUP_MAX];
	size_t lookups;
	unsigned int used, comps; /* comps in use, and with padding */
	uint32_t slot[SHUNT_LOOKUP_MAX];
	struct shunt_tuple_entry *entry;
	size_t entries, room;
	struct shunt_profiles profiles;
	struct shunt_nest nest[SHUNT_COMP_MAX];
	struct shunt_tuple_set tuples;
};

static struct shunt_image_tuples *engine_head(const struct engine *e)
{
	return &shunt_build_head(e->b)->tuples;
}

/* --- which lookups make the tuples ------------------------------------------- */

static int by_run(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct shunt_run));
}

/* How well a lookup tells rules apart: its distinct single ranges. */
static size_t score(const struct shunt_cuts *c, size_t alts)
{
	_free_ struct shunt_run *run = malloc((alts + 1) * sizeof(*run));
	size_t n = 0, distinct = 0, a;

	if (!run)
		return 0;
	for (a = 0; a < alts; a++)
		if (shunt_cuts_runs(c, a) == 1)
			run[n++] = c->run[c->first[a]];
	qsort(run, n, sizeof(*run), by_run);
	for (a = 0; a < n; a++)
		distinct += !a || by_run(&run[a], &run[a - 1]);
	return distinct;
}

static void choose_comps(struct engine *e)
{
	size_t scores[SHUNT_LOOKUP_MAX], i;
	uint32_t next;

	for (i = 0; i < e->lookups; i++)
		scores[i] = score(&e->cuts[i], e->alts);
	while (e->used < SHUNT_COMP_MAX) {
		size_t best = 0;

		for (i = 1; i < e->lookups; i++)
			if (scores[i] > scores[best])
				best = i;
		if (!e->lookups || !scores[best])
			break;
		scores[best] = 0;
		e->slot[best] = e->used;
		e->cuts[best].comp = e->used++;
	}
	e->comps = e->used <= 4 ? 4 : (e->used + 1) & ~1u;
	for (i = 0, next = e->comps; i < e->lookups; i++)
		if (e->cuts[i].comp < 0)
			e->slot[i] = next++;
}

/* --- entries ----------------------------------------------------------------- */

static int add_entry(struct engine *e, const struct shunt_tuple_entry *entry)
{
	if (e->entries == e->room) {
		size_t room = e->room ? 2 * e->room : 1024;
		struct shunt_tuple_entry *more =
			realloc(e->entry, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->entry = more;
		e->room = room;
	}
	e->entry[e->entries++] = *entry;
	return 0;
}

/* Every combination of the runs of the comps in `expand`, from comp `c` on. */
static int expand(struct engine *e, uint32_t alt, uint32_t mask, size_t lookup,
		  struct shunt_tuple_entry *entry)
{
	const struct shunt_cuts *c;
	uint32_t r;
	int ret = 0;

	while (lookup < e->lookups && !(mask >> lookup & 1))
		lookup++;
	if (lookup == e->lookups)
		return add_entry(e, entry);
	c = &e->cuts[lookup];
	for (r = c->first[alt]; !ret && r < c->first[alt + 1]; r++) {
		entry->run[c->comp] = c->run[r];
		ret = expand(e, alt, mask, lookup + 1, entry);
	}
	return ret;
}

/*
 * A comp's single run is the entry's range. Of several runs few enough make several
 * entries; else they make a profile, and the range around all of them is compared first.
 */
static int add_alt(struct engine *e, uint32_t alt)
{
	struct shunt_tuple_entry entry = { .place = e->alt[alt].rule };
	uint64_t rest = 0;
	uint32_t several = 0, product = 1;
	unsigned int c;
	size_t i;
	int ret;

	for (c = 0; c < e->comps; c++)
		entry.run[c] = (struct shunt_run){ 0, 0 };
	for (i = 0; i < e->lookups; i++) {
		const struct shunt_cuts *cuts = &e->cuts[i];
		uint32_t n = shunt_cuts_runs(cuts, alt);
		const struct shunt_run *run = &cuts->run[cuts->first[alt]];

		if (cuts->comp < 0) {
			rest |= (uint64_t)(n > 0) << i;
			continue;
		}
		entry.run[cuts->comp] =
			n ? (struct shunt_run){ run[0].lo, run[n - 1].hi }
			  : (struct shunt_run){ 0, cuts->classes - 1 };
		if (n < 2)
			continue;
		if (product * n <= EXPAND_MAX) {
			product *= n;
			several |= 1u << i;
		} else {
			rest |= 1ull << i;
		}
	}
	ret = shunt_profile_of(&e->profiles, e->b, e->alt, e->cuts, alt, rest);
	if (ret < 0)
		return ret;
	entry.profile = ret;
	return expand(e, alt, several, 0, &entry);
}

/* --- into the image ---------------------------------------------------------- */

static int build_tables(struct engine *e)
{
	uint32_t tables = offsetof(struct shunt_image, tuples.tables);
	size_t i, n;
	int ret = 0;

	for (i = 0; !ret && i < e->lookups; i++) {
		const struct shunt_cuts *c = &e->cuts[i];
		struct shunt_classes classes = { .none = c->classes - 1 };
		int d;

		for (d = 0; !ret && d < 2 && c->n[d]; d++) {
			classes.at[d] = malloc(c->n[d] * sizeof(*classes.at[d]));
			classes.n[d] = c->n[d];
			if (!classes.at[d])
				ret = -ENOMEM;
			for (n = 0; !ret && n < c->n[d]; n++)
				classes.at[d][n] = (struct shunt_interval){
					c->cut[d][n], n + (d ? c->n[0] : 0)
				};
		}
		classes.same6 = classes.n[1] == 1;
		if (!ret)
			ret = shunt_build_lookup(e->b, tables, c->lookup, e->slot[i],
						 &classes);
		shunt_classes_free(&classes);
	}
	return ret;
}

/* Marks the tuple in the rows of all classes that a range of its entries holds. */
static void mark_tuple(struct engine *e, size_t tuple, unsigned int comp,
		       uint32_t classes, uint32_t row, uint32_t stride, int32_t *depth)
{
	const struct shunt_tuple *t = &e->tuples.at[tuple];
	int32_t open = 0;
	uint32_t x;
	size_t i;

	memset(depth, 0, (classes + 1) * sizeof(*depth));
	for (i = 0; i < t->n; i++) {
		struct shunt_run run = e->entry[t->entry[i]].run[comp];

		depth[run.lo]++;
		depth[run.hi + 1]--;
	}
	for (x = 0; x < classes; x++) {
		uint64_t *bits = shunt_build_at(e->b, row + x * stride);

		open += depth[x];
		if (open)
			shunt_bit_set(bits, tuple);
	}
}

static int build_rows(struct engine *e, unsigned int comp, uint32_t classes)
{
	const struct shunt_nest *nest = &e->nest[comp];
	_free_ int32_t *depth = calloc(classes + 1, sizeof(*depth));
	uint32_t words = engine_head(e)->words, stride, row, x;
	size_t t, i;

	stride = words * 8 + ((nest->depth + 2) & ~1u) * sizeof(uint32_t);
	row = shunt_build_piece(e->b, (size_t)classes * stride);
	if (!row || !depth)
		return -ENOMEM;
	for (i = 1; i < nest->n; i++) {
		const struct shunt_node_range *node = &nest->node[i];

		for (x = node->run.lo; x <= node->run.hi; x++)
			*(uint32_t *)shunt_build_at(e->b, row + x * stride + words * 8 +
								  4 * node->depth) =
				node->hash;
	}
	for (t = 0; t < e->tuples.n; t++)
		mark_tuple(e, t, comp, classes, row, stride, depth);
	engine_head(e)->comp[comp] = (struct shunt_image_comp){ row, stride };
	return 0;
}

static int build_all_rows(struct engine *e)
{
	unsigned int c;
	size_t i;
	int ret = 0;

	for (c = 0; !ret && c < e->comps; c++) {
		uint32_t classes = 1; /* of padding */

		for (i = 0; i < e->lookups; i++)
			if (e->cuts[i].comp == (int)c)
				classes = e->cuts[i].classes;
		ret = build_rows(e, c, classes);
	}
	return ret;
}

/* --- leaves ------------------------------------------------------------------ */

/* An entry on its way into a tuple's table. */
struct placed {
	uint32_t hash, slot, place, entry;
};

static int by_slot(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void put_entry(struct engine *e, uint32_t at, uint32_t which, uint32_t left)
{
	const struct shunt_tuple_entry *from = &e->entry[which];
	struct shunt_image_entry *to = shunt_build_at(e->b, at);
	unsigned int c;

	to->place = from->place;
	to->profile = from->profile;
	to->left = left;
	for (c = 0; c < e->comps; c++) {
		to->range[c].lo = from->run[c].lo;
		to->range[c].span = from->run[c].hi - from->run[c].lo;
	}
}

/* The leaf of the entries placed[0..n); its head goes into the table. */
static int build_leaf(struct engine *e, const struct placed *placed, size_t n,
		      uint32_t table)
{
	uint32_t bytes = engine_head(e)->entry_bytes;
	/* the classifier reads whole entries, also where the last one is shorter */
	uint32_t at =
		shunt_build_piece(e->b,
				  n * bytes + sizeof(struct shunt_image_entry) - bytes);
	uint32_t head = at / 8;
	size_t i;

	if (!at)
		return -ENOMEM;
	if (n > SHUNT_LEAF_MAX || at / 8 > SHUNT_HEAD_OFFSET_MASK)
		return -E2BIG;
	for (i = 0; i < n; i++) {
		put_entry(e, at + i * bytes, placed[i].entry, n - 1 - i);
		head |= 1u << (SHUNT_HEAD_TAG_SHIFT + SHUNT_TAG_OF(placed[i].hash));
	}
	((uint32_t *)shunt_build_at(e->b, table))[placed->slot] = head;
	if (n > e->b->stats->leaf)
		e->b->stats->leaf = n;
	return 0;
}

static int build_tuple(struct engine *e, size_t which)
{
	const struct shunt_tuple *t = &e->tuples.at[which];
	_free_ struct placed *placed = malloc((t->n + 1) * sizeof(*placed));
	uint32_t size = 4, seed = (uint32_t)which * 0x9e3779b9u, table;
	struct shunt_image_tuple *out;
	size_t i, first;
	int ret = 0;

	if (!placed)
		return -ENOMEM;
	while (size < 2 * t->n)
		size *= 2;
	for (i = 0; i < t->n; i++) {
		const struct shunt_tuple_entry *entry = &e->entry[t->entry[i]];
		uint32_t hash =
			seed ^ (uint32_t)shunt_tuple_key(t, entry, e->nest, e->comps);

		placed[i] = (struct placed){ hash, hash & (size - 1), entry->place,
					     t->entry[i] };
	}
	qsort(placed, t->n, sizeof(*placed), by_slot);
	table = shunt_build_piece(e->b, size * sizeof(uint32_t));
	if (!table)
		return -ENOMEM;
	for (first = i = 0; !ret && i < t->n; i++) {
		if (i + 1 < t->n && placed[i + 1].slot == placed[first].slot)
			continue;
		ret = build_leaf(e, &placed[first], i + 1 - first, table);
		first = i + 1;
	}
	out = shunt_build_at(e->b, engine_head(e)->tuple);
	out[which] = (struct shunt_image_tuple){
		.place = t->place,
		.table = table,
		.mask = size - 1,
		.seed = seed,
	};
	memcpy(out[which].level, t->depth, sizeof(out[which].level));
	return ret;
}

static int build_all_tuples(struct engine *e)
{
	uint32_t at =
		shunt_build_piece(e->b, e->tuples.n * sizeof(struct shunt_image_tuple));
	size_t t;
	int ret = 0;

	if (!at)
		return -ENOMEM;
	engine_head(e)->tuple = at;
	engine_head(e)->entry_bytes = 8 + 4 * e->comps;
	for (t = 0; !ret && t < e->tuples.n; t++)
		ret = build_tuple(e, t);
	engine_head(e)->tuples = e->tuples.n;
	e->b->stats->tuples = e->tuples.n;
	return ret;
}

/* --- the whole --------------------------------------------------------------- */

static int make_cuts(struct engine *e)
{
	struct shunt_lookup lookup[SHUNT_LOOKUP_MAX];
	size_t n = shunt_lookups_of(e->b->policy, e->alt, e->alts, lookup);
	int ret = 0;

	for (; !ret && e->lookups < n; e->lookups++) {
		ret = shunt_cuts_make(&e->cuts[e->lookups], e->b->policy, e->alt,
				      e->alts, lookup[e->lookups]);
		if (ret == -E2BIG)
			e->b->full = "classes of one field";
	}
	return ret;
}

static int make_entries(struct engine *e)
{
	uint32_t a;
	int ret = 0;

	for (a = 0; !ret && a < e->alts; a++)
		ret = add_alt(e, a);
	if (ret == -E2BIG)
		e->b->full = "combinations of lists and sets";
	return ret;
}

static int make_tuples(struct engine *e)
{
	unsigned int c;
	size_t i;
	int ret = 0;

	for (c = 0; !ret && c < e->comps; c++) {
		uint32_t classes = 1;

		for (i = 0; i < e->lookups; i++)
			if (e->cuts[i].comp == (int)c)
				classes = e->cuts[i].classes;
		ret = shunt_nest_make(&e->nest[c], c, classes, e->entry, e->entries);
	}
	if (!ret)
		ret = shunt_tuples_make(&e->tuples, e->entry, e->entries, e->nest,
					e->comps);
	if (ret == -E2BIG)
		e->b->full = "tuples";
	return ret;
}

static int build_engine(struct engine *e)
{
	int ret;

	engine_head(e)->words = (e->tuples.n + 63) / 64;
	engine_head(e)->comps = e->comps;
	ret = build_tables(e);
	if (!ret)
		ret = build_all_rows(e);
	if (!ret)
		ret = build_all_tuples(e);
	if (ret == -E2BIG)
		e->b->full =
			"rules that differ in nothing but lists and crossing ranges";
	if (!ret)
		ret = shunt_profiles_build(&e->profiles, e->b, e->alt, e->cuts,
					   e->lookups, e->slot);
	return ret;
}

static void engine_free(struct engine *e)
{
	size_t i;

	for (i = 0; i < SHUNT_LOOKUP_MAX; i++)
		shunt_cuts_free(&e->cuts[i]);
	for (i = 0; i < SHUNT_COMP_MAX; i++)
		shunt_nest_free(&e->nest[i]);
	shunt_profiles_free(&e->profiles);
	shunt_tuples_free(&e->tuples);
	free(e->entry);
	free(e);
}

int shunt_build_tuples(struct shunt_build *b, const struct shunt_alt *alt, size_t alts)
{
	struct engine *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return -ENOMEM;
	e->b = b;
	e->alt = alt;
	e->alts = alts;
	ret = make_cuts(e);
	if (!ret) {
		choose_comps(e);
		ret = make_entries(e);
	}
	if (!ret)
		ret = make_tuples(e);
	if (!ret)
		ret = build_engine(e);
	engine_free(e);
	return ret;
}
