/* SPDX-License-Identifier: BSD-2-Clause */
/* What must become of a frame at a hook: the model's decision, and what the hook can
 * do. */
#pragma once

#include "maps/hook.h"
#include "tests/model/frame.h"
#include "tests/model/model.h"

struct shunt_outcome {
	struct shunt_model model; /* of a sound frame */
	uint32_t reason, verdict; /* enum shunt_reason, enum shunt_verdict */
};

/*
 * Interfaces and CPUs that rules redirect to are there; consumers are not, be they
 * served by sockets or by rings. Limits are never reached.
 */
void shunt_outcome_of(const struct shunt_policy *policy, const char *iface,
		      enum shunt_hook hook, const struct shunt_model_frame *frame,
		      struct shunt_outcome *outcome);
