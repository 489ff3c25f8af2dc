/* SPDX-License-Identifier: BSD-2-Clause */
/* Which rules can never decide, because one before them takes all their packets. */
#pragma once

#include "loader/policy/policy.h"

struct shunt_image;

/*
 * Does every packet that rule b matches match rule a, too? Answers "no" where that
 * cannot be known: a set's members are not looked at, for they change.
 */
bool shunt_rule_covers(const struct shunt_policy_rule *a,
		       const struct shunt_policy_rule *b);

#define SHUNT_COVER_NONE UINT32_MAX

/*
 * by[r] becomes the first rule before r that covers it and decides, or
 * SHUNT_COVER_NONE. `image` is the policy's, compiled without a binding. 0 or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_policy_covers(const struct shunt_policy *policy,
					 const struct shunt_image *image, uint32_t *by);

/*
 * Marks rules that ask for exactly what one before them asks for, which decides: they
 * need not be compiled. 0 or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_policy_equals(const struct shunt_policy *policy,
					 bool *equal);
