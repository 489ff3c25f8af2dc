/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int shunt_ranges_add(struct shunt_ranges *ranges, shunt_u128 lo, shunt_u128 hi)
{
	if (ranges->n == ranges->room) {
		size_t room = ranges->room ? 2 * ranges->room : 8;
		struct shunt_range *at = realloc(ranges->at, room * sizeof(*at));

		if (!at)
			return -ENOMEM;
		ranges->at = at;
		ranges->room = room;
	}
	ranges->at[ranges->n++] = (struct shunt_range){ lo, hi };
	return 0;
}

static int by_lo(const void *a, const void *b)
{
	const struct shunt_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

void shunt_ranges_settle(struct shunt_ranges *ranges)
{
	size_t kept = 0, i;

	if (ranges->n < 2)
		return;
	qsort(ranges->at, ranges->n, sizeof(*ranges->at), by_lo);
	for (i = 1; i < ranges->n; i++) {
		struct shunt_range *last = &ranges->at[kept], *next = &ranges->at[i];

		/* hi + 1 of the domain's end is 0, and nothing comes behind it */
		if (next->lo > last->hi && next->lo != last->hi + 1)
			ranges->at[++kept] = *next;
		else if (next->hi > last->hi)
			last->hi = next->hi;
	}
	ranges->n = kept + 1;
}

int shunt_ranges_cut(struct shunt_ranges *ranges, shunt_u128 lo, shunt_u128 hi)
{
	size_t n = ranges->n, kept = 0, i;
	struct shunt_range rest;
	bool split = false;

	for (i = 0; i < n; i++) {
		struct shunt_range r = ranges->at[i];

		if (r.hi < lo || r.lo > hi) {
			ranges->at[kept++] = r;
			continue;
		}
		if (r.lo < lo && r.hi > hi) {
			rest = (struct shunt_range){ hi + 1, r.hi };
			split = true;
		}
		if (r.lo < lo)
			ranges->at[kept++] = (struct shunt_range){ r.lo, lo - 1 };
		else if (r.hi > hi)
			ranges->at[kept++] = (struct shunt_range){ hi + 1, r.hi };
	}
	ranges->n = kept;
	if (!split)
		return 0;
	if (shunt_ranges_add(ranges, rest.lo, rest.hi))
		return -ENOMEM;
	shunt_ranges_settle(ranges);
	return 0;
}

void shunt_ranges_free(struct shunt_ranges *ranges)
{
	free(ranges->at);
	memset(ranges, 0, sizeof(*ranges));
}

struct shunt_range shunt_prefix_range(const struct shunt_prefix *prefix)
{
	size_t bytes = prefix->family == 4 ? 4 : 16, i;
	unsigned int host = bytes * 8 - prefix->bits;
	shunt_u128 lo = 0, size;

	for (i = 0; i < bytes; i++)
		lo = lo << 8 | prefix->addr[i];
	size = host < 128 ? (shunt_u128)1 << host : 0;
	return (struct shunt_range){ lo, lo + (size - 1) };
}
