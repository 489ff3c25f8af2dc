/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/sweep.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/cleanup.h"

struct edge {
	shunt_u128 at;
	uint32_t rule;
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
		edge[edges++] = (struct edge){ allow[i].lo, allow[i].rule, 1 };
		if (allow[i].hi != (shunt_u128)-1)
			edge[edges++] =
				(struct edge){ allow[i].hi + 1, allow[i].rule, 0 };
	}
	qsort(edge, edges, sizeof(*edge), by_place);
	return edges;
}

int shunt_sweep(const struct shunt_allow *allow, size_t n,
		const struct shunt_vector *base, struct shunt_vectors *pool,
		struct shunt_interval **intervals, size_t *count)
{
	_free_ struct edge *edge = malloc((2 * n + 1) * sizeof(*edge));
	_free_ struct shunt_interval *out = malloc((2 * n + 1) * sizeof(*out));
	uint32_t depth[SHUNT_VECTOR_MAX] = { 0 }; /* ranges of the rule that are open */
	struct shunt_vector now = *base;
	size_t edges, i = 0, outs = 0;
	shunt_u128 at = 0;

	if (!edge || !out)
		return -ENOMEM;
	edges = edges_of(allow, n, edge);
	for (;;) {
		int class;

		for (; i < edges && edge[i].at == at; i++) {
			uint32_t rule = edge[i].rule;

			/* An end may be sorted before the start it meets: wrap and
			 * back. */
			depth[rule] += edge[i].open ? 1u : -1u;
			if (depth[rule])
				shunt_vector_set(&now, rule);
			else
				shunt_vector_clear(&now, rule);
		}
		class = shunt_vectors_class(pool, &now);
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
