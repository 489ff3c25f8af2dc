/* SPDX-License-Identifier: BSD-2-Clause */
/* Alternatives of a rule, and what each asks of every lookup. */
#pragma once

/*
 * A rule whose address may be in a prefix or in a set is two alternatives, either of
 * which makes it match; one alternative wants each of its addresses in ranges, or in a
 * set. Of all other keys a rule has one alternative. Negation is resolved here: a range
 * that is cut out of others.
 */
#include "loader/policy/compile.h"
#include "loader/policy/ranges.h"
#include "maps/image.h"

struct shunt_alt {
	uint32_t rule;	/* place in the policy */
	uint8_t by_set; /* bit w: the address at place w is to be in a set */
};

/* The alternatives of the rules in rule[n], in their order; malloced. */
SHUNT_MUST_CHECK int shunt_alts_make(const struct shunt_policy *policy,
				     const uint32_t *rule, size_t n,
				     struct shunt_alt **alts, size_t *count);

/* --- lookups ----------------------------------------------------------------- */

enum shunt_lookup_kind { SHUNT_LOOKUP_NARROW, SHUNT_LOOKUP_WIDE, SHUNT_LOOKUP_SIDE };

struct shunt_lookup {
	uint8_t kind;  /* enum shunt_lookup_kind */
	uint8_t layer; /* enum shunt_layer_id */
	uint8_t id;    /* enum shunt_field, or enum shunt_side */
};

/* Values of a field: its indices go from 0 to this. */
uint64_t shunt_field_values(enum shunt_field field);

/* All lookups that the alternatives look at; at most SHUNT_LOOKUP_MAX. */
size_t shunt_lookups_of(const struct shunt_policy *policy, const struct shunt_alt *alt,
			size_t alts, struct shunt_lookup lookup[SHUNT_LOOKUP_MAX]);

/* Does it allow everything? Then the next function is not to be asked. */
bool shunt_alt_is_free(const struct shunt_policy *policy, const struct shunt_alt *alt,
		       struct shunt_lookup lookup);

/*
 * What the alternative allows, settled. family is 4 or 6 for an address, 0 for a field.
 * 0 or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_alt_ranges(const struct shunt_policy *policy,
				      const struct shunt_alt *alt,
				      struct shunt_lookup lookup, int family,
				      struct shunt_ranges *ranges);

/* May the packet lack the address altogether? */
bool shunt_alt_takes_none(const struct shunt_policy *policy,
			  const struct shunt_alt *alt, struct shunt_lookup lookup);

/* The sets that are wanted and those that are not, at layer * SHUNT_SIDES + side, as bits
 * by the set's place in the policy. */
struct shunt_alt_sets {
	uint64_t any, none;
};

struct shunt_alt_sets shunt_alt_sets(const struct shunt_policy *policy,
				     const struct shunt_alt *alt, unsigned int where);
