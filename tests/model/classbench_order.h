/* SPDX-License-Identifier: BSD-2-Clause */
/* Which rules of a set meet, and the order that they stand in. */
#pragma once

/*
 * Comparing all pairs of 16,384 rules takes 134 million comparisons; hence a form of a
 * rule in which one comparison takes a few instructions.
 */
#include "tests/model/classbench.h"

/* The box of the five fields that the rule takes; 128-bit numbers, high half first. */
struct shunt_classbench_box {
	uint64_t lo[2][2], hi[2][2]; /* source and destination */
	uint16_t port[2][2];	     /* source and destination: lowest, highest */
	uint8_t proto[2], flags, flag_mask;
};

void shunt_classbench_box(const struct shunt_classbench_rule *rule,
			  struct shunt_classbench_box *box);
bool shunt_classbench_box_overlap(const struct shunt_classbench_box *a,
				  const struct shunt_classbench_box *b);
bool shunt_classbench_box_cover(const struct shunt_classbench_box *outer,
				const struct shunt_classbench_box *inner);

/*
 * Puts the rules into a random order in which none stands behind one that covers it.
 * Returns 0 or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_classbench_order(struct shunt_random *random,
					    struct shunt_classbench_rule *rules,
					    size_t n);
