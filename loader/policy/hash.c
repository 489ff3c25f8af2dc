/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/hash.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void shunt_policy_hash(const struct shunt_policy *policy, char hash[SHUNT_POLICY_HASH])
{
	XXH3_state_t state;
	XXH128_hash_t sum;
	size_t s;

	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, policy->text, strlen(policy->text) + 1);
	for (s = 0; s < policy->sets; s++) {
		const struct shunt_policy_set *set = &policy->set[s];

		XXH3_128bits_update(&state, set->name, strlen(set->name) + 1);
		if (set->elements)
			XXH3_128bits_update(&state, set->element,
					    set->elements * sizeof(*set->element));
	}
	sum = XXH3_128bits_digest(&state);
	snprintf(hash, SHUNT_POLICY_HASH, "%016llx%016llx",
		 (unsigned long long)sum.high64, (unsigned long long)sum.low64);
}
