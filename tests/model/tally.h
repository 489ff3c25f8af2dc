/* SPDX-License-Identifier: BSD-2-Clause */
/* What random policies and packets have come to: whether they try what they should. */
#pragma once

#include "tests/model/kind.h"
#include "tests/model/model.h"

/*
 * What a deciding rule looked at; X(ENUM, name). Fields follow, of the outer layer, then
 * of the inner one.
 */
#define SHUNT_TALLY_KEYS(X)                                                            \
	X(ADDR, "address")                                                             \
	X(ADDR_NOT, "not address")                                                     \
	X(SET, "set")                                                                  \
	X(SET_NOT, "not set")                                                          \
	X(SERVICE, "set of services")                                                  \
	X(INNER_ADDR, "inner address")                                                 \
	X(INNER_ADDR_NOT, "inner not address")                                         \
	X(INNER_SET, "inner set")                                                      \
	X(IFACE, "iface")

enum shunt_tally_key {
#define X(id, name) SHUNT_TALLY_##id,
	SHUNT_TALLY_KEYS(X)
#undef X
		SHUNT_TALLY_FIELD,
	SHUNT_TALLY_KEY_COUNT = SHUNT_TALLY_FIELD + SHUNT_FIELD_ALL,
};

struct shunt_tally_kind {
	uint64_t policies, refused, rules, rules_hit;
	uint64_t decisions, by_rule, by_default, malformed, counted;
};

struct shunt_tally {
	struct shunt_tally_kind kind[SHUNT_KIND_COUNT];
	uint64_t key[SHUNT_TALLY_KEY_COUNT]; /* decisions by rules that have it */
};

/* A decision; `answer` is NULL for a malformed packet. hit: one for each rule. */
void shunt_tally_add(struct shunt_tally *tally, enum shunt_kind kind,
		     const struct shunt_policy *policy,
		     const struct shunt_model *answer, bool *hit);

/* A policy is through. */
void shunt_tally_policy(struct shunt_tally *tally, enum shunt_kind kind,
			const struct shunt_policy *policy, const bool *hit);

/*
 * A policy did not fit, which random rules may not: many that differ in nothing but
 * their lists can be more than the classifier takes. Of no kind may these be more than
 * the others.
 */
void shunt_tally_refused(struct shunt_tally *tally, enum shunt_kind kind);

/* The kind that is furthest behind its share. */
enum shunt_kind shunt_tally_next(const struct shunt_tally *tally);

uint64_t shunt_tally_decisions(const struct shunt_tally *tally);

/* A line a kind on stdout, and one of the keys. */
void shunt_tally_print(const struct shunt_tally *tally, uint64_t seed);

/*
 * Says what has not been tried enough: a kind, of ten policies or more, of which less
 * than half was decided by a rule, or of which more were refused than not, a key that decided less than once in 20,000. NULL: all is well, or there were
 * less than 100,000 decisions. `without`: enum shunt_author_part.
 */
const char *shunt_tally_gap(const struct shunt_tally *tally, uint32_t without);
