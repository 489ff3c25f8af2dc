/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the compiler of the tuple search: what its steps hand to each other. */
#pragma once

/*
 *     alternatives ─▶ classes of each lookup, and the runs of classes that each allows
 *                  ─▶ entries (one run a comp) and profiles (all other conditions)
 *                  ─▶ nests (ranges of a comp by depth) ─▶ tuples ─▶ the image
 *
 * maps/image.h says what the result means.
 */
#include "loader/policy/build.h"

/* Classes lo to hi. */
struct shunt_run {
	uint16_t lo, hi;
};

/* One lookup, cut into classes wherever an alternative's ranges begin or end. */
struct shunt_cuts {
	struct shunt_lookup lookup;
	shunt_u128 *cut[2]; /* where classes begin: of a field or IPv4; of IPv6 */
	size_t n[2];
	uint32_t classes; /* all of them; of an address, the last one is "no address" */
	uint32_t *first;  /* where an alternative's runs begin in run[]; one more */
	struct shunt_run *run; /* none of an alternative that is free */
	uint32_t runs, room;
	int comp; /* place among the comps, or -1 */
};

static inline uint32_t shunt_cuts_runs(const struct shunt_cuts *c, uint32_t alt)
{
	return c->first[alt + 1] - c->first[alt];
}

/* 0, -ENOMEM, or -E2BIG for more classes than fit into 16 bits. */
SHUNT_MUST_CHECK int shunt_cuts_make(struct shunt_cuts *cuts,
				     const struct shunt_policy *policy,
				     const struct shunt_alt *alt, size_t alts,
				     struct shunt_lookup lookup);
void shunt_cuts_free(struct shunt_cuts *cuts);

/* What a rule, or a part of it, asks of the comps. */
struct shunt_tuple_entry {
	uint32_t place;
	uint32_t profile; /* 0: nothing else */
	struct shunt_run run[SHUNT_COMP_MAX];
	uint32_t node[SHUNT_COMP_MAX]; /* in the comp's nest */
};

/* --- nests ------------------------------------------------------------------- */

/* A range of classes and the one around it; node 0 is the whole domain. */
struct shunt_node_range {
	struct shunt_run run;
	uint32_t parent;
	uint32_t depth;
	uint64_t hash; /* of no relation to any other; 0 for node 0 */
};

struct shunt_nest {
	struct shunt_node_range *node;
	size_t n;
	uint32_t depth; /* of the deepest */
};

/* Nests the comp's ranges, and sets each entry's node: its range, or one around it. */
SHUNT_MUST_CHECK int shunt_nest_make(struct shunt_nest *nest, unsigned int comp,
				     uint32_t classes, struct shunt_tuple_entry *entry,
				     size_t entries);

/* The node around (or the same) that is no deeper than depth. */
uint32_t shunt_nest_up(const struct shunt_nest *nest, uint32_t node, uint32_t depth);
void shunt_nest_free(struct shunt_nest *nest);

/* --- tuples ------------------------------------------------------------------ */

struct shunt_tuple {
	uint8_t depth[SHUNT_COMP_MAX];
	uint32_t *entry; /* places in the list of entries */
	size_t n, room;
	uint32_t place; /* of the first rule */
	uint32_t leaf;	/* most entries under one hash */
};

struct shunt_tuple_set {
	struct shunt_tuple *at;
	size_t n, room;
};

/*
 * Groups the entries, and joins small groups with more general ones as long as that
 * leaves few entries under one hash. Sorted by place. -E2BIG: more than SHUNT_TUPLE_MAX.
 */
SHUNT_MUST_CHECK int shunt_tuples_make(struct shunt_tuple_set *set,
				       const struct shunt_tuple_entry *entry,
				       size_t entries, const struct shunt_nest *nest,
				       unsigned int comps);

/* The hash of an entry in a tuple. */
uint64_t shunt_tuple_key(const struct shunt_tuple *tuple,
			 const struct shunt_tuple_entry *entry,
			 const struct shunt_nest *nest, unsigned int comps);
void shunt_tuples_free(struct shunt_tuple_set *set);

/* --- profiles ---------------------------------------------------------------- */

/* Conditions beyond the comps' ranges: those of an alternative that stands for all. */
struct shunt_profile {
	uint32_t alt;
	uint64_t lookups; /* bit i: lookup i is looked at */
};

struct shunt_profiles {
	struct shunt_profile *at; /* at[0] asks for nothing */
	size_t n, room;
	uint32_t *bucket; /* hash table: profile + 1 */
	size_t buckets;
};

/* The profile of an alternative that has these lookups left; -ENOMEM, -E2BIG. */
int shunt_profile_of(struct shunt_profiles *profiles, const struct shunt_build *b,
		     const struct shunt_alt *alt, const struct shunt_cuts *cuts,
		     uint32_t which, uint64_t lookups);

/* Vectors over the profiles, and their sets, into the image. slot[i]: of lookup i. */
SHUNT_MUST_CHECK int shunt_profiles_build(const struct shunt_profiles *profiles,
					  struct shunt_build *b,
					  const struct shunt_alt *alt,
					  const struct shunt_cuts *cuts, size_t lookups,
					  const uint32_t *slot);
void shunt_profiles_free(struct shunt_profiles *profiles);
