/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two engines' compilers share: alternatives as bits of vectors. */
#pragma once

/*
 * Bit i of every vector is alternative bit[i] of the rules; a class is a vector of the
 * pool, by its number.
 */
#include "loader/policy/build.h"

struct shunt_engine_build {
	struct shunt_build *b;
	const struct shunt_alt *alt; /* by bit */
	size_t alts;
	enum shunt_engine engine;
	uint32_t tables; /* offset of the engine's tables in the image */
	struct shunt_vectors pool;
	struct shunt_ranges ranges;
};

/* Every lookup that the alternatives need, into the engine's tables. */
SHUNT_MUST_CHECK int shunt_engine_lookups(struct shunt_engine_build *e);

/* The classes of the image's sets, and those that ask for none: free, ask, asks. */
SHUNT_MUST_CHECK int shunt_engine_sets(struct shunt_engine_build *e,
				       uint16_t free[SHUNT_SIDE_MAX],
				       uint16_t ask[SHUNT_SIDE_MAX],
				       uint16_t asks[SHUNT_SIDE_MAX]);
void shunt_engine_free(struct shunt_engine_build *e);
