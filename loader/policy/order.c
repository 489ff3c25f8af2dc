/* SPDX-License-Identifier: BSD-2-Clause */
/* Prefixes in their order: a million of them in a moment. */
#include <stdlib.h>
#include <string.h>

#include "loader/policy/prefix.h"
#include "user/base/cleanup.h"

#define HEADS (2 * 65536) /* family and first two bytes of an address */
#define SMALL 24	  /* elements that are sorted by insertion */

int shunt_prefix_compare(const void *a, const void *b)
{
	const struct shunt_prefix *p = a, *q = b;
	uint64_t x[2], y[2];
	int i;

	if (p->family != q->family)
		return p->family < q->family ? -1 : 1;
	memcpy(x, p->addr, sizeof(x));
	memcpy(y, q->addr, sizeof(y));
	for (i = 0; i < 2; i++)
		if (x[i] != y[i])
			return __builtin_bswap64(x[i]) < __builtin_bswap64(y[i]) ? -1
										 : 1;
	if (p->bits != q->bits)
		return (int)p->bits - (int)q->bits;
	if (p->proto != q->proto)
		return (int)p->proto - (int)q->proto;
	return (int)p->port - (int)q->port;
}

static bool is_sorted(const struct shunt_prefix *prefix, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (shunt_prefix_compare(&prefix[i - 1], &prefix[i]) > 0)
			return false;
	return true;
}

static size_t head_of(const struct shunt_prefix *p)
{
	return (size_t)(p->family == 6) << 16 | p->addr[0] << 8 | p->addr[1];
}

static void sort_small(struct shunt_prefix *prefix, size_t n)
{
	size_t i, j;

	for (i = 1; i < n; i++) {
		struct shunt_prefix p = prefix[i];

		for (j = i; j && shunt_prefix_compare(&prefix[j - 1], &p) > 0; j--)
			prefix[j] = prefix[j - 1];
		prefix[j] = p;
	}
}

/* By the head first, then each head's by itself. False: out of memory. */
static bool sort_by_head(struct shunt_prefix *prefix, size_t n)
{
	_free_ struct shunt_prefix *from = malloc(n * sizeof(*from));
	_free_ size_t *end = calloc(HEADS + 1, sizeof(*end));
	size_t i, at = 0;

	if (!from || !end)
		return false;
	memcpy(from, prefix, n * sizeof(*from));
	for (i = 0; i < n; i++)
		end[head_of(&from[i]) + 1]++;
	for (i = 0; i < HEADS; i++)
		end[i + 1] += end[i];
	for (i = 0; i < n; i++) /* end[h] becomes where h's elements end */
		prefix[end[head_of(&from[i])]++] = from[i];
	for (i = 0; i < HEADS; at = end[i++]) {
		if (end[i] - at <= SMALL)
			sort_small(prefix + at, end[i] - at);
		else
			qsort(prefix + at, end[i] - at, sizeof(*prefix),
			      shunt_prefix_compare);
	}
	return true;
}

size_t shunt_prefix_unique(struct shunt_prefix *prefix, size_t n)
{
	size_t kept = 0, i;

	if (!is_sorted(prefix, n) && (n < HEADS / 8 || !sort_by_head(prefix, n)))
		qsort(prefix, n, sizeof(*prefix), shunt_prefix_compare);
	for (i = 0; i < n; i++)
		if (!kept || shunt_prefix_compare(&prefix[kept - 1], &prefix[i]))
			prefix[kept++] = prefix[i];
	return kept;
}
