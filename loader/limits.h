/* SPDX-License-Identifier: BSD-2-Clause */
/* The token buckets of a policy's rules (maps/limit.h). */
#pragma once

/*
 * A rule that keeps its name and its limit keeps its bucket over an apply, as full as it
 * is; any other limit starts with a full one.
 */
#include "loader/plan.h"
#include "user/base/err.h"

/* -E2BIG: the policy has more limits than there is room for. */
SHUNT_MUST_CHECK int shunt_limits_check(const struct shunt_policy *policy,
					struct shunt_err *err);

/* Gives each rule with a limit its id. -E2BIG, as above. */
SHUNT_MUST_CHECK int shunt_limits_bind(struct shunt_plan *plan,
				       const struct shunt_state *old,
				       struct shunt_err *err);

/* Fills buckets that are given out anew, and puts new tables of them into place. */
SHUNT_MUST_CHECK int shunt_limits_write(const struct shunt_plan *plan,
					const struct shunt_maps *maps,
					struct shunt_err *err);

/* Lets go of tables that no rule of the record has. */
SHUNT_MUST_CHECK int shunt_limits_tidy(const struct shunt_maps *maps,
				       const struct shunt_state *state,
				       struct shunt_err *err);

/* Calls `each` with the kernel's id of every table. */
void shunt_limits_each_map(const struct shunt_maps *maps,
			   void (*each)(void *self, uint32_t map_id), void *self);

/* May the rule's limiter id index arrays? */
bool shunt_limiter_sound(const struct shunt_state_rule *rule);
