/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/tuples.h"

/* The last value of a domain. */
static shunt_u128 last_of(struct shunt_lookup lookup, int family)
{
	if (lookup.kind != SHUNT_LOOKUP_SIDE)
		return shunt_field_values(lookup.id);
	return family == 4 ? 0xffffffffu : (shunt_u128)-1;
}

static int by_value(const void *a, const void *b)
{
	const shunt_u128 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The begins of all ranges, and what is behind their ends. */
static int cut_domain(struct shunt_cuts *cuts, int domain,
		      const struct shunt_policy *policy, const struct shunt_alt *alt,
		      size_t alts, int family, struct shunt_ranges *ranges)
{
	shunt_u128 last = last_of(cuts->lookup, family), *cut = malloc(sizeof(*cut));
	size_t n = 0, room = 1, a, i, kept = 0;

	if (!cut)
		return -ENOMEM;
	cut[n++] = 0;
	cuts->cut[domain] = cut;
	for (a = 0; a < alts; a++) {
		if (shunt_alt_is_free(policy, &alt[a], cuts->lookup))
			continue;
		if (shunt_alt_ranges(policy, &alt[a], cuts->lookup, family, ranges))
			return -ENOMEM;
		if (n + 2 * ranges->n > room) {
			room = 2 * (n + 2 * ranges->n);
			cut = realloc(cut, room * sizeof(*cut));
			if (!cut)
				return -ENOMEM;
			cuts->cut[domain] = cut;
		}
		for (i = 0; i < ranges->n; i++) {
			cut[n++] = ranges->at[i].lo;
			if (ranges->at[i].hi != last)
				cut[n++] = ranges->at[i].hi + 1;
		}
	}
	qsort(cut, n, sizeof(*cut), by_value);
	for (i = 1; i < n; i++)
		if (cut[i] != cut[kept])
			cut[++kept] = cut[i];
	cuts->n[domain] = kept + 1;
	return 0;
}

/* The class that holds a value. */
static uint32_t class_of(const struct shunt_cuts *cuts, int domain, shunt_u128 value)
{
	const shunt_u128 *cut = cuts->cut[domain];
	size_t lo = 0, hi = cuts->n[domain];

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (cut[mid] <= value)
			lo = mid;
		else
			hi = mid;
	}
	return lo + (domain ? cuts->n[0] : 0);
}

/* Adds a run of the alternative under way, joined with the one before it. */
static int add_run(struct shunt_cuts *cuts, uint32_t first, uint32_t lo, uint32_t hi)
{
	if (cuts->runs > first && cuts->run[cuts->runs - 1].hi + 1u == lo) {
		cuts->run[cuts->runs - 1].hi = hi;
		return 0;
	}
	if (cuts->runs == cuts->room) {
		uint32_t room = cuts->room ? 2 * cuts->room : 1024;
		struct shunt_run *run = realloc(cuts->run, room * sizeof(*run));

		if (!run)
			return -ENOMEM;
		cuts->run = run;
		cuts->room = room;
	}
	cuts->run[cuts->runs++] = (struct shunt_run){ lo, hi };
	return 0;
}

static int find_runs(struct shunt_cuts *cuts, const struct shunt_policy *policy,
		     const struct shunt_alt *alt, struct shunt_ranges *ranges)
{
	bool side = cuts->lookup.kind == SHUNT_LOOKUP_SIDE;
	uint32_t first = cuts->runs, none = cuts->classes - 1;
	int domain;
	size_t i;

	for (domain = 0; domain <= side; domain++) {
		if (shunt_alt_ranges(policy, alt, cuts->lookup,
				     side ? (domain ? 6 : 4) : 0, ranges))
			return -ENOMEM;
		for (i = 0; i < ranges->n; i++)
			if (add_run(cuts, first,
				    class_of(cuts, domain, ranges->at[i].lo),
				    class_of(cuts, domain, ranges->at[i].hi)))
				return -ENOMEM;
	}
	if (side && shunt_alt_takes_none(policy, alt, cuts->lookup))
		return add_run(cuts, first, none, none);
	return 0;
}

int shunt_cuts_make(struct shunt_cuts *cuts, const struct shunt_policy *policy,
		    const struct shunt_alt *alt, size_t alts,
		    struct shunt_lookup lookup)
{
	bool side = lookup.kind == SHUNT_LOOKUP_SIDE;
	struct shunt_ranges ranges = { 0 };
	size_t a;
	int ret;

	*cuts = (struct shunt_cuts){ .lookup = lookup, .comp = -1 };
	ret = cut_domain(cuts, 0, policy, alt, alts, side ? 4 : 0, &ranges);
	if (!ret && side)
		ret = cut_domain(cuts, 1, policy, alt, alts, 6, &ranges);
	cuts->classes = cuts->n[0] + cuts->n[1] + side;
	if (!ret && cuts->n[0] + cuts->n[1] + side > SHUNT_CLASS_MAX)
		ret = -E2BIG;
	cuts->first = ret ? NULL : calloc(alts + 1, sizeof(*cuts->first));
	if (!ret && !cuts->first)
		ret = -ENOMEM;
	for (a = 0; !ret && a < alts; a++) {
		if (!shunt_alt_is_free(policy, &alt[a], lookup))
			ret = find_runs(cuts, policy, &alt[a], &ranges);
		cuts->first[a + 1] = cuts->runs;
	}
	shunt_ranges_free(&ranges);
	return ret;
}

void shunt_cuts_free(struct shunt_cuts *cuts)
{
	free(cuts->cut[0]);
	free(cuts->cut[1]);
	free(cuts->first);
	free(cuts->run);
	memset(cuts, 0, sizeof(*cuts));
}
