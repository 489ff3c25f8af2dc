/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/classbench_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

static void side_of(const struct shunt_classbench_net *net, uint64_t lo[2],
		    uint64_t hi[2])
{
	for (unsigned int half = 0; half < 2; half++) {
		unsigned int bits = net->bits < 64 * half ? 0 : net->bits - 64 * half;
		uint64_t open = bits >= 64 ? 0 : UINT64_MAX >> bits, word = 0;

		for (unsigned int i = 0; i < 8; i++)
			word = word << 8 | net->addr[8 * half + i];
		lo[half] = word & ~open;
		hi[half] = word | open;
	}
}

void shunt_classbench_box(const struct shunt_classbench_rule *rule,
			  struct shunt_classbench_box *box)
{
	memset(box, 0, sizeof(*box));
	side_of(&rule->src, box->lo[0], box->hi[0]);
	side_of(&rule->dst, box->lo[1], box->hi[1]);
	memcpy(box->port[0], rule->sport, sizeof(rule->sport));
	memcpy(box->port[1], rule->dport, sizeof(rule->dport));
	box->proto[0] = rule->proto;
	box->proto[1] = rule->proto ? rule->proto : 255;
	box->flags = rule->flags;
	box->flag_mask = rule->flag_mask;
}

/* Prefixes are nested or apart, so that each half may be looked at by itself. */
bool shunt_classbench_box_overlap(const struct shunt_classbench_box *a,
				  const struct shunt_classbench_box *b)
{
	int i;

	for (i = 0; i < 4; i++)
		if (a->lo[i / 2][i % 2] > b->hi[i / 2][i % 2] ||
		    b->lo[i / 2][i % 2] > a->hi[i / 2][i % 2])
			return false;
	for (i = 0; i < 2; i++)
		if (a->port[i][0] > b->port[i][1] || b->port[i][0] > a->port[i][1])
			return false;
	return a->proto[0] <= b->proto[1] && b->proto[0] <= a->proto[1] &&
	       !((a->flags ^ b->flags) & a->flag_mask & b->flag_mask);
}

bool shunt_classbench_box_cover(const struct shunt_classbench_box *outer,
				const struct shunt_classbench_box *inner)
{
	int i;

	for (i = 0; i < 4; i++)
		if (outer->lo[i / 2][i % 2] > inner->lo[i / 2][i % 2] ||
		    outer->hi[i / 2][i % 2] < inner->hi[i / 2][i % 2])
			return false;
	for (i = 0; i < 2; i++)
		if (outer->port[i][0] > inner->port[i][0] ||
		    outer->port[i][1] < inner->port[i][1])
			return false;
	return outer->proto[0] <= inner->proto[0] &&
	       outer->proto[1] >= inner->proto[1] &&
	       (outer->flag_mask & inner->flag_mask) == outer->flag_mask &&
	       !((outer->flags ^ inner->flags) & outer->flag_mask);
}

bool shunt_classbench_overlap(const struct shunt_classbench_rule *a,
			      const struct shunt_classbench_rule *b)
{
	struct shunt_classbench_box box[2];

	shunt_classbench_box(a, &box[0]);
	shunt_classbench_box(b, &box[1]);
	return shunt_classbench_box_overlap(&box[0], &box[1]);
}

bool shunt_classbench_cover(const struct shunt_classbench_rule *outer,
			    const struct shunt_classbench_rule *inner)
{
	struct shunt_classbench_box box[2];

	shunt_classbench_box(outer, &box[0]);
	shunt_classbench_box(inner, &box[1]);
	return shunt_classbench_box_cover(&box[0], &box[1]);
}

/* --- order ------------------------------------------------------------------------ */

struct placed {
	struct shunt_classbench_rule rule;
	struct shunt_classbench_box box;
	uint64_t width; /* what covers another rule is wider */
	uint64_t key;	/* where it goes */
	size_t rank;	/* by width: of two with one key, the narrower one first */
};

static uint64_t width_of(const struct shunt_classbench_rule *rule)
{
	uint64_t width = 256 - rule->src.bits - rule->dst.bits;

	width += !rule->proto + 8 - __builtin_popcount(rule->flag_mask);
	return (width << 20) + rule->sport[1] - rule->sport[0] + rule->dport[1] -
	       rule->dport[0];
}

static int narrow_first(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->width != y->width)
		return x->width < y->width ? -1 : 1;
	return (x->key > y->key) - (x->key < y->key);
}

static int by_key(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->rank < y->rank ? -1 : 1;
}

/* Each wants a random place, but none before the last of those that it covers. */
static void place(struct placed *at, size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		at[i].rank = i;
		for (j = 0; j < i; j++)
			if (at[j].key > at[i].key &&
			    shunt_classbench_box_cover(&at[i].box, &at[j].box))
				at[i].key = at[j].key;
	}
}

int shunt_classbench_order(struct shunt_random *random,
			   struct shunt_classbench_rule *rules, size_t n)
{
	_free_ struct placed *at = calloc(n, sizeof(*at));
	size_t i;

	if (!at)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		at[i].rule = rules[i];
		shunt_classbench_box(&rules[i], &at[i].box);
		at[i].width = width_of(&rules[i]);
		at[i].key = shunt_random_next(random);
	}
	qsort(at, n, sizeof(*at), narrow_first);
	place(at, n);
	qsort(at, n, sizeof(*at), by_key);
	for (i = 0; i < n; i++)
		rules[i] = at[i].rule;
	return 0;
}
