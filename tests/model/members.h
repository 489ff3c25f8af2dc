/* SPDX-License-Identifier: BSD-2-Clause */
/* What `shunt set add` would have put into the sets that a policy does not fill. */
#pragma once

#include "tests/model/random.h"
#include "tests/model/rig.h"

#define SHUNT_MEMBERS_SETS 4 /* d0 to d3 of the author's policies */
#define SHUNT_MEMBERS_MAX 64

/* Zeroed, they are empty. They outlive a policy, as the sets do. */
struct shunt_members {
	struct {
		struct shunt_prefix at[SHUNT_MEMBERS_MAX];
		size_t n;
	} set[SHUNT_MEMBERS_SETS];
};

/*
 * Adds members to the ruling policy's dynamic sets and deletes some, and tells the
 * policy, that is the model, what they hold. A failure ends the program.
 */
void shunt_members_edit(struct shunt_members *members, struct shunt_rig *rig,
			struct shunt_random *random, struct shunt_policy *policy);
