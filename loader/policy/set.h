/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of the policy's "sets". */
#pragma once

#include "loader/policy/given.h"
#include "loader/policy/node.h"
#include "loader/policy/policy.h"

/*
 * Fills set, whose name stands already. `source` is the policy's file, in whose folder
 * relative files are looked for; NULL: the current one. `givens` has the members that
 * count instead; NULL: those of the text do.
 */
void shunt_set_read(struct shunt_policy_set *set, const struct shunt_node *node,
		    const char *source, const struct shunt_givens *givens);
