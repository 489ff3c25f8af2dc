/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/alt.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/cleanup.h"

_Static_assert(SHUNT_SET_MAX <= 64, "sets are bits of a word");

static const struct shunt_addrs *addrs_at(const struct shunt_policy *policy,
					  const struct shunt_alt *alt,
					  unsigned int where)
{
	return &policy->rule[alt->rule]
			.layer[where / SHUNT_SIDES]
			.side[where % SHUNT_SIDES];
}

int shunt_alts_make(const struct shunt_policy *policy, const uint32_t *rule, size_t n,
		    struct shunt_alt **alts, size_t *count)
{
	_free_ struct shunt_alt *out = NULL;
	size_t room = 0, used = 0, r;

	for (r = 0; r < n; r++) {
		size_t first = used, end, i;
		unsigned int w;

		if (room - used < 1u << SHUNT_SIDE_MAX) {
			struct shunt_alt *more;

			room = 2 * room + (1u << SHUNT_SIDE_MAX);
			more = realloc(out, room * sizeof(*out));
			if (!more)
				return -ENOMEM;
			out = more;
		}
		out[used++] = (struct shunt_alt){ .rule = rule[r] };
		for (w = 0; w < SHUNT_SIDE_MAX; w++) {
			const struct shunt_addr_list *in =
				&addrs_at(policy, &out[first], w)->in;

			if (!in->sets)
				continue;
			end = used;
			for (i = first; i < end; i++) {
				if (in->prefixes)
					out[used++] = out[i];
				out[i].by_set |= 1u << w;
			}
		}
	}
	*alts = shunt_steal(&out);
	*count = used;
	return 0;
}

/* --- lookups ----------------------------------------------------------------- */

uint64_t shunt_field_values(enum shunt_field field)
{
	static const uint64_t values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
		SHUNT_FIELDS(X)
#undef X
	};

	return values[field];
}

size_t shunt_lookups_of(const struct shunt_policy *policy, const struct shunt_alt *alt,
			size_t alts, struct shunt_lookup lookup[SHUNT_LOOKUP_MAX])
{
	size_t n = 0, a;
	int kind, layer, id;

	for (kind = SHUNT_LOOKUP_NARROW; kind <= SHUNT_LOOKUP_SIDE; kind++) {
		int from = kind == SHUNT_LOOKUP_WIDE ? SHUNT_FIELD_NARROW : 0;
		int to = kind == SHUNT_LOOKUP_NARROW ? (int)SHUNT_FIELD_NARROW
			 : kind == SHUNT_LOOKUP_WIDE ? (int)SHUNT_FIELD_COUNT
						     : (int)SHUNT_SIDES;

		for (layer = 0; layer < SHUNT_LAYERS; layer++) {
			for (id = from; id < to; id++) {
				struct shunt_lookup one = { kind, layer, id };

				for (a = 0; a < alts; a++)
					if (!shunt_alt_is_free(policy, &alt[a], one))
						break;
				if (a < alts)
					lookup[n++] = one;
			}
		}
	}
	return n;
}

static unsigned int where_of(struct shunt_lookup lookup)
{
	return lookup.layer * SHUNT_SIDES + lookup.id;
}

bool shunt_alt_is_free(const struct shunt_policy *policy, const struct shunt_alt *alt,
		       struct shunt_lookup lookup)
{
	const struct shunt_addrs *addrs;

	if (lookup.kind != SHUNT_LOOKUP_SIDE)
		return !policy->rule[alt->rule].layer[lookup.layer].field[lookup.id].n;
	addrs = addrs_at(policy, alt, where_of(lookup));
	/* what is in a set is an address, so that there is nothing left to ask */
	return !addrs->out.prefixes &&
	       (!addrs->in.prefixes || alt->by_set >> where_of(lookup) & 1);
}

static int side_ranges(const struct shunt_addrs *addrs, bool by_set, int family,
		       struct shunt_ranges *ranges)
{
	const shunt_u128 last = family == 4 ? 0xffffffffu : (shunt_u128)-1;
	size_t i;

	if (by_set || (!addrs->in.prefixes && !addrs->in.sets)) {
		if (shunt_ranges_add(ranges, 0, last))
			return -ENOMEM;
	} else {
		for (i = 0; i < addrs->in.prefixes; i++) {
			struct shunt_range r = shunt_prefix_range(&addrs->in.prefix[i]);

			if (addrs->in.prefix[i].family == family &&
			    shunt_ranges_add(ranges, r.lo, r.hi))
				return -ENOMEM;
		}
	}
	shunt_ranges_settle(ranges);
	for (i = 0; i < addrs->out.prefixes; i++) {
		struct shunt_range r = shunt_prefix_range(&addrs->out.prefix[i]);

		if (addrs->out.prefix[i].family == family &&
		    shunt_ranges_cut(ranges, r.lo, r.hi))
			return -ENOMEM;
	}
	return 0;
}

int shunt_alt_ranges(const struct shunt_policy *policy, const struct shunt_alt *alt,
		     struct shunt_lookup lookup, int family,
		     struct shunt_ranges *ranges)
{
	const struct shunt_spans *spans;
	size_t i;

	shunt_ranges_clear(ranges);
	if (lookup.kind == SHUNT_LOOKUP_SIDE)
		return side_ranges(addrs_at(policy, alt, where_of(lookup)),
				   alt->by_set >> where_of(lookup) & 1, family, ranges);
	spans = &policy->rule[alt->rule].layer[lookup.layer].field[lookup.id];
	for (i = 0; i < spans->n; i++)
		if (shunt_ranges_add(ranges, spans->at[i].lo, spans->at[i].hi))
			return -ENOMEM;
	return 0;
}

bool shunt_alt_takes_none(const struct shunt_policy *policy,
			  const struct shunt_alt *alt, struct shunt_lookup lookup)
{
	const struct shunt_addr_list *in = &addrs_at(policy, alt, where_of(lookup))->in;

	return !in->prefixes && !in->sets;
}

struct shunt_alt_sets shunt_alt_sets(const struct shunt_policy *policy,
				     const struct shunt_alt *alt, unsigned int where)
{
	const struct shunt_addrs *addrs = addrs_at(policy, alt, where);
	struct shunt_alt_sets sets = { 0, 0 };
	size_t i;

	for (i = 0; alt->by_set >> where & 1 && i < addrs->in.sets; i++)
		sets.any |= 1ull << addrs->in.set[i];
	for (i = 0; i < addrs->out.sets; i++)
		sets.none |= 1ull << addrs->out.set[i];
	return sets;
}
