/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy asks of the programs: the verifier removes the code of all the rest. */
#pragma once

#include "loader/policy/policy.h"
#include "maps/config.h"

/* enum shunt_feature of all that the policy needs. */
uint32_t shunt_policy_features(const struct shunt_policy *policy);

/* "sets" for SHUNT_HAS_SETS; NULL for a bit that is none. */
const char *shunt_feature_name(uint32_t feature);
