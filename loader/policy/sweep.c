/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

struct edge {
	shunt_u128 at;
	uint32_t bit;
	int open; /* the range begins here, else it ended just before */
};

static int by_place(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Both ends of every range; one that reaches the domain's end has no second edge. */
static size_t edges_of(const struct shunt_allow *allow, size_t n, struct edge *edge)
{
	size_t i, edges = 0;

	for (i = 0; i < n; i++) {
		edge[edges++] = (struct edge){ allow[i].lo, allow[i].bit, 1 };
		if (allow[i].hi != (shunt_u128)-1)
			edge[edges++] =
				(struct edge){ allow[i].hi + 1, allow[i].bit, 0 };
	}
	qsort(edge, edges, sizeof(*edge), by_place);
	return edges;
}

/* All edges at one place; from here on `now` holds. Returns the first edge behind. */
static size_t step(const struct edge *edge, size_t edges, size_t i, uint32_t *depth,
		   uint64_t *now)
{
	shunt_u128 at = edge[i].at;

	for (; i < edges && edge[i].at == at; i++) {
		uint32_t bit = edge[i].bit;

		/* An end may be sorted before the start it meets: wrap and back. */
		depth[bit] += edge[i].open ? 1u : -1u;
		if (depth[bit])
			shunt_bit_set(now, bit);
		else
			shunt_bit_clear(now, bit);
	}
	return i;
}

int shunt_sweep(const struct shunt_allow *allow, size_t n, const uint64_t *base,
		struct shunt_vectors *pool, struct shunt_interval **intervals,
		size_t *count)
{
	_free_ struct edge *edge = malloc((2 * n + 1) * sizeof(*edge));
	_free_ struct shunt_interval *out = malloc((2 * n + 1) * sizeof(*out));
	_free_ uint32_t *depth = calloc(pool->words * 64, sizeof(*depth));
	_free_ uint64_t *now = malloc(pool->words * sizeof(*now));
	size_t edges, i = 0, outs = 0;
	shunt_u128 at = 0;

	if (!edge || !out || !depth || !now)
		return -ENOMEM;
	memcpy(now, base, pool->words * sizeof(*now));
	edges = edges_of(allow, n, edge);
	for (;;) {
		int class;

		if (i < edges && edge[i].at == at)
			i = step(edge, edges, i, depth, now);
		class = shunt_vectors_class(pool, now);
		if (class < 0)
			return class;
		if (!outs || out[outs - 1].class != (uint32_t) class)
			out[outs++] = (struct shunt_interval){ at, class };
		if (i == edges)
			break;
		at = edge[i].at;
	}
	*intervals = shunt_steal(&out);
	*count = outs;
	return 0;
}
