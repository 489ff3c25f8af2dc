/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ranges that are asked for, as a forest. Prefixes nest or are disjoint; ranges of ports
 * may also cross. One that crosses another does not become a node: its entries stand
 * under the smallest node around it, where comparing tells them apart.
 */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/tuples.h"
#include "user/base/cleanup.h"

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators (SplitMix64). */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Outer ranges before those inside them. */
static int by_begin(const void *a, const void *b)
{
	const struct shunt_run *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return (x->hi < y->hi) - (x->hi > y->hi);
}

/* A distinct range, and the node that it is or is put under. */
struct place {
	struct shunt_run run; /* first: by_begin() reads it */
	uint32_t node;
};

static size_t distinct(struct place *place, unsigned int comp, uint32_t classes,
		       const struct shunt_tuple_entry *entry, size_t entries)
{
	size_t n = 0, kept = 0, i;

	for (i = 0; i < entries; i++) {
		struct shunt_run run = entry[i].run[comp];

		if (run.lo != 0 || run.hi + 1u != classes)
			place[n++].run = run;
	}
	if (!n)
		return 0;
	qsort(place, n, sizeof(*place), by_begin);
	for (i = 1; i < n; i++)
		if (by_begin(&place[i], &place[kept]))
			place[++kept] = place[i];
	return kept + 1;
}

static void put(struct shunt_nest *nest, struct place *place, unsigned int comp,
		uint32_t *top)
{
	uint32_t up = *top;

	while (nest->node[up].run.hi < place->run.lo)
		up = nest->node[up].parent;
	*top = up;
	while (nest->node[up].run.hi < place->run.hi)
		up = nest->node[up].parent;
	place->node = up;
	if (up != *top || nest->node[up].depth == SHUNT_LEVEL_MAX)
		return;
	nest->node[nest->n] = (struct shunt_node_range){
		.run = place->run,
		.parent = up,
		.depth = nest->node[up].depth + 1,
		.hash = mix((uint64_t)comp << 56 ^ (uint64_t)place->run.lo << 24 ^
			    place->run.hi),
	};
	if (nest->node[nest->n].depth > nest->depth)
		nest->depth = nest->node[nest->n].depth;
	place->node = *top = nest->n++;
}

int shunt_nest_make(struct shunt_nest *nest, unsigned int comp, uint32_t classes,
		    struct shunt_tuple_entry *entry, size_t entries)
{
	_free_ struct place *place = calloc(entries + 1, sizeof(*place));
	size_t n, i;
	uint32_t top = 0;

	*nest = (struct shunt_nest){ .node = calloc(entries + 1, sizeof(*nest->node)) };
	if (!place || !nest->node)
		return -ENOMEM;
	nest->node[0].run = (struct shunt_run){ 0, 65535 };
	nest->n = 1;
	n = distinct(place, comp, classes, entry, entries);
	for (i = 0; i < n; i++)
		put(nest, &place[i], comp, &top);
	for (i = 0; i < entries; i++) {
		struct shunt_run run = entry[i].run[comp];
		const struct place *at =
			n ? bsearch(&run, place, n, sizeof(*place), by_begin) : NULL;

		entry[i].node[comp] = at ? at->node : 0;
	}
	return 0;
}

uint32_t shunt_nest_up(const struct shunt_nest *nest, uint32_t node, uint32_t depth)
{
	while (nest->node[node].depth > depth)
		node = nest->node[node].parent;
	return node;
}

void shunt_nest_free(struct shunt_nest *nest)
{
	free(nest->node);
	memset(nest, 0, sizeof(*nest));
}
