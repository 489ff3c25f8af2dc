/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy to its image (maps/image.h). */
#pragma once

#include "loader/policy/policy.h"
#include "maps/image.h"

/*
 * What the names of a policy mean on one instance: which counter counts a rule, which
 * interface index a redirect goes to, under which id a set's members stand.
 */
struct shunt_bound_rule {
	uint32_t counter;
	uint32_t arg;	 /* ifindex, CPU or consumer slot */
	uint32_t limit;	 /* limiter id */
	uint32_t mirror; /* ifindex */
	bool dead;	 /* not meant for this instance's interface: never matches */
};

struct shunt_binding {
	struct shunt_bound_rule *rule; /* one a rule; NULL: all zero */
	uint16_t set_id[SHUNT_SET_MAX];
	/* More alternatives of rules than this get summaries; 0: SHUNT_VECTOR_MAX. For
	 * tests and benchmarks, which compare the engines. */
	size_t vector_max;
};

struct shunt_compiled {
	struct shunt_image *image; /* malloced, image->bytes long; generation is 0 */
	size_t classes;		   /* bit vectors in it */
	size_t words;		   /* of each vector, where there are summaries */
};

/*
 * Up to SHUNT_VECTOR_MAX alternatives of rules become bit vectors, more get
 * summaries; then only `count` rules are bit vectors.
 *
 * Returns 0, -E2BIG where something does not fit (the sentence has the numbers), or
 * -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_compile(const struct shunt_policy *policy,
				   const struct shunt_binding *binding,
				   struct shunt_compiled *compiled,
				   struct shunt_err *err);
