/* SPDX-License-Identifier: BSD-2-Clause */
/* The flows of a policy's rules, as filters of a NIC. */
#pragma once

/*
 * A consumer with "steer" wants the packets of the rules that redirect to it in its own
 * receive queues. A rule of several addresses, ports or protocols becomes several
 * filters, at most SHUNT_STEER_OF_RULE. What a filter cannot say is no filter: one that
 * said less would move other packets as well.
 *
 * A filter moves packets only; the program goes on deciding about each of them, so that a
 * filter too many or too few never changes a verdict, save that a consumer gets nothing
 * out of a queue which it does not serve.
 */
#include <stddef.h>
#include <stdint.h>

#include "loader/ntuple.h"
#include "loader/policy/policy.h"
#include "user/base/err.h"

#define SHUNT_STEER_OF_RULE 64 /* tables have some hundred to some thousand places */

/* Does the rule want to be steered, on whatever interface? */
bool shunt_steer_wanted(const struct shunt_policy *policy,
			const struct shunt_policy_rule *rule);

/*
 * The filters of such a rule, without queues and places. How many; -EOPNOTSUPP: it
 * cannot be said, and *err says why, beginning with the rule's name.
 */
SHUNT_MUST_CHECK int shunt_steer_flows(const struct shunt_policy_rule *rule,
				       struct shunt_ntuple filter[SHUNT_STEER_OF_RULE],
				       struct shunt_err *err);
