/* SPDX-License-Identifier: BSD-2-Clause */
/* From ranges with bits to the intervals between them, each with its class. */
#pragma once

/*
 * Every field of a policy, be it a port or an IPv6 address, is compiled the same way:
 * each rule (or profile) says which ranges of the field it allows; a sweep over the
 * sorted ends cuts the field's domain into intervals, inside which none changes its mind.
 */
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/ranges.h"
#include "loader/policy/vector.h"

/* One range that the owner of a bit allows; the ranges of one may overlap. */
struct shunt_allow {
	shunt_u128 lo, hi; /* inclusive */
	uint32_t bit;
};

/* From `start` up to the next interval's start, the field has this class. */
struct shunt_interval {
	shunt_u128 start;
	uint32_t class;
};

/*
 * `base` holds the bits of those that do not look at the field; pool->words is the
 * vectors' length. The first interval starts at 0; neighbours have different classes.
 * *intervals is malloced. Returns 0, or what shunt_vectors_class returns.
 */
int shunt_sweep(const struct shunt_allow *allow, size_t n, const uint64_t *base,
		struct shunt_vectors *pool, struct shunt_interval **intervals,
		size_t *count);
