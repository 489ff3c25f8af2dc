/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule's modifiers to what the image has of them (maps/mods.h). */
#pragma once

#include "loader/policy/compile.h"
#include "maps/mods.h"

/*
 * A full bucket holds at most what flows in during this time: the bucket's arithmetic
 * (bpf/lib/limit.h) counts time modulo 78 hours.
 */
#define SHUNT_LIMIT_BURST_SECONDS 36000u
#define SHUNT_LIMIT_RATE_MAX UINT64_C(100000000000) /* 800 Gbit/s, in bytes */

/*
 * Fills *mods; false: the rule has none. A `count` rule has none, as it decides about no
 * packet. A limit beyond the two bounds above is taken for one at them.
 */
bool shunt_mods_of(const struct shunt_policy_rule *rule,
		   const struct shunt_bound_rule *bound, struct shunt_image_mods *mods);

/* Which features (maps/config.h) the rule's modifiers and its consumer need. */
uint32_t shunt_mods_features(const struct shunt_policy_rule *rule);

/* --- each once --------------------------------------------------------------- */

/* Modifiers of many rules, equal ones once; zero it to begin with. */
struct shunt_mods_pool {
	struct shunt_image_mods *at;
	size_t n;
	size_t room;	/* a power of two */
	uint32_t *slot; /* 2 * room places of a hash table: index + 1 */
};

/* The index in at[] of modifiers like these, or -ENOMEM. */
int shunt_mods_pool_add(struct shunt_mods_pool *pool,
			const struct shunt_image_mods *mods);
void shunt_mods_pool_free(struct shunt_mods_pool *pool);
