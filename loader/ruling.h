/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy that rules an instance, as a policy again. */
#pragma once

#include "loader/instance.h"
#include "loader/policy/trial.h"

/*
 * Reads the text of the record once more. Its sets are empty, whatever the text gives
 * them: their members stand in the instance's maps, and files may have changed since.
 */
SHUNT_MUST_CHECK int shunt_ruling_read(struct shunt_policy **policy,
				       const struct shunt_state *state,
				       struct shunt_err *err);

/*
 * The sets of a policy: those that it fills itself as it does, the dynamic ones in the
 * instance's maps at this moment, by the names in its record.
 */
struct shunt_ruling_sets {
	const struct shunt_policy *policy;
	struct shunt_roll own;
	const struct shunt_instance *instance;
	struct shunt_prefix *listed[SHUNT_SET_MAX]; /* by place, once it was wanted */
	size_t members[SHUNT_SET_MAX];
	bool was_listed[SHUNT_SET_MAX];
};

struct shunt_roll shunt_ruling_roll(struct shunt_ruling_sets *sets,
				    const struct shunt_policy *policy,
				    const struct shunt_instance *instance);
/* Fine on zeroed ones. */
void shunt_ruling_close(struct shunt_ruling_sets *sets);
