/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of any field's domain: what a rule allows, as plain numbers. */
#pragma once

/*
 * A field's domain are its indices (maps/field.h), an address's its values in host order.
 */
#include <stdbool.h>
#include <stddef.h>

#include "loader/policy/policy.h"

typedef unsigned __int128 shunt_u128;

struct shunt_range {
	shunt_u128 lo, hi; /* inclusive */
};

/* Zeroed is empty. Made to be used again and again: shunt_ranges_clear() keeps the room. */
struct shunt_ranges {
	struct shunt_range *at;
	size_t n, room;
};

static inline void shunt_ranges_clear(struct shunt_ranges *ranges)
{
	ranges->n = 0;
}

/* 0 or -ENOMEM, as all that follow. */
SHUNT_MUST_CHECK int shunt_ranges_add(struct shunt_ranges *ranges, shunt_u128 lo,
				      shunt_u128 hi);

/* Sorts, and joins what overlaps or touches. */
void shunt_ranges_settle(struct shunt_ranges *ranges);

/* Takes [lo, hi] out of settled ranges, which stay settled. */
SHUNT_MUST_CHECK int shunt_ranges_cut(struct shunt_ranges *ranges, shunt_u128 lo,
				      shunt_u128 hi);
void shunt_ranges_free(struct shunt_ranges *ranges);

/* The addresses of a prefix. */
struct shunt_range shunt_prefix_range(const struct shunt_prefix *prefix);
